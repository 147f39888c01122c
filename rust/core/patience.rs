// SPDX-License-Identifier: GPL-2.0

//! Waiting for memory.
//!
//! A transaction that holds half of a change cannot be undone: what fails then stops the journal, and the file
//! system is read-only. Memory is no reason for that: it comes back. The kernel's allocations fail only
//! tasks that are being killed, and while errors are injected.

use super::error::{Error, Result};
use super::platform::wait_for_memory;

/// Does a step that may come after the first change of an operation, until it does not fail for want of
/// memory. The step begins anew each time, so it leaves nothing when it fails.
pub fn patiently<T>(mut step: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match step() {
            Err(Error::NoMemory) => wait_for_memory(),
            done => return done,
        }
    }
}
