// SPDX-License-Identifier: GPL-2.0

//! File systems: superblocks, inodes, directory entries, open files, page cache.
//!
//! C header: `include/linux/fs.h`. One C structure is one file here. A file system names its types
//! in an implementation of [`FileSystem`] and implements one trait per structure of operations:
//! [`context::ContextOps`], [`super_ops::SuperOps`], [`inode::InodeOps`] and [`file::FileOps`] (one
//! implementation per kind of inode), [`address_space::AddressSpaceOps`], [`xattr::XattrOps`].

pub mod acl;
pub mod address_space;
pub mod attr;
pub mod context;
pub mod dentry;
pub mod export;
pub mod file;
pub mod inode;
pub mod inode_ops;
pub mod iter;
pub mod kiocb;
pub mod mmap;
pub mod new_inode;
pub mod params;
pub mod sb;
pub mod super_ops;
pub mod writeback;
pub mod xattr;

use kernel::prelude::*;

/// A file system: the types that its objects carry.
pub trait FileSystem: Sized + Send + Sync + 'static {
    /// Whether it lives on a block device. If not, asking for the device does not compile.
    const ON_DEVICE: bool = true;

    /// What one mount needs; made by [`context::ContextOps::fill_super`], dropped after
    /// [`super_ops::SuperOps::put_super`].
    type Super: Send + Sync + 'static;

    /// What one inode carries beside the VFS's fields. Made for every inode when the VFS
    /// allocates it, before it is known which inode it will be; dropped when it is evicted.
    type Inode: Send + Sync + 'static;

    /// The mount options while they are being parsed.
    type Options: Default + Send + 'static;

    /// A fresh per-inode value.
    fn new_inode_data() -> impl PinInit<Self::Inode, Error>;
}
