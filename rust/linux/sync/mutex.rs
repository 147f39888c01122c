// SPDX-License-Identifier: GPL-2.0

//! A sleeping lock.
//!
//! Reclaiming memory evicts inodes, and evicting takes these locks: what is allocated under one does not reclaim by way of
//! the file system.
//!
//! C header: `include/linux/mutex.h`.

use super::LockClass;
use crate::linux::alloc::{AllocError, GFP};
use crate::linux::bindings;
use crate::linux::nofs::NofsScope;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};

use kernel::alloc::KBox;
use kernel::types::Opaque;

/// The lock and what it protects. It stays where it is.
struct Inner<T> {
    lock: Opaque<bindings::mutex>,
    value: UnsafeCell<T>,
}

/// A sleeping lock around a value.
///
/// # Invariants
///
/// The C lock in the box is initialised, and the box is never given away.
pub struct Mutex<T>(KBox<Inner<T>>);

// SAFETY: The value goes where the lock goes.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: The lock lets one task at a time at the value, so `T` need not be `Sync`.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked lock around `value`.
    pub fn new(value: T, class: LockClass) -> Result<Self, AllocError> {
        let inner = KBox::new(
            Inner {
                lock: Opaque::uninit(),
                value: UnsafeCell::new(value),
            },
            GFP,
        )?;
        // SAFETY: The lock is in its final place; name and key are static.
        unsafe { bindings::__mutex_init(inner.lock.get(), class.name(), class.key()) };
        // INVARIANT: It was just initialised.
        Ok(Self(inner))
    }

    /// Waits for the lock and takes it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let nofs = NofsScope::enter();
        // SAFETY: Initialised: the type invariant.
        unsafe { bindings::mutex_lock(self.raw()) };
        // INVARIANT: It was just taken.
        MutexGuard {
            mutex: self,
            _nofs: nofs,
        }
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let nofs = NofsScope::enter();
        // SAFETY: Initialised: the type invariant.
        let taken = unsafe { bindings::mutex_trylock(self.raw()) } != 0;
        // INVARIANT: It was just taken.
        taken.then(|| MutexGuard {
            mutex: self,
            _nofs: nofs,
        })
    }

    fn raw(&self) -> *mut bindings::mutex {
        self.0.lock.get()
    }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        // SAFETY: Initialised, and not held: a guard would borrow it.
        unsafe { bindings::mutex_destroy(self.raw()) };
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// Access to what a [`Mutex`] protects.
///
/// # Invariants
///
/// The current task holds the lock, but inside [`super::Condvar`]'s wait, which has it borrowed for writing.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Also keeps the guard on its task.
    _nofs: NofsScope,
}

// SAFETY: A shared guard gives a shared value.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

impl<T> MutexGuard<'_, T> {
    /// Runs `sleep` without the lock.
    pub(super) fn unlocked(&mut self, sleep: impl FnOnce()) {
        // SAFETY: Held: the type invariant.
        unsafe { bindings::mutex_unlock(self.mutex.raw()) };
        sleep();
        // SAFETY: Initialised. This restores the invariant before the guard can be used again.
        unsafe { bindings::mutex_lock(self.mutex.raw()) };
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held as long as the guard lives.
        unsafe { &*self.mutex.0.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held as long as the guard lives, and the guard is borrowed for writing.
        unsafe { &mut *self.mutex.0.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Held: the type invariant.
        unsafe { bindings::mutex_unlock(self.mutex.raw()) };
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
