// SPDX-License-Identifier: GPL-2.0

//! A read or write of an open file.
//!
//! C header: `include/linux/fs.h` (`struct kiocb`).

use super::file::File;
use super::inode::{offset, Inode};
use super::iter::IovIter;
use super::FileSystem;
use crate::linux::bindings;
use crate::linux::mm::folio;
use core::marker::PhantomData;
use kernel::error::to_result;
use kernel::prelude::*;

/// Wraps `struct kiocb` in a callback.
///
/// It may be freed as soon as its I/O has ended, which may be before the callback returns: who begins I/O
/// that goes on by itself gives it away ([`direct`](crate::linux::iomap::direct)).
///
/// # Invariants
///
/// The control block is live as long as this value is; its file is live for `'a`, and of a type
/// registered for `F`.
pub struct Kiocb<'a, F: FileSystem>(*mut bindings::kiocb, PhantomData<&'a F>);

impl<'a, F: FileSystem> Kiocb<'a, F> {
    /// # Safety
    ///
    /// `iocb` must satisfy the type's invariants.
    pub(in crate::linux) unsafe fn from_raw(iocb: *mut bindings::kiocb) -> Self {
        Self(iocb, PhantomData)
    }

    pub(in crate::linux) fn as_raw(&self) -> *mut bindings::kiocb {
        self.0
    }

    /// The file.
    pub fn file(&self) -> &'a File<F> {
        // SAFETY: The type invariant.
        unsafe { File::from_raw((*self.0).ki_filp) }
    }

    /// The file's inode.
    pub fn inode(&self) -> &'a Inode<F> {
        self.file().inode()
    }

    /// The position in the file, in bytes.
    pub fn pos(&self) -> u64 {
        // SAFETY: The type invariant.
        unsafe { (*self.0).ki_pos }.unsigned_abs()
    }

    /// Sets the position in the file.
    pub fn set_pos(&mut self, pos: u64) {
        // SAFETY: The type invariant.
        unsafe { (*self.0).ki_pos = offset(pos) };
    }

    fn has(&self, flag: i32) -> bool {
        // SAFETY: The type invariant.
        unsafe { (*self.0).ki_flags & flag != 0 }
    }

    /// Whether the page cache is to be bypassed.
    pub fn is_direct(&self) -> bool {
        self.has(bindings::IOCB_DIRECT as i32)
    }

    /// Goes through the page cache after all.
    pub fn clear_direct(&mut self) {
        // SAFETY: The type invariant.
        unsafe { (*self.0).ki_flags &= !(bindings::IOCB_DIRECT as i32) };
    }

    /// Whether `EAGAIN` is wanted rather than waiting.
    pub fn is_nowait(&self) -> bool {
        self.has(bindings::IOCB_NOWAIT)
    }

    /// Whether it appends.
    pub fn is_append(&self) -> bool {
        self.has(bindings::IOCB_APPEND)
    }

    /// Lets its end come by interrupt: who waits for that does not poll.
    pub fn do_not_poll(&self) {
        // SAFETY: The type invariant; the flags are the callback's until the I/O has begun.
        unsafe { (*self.0).ki_flags &= !bindings::IOCB_HIPRI };
    }

    /// Whether the caller waits, in contrast to asynchronous I/O.
    pub fn is_sync(&self) -> bool {
        // SAFETY: The type invariant.
        unsafe { (*self.0).ki_complete.is_none() }
    }

    /// Reads through the page cache. Returns the bytes read.
    pub fn read_cached(&mut self, to: &mut IovIter<'_>) -> Result<usize> {
        if to.count() == 0 {
            return Ok(0);
        }
        folio::might_wait();
        // SAFETY: The type invariants.
        count(unsafe { bindings::filemap_read(self.0, to.as_raw(), 0) })
    }

    /// Tells that the file was read, for its access time.
    pub fn accessed(&self) {
        // SAFETY: The type invariant.
        unsafe { bindings::file_accessed((*self.0).ki_filp) }
    }

    /// Checks a write against position, limits and flags; may move the position (append) and shorten
    /// the data. Needs `i_rwsem`. Returns the bytes to write; 0 means that there is nothing to do.
    pub fn write_checks(&mut self, from: &mut IovIter<'_>) -> Result<usize> {
        // SAFETY: The type invariants.
        count(unsafe { bindings::generic_write_checks(self.0, from.as_raw()) })
    }

    /// Drops set-user-ID bits and sets the times of a file about to be written. Needs `i_rwsem`
    /// exclusively; may call `setattr` and `dirty_inode`.
    pub fn modified(&mut self) -> Result {
        // SAFETY: The type invariant.
        to_result(unsafe { bindings::kiocb_modified(self.0) })
    }

    /// Makes a finished write durable, if it has to be. Call it without `i_rwsem`.
    pub fn write_sync(&mut self, written: usize) -> Result<usize> {
        // SAFETY: The type invariant.
        count(unsafe { bindings::generic_write_sync(self.0, written as isize) })
    }

    /// After a direct write of `direct` bytes went on through the page cache for `buffered` bytes:
    /// writes those back and drops them from the cache. Returns the bytes written in all.
    pub fn finish_fallback(
        &mut self,
        from: &mut IovIter<'_>,
        direct: usize,
        buffered: Result<usize>,
    ) -> Result<usize> {
        let buffered = match buffered {
            Ok(bytes) => bytes as isize,
            Err(error) => error.to_errno() as isize,
        };
        // SAFETY: The type invariants.
        count(unsafe {
            bindings::direct_write_fallback(self.0, from.as_raw(), direct as isize, buffered)
        })
    }
}

/// A count of bytes, or a negative error code, as C returns them.
pub(in crate::linux) fn count(returned: isize) -> Result<usize> {
    match usize::try_from(returned) {
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(Error::from_errno(i32::try_from(returned).unwrap_or(-5))),
    }
}

/// The other way round.
pub(in crate::linux) fn raw_count(result: Result<usize>) -> isize {
    match result {
        Ok(bytes) => isize::try_from(bytes).unwrap_or(isize::MAX),
        Err(error) => error.to_errno() as isize,
    }
}
