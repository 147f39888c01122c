// SPDX-License-Identifier: GPL-2.0

//! The kernel's entry points: turns what the VFS asks into calls of [`Filesystem`], and what they
//! return into VFS objects. No decision about the disk is made here.
#![forbid(unsafe_code)]

mod attr;
mod error;
mod export;
mod file;
mod iget;
mod ioctl;
mod map;
mod namei;
mod options;
mod readdir;
mod superblock;
mod sysfs;
mod writeback;
mod xattr;

use crate::core::mount::{Filesystem, Inode as CoreInode};
use crate::core::platform::Arc;
use crate::linux::fs::context::Registration;
use crate::linux::fs::inode::Inode;
use crate::linux::fs::FileSystem;
use crate::linux::mm::shrinker::Shrinker;
use crate::linux::sysfs::Folder;
use core::ops::Deref;
use core::sync::atomic::AtomicBool;
use kernel::prelude::*;
use kernel::sync::SetOnce;

/// The file system type.
pub(crate) struct Rext4;

/// A mounted file system; it is unmounted when this is dropped.
struct Mounted(Arc<Filesystem>);

impl Deref for Mounted {
    type Target = Filesystem;

    fn deref(&self) -> &Filesystem {
        &self.0
    }
}

/// What one mount needs. It is dropped in this order: nobody comes from outside while it is unmounted.
pub(crate) struct Mount {
    /// What it shows in sysfs; set before the mount is seen by anybody.
    sysfs: SetOnce<Folder<sysfs::Shown>>,
    /// Gives metadata blocks back when memory runs short.
    _shrinker: Shrinker<Filesystem>,
    fs: Mounted,
}

/// What an inode carries beside the VFS's fields.
pub(crate) struct InodeData {
    /// The file system's inode: there from the moment the inode is found or made.
    core: SetOnce<Arc<CoreInode>>,
    /// It was cut to nothing, as a program does that writes a file anew: what it writes goes to the
    /// disk when it closes the file (`auto_da_alloc`).
    rewritten: AtomicBool,
}

impl FileSystem for Rext4 {
    type Super = Mount;
    type Inode = InodeData;
    type Options = options::Options;

    fn new_inode_data() -> impl PinInit<InodeData, Error> {
        Ok(InodeData {
            core: SetOnce::new(),
            rewritten: AtomicBool::new(false),
        })
    }
}

/// Shorthands that every entry point uses.
trait InodeExt {
    /// The mounted file system.
    fn fs(&self) -> &Filesystem;
    /// The file system's inode; `EIO` for one whose making has failed.
    fn core(&self) -> Result<&CoreInode>;
    /// The same for who reads: `EIO` after a shutdown. (Who changes something is told by the file system.)
    fn live(&self) -> Result<&CoreInode>;
}

impl InodeExt for Inode<Rext4> {
    fn fs(&self) -> &Filesystem {
        &self.sb().data().fs
    }

    fn core(&self) -> Result<&CoreInode> {
        Ok(self.data().core.as_ref().ok_or(EIO)?)
    }

    fn live(&self) -> Result<&CoreInode> {
        if self.fs().is_shut_down() {
            return Err(EIO);
        }
        self.core()
    }
}

/// Registers `rext4`, and the names of the C drivers that are asked for and free.
pub(crate) fn register(
    module: &'static ThisModule,
    aliases: impl Iterator<Item = &'static CStr>,
) -> Result<Registration<Rext4>> {
    let mut registration = Registration::new(c"rext4_inode", module)?;
    registration.make_sysfs_root(c"rext4")?;
    registration.register(c"rext4")?;
    for name in aliases {
        if registration.register(name).is_err() {
            pr_warn!("the name {} is taken by another driver\n", name);
        }
    }
    Ok(registration)
}
