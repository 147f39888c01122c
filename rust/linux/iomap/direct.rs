// SPDX-License-Identifier: GPL-2.0

//! Direct I/O.
//!
//! C header: `include/linux/iomap.h` (`struct iomap_dio_ops`).

use super::{IomapOps, IomapVTable};
use crate::linux::bindings;
use crate::linux::block::{bios_are_traced, note_end, note_submit};
use crate::linux::fs::iter::IovIter;
use crate::linux::fs::kiocb::{count, Kiocb};
use crate::linux::fs::super_ops::errno;
use crate::linux::fs::FileSystem;
use crate::linux::mm::folio;
use core::marker::PhantomData;
use core::ptr;
use kernel::ffi;
use kernel::prelude::*;

/// What follows direct I/O.
pub trait DirectOps<F: FileSystem>: 'static {
    /// The caller waits for the end, also if the request does not ask for it.
    const WAITS: bool;

    /// `size` bytes at [`Kiocb::pos`] have been transferred (0 with an error).
    ///
    /// It may run in an interrupt, where nothing may sleep, unless [`Self::WAITS`] or the data went to unwritten or
    /// new mappings, past the end of the file, or failed: then it runs in task context, before page cache
    /// and caller see the data.
    fn end_io(iocb: &Kiocb<'_, F>, size: u64, error: Option<Error>, unwritten: bool) -> Result;
}

/// Bios of reads that remember what they were submitted with.
const TRACED_READ: *const bindings::iomap_dio_ops = &bindings::iomap_dio_ops {
    submit_io: Some(submit_traced),
    bio_set: &raw mut bindings::iomap_ioend_bioset,
    ..pin_init::zeroed()
};

struct DirectVTable<F, D>(PhantomData<(F, D)>);

impl<F: FileSystem, D: DirectOps<F>> DirectVTable<F, D> {
    const TABLE: *const bindings::iomap_dio_ops = &bindings::iomap_dio_ops {
        end_io: Some(Self::end_io),
        ..pin_init::zeroed()
    };

    /// The same, with bios that remember what they were submitted with: [`end_traced`] gets them.
    const TRACED: *const bindings::iomap_dio_ops = &bindings::iomap_dio_ops {
        end_io: Some(Self::end_io),
        submit_io: Some(submit_traced),
        bio_set: &raw mut bindings::iomap_ioend_bioset,
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

/// # Safety
///
/// Called by iomap only, with a bio out of its set of `iomap_ioend`s that has its own handler.
unsafe extern "C" fn submit_traced(
    iter: *const bindings::iomap_iter,
    bio: *mut bindings::bio,
    pos: bindings::loff_t,
) {
    // SAFETY: The bio is complete, part of an `iomap_ioend`, and not submitted yet.
    unsafe {
        let flags = bindings::IOMAP_IOEND_DIRECT as u16;
        bindings::iomap_init_ioend((*iter).inode, bio, pos, flags);
        (*bio).bi_end_io = Some(end_traced);
        note_submit(bio);
        bindings::submit_bio(bio);
    }
}

/// # Safety
///
/// Called by the block layer only, for bios that [`submit_traced`] sent.
unsafe extern "C" fn end_traced(bio: *mut bindings::bio) {
    // SAFETY: The bio is part of an `iomap_ioend` that was filled in; its own handler is the one of
    // direct I/O, which gets it as the block layer would have given it.
    unsafe {
        let ioend = bindings::iomap_ioend_from_bio(bio);
        note_end(bio, (*ioend).io_sector, (*ioend).io_size as u32);
        bindings::iomap_dio_bio_end_io(bio);
    }
}

/// Reads around the page cache at [`Kiocb::pos`], and moves it on. Needs the inode's lock, at least shared.
/// `T` maps for it, and is not told of the end.
///
/// Returns the bytes read. Errors as for [`write`].
pub fn read<F: FileSystem, T: IomapOps<F>>(
    iocb: Kiocb<'_, F>,
    into: &mut IovIter<'_>,
) -> Result<usize> {
    folio::might_wait();
    let mut ops = TRACED_READ;
    if !bios_are_traced() {
        ops = ptr::null();
        // SAFETY: The arguments are live; the function maps for inodes of this file system. Unless it
        // answers `ENOTBLK` the request has ended or goes on by itself, and is not used any more.
        let done = count(unsafe {
            bindings::iomap_dio_read_simple(
                iocb.as_raw(),
                into.as_raw(),
                Some(IomapVTable::<F, T>::begin),
            )
        });
        if !matches!(done, Err(error) if error == ENOTBLK) {
            return done;
        }
    }
    // SAFETY: As for `transfer`.
    unsafe { transfer::<F, T>(&iocb, into, ops, 0) }
}

/// Writes around the page cache at [`Kiocb::pos`], and moves it on. One that may be waited for, as when a part turns out to be for the page cache, must not be
/// polled ([`Kiocb::do_not_poll`]). Needs the inode's lock, at least shared. What is to be durable is when it has ended
/// (`O_DSYNC`).
///
/// Returns the request and the bytes transferred, or why none were: `ENOTBLK` when it must be done
/// through the page cache.
///
/// # Errors
///
/// `EIOCBQUEUED` when it goes on without the caller, who must return that; the request is gone.
pub fn write<'a, F: FileSystem, T: IomapOps<F>, D: DirectOps<F>>(
    iocb: Kiocb<'a, F>,
    from: &mut IovIter<'_>,
) -> Result<(Kiocb<'a, F>, Result<usize>)> {
    let flags = if D::WAITS {
        bindings::IOMAP_DIO_FORCE_WAIT
    } else {
        0
    };
    let ops = if bios_are_traced() {
        DirectVTable::<F, D>::TRACED
    } else {
        DirectVTable::<F, D>::TABLE
    };
    folio::might_wait();
    // SAFETY: When the request is queued, it is not used any more.
    match unsafe { transfer::<F, T>(&iocb, from, ops, flags) } {
        Err(error) if error == EIOCBQUEUED => Err(error),
        done => Ok((iocb, done)),
    }
}

/// # Safety
///
/// `ops` are null or a table for this file system. The request is not used after `EIOCBQUEUED`.
unsafe fn transfer<F: FileSystem, T: IomapOps<F>>(
    iocb: &Kiocb<'_, F>,
    iter: &mut IovIter<'_>,
    ops: *const bindings::iomap_dio_ops,
    flags: u32,
) -> Result<usize> {
    // SAFETY: The arguments are live; the tables are for this file system.
    count(unsafe {
        bindings::iomap_dio_rw(
            iocb.as_raw(),
            iter.as_raw(),
            IomapVTable::<F, T>::TABLE,
            ops,
            flags,
            ptr::null_mut(),
            0,
        )
    })
}
