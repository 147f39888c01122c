// SPDX-License-Identifier: GPL-2.0

//! The extended attributes of an inode, from its record and its block.

use super::{Inode, Touch};
use crate::core::cache::{Buffer, Kind};
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Handle;
use crate::core::platform::Vec;
use crate::core::volume::Volume;
use crate::core::xattr::{read_block, run_of, Attributes};
use crate::format::acl;
use crate::format::bytes::put;
use crate::format::units::DiskBlock;
use crate::format::xattr::{
    references, replace_in_block, replace_in_body, set_references, Attrs, POSIX_ACL_ACCESS,
};

/// Credits to change an access control list beside the inode's record: its block, and when that is
/// shared, bitmap and descriptor of a copy of it, the block that was shared, and its own bitmap and
/// descriptor if nobody else has it in the end.
pub const ACL_CREDITS: u32 = 6;

impl Inode {
    /// The value of an attribute; see [`Attributes::get`].
    pub fn xattr_get(&self, volume: &Volume, index: u8, name: &[u8]) -> Result<Vec<u8>> {
        self.with_xattrs(volume, |attributes| {
            attributes.get(|| self.xattr_block(volume), index, name)
        })
    }

    /// The names of all attributes; see [`Attributes::list`].
    pub fn xattr_list(&self, volume: &Volume, each: impl FnMut(u8, &[u8]) -> Result) -> Result {
        self.with_xattrs(volume, |attributes| {
            attributes.list(|| self.xattr_block(volume), each)
        })
    }

    /// What a change of the permissions to `mode` makes of the access control list; `None` if there is none
    /// or it stays as it is.
    pub fn acl_of_mode(&self, volume: &Volume, mode: u16) -> Result<Option<Vec<u8>>> {
        let mut list = match self.xattr_get(volume, POSIX_ACL_ACCESS, b"") {
            Err(Error::NoData) => return Ok(None),
            list => list?,
        };
        let changed = acl::set_mode(&mut list, mode);
        let changed = changed.map_err(|fault| Error::Corrupt(self.here(), fault))?;
        Ok(changed.then_some(list))
    }

    /// Puts another access control list of the same length in the place of the one that there is. Spends
    /// up to [`ACL_CREDITS`], and one for the record. Needs `i_rwsem`, as all changes of attributes.
    ///
    /// [`Error::NoSpace`], with nothing changed, when it is in a block that others share and there is none
    /// to copy it to.
    pub fn replace_acl(&self, volume: &Volume, handle: &mut Handle<'_>, list: &[u8]) -> Result {
        let extra_isize = self.fields().extra_isize;
        let table = volume.read(self.place.block, Kind::InodeTable(self.place.first))?;
        let end = self.place.offset.saturating_add(self.place.size);
        let record = self.place.offset..end;
        let data = table.data()?;
        let body = data.get(record.clone()).unwrap_or(&[]);
        let in_body = Attrs::in_body(body, extra_isize)
            .map_err(|fault| Error::Corrupt(self.here(), fault))?
            .is_some_and(|attrs| attrs.find(POSIX_ACL_ACCESS, b"").is_some());
        let replaced = if in_body {
            let mut bytes = handle.write(&table)?;
            let body = bytes.get_mut(record).unwrap_or(&mut []);
            let replaced = replace_in_body(body, extra_isize, POSIX_ACL_ACCESS, b"", list);
            bytes.changed_inode(self.place.slot);
            replaced
        } else {
            let block = self.own_xattr_block(volume, handle)?;
            let mut bytes = handle.write(&block)?;
            replace_in_block(&mut bytes, POSIX_ACL_ACCESS, b"", list)
        };
        match replaced.map_err(|fault| Error::Corrupt(self.here(), fault))? {
            true => Ok(()),
            false => Err(Error::NoData),
        }
    }

    /// The block of attributes; a copy of it, if others have it too.
    fn own_xattr_block(&self, volume: &Volume, handle: &mut Handle<'_>) -> Result<Buffer> {
        let shared = self.fields().file_acl;
        let corrupt = |fault| {
            let ino = self.ino;
            let block = shared;
            Error::Corrupt(Place { ino, block }, fault)
        };
        let buffer = read_block(volume, self.ino, shared)?;
        let data = buffer.data()?;
        if references(&data).map_err(corrupt)? == 1 {
            return Ok(buffer);
        }
        let mut promise = volume.allocator.no_reservation();
        let block = volume
            .allocator
            .allocate_metadata(handle, self.ino, shared, &mut promise)?;
        let copy = volume.fresh(block, Kind::Xattr)?;
        {
            let mut bytes = handle.write(&copy)?;
            put(&mut bytes, 0, &data).ok_or(Error::Io(block))?;
            set_references(&mut bytes, 1).map_err(corrupt)?;
        }
        self.change(volume, handle, Touch::Attributes, |fields| {
            fields.file_acl = block;
            Ok(())
        })?;
        self.drop_xattr_reference(volume, handle, shared)?;
        Ok(copy)
    }

    /// The block of attributes, if there is one. The fields are locked until it is in memory: who gives it
    /// up has changed them before, so that nobody reads a block that others have made something else of.
    fn xattr_block(&self, volume: &Volume) -> Result<Option<Buffer>> {
        let fields = self.fields.lock();
        match fields.file_acl {
            DiskBlock(0) => Ok(None),
            block => read_block(volume, self.ino, block).map(Some),
        }
    }

    fn with_xattrs<R>(
        &self,
        volume: &Volume,
        read: impl FnOnce(&Attributes<'_>) -> Result<R>,
    ) -> Result<R> {
        let extra_size = self.fields().extra_isize;
        let table = volume.read(self.place.block, Kind::InodeTable(self.place.first))?;
        let data = table.data()?;
        let end = self.place.offset.saturating_add(self.place.size);
        read(&Attributes {
            ino: self.ino,
            record: data.get(self.place.offset..end).unwrap_or(&[]),
            extra_size,
        })
    }

    /// Gives up one reference to a block of attributes, which the record has no more. Up to 3 credits.
    pub(super) fn drop_xattr_reference(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        block: DiskBlock,
    ) -> Result {
        let corrupt = |fault| {
            let ino = self.ino;
            Error::Corrupt(Place { ino, block }, fault)
        };
        let buffer = read_block(volume, self.ino, block)?;
        {
            // Others give theirs up at the same time: what counts is what stands there under the lock.
            let mut bytes = handle.write(&buffer)?;
            let others = references(&bytes).map_err(corrupt)?.saturating_sub(1);
            if others > 0 {
                return set_references(&mut bytes, others).map_err(corrupt);
            }
        }
        drop(buffer);
        handle.forget(block)?;
        volume.allocator.free(handle, run_of(block))
    }
}
