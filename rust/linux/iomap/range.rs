// SPDX-License-Identifier: GPL-2.0

//! Zeroing in the page cache, and searching for data and holes.
//!
//! C header: `include/linux/iomap.h`.

use super::{IomapOps, IomapVTable, IomapWriteOps, WriteVTable};
use crate::linux::bindings;
use crate::linux::fs::file::position;
use crate::linux::fs::inode::{offset, Inode};
use crate::linux::fs::FileSystem;
use crate::linux::mm::folio;
use core::ptr;
use kernel::error::to_result;
use kernel::prelude::*;

/// Zeroes the bytes `start..start + len` in the page cache, where they are not holes anyway; returns
/// whether there was something to zero.
///
/// Needs the inode's lock and its invalidate lock, both exclusively. Folios that begin past the end
/// of the file must not be asked for. The zeroes reach the device by writing back.
pub fn zero_range<F: FileSystem, T: IomapWriteOps<F>>(
    inode: &Inode<F>,
    start: u64,
    len: u64,
) -> Result<bool> {
    let mut did_zero = false;
    folio::might_wait();
    // SAFETY: The inode is live; the locks protect data, not memory.
    to_result(unsafe {
        bindings::iomap_zero_range(
            inode.as_raw(),
            offset(start),
            offset(len),
            &mut did_zero,
            IomapVTable::<F, T>::TABLE,
            WriteVTable::<F, T>::TABLE,
            ptr::null_mut(),
        )
    })?;
    Ok(did_zero)
}

/// As [`zero_range`], from `pos` to the end of its block.
pub fn truncate_page<F: FileSystem, T: IomapWriteOps<F>>(
    inode: &Inode<F>,
    pos: u64,
) -> Result<bool> {
    let mut did_zero = false;
    folio::might_wait();
    // SAFETY: The inode is live; the locks protect data, not memory.
    to_result(unsafe {
        bindings::iomap_truncate_page(
            inode.as_raw(),
            offset(pos),
            &mut did_zero,
            IomapVTable::<F, T>::TABLE,
            WriteVTable::<F, T>::TABLE,
            ptr::null_mut(),
        )
    })?;
    Ok(did_zero)
}

/// The first data at or after `pos`; `ENXIO` when there is none. Takes the inode's lock shared.
pub fn seek_data<F: FileSystem, T: IomapOps<F>>(inode: &Inode<F>, pos: i64) -> Result<u64> {
    let _locked = inode.lock_shared();
    folio::might_wait();
    // SAFETY: The inode is live and locked.
    position(unsafe { bindings::iomap_seek_data(inode.as_raw(), pos, IomapVTable::<F, T>::TABLE) })
}

/// The first hole at or after `pos`, at the latest the end of the file; `ENXIO` when `pos` is not
/// before the end. Takes the inode's lock shared.
pub fn seek_hole<F: FileSystem, T: IomapOps<F>>(inode: &Inode<F>, pos: i64) -> Result<u64> {
    let _locked = inode.lock_shared();
    folio::might_wait();
    // SAFETY: The inode is live and locked.
    position(unsafe { bindings::iomap_seek_hole(inode.as_raw(), pos, IomapVTable::<F, T>::TABLE) })
}
