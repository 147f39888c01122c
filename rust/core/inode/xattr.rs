// SPDX-License-Identifier: GPL-2.0

//! The extended attributes of an inode, from its record and its block.

use super::Inode;
use crate::core::cache::Kind;
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Handle;
use crate::core::platform::Vec;
use crate::core::volume::Volume;
use crate::core::xattr::{read_block, run_of, Attributes};
use crate::format::units::DiskBlock;
use crate::format::xattr::{references, set_references};

impl Inode {
    /// The value of an attribute; see [`Attributes::get`].
    pub fn xattr_get(&self, volume: &Volume, index: u8, name: &[u8]) -> Result<Vec<u8>> {
        self.with_xattrs(volume, |attributes| attributes.get(volume, index, name))
    }

    /// The names of all attributes; see [`Attributes::list`].
    pub fn xattr_list(&self, volume: &Volume, each: impl FnMut(u8, &[u8]) -> Result) -> Result {
        self.with_xattrs(volume, |attributes| attributes.list(volume, each))
    }

    fn with_xattrs<R>(
        &self,
        volume: &Volume,
        read: impl FnOnce(&Attributes<'_>) -> Result<R>,
    ) -> Result<R> {
        let fields = self.fields();
        let table = volume.read(self.place.block, Kind::InodeTable(self.place.first))?;
        let data = table.data()?;
        let end = self.place.offset.saturating_add(self.place.size);
        read(&Attributes {
            ino: self.ino,
            record: data.get(self.place.offset..end).unwrap_or(&[]),
            extra_size: fields.extra_isize,
            block: (fields.file_acl != DiskBlock(0)).then_some(fields.file_acl),
        })
    }

    /// Gives up one reference to a block of attributes. Up to 3 credits.
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
