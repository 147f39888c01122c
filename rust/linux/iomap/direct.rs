// SPDX-License-Identifier: GPL-2.0

//! Direct I/O.
//!
//! C header: `include/linux/iomap.h` (`struct iomap_dio_ops`).

use super::{IomapOps, IomapVTable};
use crate::linux::bindings;
use crate::linux::fs::iter::IovIter;
use crate::linux::fs::kiocb::{count, Kiocb};
use crate::linux::fs::super_ops::errno;
use crate::linux::fs::FileSystem;
use core::marker::PhantomData;
use core::ptr;
use kernel::ffi;
use kernel::prelude::*;

/// What follows direct I/O.
pub trait DirectOps<F: FileSystem>: 'static {
    /// `size` bytes at [`Kiocb::pos`] have been transferred (0 with an error).
    ///
    /// It may run in an interrupt, where nothing may sleep, unless the data went to unwritten or new
    /// mappings, past the end of the file, or failed: then it runs in task context, before page cache
    /// and caller see the data.
    fn end_io(iocb: &Kiocb<'_, F>, size: u64, error: Option<Error>, unwritten: bool) -> Result;
}

/// Nothing follows.
pub struct NoEnd;

impl<F: FileSystem> DirectOps<F> for NoEnd {
    fn end_io(_: &Kiocb<'_, F>, _: u64, error: Option<Error>, _: bool) -> Result {
        error.map_or(Ok(()), Err)
    }
}

/// How direct I/O is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Wait for the end, also when the caller would not.
    pub wait: bool,
    /// Fail with `EAGAIN` rather than allocate or zero.
    pub overwrite_only: bool,
}

struct DirectVTable<F, D>(PhantomData<(F, D)>);

impl<F: FileSystem, D: DirectOps<F>> DirectVTable<F, D> {
    const TABLE: *const bindings::iomap_dio_ops = &bindings::iomap_dio_ops {
        end_io: Some(Self::end_io),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by iomap only, for I/O begun by [`transfer`].
    unsafe extern "C" fn end_io(
        iocb: *mut bindings::kiocb,
        size: isize,
        error: ffi::c_int,
        flags: ffi::c_uint,
    ) -> ffi::c_int {
        // SAFETY: The control block is live until its completion, which comes after this.
        let iocb = unsafe { Kiocb::from_raw(iocb) };
        let error = (error != 0).then(|| Error::from_errno(error));
        let unwritten = flags & bindings::IOMAP_DIO_UNWRITTEN != 0;
        errno(D::end_io(
            &iocb,
            size.max(0).unsigned_abs() as u64,
            error,
            unwritten,
        ))
    }
}

/// Reads or writes around the page cache at [`Kiocb::pos`], and moves it on. Needs the inode's lock,
/// at least shared. Returns the bytes transferred.
///
/// # Errors
///
/// `EIOCBQUEUED` when it goes on without the caller, who must return that; `ENOTBLK` when it must be
/// done through the page cache.
pub fn transfer<F: FileSystem, T: IomapOps<F>, D: DirectOps<F>>(
    iocb: &mut Kiocb<'_, F>,
    iter: &mut IovIter<'_>,
    how: How,
) -> Result<usize> {
    let mut flags = 0;
    if how.wait {
        flags |= bindings::IOMAP_DIO_FORCE_WAIT;
    }
    if how.overwrite_only {
        flags |= bindings::IOMAP_DIO_OVERWRITE_ONLY;
    }
    // SAFETY: The arguments are live; the tables are for this file system.
    count(unsafe {
        bindings::iomap_dio_rw(
            iocb.as_raw(),
            iter.as_raw(),
            IomapVTable::<F, T>::TABLE,
            DirectVTable::<F, D>::TABLE,
            flags,
            ptr::null_mut(),
            0,
        )
    })
}
