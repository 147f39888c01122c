// SPDX-License-Identifier: GPL-2.0

//! What the VFS asks of a mount: `struct super_operations`, and the memory of its inodes.
//!
//! C header: `include/linux/fs/super_types.h`.

use super::attr::StatFs;
use super::context::type_of;
use super::inode::Inode;
use super::sb::{detach, SuperBlock};
use super::writeback::Finished;
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::mm::folio;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;
use kernel::error::{from_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;

/// The operations on a mount and on inodes as objects of the mount.
///
/// All run in task context and may sleep.
#[vtable]
pub trait SuperOps: FileSystem {
    /// An inode leaves memory: nobody uses it, its page cache is already empty. When
    /// [`Inode::nlink`] is 0, it is to be deleted on the disk. Not called for an inode whose
    /// making has failed.
    fn evict_inode(_inode: &Inode<Self>) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An inode marked dirty is to be written; with `wait`, until it is durable. Without, it is enough
    /// that [`Self::sync_fs`] makes it so.
    fn write_inode(_inode: &Inode<Self>, _wait: bool) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An inode is being marked dirty; `flags` are [`super::inode::dirty`] bits. The caller may
    /// hold the inode's lock and a folio's lock, never a spinning lock.
    fn dirty_inode(_inode: &Inode<Self>, _flags: u32) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The mount ends: all inodes are gone. The device is still open, and stays so until the
    /// mount's data has been dropped.
    fn put_super(_sb: &SuperBlock<Self>) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes everything durable; without `wait`, only starts it.
    fn sync_fs(_sb: &SuperBlock<Self>, _wait: bool) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Brings the disk to rest: no writer is active, nothing must be written until the thaw.
    fn freeze_fs(_sb: &SuperBlock<Self>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Undoes [`Self::freeze_fs`].
    fn unfreeze_fs(_sb: &SuperBlock<Self>) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Counts space and inodes.
    fn statfs(_sb: &SuperBlock<Self>, _stat: &mut StatFs) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Prints the mount options that are in force, each with a comma before it.
    fn show_options(_sb: &SuperBlock<Self>, _to: &SeqFile) -> Result {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The device is gone: nothing can be written any more.
    fn shutdown(_sb: &SuperBlock<Self>) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An error was reported to who watches the mount. Runs in a worker.
    fn report_error(_sb: &SuperBlock<Self>) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Data writes have ended for which [`super::writeback::WritebackOps::submit`] had said
    /// yes. Their folios stay under writeback until this returns. Runs in a worker of the mount,
    /// one at a time, in a scope in which allocation does not come back into file systems.
    fn finish_writeback(_sb: &SuperBlock<Self>, _ended: &Finished<'_, Self>) {
        kernel::build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// An inode in memory: the VFS's part and the file system's.
#[repr(C)]
pub(super) struct InodeBox<F: FileSystem> {
    /// First, so that a pointer to one is a pointer to the other.
    pub(super) inode: bindings::inode,
    /// The target of a symbolic link that `inode.i_link` points to; ours to free, or NULL.
    pub(super) link: *mut ffi::c_char,
    /// Valid from `alloc_inode` to `destroy_inode`.
    pub(super) data: MaybeUninit<F::Inode>,
}

/// The slab cache of a file system's inodes.
pub(super) struct InodeCache<F: FileSystem>(*mut bindings::kmem_cache, PhantomData<F>);

// SAFETY: A slab cache may be used by any task; its locks are its own.
unsafe impl<F: FileSystem> Send for InodeCache<F> {}
// SAFETY: As above.
unsafe impl<F: FileSystem> Sync for InodeCache<F> {}

impl<F: FileSystem> InodeCache<F> {
    pub(super) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: The name is copied; `init_once` fits objects of this size.
        let cache = unsafe {
            bindings::inode_cache_create(
                name.as_char_ptr().cast(),
                size_of::<InodeBox<F>>() as ffi::c_uint,
                align_of::<InodeBox<F>>() as ffi::c_uint,
                Some(Self::init_once),
            )
        };
        if cache.is_null() {
            return Err(ENOMEM);
        }
        Ok(Self(cache, PhantomData))
    }

    pub(super) fn as_raw(&self) -> *mut bindings::kmem_cache {
        self.0
    }

    /// # Safety
    ///
    /// `object` must be memory for an [`InodeBox<F>`].
    unsafe extern "C" fn init_once(object: *mut ffi::c_void) {
        // SAFETY: The caller says so; the inode is its first field.
        unsafe { bindings::inode_init_once(object.cast()) }
    }
}

impl<F: FileSystem> Drop for InodeCache<F> {
    fn drop(&mut self) {
        // SAFETY: The file system is unregistered, so no inode is left but those that wait for
        // RCU; the barrier waits for them.
        unsafe {
            bindings::rcu_barrier();
            bindings::kmem_cache_destroy(self.0);
        }
    }
}

/// The C table for `F`.
pub(super) struct SuperVTable<F>(PhantomData<F>);

/// `$slot` when the file system implements the operation, else NULL.
macro_rules! slot {
    ($has:expr, $slot:expr) => {
        if $has {
            Some($slot)
        } else {
            None
        }
    };
}
pub(super) use slot;

impl<F: FileSystem + SuperOps> SuperVTable<F> {
    pub(super) const TABLE: *const bindings::super_operations = &bindings::super_operations {
        alloc_inode: Some(Self::alloc_inode),
        destroy_inode: Some(Self::destroy_inode),
        free_inode: Some(Self::free_inode),
        evict_inode: Some(Self::evict_inode),
        put_super: Some(Self::put_super),
        sync_fs: Some(Self::sync_fs),
        write_inode: slot!(F::HAS_WRITE_INODE, Self::write_inode),
        dirty_inode: slot!(F::HAS_DIRTY_INODE, Self::dirty_inode),
        freeze_fs: slot!(F::HAS_FREEZE_FS, Self::freeze_fs),
        unfreeze_fs: slot!(F::HAS_UNFREEZE_FS, Self::unfreeze_fs),
        statfs: slot!(F::HAS_STATFS, Self::statfs),
        show_options: slot!(F::HAS_SHOW_OPTIONS, Self::show_options),
        shutdown: slot!(F::HAS_SHUTDOWN, Self::shutdown),
        report_error: slot!(F::HAS_REPORT_ERROR, Self::report_error),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// This and the other callbacks are called by the VFS only, as the table's C type documents,
    /// with objects of a superblock of a type registered for `F`.
    unsafe extern "C" fn alloc_inode(sb: *mut bindings::super_block) -> *mut bindings::inode {
        // SAFETY: The superblock's type is registered for `F`, and lives as long as it.
        let cache = unsafe { &*type_of::<F>((*sb).s_type) }.cache();
        // SAFETY: The cache's objects are `InodeBox<F>`; the superblock's LRU list is set up.
        let object = unsafe { bindings::alloc_inode_sb(sb, cache.as_raw()) };
        let object: *mut InodeBox<F> = object.cast();
        if object.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: The object is ours; `data` is pinned, as the object never moves.
        let made = unsafe {
            (*object).link = ptr::null_mut();
            let slot = ptr::addr_of_mut!((*object).data).cast::<F::Inode>();
            F::new_inode_data().__init(slot)
        };
        if made.is_err() {
            // SAFETY: The object is ours and from this cache.
            unsafe { bindings::kmem_cache_free(cache.as_raw(), object.cast()) };
            return ptr::null_mut();
        }
        object.cast()
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn destroy_inode(inode: *mut bindings::inode) {
        let object: *mut InodeBox<F> = inode.cast();
        // SAFETY: The data was made in `alloc_inode`; the VFS calls this once, when nobody but RCU
        // path walks can look at the inode, and those never reach the data: the callbacks that can
        // run in one do not call the file system in it.
        unsafe { (*object).data.assume_init_drop() };
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn free_inode(inode: *mut bindings::inode) {
        let object: *mut InodeBox<F> = inode.cast();
        // SAFETY: A grace period has passed since `destroy_inode`. The link is NULL or from
        // `kmalloc`; `kfree` finds an object's slab cache by itself.
        unsafe {
            bindings::kfree((*object).link.cast());
            bindings::kfree(object.cast());
        }
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn evict_inode(inode: *mut bindings::inode) {
        // Reclaim evicts as well, of a task that has folios of other inodes locked; these are locked by nobody.
        folio::WRITEBACK.might_wait();
        // SAFETY: The VFS has the inode to itself (`I_FREEING`).
        unsafe {
            bindings::truncate_inode_pages_final(ptr::addr_of_mut!((*inode).i_data));
            if F::HAS_EVICT_INODE && !bindings::is_bad_inode(inode) {
                F::evict_inode(Inode::from_raw(inode));
            }
            bindings::clear_inode(inode);
        }
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn put_super(sb: *mut bindings::super_block) {
        // SAFETY: The superblock has a root, so it has its data.
        let this = unsafe { SuperBlock::<F>::from_raw(sb) };
        this.wait_for_completions();
        if F::HAS_PUT_SUPER {
            F::put_super(this);
        }
        // SAFETY: All inodes are gone and nobody can reach the superblock but the unmounting task,
        // which calls none of our callbacks that need the data after this one.
        unsafe { detach::<F>(sb) };
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn sync_fs(sb: *mut bindings::super_block, wait: ffi::c_int) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The VFS calls it between mounting and unmounting.
            let this = unsafe { SuperBlock::<F>::from_raw(sb) };
            if wait != 0 {
                this.wait_for_completions();
            }
            if F::HAS_SYNC_FS {
                F::sync_fs(this, wait != 0)?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn write_inode(
        inode: *mut bindings::inode,
        wbc: *mut bindings::writeback_control,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The VFS passes a live inode and control.
            let (inode, control) = unsafe { (Inode::from_raw(inode), &*wbc) };
            let all = control.sync_mode == bindings::writeback_sync_modes_WB_SYNC_ALL;
            // A sync of the whole file system ends in `sync_fs`.
            F::write_inode(inode, all && control.for_sync() == 0)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn dirty_inode(inode: *mut bindings::inode, flags: ffi::c_int) {
        // SAFETY: The VFS passes a live inode.
        F::dirty_inode(unsafe { Inode::from_raw(inode) }, flags as u32);
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn freeze_fs(sb: *mut bindings::super_block) -> ffi::c_int {
        // SAFETY: The VFS calls it between mounting and unmounting.
        let frozen = F::freeze_fs(unsafe { SuperBlock::from_raw(sb) });
        if F::ON_DEVICE {
            // Who copies the frozen device reads it by way of its page cache.
            // SAFETY: As above; the device of a mount is open.
            unsafe { bindings::invalidate_bdev((*sb).s_bdev) };
        }
        from_result(|| frozen.map(|()| 0))
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn unfreeze_fs(sb: *mut bindings::super_block) -> ffi::c_int {
        // SAFETY: The VFS calls it between mounting and unmounting.
        from_result(|| F::unfreeze_fs(unsafe { SuperBlock::from_raw(sb) }).map(|()| 0))
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn statfs(
        dentry: *mut bindings::dentry,
        stat: *mut bindings::kstatfs,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The VFS passes a live dentry of a live mount, and `stat` for us to fill.
            let (sb, stat) =
                unsafe { (SuperBlock::from_raw((*dentry).d_sb), StatFs::from_raw(stat)) };
            F::statfs(sb, stat).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn show_options(
        seq: *mut bindings::seq_file,
        root: *mut bindings::dentry,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The VFS passes a live dentry of a live mount, and a file to print to.
            let (sb, seq) = unsafe {
                (
                    SuperBlock::from_raw((*root).d_sb),
                    SeqFile::from_raw(seq.cast()),
                )
            };
            F::show_options(sb, seq).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn shutdown(sb: *mut bindings::super_block) {
        // SAFETY: The VFS calls it between mounting and unmounting.
        F::shutdown(unsafe { SuperBlock::from_raw(sb) });
    }

    /// # Safety
    ///
    /// As for [`Self::alloc_inode`].
    unsafe extern "C" fn report_error(event: *const bindings::fserror_event) {
        // SAFETY: The VFS calls it between mounting and unmounting, which waits for it.
        F::report_error(unsafe { SuperBlock::from_raw((*event).sb) });
    }
}

/// `kill_sb` of every type.
///
/// # Safety
///
/// Called by the VFS only, for a superblock of a type registered for `F`.
pub(super) unsafe extern "C" fn kill_sb<F: FileSystem>(sb: *mut bindings::super_block) {
    // SAFETY: Without a root, `put_super` will not be called, and no inode is left: the file
    // system's data goes while the device is still open.
    unsafe {
        if (*sb).s_root.is_null() {
            detach::<F>(sb);
        }
        bindings::kill_block_super(sb);
    }
}

/// Helper for callbacks that return a C error code.
pub(in crate::linux) fn errno(result: Result) -> ffi::c_int {
    match result {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}
