// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C header: `include/linux/fs.h` (`struct inode`).

use super::acl::AclKind;
use super::sb::SuperBlock;
use super::super_ops::InodeBox;
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::mm::folio;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::aref::{ARef, AlwaysRefCounted};
use kernel::types::Opaque;

/// A time as the VFS counts it: seconds since 1970 and nanoseconds below 10^9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970; may be negative.
    pub sec: i64,
    /// Nanoseconds within the second.
    pub nsec: u32,
}

/// Wraps `struct inode`.
///
/// # Invariants
///
/// The inode is live (a reference is held, or the VFS holds it for the duration of a callback),
/// belongs to a [`SuperBlock<F>`], and is the first field of an [`InodeBox<F>`] whose data is valid.
#[repr(transparent)]
pub struct Inode<F: FileSystem>(Opaque<bindings::inode>, PhantomData<F>);

// SAFETY: Inodes are shared by all tasks; fields are accessed as the VFS does, and `F::Inode` is
// `Send + Sync`.
unsafe impl<F: FileSystem> Send for Inode<F> {}
// SAFETY: As above.
unsafe impl<F: FileSystem> Sync for Inode<F> {}

// SAFETY: `ihold` and `iput` count.
unsafe impl<F: FileSystem> AlwaysRefCounted for Inode<F> {
    fn inc_ref(&self) {
        // SAFETY: The inode is live, so its count is above zero.
        unsafe { bindings::ihold(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference.
        unsafe { bindings::iput(obj.as_ptr().cast()) };
    }
}

/// Bits given to `dirty_inode` (`I_DIRTY_*`).
pub mod dirty {
    use crate::linux::bindings;

    /// The inode itself, but nothing that `fdatasync` needs.
    pub const SYNC: u32 = bindings::inode_state_flags_enum_I_DIRTY_SYNC;
    /// Something that `fdatasync` needs.
    pub const DATASYNC: u32 = bindings::inode_state_flags_enum_I_DIRTY_DATASYNC;
    /// Both of the first two.
    pub const INODE: u32 = SYNC | DATASYNC;
}

/// Bits of `i_flags` (`S_*`).
pub mod flag {
    /// Writes are synchronous.
    pub const SYNC: u32 = 1 << 0;
    /// No access times.
    pub const NOATIME: u32 = 1 << 1;
    /// Only appending is allowed.
    pub const APPEND: u32 = 1 << 2;
    /// Nothing may change.
    pub const IMMUTABLE: u32 = 1 << 3;
    /// Directory changes are synchronous.
    pub const DIRSYNC: u32 = 1 << 6;
}

impl<F: FileSystem> Inode<F> {
    /// # Safety
    ///
    /// `inode` must satisfy the type's invariants for `'a`.
    pub(in crate::linux) unsafe fn from_raw<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &*inode.cast() }
    }

    /// The C structure.
    pub(in crate::linux) fn as_raw(&self) -> *mut bindings::inode {
        self.0.get()
    }

    /// The page cache of the inode.
    pub(in crate::linux) fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: The inode is live; block based file systems never change `i_mapping`.
        unsafe { (*self.as_raw()).i_mapping }
    }

    /// The file system's own data of this inode.
    pub fn data(&self) -> &F::Inode {
        let object: *const InodeBox<F> = self.as_raw().cast();
        // SAFETY: The type invariant.
        unsafe { (*object).data.assume_init_ref() }
    }

    /// Another reference to the inode.
    pub fn to_owned_ref(&self) -> ARef<Self> {
        ARef::from(self)
    }

    /// The mount.
    pub fn sb(&self) -> &SuperBlock<F> {
        // SAFETY: The superblock outlives its inodes; the type invariant.
        unsafe { SuperBlock::from_raw((*self.as_raw()).i_sb) }
    }

    /// The inode number.
    pub fn ino(&self) -> u64 {
        // SAFETY: Set before the inode was shared, constant since.
        unsafe { (*self.as_raw()).i_ino }
    }

    /// Type and permissions (`S_IF*` and mode bits).
    pub fn mode(&self) -> u16 {
        // SAFETY: A word that is read whole.
        unsafe { ptr::addr_of!((*self.as_raw()).i_mode).read_volatile() }
    }

    /// Whether a write is known to have no privileges to drop: no set-ID bits, no capabilities
    /// (`IS_NOSEC`). The VFS finds out at the first write, and forgets it with a change of attributes.
    pub fn has_no_privileges(&self) -> bool {
        // SAFETY: A word that is read whole.
        let flags = unsafe { ptr::addr_of!((*self.as_raw()).i_flags).read_volatile() };
        flags & bindings::S_NOSEC != 0
    }

    /// The type of file alone, as `S_IF*`.
    pub fn file_type(&self) -> u16 {
        self.mode() & 0o170_000
    }

    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        self.file_type() == 0o100_000
    }

    /// Replaces type and permissions. Needs `i_rwsem`; the type stays the same.
    pub fn set_mode(&self, mode: u16) {
        // SAFETY: A word that is written whole.
        unsafe { ptr::addr_of_mut!((*self.as_raw()).i_mode).write_volatile(mode) }
    }

    /// The owner, as stored on the disk (in the initial user namespace).
    pub fn uid(&self) -> u32 {
        // SAFETY: The inode is live.
        unsafe { bindings::i_uid_read(self.as_raw()) }
    }

    /// Sets the owner and the group, as they are on the disk. Needs `i_rwsem`.
    pub fn set_ids(&self, uid: u32, gid: u32) {
        // SAFETY: The inode is live.
        unsafe { bindings::i_ids_write(self.as_raw(), uid, gid) }
    }

    /// The group, as stored on the disk.
    pub fn gid(&self) -> u32 {
        // SAFETY: The inode is live.
        unsafe { bindings::i_gid_read(self.as_raw()) }
    }

    /// The generation number.
    pub fn generation(&self) -> u32 {
        // SAFETY: A word that is read whole.
        unsafe { (*self.as_raw()).i_generation }
    }

    /// The count of names.
    pub fn nlink(&self) -> u32 {
        // SAFETY: A word that is read whole.
        unsafe { ptr::addr_of!((*self.as_raw()).__bindgen_anon_1.__i_nlink).read_volatile() }
    }

    /// Sets the count of names. Needs `i_rwsem`, or the inode to be new.
    pub fn set_nlink(&self, count: u32) {
        // SAFETY: The inode is live.
        unsafe { bindings::set_nlink(self.as_raw(), count) }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        // SAFETY: The inode is live.
        let size = unsafe { bindings::i_size_read(self.as_raw()) };
        size.unsigned_abs()
    }

    /// Sets the size. Needs `i_rwsem` exclusively, or the inode to be new.
    pub fn set_size(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // SAFETY: The inode is live. Concurrent writers can garble only the value, on 64 bit.
        unsafe { bindings::i_size_write(self.as_raw(), bytes) }
    }

    /// The space in use, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        // SAFETY: A word that is read whole.
        unsafe { ptr::addr_of!((*self.as_raw()).i_blocks).read_volatile() }
    }

    /// Sets the space in use, in units of 512 bytes.
    pub fn set_blocks(&self, sectors: u64) {
        // SAFETY: A word that is written whole; only `stat` reads it.
        unsafe { ptr::addr_of_mut!((*self.as_raw()).i_blocks).write_volatile(sectors) }
    }

    /// The flags, [`flag`] bits.
    pub fn flags(&self) -> u32 {
        // SAFETY: A word that is read whole.
        unsafe { ptr::addr_of!((*self.as_raw()).i_flags).read_volatile() }
    }

    /// Whether writes and changes must be durable when they return.
    pub fn is_synchronous(&self) -> bool {
        self.sb().is_synchronous() || self.flags() & flag::SYNC != 0
    }

    /// Whether changes of the directory must be durable when they return (`IS_DIRSYNC`).
    pub fn is_dir_synchronous(&self) -> bool {
        self.sb().is_dir_synchronous() || self.flags() & (flag::SYNC | flag::DIRSYNC) != 0
    }

    /// When the contents were last read.
    pub fn atime(&self) -> Time {
        // SAFETY: Words that are read whole; `stat` reads them the same way.
        unsafe {
            Time {
                sec: (*self.as_raw()).i_atime_sec,
                nsec: (*self.as_raw()).i_atime_nsec,
            }
        }
    }

    /// When the contents last changed.
    pub fn mtime(&self) -> Time {
        // SAFETY: As in `atime`.
        unsafe {
            Time {
                sec: (*self.as_raw()).i_mtime_sec,
                nsec: (*self.as_raw()).i_mtime_nsec,
            }
        }
    }

    /// When the inode last changed.
    pub fn ctime(&self) -> Time {
        // SAFETY: The inode is live; the top bit of the nanoseconds is a flag, which C masks.
        let (sec, nsec) = unsafe {
            let mut nsec = 0;
            let sec = bindings::inode_get_ctime(self.as_raw(), &mut nsec);
            (sec, nsec)
        };
        Time { sec, nsec }
    }

    /// Sets when the contents were last read.
    pub fn set_atime(&self, time: Time) {
        // SAFETY: The inode is live; words that are written whole, as `inode_set_atime` does.
        unsafe {
            let inode = self.as_raw();
            ((*inode).i_atime_sec, (*inode).i_atime_nsec) = (time.sec, time.nsec);
        }
    }

    /// Sets when the contents last changed. Needs `i_rwsem`.
    pub fn set_mtime(&self, time: Time) {
        // SAFETY: As in `set_atime`.
        unsafe {
            let inode = self.as_raw();
            ((*inode).i_mtime_sec, (*inode).i_mtime_nsec) = (time.sec, time.nsec);
        }
    }

    /// Sets when the inode last changed.
    pub fn set_ctime(&self, time: Time) {
        // SAFETY: The inode is live.
        unsafe { bindings::inode_set_ctime(self.as_raw(), time.sec, time.nsec as isize) };
    }

    /// Forgets the access control list that is in memory, after the one on the disk has changed.
    pub fn forget_acl(&self, kind: AclKind) {
        // SAFETY: The inode is live.
        unsafe { bindings::forget_cached_acl(self.as_raw(), kind.as_raw()) }
    }

    /// How many open files can write to it. It may change at once.
    pub fn writers(&self) -> i32 {
        // SAFETY: The inode is live; a word that is read whole.
        unsafe { bindings::inode_writers(self.as_raw()) }
    }

    /// With `lazytime`: if times are in memory only, has them written (`dirty_inode`), as is due when something
    /// else of the inode changes.
    pub fn keep_times(&self) {
        // SAFETY: The inode is live. Its state may change meanwhile, as it may just after.
        unsafe {
            if bindings::inode_has_lazy_times(self.as_raw()) {
                bindings::__mark_inode_dirty(self.as_raw(), dirty::SYNC as i32);
            }
        }
    }

    /// Whether making the inode has failed.
    pub fn is_bad(&self) -> bool {
        // SAFETY: The inode is live.
        unsafe { bindings::is_bad_inode(self.as_raw()) }
    }

    /// Takes `i_rwsem` exclusively.
    pub fn lock(&self) -> Locked<'_, F> {
        // SAFETY: The inode is live; the guard unlocks.
        unsafe { bindings::inode_lock(self.as_raw()) };
        Locked(self)
    }

    /// Takes `i_rwsem` shared.
    pub fn lock_shared(&self) -> LockedShared<'_, F> {
        // SAFETY: The inode is live; the guard unlocks.
        unsafe { bindings::inode_lock_shared(self.as_raw()) };
        LockedShared(self)
    }

    /// As [`Self::lock_shared`], unless that would have to wait.
    pub fn try_lock_shared(&self) -> Option<LockedShared<'_, F>> {
        // SAFETY: The inode is live; the guard unlocks.
        unsafe { bindings::inode_trylock_shared(self.as_raw()) }.then(|| LockedShared(self))
    }

    /// Takes the page cache's invalidate lock exclusively: no folio is read in meanwhile.
    pub fn lock_invalidate(&self) -> InvalidateLocked<'_, F> {
        // SAFETY: The mapping lives with the inode; the guard unlocks.
        unsafe { bindings::filemap_invalidate_lock(self.mapping()) };
        InvalidateLocked(self)
    }

    /// Waits for direct I/O in flight. Needs `i_rwsem` exclusively, so that no more begins.
    pub fn wait_for_direct_io(&self) {
        // SAFETY: The inode is live.
        unsafe { bindings::inode_dio_wait(self.as_raw()) }
    }

    /// Writes back the dirty folios of the bytes `start..=end` and waits for them. A write that failed before
    /// is no error here: whoever syncs the file is told of it (`wb_err`).
    pub fn write_and_wait(&self, start: u64, end: u64) -> Result {
        folio::might_wait();
        let (start, end) = (offset(start), offset(end));
        // SAFETY: The mapping lives with the inode.
        to_result(unsafe {
            // The flags say only that some write has failed since they were last asked.
            bindings::filemap_check_errors(self.mapping());
            bindings::filemap_write_and_wait_range(self.mapping(), start, end)
        })
    }

    /// Starts writing back all dirty folios, and does not wait for them.
    pub fn start_writeback(&self) -> Result {
        folio::might_wait();
        // SAFETY: The mapping lives with the inode.
        to_result(unsafe { bindings::filemap_flush(self.mapping()) })
    }

    /// Drops the page cache from `size` on, unmaps it from processes. Needs `i_rwsem` and
    /// [`Self::lock_invalidate`]; no journal handle may be open.
    pub fn truncate_pagecache(&self, size: u64) {
        folio::might_wait();
        // SAFETY: The inode is live.
        unsafe { bindings::truncate_pagecache(self.as_raw(), offset(size)) }
    }

    /// Sets the size and makes the page cache fit: drops what is past the new size. Needs what
    /// [`Self::truncate_pagecache`] needs.
    pub fn truncate_setsize(&self, size: u64) {
        folio::might_wait();
        // SAFETY: The inode is live.
        unsafe { bindings::truncate_setsize(self.as_raw(), offset(size)) }
    }

    /// Drops the page cache of the bytes `start..=end`, zeroing partial folios in memory. Needs what
    /// [`Self::truncate_pagecache`] needs.
    pub fn truncate_pagecache_range(&self, start: u64, end: u64) {
        folio::might_wait();
        // SAFETY: The inode is live.
        unsafe { bindings::truncate_pagecache_range(self.as_raw(), offset(start), offset(end)) }
    }

    /// After the size grew from `from` to `to` past a block's end, makes a mapped last page fault
    /// again on the next write. Needs `i_rwsem`.
    pub fn pagecache_extended(&self, from: u64, to: u64) {
        folio::might_wait();
        // SAFETY: The inode is live.
        unsafe { bindings::pagecache_isize_extended(self.as_raw(), offset(from), offset(to)) }
    }

    /// Whether a new size is allowed: file system limit and the caller's `RLIMIT_FSIZE`.
    pub fn size_allowed(&self, size: u64) -> Result {
        // SAFETY: The inode is live.
        to_result(unsafe { bindings::inode_newsize_ok(self.as_raw(), offset(size)) })
    }
}

/// A byte offset as C has it; what no file can have becomes the largest.
pub(in crate::linux) fn offset(bytes: u64) -> bindings::loff_t {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// `i_rwsem` is held exclusively.
pub struct Locked<'a, F: FileSystem>(&'a Inode<F>);

impl<F: FileSystem> Drop for Locked<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Locked when the guard was made.
        unsafe { bindings::inode_unlock(self.0.as_raw()) }
    }
}

/// `i_rwsem` is held shared.
pub struct LockedShared<'a, F: FileSystem>(&'a Inode<F>);

impl<F: FileSystem> Drop for LockedShared<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Locked when the guard was made.
        unsafe { bindings::inode_unlock_shared(self.0.as_raw()) }
    }
}

/// The page cache's invalidate lock is held exclusively.
pub struct InvalidateLocked<'a, F: FileSystem>(&'a Inode<F>);

impl<F: FileSystem> Drop for InvalidateLocked<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Locked when the guard was made.
        unsafe { bindings::filemap_invalidate_unlock(self.0.mapping()) }
    }
}
