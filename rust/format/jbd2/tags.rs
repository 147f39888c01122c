// SPDX-License-Identifier: GPL-2.0

//! The tags of a descriptor block: which blocks follow it, and where they belong.

use super::{bad, short, Layout, Tag, Version, TAG_ESCAPED, TAG_LAST, TAG_SAME_UUID, UUID};
use crate::format::{
    bytes::{be16, be32, put, put_be16, put_be32, wide},
    fault::{Fault, JournalFault, Record},
    units::{DiskBlock, Tid},
};

/// Writes the tags of one descriptor.
#[derive(Debug)]
pub struct TagWriter<'b> {
    pub(super) layout: Layout,
    pub(super) bytes: &'b mut [u8],
    pub(super) tid: Tid,
    pub(super) at: usize,
    /// Where the flags of the newest tag are, and what they are.
    pub(super) last_flags: Option<(usize, u32)>,
}

impl TagWriter<'_> {
    /// Lists a block; `logged` is how it will stand in the log.
    pub fn add(&mut self, block: DiskBlock, logged: &[u8], escaped: bool) -> Result<(), Fault> {
        let (layout, first) = (self.layout, self.last_flags.is_none());
        let full = bad(JournalFault::NoRoom, wide(self.at), wide(layout.room()));
        let tag_end = self.at.checked_add(layout.tag_len()).ok_or(full)?;
        let end = tag_end
            .checked_add(if first { UUID } else { 0 })
            .ok_or(full)?;
        if end > layout.room() {
            return Err(full);
        }
        let high = (block.get() >> 32) as u32;
        if high != 0 && !layout.wide_blocks {
            return Err(bad(JournalFault::BlockTooLarge, block.get(), 0));
        }
        let mut flags = if first { 0 } else { TAG_SAME_UUID };
        if escaped {
            flags |= TAG_ESCAPED;
        }
        let sum = if layout.has_sums() {
            layout.data_sum(self.tid, logged)
        } else {
            0
        };
        let at = self.at;
        let mut set = || {
            put_be32(self.bytes, at, block.get() as u32)?;
            if layout.version == Version::V3 {
                put_be32(self.bytes, at.checked_add(8)?, high)?;
                return put_be32(self.bytes, at.checked_add(12)?, sum);
            }
            put_be16(self.bytes, at.checked_add(4)?, sum as u16)?;
            if layout.wide_blocks {
                put_be32(self.bytes, at.checked_add(8)?, high)?;
            }
            Some(())
        };
        set().ok_or(full)?;
        if first {
            put(self.bytes, tag_end, &layout.uuid).ok_or(full)?;
        }
        self.put_flags(at, flags).ok_or(full)?;
        self.last_flags = Some((at, flags));
        self.at = end;
        Ok(())
    }

    fn put_flags(&mut self, tag: usize, flags: u32) -> Option<()> {
        if self.layout.version == Version::V3 {
            put_be32(self.bytes, tag.checked_add(4)?, flags)
        } else {
            put_be16(self.bytes, tag.checked_add(6)?, flags as u16)
        }
    }

    /// Marks the last tag and stores the checksum.
    pub fn finish(mut self) -> Result<(), Fault> {
        let missing = short(
            Record::JournalDescriptor,
            self.layout.block_size,
            self.bytes,
        );
        if let Some((at, flags)) = self.last_flags {
            self.put_flags(at, flags | TAG_LAST).ok_or(missing)?;
        }
        self.layout.seal_tail(self.bytes).ok_or(missing)
    }
}

/// Reads the tags of one descriptor; ends after the last one, or with a fault.
#[derive(Clone, Debug)]
pub struct Tags<'b> {
    pub(super) layout: Layout,
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
    pub(super) done: bool,
}

impl Tags<'_> {
    fn read(&mut self) -> Option<Tag> {
        let (layout, at) = (self.layout, self.at);
        let tag_end = at
            .checked_add(layout.tag_len())
            .filter(|end| *end <= layout.room())?;
        let low = be32(self.bytes, at)?;
        let (flags, checksum) = if layout.version == Version::V3 {
            (
                be32(self.bytes, at.checked_add(4)?)?,
                be32(self.bytes, at.checked_add(12)?)?,
            )
        } else {
            let sum = be16(self.bytes, at.checked_add(4)?)?;
            (
                u32::from(be16(self.bytes, at.checked_add(6)?)?),
                u32::from(sum),
            )
        };
        let high = if layout.wide_blocks {
            be32(self.bytes, at.checked_add(8)?)?
        } else {
            0
        };
        let uuid = if flags & TAG_SAME_UUID == 0 { UUID } else { 0 };
        self.at = tag_end.checked_add(uuid)?;
        self.done = flags & TAG_LAST != 0;
        Some(Tag {
            block: DiskBlock((u64::from(high) << 32) | u64::from(low)),
            escaped: flags & TAG_ESCAPED != 0,
            checksum,
        })
    }
}

impl Iterator for Tags<'_> {
    type Item = Result<Tag, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let tag = self
            .read()
            .ok_or(bad(JournalFault::NoLastTag, wide(self.at), 0));
        self.done |= tag.is_err();
        Some(tag)
    }
}
