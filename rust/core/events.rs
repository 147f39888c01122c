// SPDX-License-Identifier: GPL-2.0

//! One function for every trace event, in the file system's own types.

pub mod map;

use super::journal::Run;
use super::platform::{trace, Device};
use crate::format::units::{DiskBlock, FileBlock, Group, Ino, LogBlock, Tid};

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

/// A handle was opened.
pub fn handle_start(device: &Device, tid: Tid, requested: u32) {
    trace::handle_start(device.dev(), tid.0, 0, requested);
}

/// A handle was closed after `life` ns, having spent `spent` of `requested` credits.
pub fn handle_stats(device: &Device, tid: Tid, life: u64, requested: u32, spent: u32) {
    trace::handle_stats(device.dev(), tid.0, 0, life, 0, requested, spent);
}

/// A handle asked for more credits.
pub fn handle_extend(device: &Device, tid: Tid, credits: u32, more: u32) {
    trace::handle_extend(device.dev(), tid.0, 0, credits, more);
}

/// A handle went on in a new transaction.
pub fn handle_restart(device: &Device, tid: Tid, requested: u32) {
    trace::handle_restart(device.dev(), tid.0, 0, requested);
}

/// A transaction is durable; `head` is the oldest that is not checkpointed.
pub fn end_commit(device: &Device, sync: bool, tid: Tid, head: Tid) {
    trace::end_commit(device.dev(), u32::from(sync), tid.0, head.0);
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
    trace::run_stats(
        device.dev(),
        tid.0,
        running,
        locked,
        flushing,
        logging,
        handles,
        blocks,
        logged,
    );
}

/// A checkpoint ended, with 0 or a negative errno.
pub fn checkpoint(device: &Device, result: i32) {
    trace::checkpoint(device.dev(), result);
}

/// A transaction's blocks are home: blocks written, and left to newer transactions.
pub fn checkpoint_stats(device: &Device, tid: Tid, time: u64, written: u32, dropped: u32) {
    trace::checkpoint_stats(device.dev(), tid.0, time, written, dropped);
}

/// A transaction left the log.
pub fn drop_transaction(device: &Device, sync: bool, tid: Tid) {
    trace::drop_transaction(device.dev(), u32::from(sync), tid.0);
}

/// The log begins with `tid` at `start` now; `freed` log blocks came free.
pub fn update_log_tail(device: &Device, tid: Tid, start: LogBlock, freed: u32) {
    trace::update_log_tail(device.dev(), tid.0, tid.0, start.get(), freed);
}

/// The journal superblock is written.
pub fn write_superblock(device: &Device) {
    trace::write_superblock(device.dev(), 0);
}

/// A run of `len` blocks is wanted for a file.
pub fn request_blocks(device: &Device, ino: Ino, logical: FileBlock, goal: DiskBlock, len: u32) {
    let ino = u64::from(ino.get());
    trace::request_blocks(device.dev(), ino, goal.get(), len, logical.get());
}

/// A run was found for a file: it is in flight.
pub fn allocate_blocks(device: &Device, ino: Ino, logical: FileBlock, goal: DiskBlock, run: Run) {
    trace::allocate_blocks(
        device.dev(),
        u64::from(ino.get()),
        run.start.get(),
        goal.get(),
        run.len,
        logical.get(),
    );
}

/// A file gets a window for its next blocks, those from `logical` on.
pub fn new_window(device: &Device, ino: Ino, logical: u64, run: Run) {
    let ino = u64::from(ino.get());
    trace::mb_new_inode_pa(device.dev(), ino, run.start.get(), logical, run.len);
}

/// The rest of a window is given up.
pub fn release_window(device: &Device, run: Run) {
    trace::mb_release_inode_pa(device.dev(), run.start.get(), run.len);
}

/// Blocks are freed; they can be allocated after the commit.
pub fn free_blocks(device: &Device, run: Run) {
    trace::free_blocks(device.dev(), run.start.get(), u64::from(run.len));
}

/// Freed blocks can be allocated again.
pub fn released(device: &Device, group: Group, start: u32, len: u32) {
    trace::mballoc_free(device.dev(), group.get(), start, len);
}

/// A group's block bitmap is read into memory.
pub fn bitmap_load(device: &Device, group: Group) {
    trace::mb_bitmap_load(device.dev(), group.get());
}

/// A group's inode bitmap is read into memory.
pub fn inode_bitmap_load(device: &Device, group: Group) {
    trace::load_inode_bitmap(device.dev(), group.get());
}

/// An inode number is wanted in a directory.
pub fn request_inode(device: &Device, dir: Ino, mode: u16) {
    trace::request_inode(device.dev(), u64::from(dir.get()), u32::from(mode));
}

/// An inode number was taken.
pub fn allocate_inode(device: &Device, ino: Ino, dir: Ino, mode: u16) {
    let (ino, dir) = (u64::from(ino.get()), u64::from(dir.get()));
    trace::allocate_inode(device.dev(), ino, dir, u32::from(mode));
}
