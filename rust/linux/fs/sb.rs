// SPDX-License-Identifier: GPL-2.0

//! A mounted file system.
//!
//! C header: `include/linux/fs/super_types.h` (`struct super_block`).

use super::context::type_of;
use super::export::{ExportOps, ExportVTable};
use super::inode::Inode;
use super::new_inode::{DraftInode, Iget, NewInode};
use super::super_ops::{SuperOps, SuperVTable};
use super::writeback::Completions;
use super::xattr::XattrTable;
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::block::device::Device;
use crate::linux::mm::folio;
use crate::linux::sysfs::{Folder, Values};
use core::marker::PhantomData;
use core::ptr;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::{ForeignOwnable, Opaque};

/// What `s_fs_info` points to.
#[pin_data]
pub(super) struct SuperInfo<F: FileSystem> {
    /// Data writes that have ended and whose bookkeeping is to be done.
    #[pin]
    pub(super) completions: Completions<F>,
    /// The file system's own.
    pub(super) data: F::Super,
}

/// Wraps `struct super_block`.
///
/// # Invariants
///
/// The superblock is of a type registered for `F`, and `s_fs_info` holds a [`SuperInfo<F>`].
#[repr(transparent)]
pub struct SuperBlock<F: FileSystem>(Opaque<bindings::super_block>, PhantomData<F>);

// SAFETY: A superblock is shared by all tasks; its fields are read and written as the VFS does.
unsafe impl<F: FileSystem> Sync for SuperBlock<F> {}

impl<F: FileSystem> SuperBlock<F> {
    /// # Safety
    ///
    /// `sb` must satisfy the type's invariants for `'a`.
    pub(in crate::linux) unsafe fn from_raw<'a>(sb: *mut bindings::super_block) -> &'a Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &*sb.cast() }
    }

    /// The C structure.
    pub(in crate::linux) fn as_raw(&self) -> *mut bindings::super_block {
        self.0.get()
    }

    pub(super) fn info(&self) -> &SuperInfo<F> {
        // SAFETY: The type invariant; the value lives until `put_super` has returned, after which
        // no `SuperBlock` reference is made.
        unsafe { &*(*self.as_raw()).s_fs_info.cast::<SuperInfo<F>>() }
    }

    /// The file system's own data of this mount.
    pub fn data(&self) -> &F::Super {
        &self.info().data
    }

    /// The device number, as trace events print it.
    pub fn dev(&self) -> u32 {
        // SAFETY: Set before the superblock was shared, constant since.
        unsafe { (*self.as_raw()).s_dev }
    }

    /// The block device.
    pub fn device(&self) -> Device {
        const { assert!(F::ON_DEVICE) };
        // SAFETY: `s_bdev` is open from before `fill_super` until after `put_super`.
        unsafe { Device::of_mount(self.as_raw()) }
    }

    /// The block size in bytes.
    pub fn block_size(&self) -> u32 {
        // SAFETY: Set while mounting, constant since.
        let size = unsafe { (*self.as_raw()).s_blocksize };
        size as u32
    }

    /// The shift for [`Self::block_size`].
    pub fn block_bits(&self) -> u8 {
        // SAFETY: Set while mounting, constant since.
        unsafe { (*self.as_raw()).s_blocksize_bits }
    }

    /// The largest size of a file, in bytes.
    pub fn max_bytes(&self) -> u64 {
        // SAFETY: Set while mounting, constant since.
        let bytes = unsafe { (*self.as_raw()).s_maxbytes };
        bytes.unsigned_abs()
    }

    fn flags(&self) -> usize {
        // SAFETY: A word that is read and written whole.
        unsafe { ptr::addr_of!((*self.as_raw()).s_flags).read_volatile() }
    }

    /// Whether it is mounted read-only.
    pub fn is_read_only(&self) -> bool {
        self.flags() & flag::RDONLY != 0
    }

    /// Whether every write must be durable when it returns (`-o sync`).
    pub fn is_synchronous(&self) -> bool {
        self.flags() & flag::SYNCHRONOUS != 0
    }

    /// Whether every change of a directory must be durable when it returns (`-o dirsync`, `-o sync`).
    pub fn is_dir_synchronous(&self) -> bool {
        self.flags() & (flag::SYNCHRONOUS | flag::DIRSYNC) != 0
    }

    /// The short name of the device, for messages.
    pub fn id(&self) -> &CStr {
        // SAFETY: `s_id` is a terminated string, set before `fill_super`.
        unsafe { CStr::from_char_ptr((*self.as_raw()).s_id.as_ptr().cast()) }
    }

    /// Finds inode `ino` in the inode cache, or makes it, to be filled in. Sleeps.
    pub fn iget(&self, ino: u64) -> Result<Iget<F>> {
        // SAFETY: The superblock is live; the call returns NULL or a referenced inode.
        let inode = unsafe { bindings::iget_locked(self.as_raw(), ino) };
        let inode = ptr::NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: All inodes of this superblock are made by its `alloc_inode`. If it is new, then
        // this caller is the one to fill it.
        Ok(unsafe {
            if bindings::inode_is_new(inode.as_ptr()) {
                Iget::New(NewInode::from_raw(inode))
            } else {
                Iget::Cached(ARef::from_raw(inode.cast()))
            }
        })
    }

    /// Makes a VFS inode for one that is about to be created. Sleeps.
    pub fn new_inode(&self) -> Result<DraftInode<F>> {
        // SAFETY: The superblock is live; the call returns NULL or a referenced inode, made by this
        // superblock's `alloc_inode`.
        let inode = unsafe { bindings::new_inode(self.as_raw()) };
        let inode = ptr::NonNull::new(inode).ok_or(ENOMEM)?;
        // INVARIANT: The inode is in no hash, and the reference is ours.
        // SAFETY: As the invariant says.
        Ok(unsafe { DraftInode::from_raw(inode) })
    }

    /// Writes back all dirty data and metadata of the mount and waits (as `sync(2)`).
    ///
    /// The caller must hold `s_umount`: while mounting, unmounting, remounting, syncing.
    pub fn sync_filesystem(&self) -> Result {
        folio::might_wait();
        // SAFETY: The superblock is live.
        to_result(unsafe { bindings::sync_filesystem(self.as_raw()) })
    }

    /// Writes the dirty folios of all files and waits, unless `s_umount` is taken: by who mounts, unmounts, remounts,
    /// freezes. An error is left to who syncs the file.
    pub fn try_write_back(&self) {
        folio::might_wait();
        // SAFETY: The superblock is live; what is locked here is unlocked here.
        unsafe {
            let umount = ptr::addr_of_mut!((*self.as_raw()).s_umount);
            if bindings::down_read_trylock(umount) != 0 {
                bindings::sync_inodes_sb(self.as_raw());
                bindings::up_read(umount);
            }
        }
    }

    /// Waits until the bookkeeping of all data writes that have ended so far is done.
    pub fn wait_for_completions(&self) {
        folio::might_wait();
        self.info().completions.flush();
    }

    /// Freezes the file system, does something, and thaws it.
    pub fn while_frozen(&self, what: impl FnOnce()) -> Result {
        const { assert!(F::ON_DEVICE) };
        // SAFETY: The device is open; each freeze is followed by its thaw.
        unsafe {
            let device = (*self.as_raw()).s_bdev;
            to_result(bindings::bdev_freeze(device))?;
            what();
            to_result(bindings::bdev_thaw(device))
        }
    }

    /// Tells who watches the mount that it was shut down.
    pub fn report_shutdown(&self) {
        // SAFETY: The superblock is live.
        unsafe {
            bindings::fserror_report_ino(self.as_raw(), 0, -(bindings::ESHUTDOWN as i32));
        }
    }

    /// Makes a folder in sysfs, called like the device, in that of the file system's type. Call it once,
    /// while mounting.
    pub fn sysfs_folder<T: Values>(&self, values: T) -> Result<Folder<T>> {
        // SAFETY: The superblock's type is registered for `F`, and lives as long as it; its name is
        // terminated.
        let (root, name) = unsafe {
            let raw = (*self.as_raw()).s_type;
            let name = CStr::from_char_ptr((*raw).name.cast());
            ((*type_of::<F>(raw)).root().ok_or(ENOENT)?, name)
        };
        if root.name() == name {
            // `FS_IOC_GETFSSYSFSPATH` puts the type's name before it.
            // SAFETY: The superblock is live, and nobody reads the name before it is mounted.
            unsafe { bindings::super_set_sysfs_name_bdev(self.as_raw()) };
        }
        Folder::new(root, self.id(), values)
    }

    /// Keeps the file system from being frozen while a change of its own is made.
    pub fn start_internal_write(&self) -> InternalWrite<'_, F> {
        // SAFETY: The superblock is live; the guard ends what is begun here.
        unsafe { bindings::sb_start_intwrite(self.as_raw()) };
        InternalWrite(self)
    }
}

/// Freezing waits while it lives (`sb_start_intwrite`).
pub struct InternalWrite<'a, F: FileSystem>(&'a SuperBlock<F>);

impl<F: FileSystem> Drop for InternalWrite<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Begun when the guard was made.
        unsafe { bindings::sb_end_intwrite(self.0.as_raw()) }
    }
}

/// Bits of `s_flags` (`SB_*`).
pub mod flag {
    use crate::linux::bindings;

    /// Mounted read-only.
    pub const RDONLY: usize = bindings::SB_RDONLY;
    /// Writes are synchronous.
    pub const SYNCHRONOUS: usize = bindings::SB_SYNCHRONOUS;
    /// Changes of directories are synchronous.
    pub const DIRSYNC: usize = bindings::SB_DIRSYNC;
    /// No access times.
    pub const NOATIME: usize = bindings::SB_NOATIME;
    /// Access control lists are in use.
    pub const POSIXACL: usize = bindings::SB_POSIXACL;
    /// Changes of times alone may stay in memory for long.
    pub const LAZYTIME: usize = bindings::SB_LAZYTIME;
}

/// A superblock that is being filled in: nobody else sees it.
pub struct NewSuper<'a, F: FileSystem>(&'a mut bindings::super_block, PhantomData<F>);

impl<'a, F: FileSystem + SuperOps> NewSuper<'a, F> {
    /// # Safety
    ///
    /// `sb` must be the superblock that `fill_super` was called for, of a type registered for `F`.
    pub(super) unsafe fn from_raw(sb: *mut bindings::super_block) -> Self {
        // SAFETY: `fill_super` has the superblock to itself, under `s_umount`.
        let sb = unsafe { &mut *sb };
        sb.s_op = SuperVTable::<F>::TABLE;
        Self(sb, PhantomData)
    }

    /// The block device. What others have changed in its page cache has been written, and is not in
    /// the cache any more: a [`Device`] goes around it.
    pub fn device(&mut self) -> Result<Device> {
        const { assert!(F::ON_DEVICE) };
        // SAFETY: `get_tree_bdev` has opened it.
        unsafe {
            settle_page_cache(self.0)?;
            Ok(Device::of_mount(self.0))
        }
    }

    /// The device number, as trace events print it.
    pub fn dev(&self) -> u32 {
        self.0.s_dev
    }

    /// Whether the mount is to be read-only.
    pub fn is_read_only(&self) -> bool {
        self.0.s_flags & flag::RDONLY != 0
    }

    /// Changes bits of `s_flags` ([`flag`]).
    pub fn set_flags(&mut self, set: usize, clear: usize) -> &mut Self {
        self.0.s_flags = (self.0.s_flags & !clear) | set;
        self
    }

    /// Sets the block size in bytes; `EINVAL` when the device or the kernel cannot do it.
    pub fn set_block_size(&mut self, bytes: u32) -> Result {
        if !bytes.is_power_of_two() || bytes < 512 {
            return Err(EINVAL);
        }
        if !F::ON_DEVICE {
            self.0.s_blocksize = bytes as usize;
            self.0.s_blocksize_bits = bytes.trailing_zeros() as u8;
            return Ok(());
        }
        let bytes = i32::try_from(bytes).map_err(|_| EINVAL)?;
        // SAFETY: The superblock and its device are live and ours.
        let bits = unsafe { bindings::sb_set_blocksize(self.0, bytes) };
        if bits == 0 {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// The number that `statfs` names the type by.
    pub fn set_magic(&mut self, magic: u64) -> &mut Self {
        self.0.s_magic = magic as usize;
        self
    }

    /// The largest file size in bytes, clamped to what the kernel can do.
    pub fn set_max_bytes(&mut self, bytes: u64) -> &mut Self {
        // On 64 bit machines `MAX_LFS_FILESIZE` is the largest `loff_t`.
        self.0.s_maxbytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self
    }

    /// The granularity of times in nanoseconds, and their range in seconds since 1970.
    pub fn set_times(&mut self, granularity: u32, min: i64, max: i64) -> &mut Self {
        self.0.s_time_gran = granularity;
        self.0.s_time_min = min;
        self.0.s_time_max = max;
        self
    }

    /// The identity of the file system.
    pub fn set_uuid(&mut self, uuid: &[u8; 16]) -> &mut Self {
        self.0.s_uuid.b = *uuid;
        self.0.s_uuid_len = 16;
        self
    }

    /// Accounts writeback to control groups (`SB_I_CGROUPWB`).
    pub fn set_cgroup_writeback(&mut self) -> &mut Self {
        self.0.s_iflags |= bindings::SB_I_CGROUPWB as usize;
        self
    }

    /// Lets those watch files who bring contents in when they are asked for (`SB_I_ALLOW_HSM`). Reads, writes,
    /// faults and mappings have to go by the VFS's own functions.
    pub fn allow_hsm(&mut self) -> &mut Self {
        self.0.s_iflags |= bindings::SB_I_ALLOW_HSM as usize;
        self
    }

    /// How extended attributes are found.
    pub fn set_xattr_handlers(&mut self, table: &'static XattrTable<F>) -> &mut Self {
        self.0.s_xattr = table.as_ptr();
        self
    }

    /// Lets inodes be found by file handles.
    pub fn set_export_ops(&mut self) -> &mut Self
    where
        F: ExportOps,
    {
        self.0.s_export_op = ExportVTable::<F>::TABLE;
        self
    }

    /// Attaches the file system's own data; from now on there is a [`SuperBlock`].
    pub fn attach(self, data: F::Super) -> Result<FilledSuper<'a, F>> {
        let sb: *mut bindings::super_block = self.0;
        // SAFETY: `s_id` is a terminated string.
        let id = unsafe { CStr::from_char_ptr((*sb).s_id.as_ptr().cast()) };
        let info = KBox::try_pin_init(
            try_pin_init!(SuperInfo {
                completions <- Completions::<F>::new(sb, id),
                data,
            }? Error),
            GFP_KERNEL,
        )?;
        // SAFETY: The superblock is ours; its `s_fs_info` is taken back in `put_super` or `kill_sb`.
        unsafe { (*sb).s_fs_info = ForeignOwnable::into_foreign(info).cast() };
        // INVARIANT: `s_fs_info` has just been set.
        // SAFETY: So the superblock satisfies the invariants.
        Ok(FilledSuper(unsafe { SuperBlock::from_raw(sb) }))
    }
}

/// A superblock with its data, but no root yet.
pub struct FilledSuper<'a, F: FileSystem>(&'a SuperBlock<F>);

impl<F: FileSystem> core::ops::Deref for FilledSuper<'_, F> {
    type Target = SuperBlock<F>;

    fn deref(&self) -> &SuperBlock<F> {
        self.0
    }
}

/// Proof that the superblock has a root: what `fill_super` must return.
pub struct Rooted(());

impl<F: FileSystem> FilledSuper<'_, F> {
    /// Sets the root directory.
    pub fn set_root(self, root: ARef<Inode<F>>) -> Result<Rooted> {
        // SAFETY: The call takes over the inode's reference, also when it fails.
        let dentry = unsafe { bindings::d_make_root(ARef::into_raw(root).as_ptr().cast()) };
        let dentry = ptr::NonNull::new(dentry).ok_or(ENOMEM)?;
        // SAFETY: `fill_super` has the superblock to itself.
        unsafe { (*self.0.as_raw()).s_root = dentry.as_ptr() };
        Ok(Rooted(()))
    }
}

/// Writes what others have changed in the page cache of the device, and drops what is in it: those who
/// have the device open shall read what was written around the cache, and not write back what was there
/// before.
///
/// # Safety
///
/// The device of `sb` must be open, or there is none: it could not be opened.
unsafe fn settle_page_cache(sb: *mut bindings::super_block) -> Result {
    // SAFETY: The caller says so.
    unsafe {
        let device = (*sb).s_bdev;
        if device.is_null() {
            return Ok(());
        }
        let synced = bindings::sync_blockdev(device);
        bindings::invalidate_bdev(device);
        to_result(synced)
    }
}

/// Takes the data out of a superblock and drops it, if it has any.
///
/// # Safety
///
/// `sb` must be of a type registered for `F`, and no [`SuperBlock`] reference to it may be used or
/// made afterwards. Its device, if it has one, must be open.
pub(super) unsafe fn detach<F: FileSystem>(sb: *mut bindings::super_block) {
    // SAFETY: The caller has the superblock to itself.
    let info = unsafe { ptr::replace(ptr::addr_of_mut!((*sb).s_fs_info), ptr::null_mut()) };
    if !info.is_null() {
        // SAFETY: It came from `into_foreign` in `attach`.
        drop(unsafe { <Pin<KBox<SuperInfo<F>>>>::from_foreign(info.cast()) });
    }
    if F::ON_DEVICE {
        // What others wrote and the device did not take is no error of this mount's.
        // SAFETY: The caller says so.
        let _ = unsafe { settle_page_cache(sb) };
    }
}
