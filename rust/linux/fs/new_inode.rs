// SPDX-License-Identifier: GPL-2.0

//! Inodes that are being filled in: others who look for them wait.
//!
//! C header: `include/linux/fs.h` (`I_NEW`). An inode that is being created begins as a
//! [`DraftInode`], which has memory and an owner; it becomes a [`NewInode`] when it has a number.

use super::address_space::{AddressSpaceOps, AddressSpaceVTable};
use super::attr::IdMap;
use super::file::{FileOps, FileVTable};
use super::inode::{offset, Inode, Time};
use super::inode_ops::{InodeOps, InodeVTable};
use super::super_ops::{InodeBox, SuperOps};
use super::FileSystem;
use crate::linux::bindings;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// What [`super::sb::SuperBlock::iget`] found.
pub enum Iget<F: FileSystem> {
    /// The inode was in memory.
    Cached(ARef<Inode<F>>),
    /// It was not: fill it in.
    New(NewInode<F>),
}

/// An inode that only its maker can see (`I_NEW`).
///
/// Dropping it means that making it has failed: it becomes a bad inode and leaves the cache,
/// without a call of `evict_inode`.
///
/// # Invariants
///
/// The inode satisfies [`Inode`]'s invariants, `I_NEW` is set, and the reference is ours.
pub struct NewInode<F: FileSystem>(NonNull<bindings::inode>, PhantomData<F>);

impl<F: FileSystem> Drop for NewInode<F> {
    fn drop(&mut self) {
        // SAFETY: The type invariant; the call takes over the reference.
        unsafe { bindings::iget_failed(self.0.as_ptr()) }
    }
}

impl<F: FileSystem> Deref for NewInode<F> {
    type Target = Inode<F>;

    fn deref(&self) -> &Inode<F> {
        // SAFETY: The type invariant.
        unsafe { Inode::from_raw(self.0.as_ptr()) }
    }
}

impl<F: FileSystem> NewInode<F> {
    /// # Safety
    ///
    /// The inode must satisfy the type's invariants.
    pub(super) unsafe fn from_raw(inode: NonNull<bindings::inode>) -> Self {
        Self(inode, PhantomData)
    }

    fn inode(&mut self) -> &mut bindings::inode {
        // SAFETY: `I_NEW` keeps everybody else from the fields that the methods here set.
        unsafe { self.0.as_mut() }
    }

    /// Gives the inode up without the VFS's idea of failure, for C calls that take over.
    pub(super) fn into_raw(self) -> *mut bindings::inode {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// The inode is complete: others may use it.
    pub fn finish(self) -> ARef<Inode<F>> {
        let inode = ManuallyDrop::new(self).0;
        // SAFETY: The type invariant. The reference passes to the result.
        unsafe {
            bindings::unlock_new_inode(inode.as_ptr());
            ARef::from_raw(inode.cast())
        }
    }

    /// Gives up an inode that exists on the disk: `evict_inode` is called for it, with the link
    /// count that it has now.
    pub fn discard(self) {
        // SAFETY: The type invariant; the call takes over the reference.
        unsafe { bindings::discard_new_inode(self.into_raw()) }
    }

    /// Sets type and permissions.
    pub fn init_mode(&mut self, mode: u16) -> &mut Self {
        self.inode().i_mode = mode;
        self
    }

    /// Sets the owner and the group, as they are on the disk.
    pub fn init_ids(&mut self, uid: u32, gid: u32) -> &mut Self {
        // SAFETY: The inode is ours.
        unsafe { bindings::i_ids_write(self.0.as_ptr(), uid, gid) };
        self
    }

    /// Sets access, modification and change time.
    pub fn init_times(&mut self, atime: Time, mtime: Time, ctime: Time) -> &mut Self {
        let inode = self.inode();
        (inode.i_atime_sec, inode.i_atime_nsec) = (atime.sec, atime.nsec);
        (inode.i_mtime_sec, inode.i_mtime_nsec) = (mtime.sec, mtime.nsec);
        (inode.i_ctime_sec, inode.i_ctime_nsec) = (ctime.sec, ctime.nsec);
        self
    }

    /// Sets all three times to now.
    pub fn init_times_now(&mut self) -> &mut Self {
        // SAFETY: The inode is ours.
        unsafe { bindings::simple_inode_init_ts(self.0.as_ptr()) };
        self
    }

    /// Sets the size in bytes.
    pub fn init_size(&mut self, bytes: u64) -> &mut Self {
        self.inode().i_size = offset(bytes);
        self
    }

    /// Sets the generation number.
    pub fn init_generation(&mut self, generation: u32) -> &mut Self {
        self.inode().i_generation = generation;
        self
    }

    /// Sets the flags, [`super::inode::flag`] bits.
    pub fn init_flags(&mut self, flags: u32) -> &mut Self {
        self.inode().i_flags = flags;
        self
    }

    /// Says that there are no access control lists, so that nobody has to ask.
    pub fn init_no_acl(&mut self) -> &mut Self {
        // SAFETY: The inode is ours.
        unsafe { bindings::cache_no_acl(self.0.as_ptr()) };
        self
    }

    /// Makes it a directory or a regular file (set the mode first): installs the operations.
    pub fn set_ops<I: InodeOps<F>, O: FileOps<F>>(&mut self) -> &mut Self {
        let inode = self.inode();
        inode.i_op = InodeVTable::<F, I>::TABLE;
        inode.__bindgen_anon_3.i_fop = FileVTable::<F, O>::TABLE;
        self
    }

    /// Installs the page cache operations; `large` allows folios larger than a page.
    pub fn set_mapping_ops<A: AddressSpaceOps<F>>(&mut self, large: bool) -> &mut Self
    where
        F: SuperOps,
    {
        let mapping = self.mapping();
        // SAFETY: The inode is ours, and its page cache is empty.
        unsafe {
            (*mapping).a_ops = AddressSpaceVTable::<F, A>::TABLE;
            if large {
                bindings::mapping_set_large_folios(mapping);
            }
        }
        self
    }

    /// Makes it a symbolic link whose target is in memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` when the target is empty or has a NUL byte in it.
    pub fn set_fast_link<I: InodeOps<F>>(&mut self, target: &[u8]) -> Result {
        if target.is_empty() || target.contains(&0) {
            return Err(EINVAL);
        }
        // SAFETY: The call copies that many bytes and appends a NUL; NULL when there is no memory.
        let link = unsafe {
            bindings::kmemdup_nul(target.as_ptr().cast(), target.len(), bindings::GFP_KERNEL)
        };
        if link.is_null() {
            return Err(ENOMEM);
        }
        let object: *mut InodeBox<F> = self.0.as_ptr().cast();
        // SAFETY: The inode is ours. What was there before can have been seen by nobody; `free_inode`
        // frees what is there now.
        unsafe {
            bindings::kfree((*object).link.cast());
            (*object).link = link;
            (*object).inode.i_op = InodeVTable::<F, I>::FAST_LINK;
            // Path walks and `readlink` use it without a call.
            bindings::inode_set_cached_link(self.0.as_ptr(), link, target.len() as i32);
        }
        Ok(())
    }

    /// Makes it a symbolic link whose target `I::get_link` finds.
    pub fn set_slow_link<I: InodeOps<F>>(&mut self) -> &mut Self {
        self.inode().i_op = InodeVTable::<F, I>::TABLE;
        self
    }

    /// Makes it a device, pipe or socket (set the mode first).
    pub fn set_special<I: InodeOps<F>>(&mut self, rdev: u32) -> &mut Self {
        let mode = self.mode();
        self.inode().i_op = InodeVTable::<F, I>::TABLE;
        // SAFETY: The inode is ours.
        unsafe { bindings::init_special_inode(self.0.as_ptr(), mode, rdev) };
        self
    }
}

/// An inode in memory that has no number yet: nobody can find it.
///
/// # Invariants
///
/// The inode satisfies [`Inode`]'s invariants, is in no hash, and the reference is ours.
pub struct DraftInode<F: FileSystem>(NonNull<bindings::inode>, PhantomData<F>);

impl<F: FileSystem> Drop for DraftInode<F> {
    fn drop(&mut self) {
        // SAFETY: The type invariant. A bad inode has nothing on the disk to be evicted.
        unsafe {
            bindings::make_bad_inode(self.0.as_ptr());
            bindings::iput(self.0.as_ptr());
        }
    }
}

impl<F: FileSystem> Deref for DraftInode<F> {
    type Target = Inode<F>;

    fn deref(&self) -> &Inode<F> {
        // SAFETY: The type invariant.
        unsafe { Inode::from_raw(self.0.as_ptr()) }
    }
}

impl<F: FileSystem> DraftInode<F> {
    /// # Safety
    ///
    /// The inode must satisfy the type's invariants.
    pub(super) unsafe fn from_raw(inode: NonNull<bindings::inode>) -> Self {
        Self(inode, PhantomData)
    }

    /// Sets owner, group and mode as the creating task, the directory and the mount demand; read
    /// them back with [`Inode::uid`], [`Inode::gid`] and [`Inode::mode`].
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` when the directory has a default access control list to be inherited.
    pub fn init_owner(&mut self, idmap: &IdMap, dir: &Inode<F>, mode: u16) -> Result {
        let mut mode = mode;
        // SAFETY: All are live, and the inode is ours.
        unsafe {
            to_result(bindings::posix_acl_create_mode(dir.as_raw(), &mut mode))?;
            bindings::inode_init_owner(idmap.as_raw(), self.0.as_ptr(), dir.as_raw(), mode);
        }
        Ok(())
    }

    /// Gives the inode its number, under which it will be found.
    ///
    /// # Errors
    ///
    /// `EBUSY` when an inode of that number is in memory: somebody has found it by its number, or the
    /// disk had said that it was free.
    pub fn number(self, ino: u64) -> Result<NewInode<F>> {
        // SAFETY: The inode is ours alone until it is in the hash; if it cannot be put there, `self`
        // is dropped.
        unsafe {
            (*self.0.as_ptr()).i_ino = ino;
            to_result(bindings::insert_inode_locked(self.0.as_ptr()))?;
            // INVARIANT: The call has set `I_NEW`; the reference passes on.
            Ok(NewInode::from_raw(ManuallyDrop::new(self).0))
        }
    }
}
