// SPDX-License-Identifier: GPL-2.0

//! Files mapped into memory.
//!
//! C header: `include/linux/mm.h` (`struct vm_operations_struct`, `struct vm_fault`).

use super::file::{may_lend, File, FileOps};
use super::inode::Inode;
use super::sb::SuperBlock;
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::iomap::{IomapOps, IomapVTable};
use crate::linux::mm::folio;
use core::marker::PhantomData;
use core::ptr;
use kernel::ffi;
use kernel::prelude::*;

/// How a fault ended (`vm_fault_t`).
#[must_use]
pub struct Faulted(bindings::vm_fault_t);

impl From<Error> for Faulted {
    fn from(error: Error) -> Self {
        // SAFETY: Turns a number into another.
        Self(unsafe { bindings::vmf_fs_error(error.to_errno()) })
    }
}

/// A write to a mapped, clean folio (`struct vm_fault`).
///
/// # Invariants
///
/// The fault is live for `'a`, its file is of a type registered for `F`.
pub struct Fault<'a, F: FileSystem>(*mut bindings::vm_fault, PhantomData<&'a F>);

impl<F: FileSystem> Fault<'_, F> {
    /// The file that is mapped.
    pub fn file(&self) -> &File<F> {
        // SAFETY: The type invariant.
        unsafe { File::from_raw((*(*self.0).__bindgen_anon_1.vma).vm_file) }
    }

    /// Lets the write happen: waits for a frozen file system, sets the times, maps each block of the
    /// folio with `T` ([`crate::linux::iomap::Flags::is_fault`], with the folio locked), and leaves it
    /// dirty.
    pub fn make_writable<T: IomapOps<F>>(self) -> Faulted {
        let file = self.file();
        let (file, sb, mapping) = (
            file.as_raw(),
            file.inode().sb().as_raw(),
            file.inode().mapping(),
        );
        // SAFETY: All belong to the live fault; what is begun is ended, in reverse.
        Faulted(unsafe {
            bindings::sb_start_pagefault(sb);
            bindings::file_update_time(file);
            bindings::filemap_invalidate_lock_shared(mapping);
            // iomap locks the folio before it calls anything of ours.
            let locked = folio::LOCKED.hold();
            let faulted =
                bindings::iomap_page_mkwrite(self.0, IomapVTable::<F, T>::TABLE, ptr::null_mut());
            drop(locked);
            bindings::filemap_invalidate_unlock_shared(mapping);
            bindings::sb_end_pagefault(sb);
            faulted
        })
    }

    /// The mount.
    pub fn sb(&self) -> &SuperBlock<F> {
        self.file().inode().sb()
    }
}

struct VmVTable<F, O>(PhantomData<(F, O)>);

impl<F: FileSystem, O: FileOps<F>> VmVTable<F, O> {
    const TABLE: *const bindings::vm_operations_struct = &bindings::vm_operations_struct {
        fault: Some(bindings::filemap_fault),
        map_pages: Some(bindings::filemap_map_pages),
        page_mkwrite: if O::HAS_PAGE_MKWRITE {
            Some(Self::page_mkwrite)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the memory manager only, for mappings that [`mmap_prepare`] has set up.
    unsafe extern "C" fn page_mkwrite(fault: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        let fault = Fault(fault, PhantomData);
        // SAFETY: The file of the mapping is open for as long as it is mapped.
        let inode: &Inode<F> = unsafe { Inode::from_raw(fault.file().inode().as_raw()) };
        O::page_mkwrite(inode, fault).0
    }
}

/// # Safety
///
/// Called by the VFS only, for files whose inode is of a superblock of a type registered for `F`.
pub(super) unsafe extern "C" fn mmap_prepare<F: FileSystem, O: FileOps<F>>(
    desc: *mut bindings::vm_area_desc,
) -> ffi::c_int {
    // SAFETY: The VFS's objects are live, and the description is ours to complete.
    unsafe {
        if let Err(error) = may_lend::<F, O>((*desc).file, true) {
            return error.to_errno();
        }
        if !O::HAS_PAGE_MKWRITE {
            return bindings::generic_file_readonly_mmap_prepare(desc);
        }
        bindings::file_accessed((*desc).file);
        (*desc).vm_ops = VmVTable::<F, O>::TABLE;
    }
    0
}
