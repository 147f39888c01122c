// SPDX-License-Identifier: GPL-2.0

//! How much memory is in use, and was at most.
//!
//! A ledger belongs to the thread that begins it and to the threads started by it meanwhile, as a
//! [`Shortage`](super::shortage::Shortage) does. What was allocated under it is taken off when it is
//! freed, by whomever.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The bytes that were allocated and not freed.
#[derive(Debug, Default)]
pub struct Ledger {
    held: AtomicU64,
    peak: AtomicU64,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Ledger>>> = const { RefCell::new(None) };
}

/// The ledger of the running thread, for a thread that it starts.
pub(super) fn current() -> Option<Arc<Ledger>> {
    CURRENT.with_borrow(Option::clone)
}

/// Has the running thread's allocations counted in a ledger, or not any more.
pub(super) fn set_current(ledger: Option<Arc<Ledger>>) {
    CURRENT.set(ledger);
}

impl Ledger {
    /// From now on the allocations of this thread are counted, from 0.
    pub fn begin() -> Arc<Self> {
        let ledger = Arc::<Self>::default();
        set_current(Some(ledger.clone()));
        ledger
    }

    /// Ends the running thread's ledger: only what it frees is still counted.
    pub fn end() {
        set_current(None);
    }

    /// The bytes in use now.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// The most bytes that were in use at a time.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
    }

    fn take_off(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One allocation's entry in the ledger under which it was made.
#[derive(Debug)]
pub(super) struct Charge {
    ledger: Option<Arc<Ledger>>,
    bytes: u64,
}

impl Charge {
    /// The entry of what allocates nothing.
    pub(super) const NONE: Self = Self {
        ledger: None,
        bytes: 0,
    };

    /// Enters `count` values of this type.
    pub(super) fn of<T>(count: usize) -> Self {
        let mut charge = Self::NONE;
        charge.resize::<T>(count);
        charge
    }

    /// They are `count` from now on; for a moment the old and the new memory are both there.
    pub(super) fn resize<T>(&mut self, count: usize) {
        let bytes = count.saturating_mul(size_of::<T>()) as u64;
        if bytes == self.bytes {
            return;
        }
        let ledger = self.ledger.take().or_else(current);
        if let Some(ledger) = &ledger {
            ledger.add(bytes);
            ledger.take_off(self.bytes);
            self.bytes = bytes;
        }
        self.ledger = ledger;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.take_off(self.bytes);
        }
    }
}
