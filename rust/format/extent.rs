// SPDX-License-Identifier: GPL-2.0

//! Nodes of an extent tree: the root of 60 bytes in the inode, and blocks.
//!
//! A node is a header and entries of 12 bytes. Leaves (depth 0) hold extents, others hold indices
//! that name a child block and the first logical block it covers. [`check`] looks at a node once,
//! when it is read; the views then read it without checking the rules again (and still never
//! outside it).
//!
//! Source: `Documentation/filesystems/ext4/ifork.rst`.

mod edit;

pub use edit::NodeMut;

use super::{
    bytes::{le16, le32},
    fault::{ExtentFault as E, Fault, Record},
    units::{DiskBlock, FileBlock},
};

/// The magic number of a node.
pub const MAGIC: u16 = 0xf30a;
/// The deepest a tree can be.
pub const MAX_DEPTH: u16 = 5;
/// Longest written extent, in blocks.
pub const MAX_WRITTEN: u16 = 32768;
/// Longest unwritten extent, in blocks.
pub const MAX_UNWRITTEN: u16 = 32767;
/// Length of a header and of an entry.
const HEADER: usize = 12;
const ENTRY: usize = 12;

/// A run of blocks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first logical block.
    pub lblk: FileBlock,
    /// Its length in blocks, from 1 to [`MAX_WRITTEN`] or [`MAX_UNWRITTEN`].
    pub len: u16,
    /// Its first block on the disk.
    pub pblk: DiskBlock,
    /// Allocated, but reads as zeros.
    pub unwritten: bool,
}

impl Extent {
    /// The logical block after the last. (A checked extent never wraps.)
    pub const fn end(&self) -> FileBlock {
        FileBlock(self.lblk.get().saturating_add(self.len as u32))
    }

    /// Whether a logical block is in it.
    pub fn contains(&self, lblk: FileBlock) -> bool {
        self.lblk <= lblk && lblk < self.end()
    }

    /// The disk block of a logical block in it.
    pub fn map(&self, lblk: FileBlock) -> Option<DiskBlock> {
        if !self.contains(lblk) {
            return None;
        }
        self.pblk
            .checked_add(u64::from(lblk.distance_from(self.lblk)?))
    }

    /// The greatest length of an extent of its kind.
    pub const fn max_len(&self) -> u16 {
        if self.unwritten {
            MAX_UNWRITTEN
        } else {
            MAX_WRITTEN
        }
    }

    /// The part of it in the logical blocks `start .. start + len`, if any.
    pub fn slice(&self, start: FileBlock, len: u32) -> Option<Self> {
        let from = self.lblk.max(start);
        let end = self.end().get().min(start.get().saturating_add(len));
        let len = end.checked_sub(from.get()).filter(|len| *len > 0)?;
        Some(Self {
            lblk: from,
            len: u16::try_from(len).ok()?,
            pblk: self.map(from)?,
            unwritten: self.unwritten,
        })
    }

    /// This and `next` as one extent, when they touch on both sides, are of one kind, and the
    /// length allows it.
    pub fn merged(&self, next: &Self) -> Option<Self> {
        let len = self.len.checked_add(next.len)?;
        let touch = self.unwritten == next.unwritten
            && self.end() == next.lblk
            && self.pblk.checked_add(u64::from(self.len)) == Some(next.pblk);
        (touch && len <= self.max_len()).then_some(Self { len, ..*self })
    }

    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let raw = le16(bytes, at.checked_add(4)?)?;
        let (len, unwritten) = if raw <= MAX_WRITTEN {
            (raw, false)
        } else {
            (raw.checked_sub(MAX_WRITTEN)?, true)
        };
        let high = le16(bytes, at.checked_add(6)?)?;
        Some(Self {
            lblk: FileBlock(le32(bytes, at)?),
            len,
            pblk: DiskBlock((u64::from(high) << 32) | u64::from(le32(bytes, at.checked_add(8)?)?)),
            unwritten,
        })
    }

    /// The entry as it is stored, or the fault when it cannot be.
    fn store(&self) -> Result<[u8; ENTRY], Fault> {
        if self.len == 0 || self.len > self.max_len() {
            let (lblk, len) = (u64::from(self.lblk.get()), u64::from(self.len));
            return Err(Fault::Extent(E::Length, lblk, len));
        }
        let len = if self.unwritten {
            self.len.saturating_add(MAX_WRITTEN)
        } else {
            self.len
        };
        let high = high16(self.pblk)?;
        let [a, b, c, d] = self.lblk.get().to_le_bytes();
        let [e, f] = len.to_le_bytes();
        let [g, h] = high.to_le_bytes();
        let [i, j, k, l] = (self.pblk.get() as u32).to_le_bytes();
        Ok([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

/// An entry of an index node: a child, and the first logical block it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// The first logical block the child covers.
    pub lblk: FileBlock,
    /// The child's block.
    pub child: DiskBlock,
}

impl Index {
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let high = le16(bytes, at.checked_add(8)?)?;
        Some(Self {
            lblk: FileBlock(le32(bytes, at)?),
            child: DiskBlock((u64::from(high) << 32) | u64::from(le32(bytes, at.checked_add(4)?)?)),
        })
    }

    fn store(&self) -> Result<[u8; ENTRY], Fault> {
        let [a, b, c, d] = self.lblk.get().to_le_bytes();
        let [e, f, g, h] = (self.child.get() as u32).to_le_bytes();
        let [i, j] = high16(self.child)?.to_le_bytes();
        Ok([a, b, c, d, e, f, g, h, i, j, 0, 0])
    }
}

/// The upper 16 of a block number's 48 bits.
fn high16(block: DiskBlock) -> Result<u16, Fault> {
    u16::try_from(block.get() >> 32).map_err(|_| Fault::Extent(E::Physical, block.get(), 1))
}

/// The header of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Entries in use.
    pub entries: u16,
    /// Entries there is room for.
    pub max: u16,
    /// Levels below this node: 0 for a leaf.
    pub depth: u16,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<(u16, Self)> {
        let header = Self {
            entries: le16(bytes, 2)?,
            max: le16(bytes, 4)?,
            depth: le16(bytes, 6)?,
        };
        Some((le16(bytes, 0)?, header))
    }

    /// Reads a header and checks what it says of its node.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let short = Fault::short(Record::ExtentNode, HEADER, bytes.len());
        let (magic, header) = Self::read(bytes).ok_or(short)?;
        if magic != MAGIC {
            return Err(Fault::Extent(E::Magic, u64::from(magic), 0));
        }
        let (entries, max) = (u64::from(header.entries), u64::from(header.max));
        let room = capacity(bytes.len());
        if header.max == 0 || header.max > room {
            return Err(Fault::Extent(E::Max, max, u64::from(room)));
        }
        if header.entries > header.max {
            return Err(Fault::Extent(E::Overfull, entries, max));
        }
        if header.depth > MAX_DEPTH {
            let limit = u64::from(MAX_DEPTH);
            return Err(Fault::Extent(E::Depth, u64::from(header.depth), limit));
        }
        if header.depth > 0 && header.entries == 0 {
            return Err(Fault::Extent(E::EmptyIndex, u64::from(header.depth), 0));
        }
        Ok(header)
    }
}

/// How many entries a node of `len` bytes has room for (the checksum of a block fits in the rest).
pub const fn capacity(len: usize) -> u16 {
    let room = len.saturating_sub(HEADER) / ENTRY;
    if room > u16::MAX as usize {
        u16::MAX
    } else {
        room as u16
    }
}

/// The place of entry `at`.
fn place(at: u16) -> usize {
    usize::from(at).saturating_mul(ENTRY).saturating_add(HEADER)
}

/// Where a block's checksum is: after the room for entries. `None` when it is not in the block.
pub fn tail_offset(block: &[u8]) -> Option<usize> {
    let at = place(le16(block, 4)?);
    (at.checked_add(4)? <= block.len()).then_some(at)
}

/// What the way to a node says it must be.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// Its depth; `None` for a root, which decides it.
    pub depth: Option<u16>,
    /// The first logical block its parent says it covers; `None` for a root.
    pub first: Option<FileBlock>,
    /// The first logical block past it, if the parent has a next child.
    pub end: Option<FileBlock>,
}

impl Expect {
    /// For the root in the inode.
    pub const ROOT: Self = Self {
        depth: None,
        first: None,
        end: None,
    };
}

/// Checks a node: header, order and place of entries, and that all blocks named may be (`valid`
/// is asked with the first block and the length).
pub fn check(
    bytes: &[u8],
    expect: &Expect,
    valid: impl Fn(DiskBlock, u32) -> bool,
) -> Result<Header, Fault> {
    let header = Header::parse(bytes)?;
    if let Some(want) = expect.depth.filter(|want| *want != header.depth) {
        return Err(Fault::Extent(
            E::Depth,
            u64::from(header.depth),
            u64::from(want),
        ));
    }
    let node = Node { bytes, header };
    let mut next = 0u32;
    for at in 0..header.entries {
        let (lblk, pblk, len) = if header.depth == 0 {
            let extent = node.extent(at)?;
            let (lblk, len) = (u64::from(extent.lblk.get()), u64::from(extent.len));
            if extent.len == 0 {
                return Err(Fault::Extent(E::Length, lblk, len));
            }
            if extent.lblk.checked_add(u32::from(extent.len)).is_none() {
                return Err(Fault::Extent(E::Wraps, lblk, len));
            }
            (extent.lblk, extent.pblk, u32::from(extent.len))
        } else {
            let entry = node.index(at)?;
            (entry.lblk, entry.child, 1)
        };
        let here = u64::from(lblk.get());
        if lblk.get() < next {
            return Err(Fault::Extent(E::Order, here, u64::from(next)));
        }
        if let Some(first) = expect.first.filter(|first| at == 0 && *first != lblk) {
            return Err(Fault::Extent(
                E::OutsideParent,
                here,
                u64::from(first.get()),
            ));
        }
        next = lblk.get().saturating_add(len);
        if let Some(end) = expect.end.filter(|end| next > end.get()) {
            return Err(Fault::Extent(E::OutsideParent, here, u64::from(end.get())));
        }
        if !valid(pblk, len) {
            return Err(Fault::Extent(E::Physical, pblk.get(), u64::from(len)));
        }
    }
    Ok(header)
}

/// A node to be read. Its entries are those of the header, which was checked.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    bytes: &'a [u8],
    header: Header,
}

impl<'a> Node<'a> {
    /// Views a node. The header is checked, the entries are not: [`check`] did, once.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let header = Header::parse(bytes)?;
        Ok(Self { bytes, header })
    }

    /// Its header.
    pub const fn header(&self) -> Header {
        self.header
    }

    /// Whether it holds extents.
    pub const fn is_leaf(&self) -> bool {
        self.header.depth == 0
    }

    fn position(&self, at: u16) -> Fault {
        Fault::Extent(E::Position, u64::from(at), u64::from(self.header.entries))
    }

    /// Extent `at` of a leaf.
    pub fn extent(&self, at: u16) -> Result<Extent, Fault> {
        let inside = at < self.header.entries && self.is_leaf();
        inside
            .then(|| Extent::read(self.bytes, place(at)))
            .flatten()
            .ok_or(self.position(at))
    }

    /// Entry `at` of an index node.
    pub fn index(&self, at: u16) -> Result<Index, Fault> {
        let inside = at < self.header.entries && !self.is_leaf();
        inside
            .then(|| Index::read(self.bytes, place(at)))
            .flatten()
            .ok_or(self.position(at))
    }

    /// The first logical block of entry `at`, whatever it is.
    pub fn key(&self, at: u16) -> Result<FileBlock, Fault> {
        if at >= self.header.entries {
            return Err(self.position(at));
        }
        le32(self.bytes, place(at))
            .map(FileBlock)
            .ok_or(self.position(at))
    }

    /// The extents of a leaf, in order.
    pub fn extents(self) -> impl Iterator<Item = Extent> + 'a {
        (0..self.header.entries).map_while(move |at| self.extent(at).ok())
    }

    /// The entries of an index node, in order.
    pub fn indices(self) -> impl Iterator<Item = Index> + 'a {
        (0..self.header.entries).map_while(move |at| self.index(at).ok())
    }

    /// The last entry that begins at or before `lblk`; `None` when all begin after it.
    pub fn find(&self, lblk: FileBlock) -> Option<u16> {
        let (mut low, mut high) = (0u16, self.header.entries);
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle) {
                Ok(key) if key <= lblk => low = middle.saturating_add(1),
                _ => high = middle,
            }
        }
        low.checked_sub(1)
    }

    /// The child that covers `lblk`, with its place, and what it must be. A logical block before
    /// the first entry goes to the first child, as it would when inserted.
    pub fn child_of(&self, lblk: FileBlock) -> Result<(u16, Index, Expect), Fault> {
        let at = self.find(lblk).unwrap_or(0);
        let entry = self.index(at)?;
        Ok((at, entry, self.expect_child(at)?))
    }

    /// What child `at` must be.
    pub fn expect_child(&self, at: u16) -> Result<Expect, Fault> {
        Ok(Expect {
            depth: self.header.depth.checked_sub(1),
            first: Some(self.index(at)?.lblk),
            end: self.key(at.saturating_add(1)).ok(),
        })
    }
}

#[cfg(test)]
mod tests;
