// SPDX-License-Identifier: GPL-2.0

//! Fallible allocation: the names of the `kernel` crate that the file system uses.

use super::bindings;
use core::mem::MaybeUninit;
use kernel::alloc::{flags, Flags, KVVec};
use kernel::page::PAGE_SIZE;
use kernel::sync::UniqueArc;

pub use kernel::alloc::AllocError;
pub use kernel::sync::Arc;

/// The flags every allocation of the file system passes. It may sleep, so nothing is allocated
/// under a spinlock; inside a [`super::nofs::NofsScope`] it does not reach back into the file system.
pub const GFP: Flags = flags::GFP_KERNEL;

/// A growable array, in one piece of physical memory while that is to be had.
pub type Vec<T> = KVVec<T>;

/// How much memory the machine has, in bytes.
pub fn memory_size() -> usize {
    // SAFETY: It reads a number.
    let pages = unsafe { bindings::totalram_pages() };
    pages.saturating_mul(PAGE_SIZE)
}

/// Waits a little for memory that an allocation did not get, where nothing but trying again can be done.
pub fn wait_for_memory() {
    // SAFETY: It only lets the current task sleep, as every allocation with [`GFP`] may.
    unsafe { bindings::memalloc_retry_wait(bindings::GFP_KERNEL) };
}

/// Memory for a shared value that is not there yet.
pub struct ArcRoom<T>(UniqueArc<MaybeUninit<T>>);

impl<T> ArcRoom<T> {
    /// Takes the memory.
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(UniqueArc::new_uninit(flags)?))
    }

    /// Moves `value` there, with one reference.
    pub fn fill(self, value: T) -> Arc<T> {
        self.0.write(value).into()
    }
}
