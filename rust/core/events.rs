// SPDX-License-Identifier: GPL-2.0

//! One function for every trace event, in the file system's own types.

use super::platform::{trace, Device};
use crate::format::units::{DiskBlock, Tid};

/// A metadata block was found in memory.
pub fn cache_hit(device: &Device, block: DiskBlock) {
    trace::cache_hit(device.dev(), block.get());
}

/// A metadata block had to be read.
pub fn cache_miss(device: &Device, block: DiskBlock) {
    trace::cache_miss(device.dev(), block.get());
}

/// The commit thread reached a phase of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPhase {
    /// It took the transaction up.
    Start,
    /// It waits for the open handles.
    Locking,
    /// It computes checksums and takes the versions to write.
    Flushing,
    /// It writes the log.
    Logging,
}

/// The commit thread reached a phase of a transaction.
pub fn commit_phase(device: &Device, phase: CommitPhase, sync: bool, tid: Tid) {
    let event = match phase {
        CommitPhase::Start => trace::start_commit,
        CommitPhase::Locking => trace::commit_locking,
        CommitPhase::Flushing => trace::commit_flushing,
        CommitPhase::Logging => trace::commit_logging,
    };
    event(device.dev(), u32::from(sync), tid.0);
}
