// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists.

use super::{Filesystem, Inode};
use crate::core::error::{Error, Result};
use crate::core::inode::XATTR_CREDITS;
use crate::core::platform::{Vec, GFP};
use crate::format::acl::{disk_entries, AclEntry};

impl Filesystem {
    /// The value of an attribute, by its name index and the rest of its name.
    ///
    /// [`crate::core::error::Error::NoData`] if there is no such attribute.
    pub fn xattr_get(&self, inode: &Inode, index: u8, name: &[u8]) -> Result<Vec<u8>> {
        let value = inode.xattr_get(&self.volume, index, name);
        self.report("xattr_get", inode.ino(), value)
    }

    /// Calls `each` with the name index and the rest of the name of every attribute.
    pub fn xattr_list(&self, inode: &Inode, each: impl FnMut(u8, &[u8]) -> Result) -> Result {
        let listed = inode.xattr_list(&self.volume, each);
        self.report("xattr_list", inode.ino(), listed)
    }

    /// Removes an attribute. Needs `i_rwsem`, as all changes of attributes.
    ///
    /// [`Error::NoData`] if there is no such attribute.
    pub fn xattr_remove(&self, inode: &Inode, index: u8, name: &[u8]) -> Result {
        self.writable()?;
        let removed = self.retry(|| {
            self.volume.change(1 + XATTR_CREDITS, |handle| {
                inode.remove_xattr(&self.volume, handle, index, name)
            })
        });
        self.report("xattr_remove", inode.ino(), removed)
    }

    /// The entries of an access control list, by its name index; `None` if there is no such list.
    pub fn acl(&self, inode: &Inode, index: u8) -> Result<Option<Vec<AclEntry>>> {
        let read = self.read_acl(inode, index);
        self.report("acl", inode.ino(), read)
    }

    fn read_acl(&self, inode: &Inode, index: u8) -> Result<Option<Vec<AclEntry>>> {
        let list = match inode.xattr_get(&self.volume, index, b"") {
            Err(Error::NoData) => return Ok(None),
            list => list?,
        };
        let corrupt = |fault| Error::Corrupt(inode.here(), fault);
        let mut entries = Vec::new();
        for entry in disk_entries(&list).map_err(corrupt)? {
            entries.push(entry.map_err(corrupt)?, GFP)?;
        }
        Ok(Some(entries))
    }
}
