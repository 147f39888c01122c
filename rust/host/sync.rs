// SPDX-License-Identifier: GPL-2.0

//! Locks with the kernel's names. A poisoned lock is taken as it is: the kernel has no poisoning.

use super::alloc::AllocError;
use super::lock_order;
use super::shortage;
use super::thread::Sleepers;
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

pub(crate) use super::lock_order::lock_class;
pub use super::lock_order::{teach_order, LockClass, LockMap, LockMapGuard};

/// A sleeping lock.
#[derive(Debug)]
pub struct Mutex<T>(std::sync::Mutex<T>, LockClass);

/// Access to what a [`Mutex`] protects.
///
/// # Invariants
///
/// It holds the lock at all times but inside [`Condvar`]'s wait, which has it borrowed for writing.
#[derive(Debug)]
pub struct MutexGuard<'a, T>(Option<std::sync::MutexGuard<'a, T>>, LockClass);

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        lock_order::release(self.1);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("the type invariant")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("the type invariant")
    }
}

impl<T> Mutex<T> {
    /// An unlocked lock around `value`.
    pub fn new(value: T, class: LockClass) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self(std::sync::Mutex::new(value), class))
    }

    /// Waits for the lock and takes it.
    ///
    /// # Panics
    ///
    /// When that is against the order of locks.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        lock_order::take(self.1);
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard(Some(held), self.1)
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let held = match self.0.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        // Who does not wait may take it in any order.
        lock_order::note(self.1);
        Some(MutexGuard(Some(held), self.1))
    }
}

/// A spinning lock: what it covers must not sleep.
#[derive(Debug)]
pub struct SpinLock<T>(std::sync::Mutex<T>);

/// Access to what a [`SpinLock`] protects.
pub type SpinLockGuard<'a, T> = std::sync::MutexGuard<'a, T>;

impl<T> SpinLock<T> {
    /// An unlocked lock around `value`.
    pub fn new(value: T, _: LockClass) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self(std::sync::Mutex::new(value)))
    }

    /// Waits for the lock and takes it.
    pub fn lock(&self) -> SpinLockGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place to wait for a change of what a [`Mutex`] protects.
#[derive(Debug)]
pub struct Condvar {
    inner: std::sync::Condvar,
    sleepers: Sleepers,
}

impl Condvar {
    /// A place where nobody waits yet.
    pub fn new(_: LockClass) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self {
            inner: std::sync::Condvar::new(),
            sleepers: Sleepers::default(),
        })
    }

    /// Gives up the lock, sleeps until notified, takes the lock again. May return early.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let asleep = self.sleepers.fall_asleep();
        // std consumes its guard and gives a new one; the kernel keeps it.
        guard.0 = guard.0.take().map(|held| {
            self.inner
                .wait(held)
                .unwrap_or_else(PoisonError::into_inner)
        });
        self.sleepers.wake_up(asleep);
    }

    /// As [`Self::wait`], for at most `milliseconds`, with nothing under way.
    pub fn wait_idle<T>(&self, guard: &mut MutexGuard<'_, T>, milliseconds: u64) {
        let timeout = Duration::from_millis(milliseconds);
        let asleep = self.sleepers.fall_asleep();
        guard.0 = guard.0.take().map(|held| {
            self.inner
                .wait_timeout(held, timeout)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        });
        self.sleepers.wake_up(asleep);
    }

    /// Wakes everybody.
    pub fn notify_all(&self) {
        self.sleepers.called();
        self.inner.notify_all();
    }
}
