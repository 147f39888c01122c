// SPDX-License-Identifier: GPL-2.0

//! Fallible allocation: the names of the `kernel` crate that the file system uses.

use kernel::alloc::{flags, Flags, KBox, KVVec};

pub use kernel::alloc::AllocError;
pub use kernel::sync::Arc;

/// The flags every allocation of the file system passes. It may sleep, so nothing is allocated
/// under a spinlock; inside a [`super::nofs::NofsScope`] it does not reach back into the file system.
pub const GFP: Flags = flags::GFP_KERNEL;

/// A growable array, in one piece of physical memory while that is to be had.
pub type Vec<T> = KVVec<T>;

/// A heap value.
pub type Box<T> = KBox<T>;
