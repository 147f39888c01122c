// SPDX-License-Identifier: GPL-2.0

//! Threads of the file system's own.

use super::alloc::AllocError;
use super::device::Device;
use super::{ledger, shortage};
use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many threads that [`Thread::spawn`] started are not asleep.
static AWAKE: Mutex<u64> = Mutex::new(0);
/// Signalled when none is awake.
static ALL_ASLEEP: Condvar = Condvar::new();

thread_local! {
    /// [`Thread::spawn`] started it.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

fn awake() -> MutexGuard<'static, u64> {
    AWAKE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn one_less(mut awake: MutexGuard<'static, u64>) {
    *awake = awake.saturating_sub(1);
    if *awake == 0 {
        ALL_ASLEEP.notify_all();
    }
}

/// Waits until all threads of the file systems in this process sleep with nobody calling them: what
/// was asked of them is done. The caller keeps others from asking for more.
pub fn settle() {
    let mut count = awake();
    while *count > 0 {
        count = ALL_ASLEEP
            .wait(count)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

/// The threads that sleep at one place. All counts change under the lock of [`AWAKE`].
#[derive(Debug, Default)]
pub(super) struct Sleepers(Mutex<Asleep>);

#[derive(Debug, Default)]
struct Asleep {
    count: u64,
    /// How often they were called.
    calls: u64,
}

impl Sleepers {
    fn lock(&self) -> MutexGuard<'_, Asleep> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread is about to sleep, with the lock held that its callers take. Returns what
    /// to give to [`Self::wake_up`].
    pub(super) fn fall_asleep(&self) -> Option<u64> {
        if !IS_OWN.get() {
            return None;
        }
        let count = awake();
        let mut asleep = self.lock();
        asleep.count += 1;
        let calls = asleep.calls;
        drop(asleep);
        one_less(count);
        Some(calls)
    }

    /// The calling thread sleeps no more.
    pub(super) fn wake_up(&self, before: Option<u64>) {
        let Some(before) = before else {
            return;
        };
        let mut count = awake();
        let mut asleep = self.lock();
        if asleep.calls == before {
            // Nobody called: it woke by itself.
            asleep.count -= 1;
            *count += 1;
        }
    }

    /// All that sleep here count as awake from now on.
    pub(super) fn called(&self) {
        let mut count = awake();
        let mut asleep = self.lock();
        *count += std::mem::take(&mut asleep.count);
        asleep.calls += 1;
    }
}

/// A running thread; join it before what it uses goes away.
#[derive(Debug)]
pub struct Thread(std::thread::JoinHandle<()>);

/// Counts its thread as one that does nothing any more, even if it panicked.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        one_less(awake());
    }
}

impl Thread {
    /// Starts `run` on a new thread called `name`, a slash and the device.
    pub fn spawn(
        name: &str,
        device: &Device,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Self, AllocError> {
        shortage::admit()?;
        let inherited = (shortage::current(), ledger::current());
        *awake() += 1;
        let thread = std::thread::Builder::new()
            .name(format!("{name}/{device}"))
            .spawn(move || {
                let _ending = Ending;
                IS_OWN.set(true);
                shortage::set_current(inherited.0);
                ledger::set_current(inherited.1);
                run();
            });
        if thread.is_err() {
            one_less(awake());
        }
        thread.map(Self).map_err(|_| AllocError)
    }

    /// Waits until the thread has returned.
    pub fn join(self) {
        // A panic of the thread is a failed test of its own; the join only waits.
        let _ = self.0.join();
    }
}
