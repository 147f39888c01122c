// SPDX-License-Identifier: GPL-2.0

//! The journal, in the JBD2 format.
//!
//! Operations change metadata blocks under a [`Handle`], which belongs to the one transaction that
//! is open. The commit thread closes it, computes its checksums, lets the next one open, writes the
//! closed one's blocks to the log and then its commit block. Later a checkpoint writes the newest
//! committed versions to their places and gives the log space back.
//!
//! Locks: a buffer's version, then [`Journal`]'s state. The log itself (`log`) belongs to the commit
//! thread and, at mount and unmount, to whoever mounts; its lock comes before both.

mod checkpoint;
mod commit;
mod handle;
mod log;
mod open;
mod quiet;
mod recovery;
#[cfg(test)]
mod tests;
mod transaction;

pub use handle::Handle;
pub use log::LogExtent;
pub use open::{OpenJournal, Settings, Start};
pub use quiet::Quiet;
pub use recovery::Recovered;

use super::cache::Cache;
use super::error::{Error, Result};
use super::locks::HANDLE;
use super::platform::{Arc, Condvar, Device, Mutex, Thread, Vec};
use crate::format::units::{DiskBlock, Tid};
use checkpoint::Checkpoint;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use log::Log;
use transaction::Transaction;

/// A run of neighbouring blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first block.
    pub start: DiskBlock,
    /// How many, in blocks.
    pub len: u32,
}

/// What handles and the commit thread share.
#[derive(Debug)]
struct State {
    /// The open transaction; `None` when nothing was changed since the last one closed.
    running: Option<Transaction>,
    /// A transaction is being closed: no handle may start.
    closing: bool,
    /// Somebody has [`Quiet`], or waits for it: no handle may start.
    quiet: bool,
    /// Handles are refused: nothing may be changed.
    barred: bool,
    /// The sequence number of the next transaction to open.
    next: Tid,
    /// The newest transaction that is durable.
    committed: Tid,
    /// Commit at least up to this one.
    requested: Tid,
    /// Log blocks that hold nothing needed.
    free: u32,
    /// Log blocks the transaction under commit may still take.
    committing: u32,
    /// When the oldest transaction that is not checkpointed was committed, in monotonic nanoseconds.
    oldest: Option<u64>,
    /// Somebody waits for log space.
    starved: bool,
    /// Somebody waits for an empty log.
    flush: bool,
    /// Why the journal stopped.
    aborted: Option<Error>,
    /// The journal superblock says why, or cannot be made to; nothing is written any more.
    told: bool,
    /// The commit thread shall end.
    stopping: bool,
    /// Blocks that may be allocated again, as their transactions freed them.
    released: Vec<Vec<Run>>,
}

impl Run {
    /// A single block.
    pub const fn one(start: DiskBlock) -> Self {
        Self { start, len: 1 }
    }

    /// Takes a run in that is its neighbour on either side; says whether it is.
    fn join(&mut self, other: Self) -> bool {
        let is_next =
            |low: Self, high: Self| low.start.checked_add(u64::from(low.len)) == Some(high.start);
        let Some(len) = self.len.checked_add(other.len) else {
            return false;
        };
        let is_joined = is_next(*self, other) || is_next(other, *self);
        if is_joined {
            self.start = self.start.min(other.start);
            self.len = len;
        }
        is_joined
    }
}

impl State {
    /// A commit of the transaction is wanted; says whether that is new.
    fn request(&mut self, tid: Tid) -> bool {
        let is_new = self.requested.is_before(tid);
        if is_new {
            self.requested = tid;
        }
        is_new
    }

    /// The newest transaction that was ever opened.
    fn newest(&self) -> Tid {
        Tid(self.next.0.wrapping_sub(1))
    }

    /// Whether the transaction is open or under commit. Any other is durable, however long ago it was:
    /// numbers wrap, so that those of very old ones seem to be to come.
    fn is_pending(&self, tid: Tid) -> bool {
        let newest = self.newest().0;
        newest.wrapping_sub(tid.0) < newest.wrapping_sub(self.committed.0)
    }

    /// Makes the open transaction one that never was, if nothing was changed in it and nobody is about
    /// to: while all is at rest, nobody finds a transaction to ask for.
    fn take_back_empty(&mut self) {
        let never_was = |open: &mut Transaction| open.handles == 0 && open.is_empty();
        if let Some(open) = self.running.take_if(never_was) {
            self.next = open.tid;
            self.requested = self.committed;
        }
    }
}

/// The journal of a mounted file system.
#[derive(Debug)]
pub struct Journal {
    device: Arc<Device>,
    cache: Arc<Cache>,
    /// The blocks of the log's ring.
    log_len: u32,
    /// How many log blocks one transaction may take.
    max_transaction: u32,
    tags_per_block: u32,
    revokes_per_block: u32,
    /// How long a transaction stays open, in milliseconds.
    interval: AtomicU64,
    barrier: AtomicBool,
    /// What an operation leaves half done on a damaged disk may become durable (`errors=continue`).
    lenient: AtomicBool,
    /// Each transaction is read back and compared before it counts.
    verify: AtomicBool,
    state: Mutex<State>,
    /// Signalled when handles may go on: a transaction closed, space came free, the journal stopped.
    progress: Condvar,
    /// Signalled when a transaction became durable, or the journal stopped.
    durable: Condvar,
    /// Signalled when the commit thread has something to do.
    work: Condvar,
    /// The log's position and the transactions in it that are not checkpointed.
    log: Mutex<Log>,
    checkpoints: Mutex<Vec<Checkpoint>>,
    has_released: AtomicBool,
    /// How many blocks have a committed version that is not in its place.
    pinned: AtomicUsize,
    /// Somebody looks for memory, and found blocks that wait for a checkpoint.
    memory_is_short: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Journal {
    /// The newest transaction that is durable.
    pub fn committed(&self) -> Tid {
        self.state.lock().committed
    }

    /// Whether [`Self::commit`] would have to wait for the transaction.
    pub fn is_pending(&self, tid: Tid) -> bool {
        self.state.lock().is_pending(tid)
    }

    /// Asks the commit thread to commit the transaction; does not wait.
    pub fn request_commit(&self, tid: Tid) {
        let mut state = self.state.lock();
        if state.is_pending(tid) && state.request(tid) {
            self.work.notify_all();
        }
    }

    /// Waits until the transaction is durable, asking for its commit if need be.
    ///
    /// Must not be called with a handle or a folio lock held. Returns whether the commit's flush of
    /// the device came after this call: if not, the caller who wants data durable that was written
    /// before the call has to flush the device.
    pub fn commit(&self, tid: Tid) -> Result<bool> {
        HANDLE.might_wait();
        let mut state = self.state.lock();
        let mut waited_for = state.running.as_mut().filter(|open| open.tid == tid);
        let open = waited_for.is_some();
        if let Some(transaction) = waited_for.as_mut() {
            transaction.sync = true;
        }
        if state.is_pending(tid) && state.request(tid) {
            self.work.notify_all();
        }
        loop {
            if let Some(error) = state.aborted {
                return Err(error);
            }
            if !state.is_pending(tid) {
                // One that was empty may have been taken back, without a commit.
                return Ok(open && !state.newest().is_before(tid));
            }
            self.durable.wait(&mut state);
        }
    }

    /// The open transaction, or the last one there was.
    pub fn newest(&self) -> Tid {
        self.state.lock().newest()
    }

    /// Commits everything changed so far and waits.
    pub fn commit_all(&self) -> Result<bool> {
        self.commit(self.newest())
    }

    /// Stops the journal for good: no handle starts, nothing becomes durable any more. The commit
    /// thread leaves the reason in the journal superblock.
    pub fn abort(&self, why: Error) {
        self.state.lock().aborted.get_or_insert(why);
        self.progress.notify_all();
        self.durable.notify_all();
        self.work.notify_all();
    }

    fn is_lenient(&self) -> bool {
        self.lenient.load(Ordering::Relaxed)
    }

    /// Why the journal stopped, if it did.
    pub fn aborted(&self) -> Option<Error> {
        self.state.lock().aborted
    }

    /// Whether [`Self::take_released`] has something to hand out.
    pub fn has_released(&self) -> bool {
        self.has_released.load(Ordering::Relaxed)
    }

    /// Hands freed blocks whose transactions are durable to `each`: they may be allocated again.
    pub fn take_released(&self, mut each: impl FnMut(Run)) {
        if self.has_released.swap(false, Ordering::Acquire) {
            let released = core::mem::take(&mut self.state.lock().released);
            released.into_iter().flatten().for_each(&mut each);
        }
    }

    /// The device under the file system.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The blocks in memory.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}
