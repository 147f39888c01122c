// SPDX-License-Identifier: GPL-2.0

//! Folio locks and writeback, as lockdep is told of them: it does not watch them by itself, for they
//! are let go in interrupts and by other tasks.
//!
//! [`LockMap::hold`] goes around what page cache and iomap call with such a folio; [`might_wait`] comes
//! before each call of theirs that locks folios or waits for writeback.

use crate::linux::sync::{lock_class, LockMap};

/// A folio is locked.
pub static LOCKED: LockMap = LockMap::new(lock_class!("folio_lock"));

/// A folio is under writeback, and stays so until the current task goes on. A task with a locked folio
/// may wait for it.
pub static WRITEBACK: LockMap = LockMap::new(lock_class!("folio_writeback"));

/// The current task is about to lock folios or to wait for writeback, or may be.
pub fn might_wait() {
    LOCKED.might_wait();
    WRITEBACK.might_wait();
}
