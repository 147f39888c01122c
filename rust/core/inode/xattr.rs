// SPDX-License-Identifier: GPL-2.0

//! The extended attributes of an inode, from its record and its block.

use super::Inode;
use crate::core::cache::Kind;
use crate::core::error::Result;
use crate::core::platform::Vec;
use crate::core::volume::Volume;
use crate::core::xattr::Attributes;
use crate::format::units::DiskBlock;

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
}
