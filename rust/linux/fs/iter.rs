// SPDX-License-Identifier: GPL-2.0

//! Memory that data is copied from or to, and the reading of directories.
//!
//! C headers: `include/linux/uio.h`, `include/linux/fs.h` (`struct dir_context`).

use crate::linux::bindings;
use core::marker::PhantomData;
use kernel::ffi;

/// Wraps `struct iov_iter` in a callback.
///
/// # Invariants
///
/// The iterator is live for `'a` and ours alone.
pub struct IovIter<'a>(*mut bindings::iov_iter, PhantomData<&'a mut ()>);

impl IovIter<'_> {
    /// # Safety
    ///
    /// `iter` must satisfy the type's invariants.
    pub(super) unsafe fn from_raw(iter: *mut bindings::iov_iter) -> Self {
        Self(iter, PhantomData)
    }

    pub(in crate::linux) fn as_raw(&mut self) -> *mut bindings::iov_iter {
        self.0
    }

    /// The bytes that are left.
    pub fn count(&self) -> usize {
        // SAFETY: The type invariant.
        unsafe { bindings::iov_iter_count(self.0) }
    }

    /// Keeps only the first `count` bytes of what is left.
    pub fn truncate(&mut self, count: usize) {
        // SAFETY: The type invariant.
        unsafe { bindings::iov_iter_truncate(self.0, count) }
    }

    /// Copies `bytes` to the iterator's memory; returns how many could be.
    pub fn copy_to(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: The type invariant; the call copies at most that many bytes out of the slice.
        unsafe { bindings::copy_to_iter(bytes.as_ptr().cast(), bytes.len(), self.0) }
    }
}

/// What an entry of a directory is, as `readdir` tells it (`DT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Not known.
    Unknown,
    /// A pipe.
    Fifo,
    /// A character device.
    Character,
    /// A directory.
    Directory,
    /// A block device.
    Block,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
}

impl EntryKind {
    const fn raw(self) -> ffi::c_uint {
        match self {
            Self::Unknown => 0,
            Self::Fifo => 1,
            Self::Character => 2,
            Self::Directory => 4,
            Self::Block => 6,
            Self::Regular => 8,
            Self::Link => 10,
            Self::Socket => 12,
        }
    }
}

/// Wraps `struct dir_context`: where entries of a directory go.
///
/// # Invariants
///
/// The context is live for `'a` and ours alone.
pub struct DirContext<'a>(*mut bindings::dir_context, PhantomData<&'a mut ()>);

impl DirContext<'_> {
    /// # Safety
    ///
    /// `context` must satisfy the type's invariants.
    pub(super) unsafe fn from_raw(context: *mut bindings::dir_context) -> Self {
        Self(context, PhantomData)
    }

    /// The position: 0 at the start, else what [`Self::set_pos`] set last.
    pub fn pos(&self) -> u64 {
        // SAFETY: The type invariant.
        unsafe { (*self.0).pos }.unsigned_abs()
    }

    /// Sets the position from which the next call goes on.
    pub fn set_pos(&mut self, pos: u64) {
        // SAFETY: The type invariant.
        unsafe { (*self.0).pos = super::inode::offset(pos) };
    }

    /// Hands out the entry at the current position; `false` when it was not taken, as there is no
    /// more room. Set the position to the next entry's after each success.
    pub fn emit(&mut self, name: &[u8], ino: u64, kind: EntryKind) -> bool {
        let Ok(len) = ffi::c_int::try_from(name.len()) else {
            return false;
        };
        // SAFETY: The type invariant; the name has `len` bytes.
        unsafe { bindings::dir_emit(self.0, name.as_ptr().cast(), len, ino, kind.raw()) }
    }
}
