// SPDX-License-Identifier: GPL-2.0

//! Attributes of inodes and of mounts, as they are asked for and changed.
//!
//! C headers: `include/linux/fs.h` (`struct iattr`), `stat.h`, `statfs.h`, `mnt_idmapping.h`.

use super::dentry::Dentry;
use super::inode::{Inode, Time};
use super::FileSystem;
use crate::linux::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::types::Opaque;

/// How a mount maps owners (`struct mnt_idmap`).
#[repr(transparent)]
pub struct IdMap(Opaque<bindings::mnt_idmap>);

impl IdMap {
    /// # Safety
    ///
    /// `idmap` must be live for `'a`.
    pub(super) unsafe fn from_raw<'a>(idmap: *mut bindings::mnt_idmap) -> &'a Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &*idmap.cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::mnt_idmap {
        self.0.get()
    }
}

/// Bits of [`Attr::valid`] (`ATTR_*`).
pub mod valid {
    use crate::linux::bindings;

    /// The permission bits.
    pub const MODE: u32 = bindings::ATTR_MODE;
    /// The owner.
    pub const UID: u32 = bindings::ATTR_UID;
    /// The group.
    pub const GID: u32 = bindings::ATTR_GID;
    /// The size.
    pub const SIZE: u32 = bindings::ATTR_SIZE;
    /// The access time.
    pub const ATIME: u32 = bindings::ATTR_ATIME;
    /// The modification time.
    pub const MTIME: u32 = bindings::ATTR_MTIME;
    /// The change time.
    pub const CTIME: u32 = bindings::ATTR_CTIME;
    /// The size is being set to 0 by `open` with `O_TRUNC`.
    pub const OPEN: u32 = bindings::ATTR_OPEN;
}

/// Attributes to be changed (`struct iattr`).
#[repr(transparent)]
pub struct Attr(bindings::iattr);

impl Attr {
    /// # Safety
    ///
    /// `attr` must be live, and not be used by others, for `'a`.
    pub(super) unsafe fn from_raw<'a>(attr: *mut bindings::iattr) -> &'a mut Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &mut *attr.cast() }
    }

    /// Which attributes change, [`valid`] bits.
    pub fn valid(&self) -> u32 {
        self.0.ia_valid
    }

    /// The new size, when it changes.
    pub fn size(&self) -> Option<u64> {
        (self.valid() & valid::SIZE != 0).then_some(self.0.ia_size.unsigned_abs())
    }

    /// The new owner, as it is to be on the disk, when it changes.
    pub fn uid<F: FileSystem>(&self, idmap: &IdMap, inode: &Inode<F>) -> Option<u32> {
        if self.valid() & valid::UID == 0 {
            return None;
        }
        // SAFETY: All are live.
        Some(unsafe { bindings::iattr_uid(idmap.as_raw(), inode.as_raw(), &self.0) })
    }

    /// The new group, as it is to be on the disk, when it changes.
    pub fn gid<F: FileSystem>(&self, idmap: &IdMap, inode: &Inode<F>) -> Option<u32> {
        if self.valid() & valid::GID == 0 {
            return None;
        }
        // SAFETY: All are live.
        Some(unsafe { bindings::iattr_gid(idmap.as_raw(), inode.as_raw(), &self.0) })
    }

    /// Sets the modification time to be now, as a change of the size wants.
    pub fn set_times_now<F: FileSystem>(&mut self, inode: &Inode<F>) {
        // SAFETY: The inode is live.
        let now = unsafe { bindings::current_time(inode.as_raw()) };
        self.0.ia_mtime = now;
        self.0.ia_ctime = now;
        self.0.ia_valid |= valid::MTIME | valid::CTIME;
    }

    /// Whether the caller may make the change. Needs `i_rwsem` of the inode, as `setattr` has.
    pub fn prepare<F: FileSystem>(&mut self, idmap: &IdMap, dentry: &Dentry<F>) -> Result {
        // SAFETY: All are live.
        to_result(unsafe {
            bindings::setattr_prepare(idmap.as_raw(), dentry.as_raw(), &mut self.0)
        })
    }

    /// Puts the new attributes, but the size, into the inode. Needs `i_rwsem`, as `setattr` has.
    pub fn copy_to<F: FileSystem>(&self, idmap: &IdMap, inode: &Inode<F>) {
        // SAFETY: All are live.
        unsafe { bindings::setattr_copy(idmap.as_raw(), inode.as_raw(), &self.0) }
    }
}

/// The answer to `stat` (`struct kstat`), and what was asked for.
pub struct Stat<'a> {
    raw: &'a mut bindings::kstat,
    asked: u32,
}

impl Stat<'_> {
    /// `asked` are the `STATX_*` bits that are wanted.
    ///
    /// # Safety
    ///
    /// `stat` must be live, and not be used by others, as long as the value is there.
    pub(super) unsafe fn from_raw(stat: *mut bindings::kstat, asked: u32) -> Self {
        // SAFETY: The caller says so.
        let raw = unsafe { &mut *stat };
        Self { raw, asked }
    }

    /// Sets the space in use, in units of 512 bytes.
    pub fn set_blocks(&mut self, sectors: u64) {
        self.raw.blocks = sectors;
    }

    /// Sets the time of creation.
    pub fn set_btime(&mut self, time: Time) {
        self.raw.result_mask |= bindings::STATX_BTIME;
        self.raw.btime.tv_sec = time.sec;
        self.raw.btime.tv_nsec = time.nsec as isize;
    }

    /// Sets `STATX_ATTR_*` bits, and which of them this file system knows.
    pub fn set_attributes(&mut self, attributes: u64, known: u64) {
        self.raw.attributes |= attributes;
        self.raw.attributes_mask |= known;
    }

    /// Tells, if that is asked for, what direct I/O to a file on a device must be aligned to: as iomap
    /// needs it.
    pub fn set_dio_alignment<F: FileSystem>(&mut self, inode: &Inode<F>) {
        if self.asked & bindings::STATX_DIOALIGN == 0 {
            return;
        }
        self.raw.result_mask |= bindings::STATX_DIOALIGN;
        // SAFETY: A mounted superblock keeps its device open.
        unsafe {
            let bdev = (*inode.sb().as_raw()).s_bdev;
            self.raw.dio_mem_align = bindings::bdev_dma_alignment(bdev).saturating_add(1);
            self.raw.dio_offset_align = bindings::bdev_logical_block_size(bdev);
        }
    }
}

/// The answer to `statfs` (`struct kstatfs`).
#[repr(transparent)]
pub struct StatFs(bindings::kstatfs);

/// What [`StatFs::set`] takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Space {
    /// The number that names the type of file system.
    pub magic: u64,
    /// The block size in bytes.
    pub block_size: u32,
    /// All blocks that can hold data.
    pub blocks: u64,
    /// The free ones.
    pub free: u64,
    /// The free ones that are not reserved for the superuser.
    pub available: u64,
    /// All inodes.
    pub inodes: u64,
    /// The free ones.
    pub free_inodes: u64,
    /// The longest name in bytes.
    pub name_len: u32,
    /// A number that identifies the file system.
    pub id: u64,
}

impl StatFs {
    /// # Safety
    ///
    /// `stat` must be live, and not be used by others, for `'a`.
    pub(super) unsafe fn from_raw<'a>(stat: *mut bindings::kstatfs) -> &'a mut Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &mut *stat.cast() }
    }

    /// Fills the answer.
    pub fn set(&mut self, space: Space) {
        let stat = &mut self.0;
        stat.f_type = space.magic as isize;
        stat.f_bsize = space.block_size as isize;
        stat.f_frsize = space.block_size as isize;
        stat.f_blocks = space.blocks;
        stat.f_bfree = space.free;
        stat.f_bavail = space.available;
        stat.f_files = space.inodes;
        stat.f_ffree = space.free_inodes;
        stat.f_namelen = space.name_len as isize;
        stat.f_fsid.val = [space.id as i32, (space.id >> 32) as i32];
    }
}
