// SPDX-License-Identifier: GPL-2.0

//! Telling user space how a file is mapped.
//!
//! C header: `include/linux/fiemap.h`.

use super::{IomapOps, IomapVTable};
use crate::linux::bindings;
use crate::linux::fs::inode::Inode;
use crate::linux::fs::FileSystem;
use core::marker::PhantomData;
use kernel::error::to_result;
use kernel::prelude::*;

/// Wraps `struct fiemap_extent_info` in a callback.
///
/// # Invariants
///
/// The structure is live for `'a` and ours alone.
pub struct Fiemap<'a>(*mut bindings::fiemap_extent_info, PhantomData<&'a mut ()>);

impl Fiemap<'_> {
    /// # Safety
    ///
    /// `info` must satisfy the type's invariants.
    pub(in crate::linux) unsafe fn from_raw(info: *mut bindings::fiemap_extent_info) -> Self {
        Self(info, PhantomData)
    }

    /// Whether the extended attributes' mapping is asked for, not the data's.
    pub fn is_for_xattr(&self) -> bool {
        // SAFETY: The type invariant.
        unsafe { (*self.0).fi_flags & bindings::FIEMAP_FLAG_XATTR != 0 }
    }

    /// Reports the mapping of a range of bytes as `T` sees it. Takes the inode's lock shared. What
    /// `FIEMAP_FLAG_CACHE` asks for, to have the mapping in memory afterwards, is left to `T`.
    pub fn report<F: FileSystem, T: IomapOps<F>>(
        self,
        inode: &Inode<F>,
        start: u64,
        len: u64,
    ) -> Result {
        let _locked = inode.lock_shared();
        // SAFETY: All are live, and the inode is locked.
        to_result(unsafe {
            (*self.0).fi_flags &= !bindings::FIEMAP_FLAG_CACHE;
            bindings::iomap_fiemap(
                inode.as_raw(),
                self.0,
                start,
                len,
                IomapVTable::<F, T>::TABLE,
            )
        })
    }
}
