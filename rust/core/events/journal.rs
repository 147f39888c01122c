// SPDX-License-Identifier: GPL-2.0

//! Events of the journal.

use crate::core::platform::{trace, Device};
use crate::format::units::{LogBlock, Tid};

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
    let sync = u32::from(sync);
    match phase {
        CommitPhase::Start => emit!(start_commit(device.dev(), sync, tid.0)),
        CommitPhase::Locking => emit!(commit_locking(device.dev(), sync, tid.0)),
        CommitPhase::Flushing => emit!(commit_flushing(device.dev(), sync, tid.0)),
        CommitPhase::Logging => emit!(commit_logging(device.dev(), sync, tid.0)),
    }
}

/// A handle is wanted that may change `blocks` blocks.
pub fn journal_start(device: &Device, blocks: u32) {
    emit!(journal_start(device.dev(), blocks));
}

/// A handle was opened.
pub fn handle_start(device: &Device, tid: Tid, requested: u32) {
    emit!(handle_start(device.dev(), tid.0, requested));
}

/// A handle was closed after `life` ns, having spent `spent` of `requested` credits.
pub fn handle_stats(device: &Device, tid: Tid, life: u64, requested: u32, spent: u32) {
    emit!(handle_stats(device.dev(), tid.0, life, requested, spent));
}

/// A handle asked for more credits.
pub fn handle_extend(device: &Device, tid: Tid, credits: u32, more: u32) {
    emit!(handle_extend(device.dev(), tid.0, credits, more));
}

/// A handle went on in a new transaction.
pub fn handle_restart(device: &Device, tid: Tid, requested: u32) {
    emit!(handle_restart(device.dev(), tid.0, requested));
}

/// A transaction is durable; `head` is the oldest that is not checkpointed.
pub fn end_commit(device: &Device, sync: bool, tid: Tid, head: Tid) {
    emit!(end_commit(device.dev(), u32::from(sync), tid.0, head.0));
}

/// What a commit took: how long it was open, waited for handles, was sealed and written (ns).
pub fn run_stats(
    device: &Device,
    tid: Tid,
    times: [u64; 4],
    handles: u32,
    blocks: usize,
    logged: u32,
) {
    let [running, locked, flushing, logging] = times;
    let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
    emit!(run_stats(
        device.dev(),
        tid.0,
        running,
        locked,
        flushing,
        logging,
        handles,
        blocks,
        logged,
    ));
}

/// A checkpoint ended, with 0 or a negative errno.
pub fn checkpoint(device: &Device, result: i32) {
    emit!(checkpoint(device.dev(), result));
}

/// A transaction's blocks are home: blocks written, and left to newer transactions.
pub fn checkpoint_stats(device: &Device, tid: Tid, time: u64, written: u32, dropped: u32) {
    emit!(checkpoint_stats(
        device.dev(),
        tid.0,
        time,
        written,
        dropped
    ));
}

/// A transaction left the log.
pub fn drop_transaction(device: &Device, sync: bool, tid: Tid) {
    emit!(drop_transaction(device.dev(), u32::from(sync), tid.0));
}

/// The log begins with `tid` at `start` now; `freed` log blocks came free.
pub fn update_log_tail(device: &Device, tid: Tid, start: LogBlock, freed: u32) {
    emit!(update_log_tail(
        device.dev(),
        tid.0,
        tid.0,
        start.get(),
        freed
    ));
}

/// The journal superblock is written.
pub fn write_superblock(device: &Device) {
    emit!(write_superblock(device.dev()));
}
