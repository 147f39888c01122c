// SPDX-License-Identifier: GPL-2.0

//! The page cache of an inode: `struct address_space_operations`, all of them over iomap.
//!
//! C header: `include/linux/fs.h`.

use super::inode::Inode;
use super::super_ops::SuperOps;
use super::writeback::{Control, WritebackOps, WritebackVTable};
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::iomap::{IomapOps, IomapVTable};
use crate::linux::mm::folio;
use core::marker::PhantomData;
use kernel::ffi;
use kernel::prelude::*;

/// How the page cache of one kind of inode reaches the device.
#[vtable]
pub trait AddressSpaceOps<F: FileSystem + SuperOps>: 'static {
    /// Maps what is read in.
    type Read: IomapOps<F>;
    /// Maps what is asked about (`FIBMAP`, swap files).
    type Report: IomapOps<F>;
    /// Maps what is written back, and follows it to its end.
    type Writeback: WritebackOps<F>;

    /// Dirty folios are to be written back: calls [`Control::write_pages`], or refuses.
    fn writepages(inode: &Inode<F>, control: &mut Control<'_, F, Self::Writeback>) -> Result;
}

/// The C table for `A`.
pub(super) struct AddressSpaceVTable<F, A>(PhantomData<(F, A)>);

impl<F: FileSystem + SuperOps, A: AddressSpaceOps<F>> AddressSpaceVTable<F, A> {
    pub(super) const TABLE: *const bindings::address_space_operations =
        &bindings::address_space_operations {
            read_folio: Some(Self::read_folio),
            readahead: Some(Self::readahead),
            writepages: Some(Self::writepages),
            dirty_folio: Some(bindings::iomap_dirty_folio),
            invalidate_folio: Some(bindings::iomap_invalidate_folio),
            release_folio: Some(bindings::iomap_release_folio),
            is_partially_uptodate: Some(bindings::iomap_is_partially_uptodate),
            migrate_folio: Some(bindings::filemap_migrate_folio),
            error_remove_folio: Some(bindings::generic_error_remove_folio),
            bmap: Some(Self::bmap),
            swap_activate: Some(Self::swap_activate),
            ..pin_init::zeroed()
        };

    /// # Safety
    ///
    /// This and the other callbacks are called by the page cache only, as the table's C type
    /// documents, for inodes of a superblock of a type registered for `F`.
    unsafe extern "C" fn read_folio(
        _file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> ffi::c_int {
        let _locked = folio::LOCKED.hold();
        // SAFETY: The folio is locked, and of such an inode.
        unsafe { bindings::iomap_bio_read_folio(folio, IomapVTable::<F, A::Read>::TABLE) };
        0
    }

    /// # Safety
    ///
    /// As for [`Self::read_folio`].
    unsafe extern "C" fn readahead(control: *mut bindings::readahead_control) {
        let _locked = folio::LOCKED.hold();
        // SAFETY: The control's folios are locked, and of such an inode.
        unsafe { bindings::iomap_bio_readahead(control, IomapVTable::<F, A::Read>::TABLE) }
    }

    /// # Safety
    ///
    /// As for [`Self::read_folio`].
    unsafe extern "C" fn writepages(
        mapping: *mut bindings::address_space,
        wbc: *mut bindings::writeback_control,
    ) -> ffi::c_int {
        // SAFETY: The page cache belongs to a live inode; it is held while this runs. The control is
        // ours during the call.
        unsafe {
            let inode = Inode::from_raw((*mapping).host);
            let mut control =
                Control::from_raw(inode, wbc, WritebackVTable::<F, A::Writeback>::TABLE);
            super::super_ops::errno(A::writepages(inode, &mut control))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::read_folio`].
    unsafe extern "C" fn bmap(
        mapping: *mut bindings::address_space,
        block: bindings::sector_t,
    ) -> bindings::sector_t {
        // SAFETY: The page cache belongs to a live inode. Its lock is what iomap asks for.
        unsafe {
            let inode: &Inode<F> = Inode::from_raw((*mapping).host);
            let _locked = inode.lock_shared();
            bindings::iomap_bmap(mapping, block, IomapVTable::<F, A::Report>::TABLE)
        }
    }

    /// # Safety
    ///
    /// As for [`Self::read_folio`].
    unsafe extern "C" fn swap_activate(
        swap: *mut bindings::swap_info_struct,
        file: *mut bindings::file,
        span: *mut bindings::sector_t,
    ) -> ffi::c_int {
        // SAFETY: The VFS's objects are live, and the inode is locked.
        unsafe {
            bindings::iomap_swapfile_activate(swap, file, span, IomapVTable::<F, A::Report>::TABLE)
        }
    }
}
