// SPDX-License-Identifier: GPL-2.0

//! The extended attributes of an inode, from its record and its block.

use super::{Inode, Touch};
use crate::core::cache::{Buffer, Kind};
use crate::core::error::{Error, Place, Result};
use crate::core::journal::{Handle, Run};
use crate::core::platform::Vec;
use crate::core::volume::Volume;
use crate::core::xattr::{read_block, Attributes, Home};
use crate::format::acl;
use crate::format::bytes::put;
use crate::format::fault::Fault;
use crate::format::inode::extra_isize;
use crate::format::units::DiskBlock;
use crate::format::xattr::{
    references, remove_in_block, remove_in_body, replace_in_block, replace_in_body, set_references,
    POSIX_ACL_ACCESS,
};

/// Credits to change an attribute beside the inode's record: its block, and when that is shared, bitmap
/// and descriptor of a copy of it, the block that was shared, and its own bitmap and descriptor if nobody
/// else has it in the end.
pub const XATTR_CREDITS: u32 = 6;

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
    /// up to [`XATTR_CREDITS`], and one for the record. Needs `i_rwsem`, as all changes of attributes.
    ///
    /// [`Error::NoSpace`], with nothing changed, when it is in a block that others share and there is none
    /// to copy it to.
    pub fn replace_acl(&self, volume: &Volume, handle: &mut Handle<'_>, list: &[u8]) -> Result {
        let index = POSIX_ACL_ACCESS;
        let replaced = match self.xattr_home(volume, index, b"")? {
            Home::Record => self.edit_body(volume, handle, |body, extra_isize| {
                replace_in_body(body, extra_isize, index, b"", list)
            }),
            Home::Block { .. } => self.edit_own_block(volume, handle, |block| {
                replace_in_block(block, index, b"", list)
            }),
        };
        match replaced? {
            true => Ok(()),
            false => Err(Error::NoData),
        }
    }

    /// Removes an attribute; a block that has no other is given up. Spends up to [`XATTR_CREDITS`], and one
    /// for the record. Needs `i_rwsem`, as all changes of attributes.
    ///
    /// [`Error::NoData`] when there is no such attribute; [`Error::NoSpace`] as for [`Self::replace_acl`].
    /// Nothing is changed then.
    pub fn remove_xattr(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        index: u8,
        name: &[u8],
    ) -> Result {
        match self.xattr_home(volume, index, name)? {
            Home::Record => {
                self.edit_body(volume, handle, |body, extra_isize| {
                    remove_in_body(body, extra_isize, index, name)
                })?;
            }
            Home::Block { alone: false } => {
                self.edit_own_block(volume, handle, |block| remove_in_block(block, index, name))?;
            }
            Home::Block { alone: true } => {
                let block = self.fields().file_acl;
                self.forget_xattr_block(volume, handle)?;
                self.drop_xattr_reference(volume, handle, block)?;
            }
        }
        self.change(volume, handle, Touch::Attributes, |fields| {
            fields.ctime = volume.now();
            Ok(())
        })
    }

    fn xattr_home(&self, volume: &Volume, index: u8, name: &[u8]) -> Result<Home> {
        self.with_xattrs(volume, |attributes| {
            attributes.home(|| self.xattr_block(volume), index, name)
        })
    }

    /// Changes the attributes in the record; `edit` gets all of it, and how many bytes are extra fields.
    fn edit_body(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        edit: impl FnOnce(&mut [u8], u16) -> core::result::Result<bool, Fault>,
    ) -> Result<bool> {
        let table = self.table(volume)?;
        let end = self.place.offset.saturating_add(self.place.size);
        let mut bytes = handle.write(&table)?;
        let body = bytes.get_mut(self.place.offset..end).unwrap_or(&mut []);
        let extra_isize = extra_isize(body);
        let edited = edit(body, extra_isize);
        bytes.changed_inode(self.place.slot);
        edited.map_err(|fault| Error::Corrupt(self.here(), fault))
    }

    /// Changes the attributes in the block, of which others see nothing.
    fn edit_own_block(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        edit: impl FnOnce(&mut [u8]) -> core::result::Result<bool, Fault>,
    ) -> Result<bool> {
        let block = self.own_xattr_block(volume, handle)?;
        let mut bytes = handle.write(&block)?;
        edit(&mut bytes).map_err(|fault| Error::Corrupt(self.here(), fault))
    }

    /// The inode has given up its block of attributes.
    fn forget_xattr_block(&self, volume: &Volume, handle: &mut Handle<'_>) -> Result {
        // After this an error stops the journal, with what the map then says.
        drop(handle.write(&self.table(volume)?)?);
        if let Some(map) = &self.map {
            map.lose_other();
        }
        let sectors = 1u64.checked_shl(self.sector_shift).unwrap_or(0);
        self.change(volume, handle, Touch::Attributes, |fields| {
            // Of what has a map, that says how many blocks there are.
            fields.blocks = fields.blocks.saturating_sub(sectors);
            fields.file_acl = DiskBlock(0);
            Ok(())
        })
    }

    /// The block of attributes; a copy of it, if others have it too.
    fn own_xattr_block(&self, volume: &Volume, handle: &mut Handle<'_>) -> Result<Buffer> {
        let shared = self.fields().file_acl;
        let corrupt = |fault| Error::Corrupt(Place::new(self.ino, shared), fault);
        let buffer = read_block(volume, self.ino, shared)?;
        let data = buffer.data()?;
        if references(&data).map_err(corrupt)? == 1 {
            return Ok(buffer);
        }
        let mut promise = volume.allocator.reserve(handle.journal(), 1)?;
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
        let table = self.table(volume)?;
        let data = table.data()?;
        let end = self.place.offset.saturating_add(self.place.size);
        let record = data.get(self.place.offset..end).unwrap_or(&[]);
        read(&Attributes {
            ino: self.ino,
            record,
            extra_size: extra_isize(record),
        })
    }

    /// Gives up one reference to a block of attributes, which the record has no more. Up to 3 credits.
    pub(super) fn drop_xattr_reference(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        block: DiskBlock,
    ) -> Result {
        let corrupt = |fault| Error::Corrupt(Place::new(self.ino, block), fault);
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
        volume.allocator.free(handle, Run::one(block))
    }
}
