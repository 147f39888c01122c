// SPDX-License-Identifier: GPL-2.0

//! A spinning lock.
//!
//! C header: `include/linux/spinlock.h`.

use super::LockClass;
use crate::linux::alloc::{AllocError, GFP};
use crate::linux::bindings;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use kernel::alloc::KBox;
use kernel::types::{NotThreadSafe, Opaque};

/// The lock and what it protects. It stays where it is.
struct Inner<T> {
    lock: Opaque<bindings::spinlock_t>,
    value: UnsafeCell<T>,
}

/// A spinning lock around a value: what it covers must neither sleep nor allocate.
///
/// Interrupts stay on, so it must not be taken in one.
///
/// # Invariants
///
/// The C lock in the box is initialised, and the box is never given away.
pub struct SpinLock<T>(KBox<Inner<T>>);

// SAFETY: The value goes where the lock goes.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: The lock lets one task at a time at the value, so `T` need not be `Sync`.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
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
        unsafe { bindings::__spin_lock_init(inner.lock.get(), class.name(), class.key()) };
        // INVARIANT: It was just initialised.
        Ok(Self(inner))
    }

    /// Waits for the lock and takes it.
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        // SAFETY: Initialised: the type invariant.
        unsafe { bindings::spin_lock(self.0.lock.get()) };
        // INVARIANT: It was just taken.
        SpinLockGuard {
            lock: self,
            _task: NotThreadSafe,
        }
    }
}

impl<T> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpinLock")
    }
}

/// Access to what a [`SpinLock`] protects.
///
/// # Invariants
///
/// This CPU holds the lock.
#[must_use = "the lock is released when the guard is dropped"]
pub struct SpinLockGuard<'a, T> {
    lock: &'a SpinLock<T>,
    _task: NotThreadSafe,
}

// SAFETY: A shared guard gives a shared value.
unsafe impl<T: Sync> Sync for SpinLockGuard<'_, T> {}

impl<T> Deref for SpinLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held as long as the guard lives.
        unsafe { &*self.lock.0.value.get() }
    }
}

impl<T> DerefMut for SpinLockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held as long as the guard lives, and the guard is borrowed for writing.
        unsafe { &mut *self.lock.0.value.get() }
    }
}

impl<T> Drop for SpinLockGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Held: the type invariant.
        unsafe { bindings::spin_unlock(self.lock.0.lock.get()) };
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
