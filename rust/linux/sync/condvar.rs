// SPDX-License-Identifier: GPL-2.0

//! Waiting for a change of what a lock protects.
//!
//! C header: `include/linux/wait.h`.

use super::{LockClass, MutexGuard};
use crate::linux::alloc::{AllocError, GFP};
use crate::linux::bindings;
use core::fmt;
use core::ptr;
use kernel::alloc::KBox;
use kernel::ffi::{c_int, c_long, c_uint};
use kernel::time::msecs_to_jiffies;
use kernel::types::Opaque;

/// A place to wait for a change of what a [`super::Mutex`] protects.
///
/// # Invariants
///
/// The C wait queue in the box is initialised, and the box is never given away.
pub struct Condvar(KBox<Opaque<bindings::wait_queue_head_t>>);

// SAFETY: A wait queue may be used from any task.
unsafe impl Send for Condvar {}
// SAFETY: A wait queue has a lock of its own.
unsafe impl Sync for Condvar {}

impl Condvar {
    /// A place where nobody waits yet.
    pub fn new(class: LockClass) -> Result<Self, AllocError> {
        let queue = KBox::new(Opaque::<bindings::wait_queue_head_t>::uninit(), GFP)?;
        // SAFETY: The queue is in its final place; name and key are static.
        unsafe { bindings::__init_waitqueue_head(queue.get(), class.name(), class.key()) };
        // INVARIANT: It was just initialised.
        Ok(Self(queue))
    }

    /// Gives up the lock, sleeps until notified, takes the lock again. May return early.
    ///
    /// Not interrupted by signals. A task that has nothing to do for long uses
    /// [`Self::wait_idle`]: two minutes of this make the kernel report a hung task.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.sleep(guard, bindings::TASK_UNINTERRUPTIBLE, c_long::MAX);
    }

    /// As [`Self::wait`], for at most `milliseconds`, by a task that holds no other lock and has nothing under
    /// way: when the system is suspended, or its memory written to the disk, it stays asleep until the system goes on.
    pub fn wait_idle<T>(&self, guard: &mut MutexGuard<'_, T>, milliseconds: u64) {
        let jiffies = msecs_to_jiffies(u32::try_from(milliseconds).unwrap_or(u32::MAX));
        self.sleep(
            guard,
            bindings::TASK_IDLE | bindings::TASK_FREEZABLE,
            c_long::try_from(jiffies).unwrap_or(c_long::MAX),
        );
    }

    fn sleep<T>(&self, guard: &mut MutexGuard<'_, T>, state: c_uint, jiffies: c_long) {
        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // The state is set before the lock is given up: a notification from then on makes the task
        // runnable again, and the sleep returns at once.
        //
        // SAFETY: `entry` stays in place until `finish_wait` below has taken it off the queue.
        unsafe {
            bindings::init_wait(entry.get());
            bindings::prepare_to_wait_exclusive(self.0.get(), entry.get(), state as c_int);
        }
        // SAFETY: A task may sleep where it held a mutex.
        guard.unlocked(|| unsafe {
            bindings::schedule_timeout(jiffies);
        });
        // SAFETY: Both are initialised.
        unsafe { bindings::finish_wait(self.0.get(), entry.get()) };
    }

    /// Wakes everybody.
    pub fn notify_all(&self) {
        // SAFETY: The queue is initialised; no key is passed.
        unsafe { bindings::__wake_up(self.0.get(), bindings::TASK_NORMAL, 0, ptr::null_mut()) };
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}
