// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists.

use super::{Filesystem, Inode};
use crate::core::error::Result;
use crate::core::platform::Vec;
use crate::core::xattr::Acl;

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

    /// An access control list in the form of the xattr interface; `None` if there is none.
    pub fn acl(&self, inode: &Inode, which: Acl) -> Result<Option<Vec<u8>>> {
        let list = inode.acl(&self.volume, which);
        self.report("acl", inode.ino(), list)
    }
}
