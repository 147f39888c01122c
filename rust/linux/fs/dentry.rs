// SPDX-License-Identifier: GPL-2.0

//! Directory entries in memory.
//!
//! C header: `include/linux/dcache.h`.

use super::inode::Inode;
use super::FileSystem;
use crate::linux::bindings;
use core::marker::PhantomData;
use core::slice;
use kernel::types::Opaque;

/// Wraps `struct dentry`, in a callback during which its name cannot change.
///
/// # Invariants
///
/// The dentry is live, belongs to a [`SuperBlock<F>`](super::sb::SuperBlock), and the lock of its directory (or a
/// reference from an open file or path) keeps name and inode as they are.
#[repr(transparent)]
pub struct Dentry<F: FileSystem>(Opaque<bindings::dentry>, PhantomData<F>);

impl<F: FileSystem> Dentry<F> {
    /// # Safety
    ///
    /// `dentry` must satisfy the type's invariants for `'a`.
    pub(in crate::linux) unsafe fn from_raw<'a>(dentry: *mut bindings::dentry) -> &'a Self {
        // SAFETY: The caller says so; the type is transparent.
        unsafe { &*dentry.cast() }
    }

    /// The C structure.
    pub(in crate::linux) fn as_raw(&self) -> *mut bindings::dentry {
        self.0.get()
    }

    /// The last component of the name, without any slash.
    pub fn name(&self) -> &[u8] {
        // SAFETY: The type invariant keeps the name.
        unsafe {
            let name = &(*self.as_raw()).__bindgen_anon_1.d_name;
            let len = name.__bindgen_anon_1.__bindgen_anon_1.len;
            slice::from_raw_parts(name.name, len as usize)
        }
    }

    /// The inode it names, if any.
    pub fn inode(&self) -> Option<&Inode<F>> {
        // SAFETY: The type invariant keeps the inode.
        unsafe {
            let inode = (*self.as_raw()).d_inode;
            (!inode.is_null()).then(|| Inode::from_raw(inode))
        }
    }

    /// Makes the next lookup of the name ask the directory.
    pub fn unhash(&self) {
        // SAFETY: The dentry is live: the type invariant.
        unsafe { bindings::d_drop(self.as_raw()) }
    }
}
