// SPDX-License-Identifier: GPL-2.0

//! File handles: inodes that are found by number and generation, without a name. NFS, and
//! `open_by_handle_at`.
//!
//! C header: `include/linux/exportfs.h` (`struct export_operations`).

use super::inode::Inode;
use super::sb::SuperBlock;
use super::super_ops::errno;
use super::FileSystem;
use crate::linux::bindings;
use core::marker::PhantomData;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// How the inodes of handles are found. The handles are the VFS's usual ones, of 32 bits for a number.
pub trait ExportOps: FileSystem {
    /// The inode that has this number now; `ESTALE` when none has. The number is what somebody sent:
    /// any at all.
    fn inode_of_handle(sb: &SuperBlock<Self>, ino: u64) -> Result<ARef<Inode<Self>>>;

    /// The parent of a directory, read from the disk. Holds the directory's `i_rwsem` shared.
    fn parent(dir: &Inode<Self>) -> Result<ARef<Inode<Self>>>;

    /// Makes what was changed of the inode itself durable.
    fn commit_metadata(inode: &Inode<Self>) -> Result;
}

/// The C table for `F`.
pub(super) struct ExportVTable<F>(PhantomData<F>);

/// What callbacks that return an inode do with it: its reference passes to the caller.
fn into_raw<F: FileSystem>(found: Result<ARef<Inode<F>>>) -> *mut bindings::inode {
    match found {
        Ok(inode) => ARef::into_raw(inode).as_ptr().cast(),
        Err(error) => error.to_ptr(),
    }
}

impl<F: ExportOps> ExportVTable<F> {
    pub(super) const TABLE: *const bindings::export_operations = &bindings::export_operations {
        encode_fh: Some(bindings::generic_encode_ino32_fh),
        fh_to_dentry: Some(Self::fh_to_dentry),
        fh_to_parent: Some(Self::fh_to_parent),
        get_parent: Some(Self::get_parent),
        commit_metadata: Some(Self::commit_metadata),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// This and the other callbacks are called by the VFS only, as the table's C type documents,
    /// with objects of a superblock of a type registered for `F`, between mounting and unmounting.
    unsafe extern "C" fn get_inode(
        sb: *mut bindings::super_block,
        ino: u64,
        generation: u32,
    ) -> *mut bindings::inode {
        // SAFETY: The VFS calls it between mounting and unmounting.
        let sb = unsafe { SuperBlock::<F>::from_raw(sb) };
        // Old handles have no generation of the parent: 0 stands for any.
        let found = F::inode_of_handle(sb, ino).and_then(|inode| {
            if generation != 0 && inode.generation() != generation {
                return Err(ESTALE);
            }
            Ok(inode)
        });
        into_raw(found)
    }

    /// # Safety
    ///
    /// As for [`Self::get_inode`].
    unsafe extern "C" fn fh_to_dentry(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        len: ffi::c_int,
        kind: ffi::c_int,
    ) -> *mut bindings::dentry {
        // SAFETY: All are the VFS's own, which has checked that `fid` has `len` words.
        unsafe { bindings::generic_fh_to_dentry(sb, fid, len, kind, Some(Self::get_inode)) }
    }

    /// # Safety
    ///
    /// As for [`Self::get_inode`].
    unsafe extern "C" fn fh_to_parent(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        len: ffi::c_int,
        kind: ffi::c_int,
    ) -> *mut bindings::dentry {
        // SAFETY: As in `fh_to_dentry`.
        unsafe { bindings::generic_fh_to_parent(sb, fid, len, kind, Some(Self::get_inode)) }
    }

    /// # Safety
    ///
    /// As for [`Self::get_inode`].
    unsafe extern "C" fn get_parent(child: *mut bindings::dentry) -> *mut bindings::dentry {
        // SAFETY: The VFS holds the dentry, which is a directory's.
        let dir = unsafe { Inode::<F>::from_raw((*child).d_inode) };
        let parent = {
            let _locked = dir.lock_shared();
            F::parent(dir)
        };
        // SAFETY: The call takes over the reference to the parent, and passes errors on.
        unsafe { bindings::d_obtain_alias(into_raw(parent)) }
    }

    /// # Safety
    ///
    /// As for [`Self::get_inode`].
    unsafe extern "C" fn commit_metadata(inode: *mut bindings::inode) -> ffi::c_int {
        // SAFETY: The VFS passes a live inode.
        errno(F::commit_metadata(unsafe { Inode::from_raw(inode) }))
    }
}
