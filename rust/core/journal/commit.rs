// SPDX-License-Identifier: GPL-2.0

//! The commit thread: closes the open transaction, writes it to the log, makes it count.
//!
//! Each step consumes what the one before gave: an open [`Transaction`] is closed into [`Sealed`],
//! written into [`Logged`], and only that can be published.

use super::checkpoint::{Checkpoint, Goal};
use super::log::Log;
use super::transaction::{Logged, Sealed, Transaction};
use super::{Journal, State};
use crate::core::error::{Error, Result};
use crate::core::events::{self, CommitPhase};
use crate::core::patience::patiently;
use crate::core::platform::{clock, log as message, Block, Level, MutexGuard, Vec, GFP};
use crate::format::units::{DiskBlock, LogBlock};
use core::sync::atomic::Ordering;

/// What the commit thread has to do next.
enum Job {
    Commit,
    Empty,
    Checkpoint(Goal),
    /// The journal was aborted: the disk is told why.
    Tell(Error),
    Stop,
}

/// When each phase of a commit began, in monotonic nanoseconds.
struct Times {
    opened: u64,
    locking: u64,
    flushing: u64,
    logging: u64,
}

impl Journal {
    /// The commit thread's loop; returns when the journal is closed.
    pub(super) fn run(&self) {
        loop {
            let done = match self.next_job() {
                Job::Commit => self.commit_open(),
                Job::Empty => self.empty_log(),
                Job::Checkpoint(goal) => self.checkpoint(goal),
                Job::Tell(why) => {
                    self.tell(&why);
                    Ok(())
                }
                Job::Stop => break,
            };
            if let Err(error) = done {
                message(
                    Level::Error,
                    &self.device,
                    format_args!("the journal stops: {error}"),
                );
                self.abort(error);
            }
        }
        // Nobody is left to tell the disk anything.
        self.state.lock().told = true;
        self.progress.notify_all();
    }

    fn next_job(&self) -> Job {
        let mut state = self.state.lock();
        loop {
            if let Some(why) = state.aborted {
                if !state.told {
                    return Job::Tell(why);
                }
                if state.stopping {
                    return Job::Stop;
                }
                self.work.wait_idle(&mut state, 1000);
                continue;
            }
            let Some(wait) = self.due(&state) else {
                return Job::Commit;
            };
            if state.flush {
                return Job::Empty;
            }
            if state.starved {
                return Job::Checkpoint(Goal::Free(self.log_len / 2));
            }
            if state.stopping {
                return Job::Stop;
            }
            match self.home_in(&state) {
                Some(0) => return Job::Checkpoint(Goal::InBackground),
                home => self
                    .work
                    .wait_idle(&mut state, home.map_or(wait, |home| home.min(wait))),
            }
        }
    }

    /// Leaves the reason of an abort in the journal superblock; a shutdown is no error of the disk's.
    fn tell(&self, why: &Error) {
        let told = match why {
            Error::Shutdown => Ok(()),
            why => self.log.lock().write_error(&self.device, why),
        };
        if let Err(error) = told {
            message(
                Level::Error,
                &self.device,
                format_args!("the journal cannot say why it stopped: {error}"),
            );
        }
        self.state.lock().told = true;
        self.progress.notify_all();
    }

    /// How long the open transaction may still stay open, in milliseconds; `None` when it is due.
    pub(super) fn due(&self, state: &MutexGuard<'_, State>) -> Option<u64> {
        const IDLE: u64 = 60_000;
        let Some(transaction) = &state.running else {
            return Some(IDLE);
        };
        let empty = transaction.is_empty();
        if !state.requested.is_before(transaction.tid)
            || ((state.stopping || state.flush) && !empty)
        {
            return None;
        }
        if empty {
            return Some(IDLE.min(self.interval.load(Ordering::Relaxed)));
        }
        let age = clock::monotonic_ns().saturating_sub(transaction.opened) / 1_000_000;
        match self.interval.load(Ordering::Relaxed).checked_sub(age) {
            Some(left) if left > 0 => Some(left),
            _ => None,
        }
    }

    /// Commits the open transaction.
    fn commit_open(&self) -> Result {
        let Some((transaction, mut times)) = self.close_open() else {
            return Ok(());
        };
        let (tid, sync, handles) = (transaction.tid, transaction.sync, transaction.handle_count);
        events::commit_phase(&self.device, CommitPhase::Flushing, sync, tid);
        times.flushing = clock::monotonic_ns();
        let sealed = self.seal(transaction);
        self.reopen(&sealed);
        let sealed = sealed?;

        events::commit_phase(&self.device, CommitPhase::Logging, sync, tid);
        times.logging = clock::monotonic_ns();
        let blocks = sealed.versions.len();
        let mut log = self.log.lock();
        let start = log.head;
        if !log.active {
            patiently(|| log.write_superblock(&self.device, Some(start), tid, 0))?;
            log.active = true;
        }
        let free = self.state.lock().free;
        let log_blocks = patiently(|| log.write(&self.device, &sealed, free))?;
        let logged = Logged { sealed, log_blocks };
        let record = patiently(|| log.commit_record(tid, self.device.now()))?;
        patiently(|| self.verify_logged(&log, start, &logged, &record))?;
        if let Some(why) = self.aborted() {
            return Err(why);
        }
        let barrier = self.barrier.load(Ordering::Relaxed);
        patiently(|| log.write_commit_record(&self.device, &record, barrier))?;
        drop(log);
        let taken = logged.log_blocks;
        self.publish(logged, start)?;

        let done = clock::monotonic_ns();
        events::run_stats(
            &self.device,
            tid,
            [
                times.locking.saturating_sub(times.opened),
                times.flushing.saturating_sub(times.locking),
                times.logging.saturating_sub(times.flushing),
                done.saturating_sub(times.logging),
            ],
            handles,
            blocks,
            taken,
        );
        self.checkpoint_if_low()
    }

    /// No handle starts any more; waits until all that are open have stopped.
    fn close_open(&self) -> Option<(Transaction, Times)> {
        let mut state = self.state.lock();
        let (tid, sync, opened) = state
            .running
            .as_ref()
            .map(|open| (open.tid, open.sync, open.opened))?;
        events::commit_phase(&self.device, CommitPhase::Start, sync, tid);
        state.closing = true;
        let locking = clock::monotonic_ns();
        events::commit_phase(&self.device, CommitPhase::Locking, sync, tid);
        while state.running.as_ref().is_some_and(|open| open.handles > 0) {
            self.work.wait(&mut state);
        }
        let transaction = state.running.take()?;
        state.committing = self.log_blocks(transaction.reserved, transaction.revocations);
        Some((
            transaction,
            Times {
                opened,
                locking,
                flushing: locking,
                logging: locking,
            },
        ))
    }

    /// Computes the checksums and takes the version of each block that this commit writes.
    /// No handle is open, so nobody changes the blocks.
    fn seal(&self, transaction: Transaction) -> Result<Sealed> {
        let Transaction {
            tid,
            sync,
            buffers,
            revoked,
            forgotten,
            freed,
            ..
        } = transaction;
        let sealer = self.cache.sealer();
        patiently(|| sealer.seal(&self.cache, &self.device, tid, &buffers))?;
        let mut versions = patiently(|| Ok(Vec::with_capacity(buffers.len(), GFP)?))?;
        for buffer in buffers {
            let mut version = buffer.version();
            version.running = None;
            let data = if version.forgotten {
                None
            } else {
                version.data.clone()
            };
            drop(version);
            if let Some(data) = data {
                versions.push((buffer, data), GFP)?;
            }
        }
        Ok(Sealed {
            tid,
            sync,
            versions,
            revoked,
            forgotten,
            freed,
        })
    }

    /// The next transaction may open.
    fn reopen(&self, sealed: &Result<Sealed>) {
        let mut state = self.state.lock();
        state.closing = false;
        if let Err(error) = sealed {
            state.aborted = Some(*error);
        }
        drop(state);
        self.progress.notify_all();
    }

    /// The transaction is durable. Its versions wait for a checkpoint, its freed blocks may
    /// be allocated again, and who waits for it is woken.
    fn publish(&self, logged: Logged, start: LogBlock) -> Result {
        let Logged { sealed, log_blocks } = logged;
        let Sealed {
            tid,
            sync,
            versions,
            forgotten,
            freed,
            ..
        } = sealed;
        let mut buffers = patiently(|| Ok(Vec::with_capacity(versions.len(), GFP)?))?;
        patiently(|| Ok(self.checkpoints.lock().reserve(1, GFP)?))?;
        let (mut more, mut less) = (0, 0);
        for (buffer, data) in versions {
            let old = buffer.version().committed.replace((tid, data));
            more += usize::from(old.is_none());
            buffers.push(buffer, GFP)?;
        }
        for buffer in forgotten {
            let old = buffer.version().committed.take();
            less += usize::from(old.is_some());
        }
        self.pinned.fetch_add(more, Ordering::Relaxed);
        self.pinned.fetch_sub(less, Ordering::Relaxed);
        let committed = clock::monotonic_ns();
        let head = {
            let mut checkpoints = self.checkpoints.lock();
            checkpoints.push(
                Checkpoint {
                    tid,
                    sync,
                    start,
                    log_blocks,
                    committed,
                    buffers,
                    home: DiskBlock(0),
                    written: 0,
                },
                GFP,
            )?;
            checkpoints.first().map_or(tid, |oldest| oldest.tid)
        };
        // Whoever takes `released` takes its memory too: it is there as long as the lock is held.
        let mut state = patiently(|| {
            let mut state = self.state.lock();
            state.released.reserve(1, GFP)?;
            Ok(state)
        })?;
        state.free = state.free.saturating_sub(log_blocks);
        state.committing = 0;
        state.committed = tid;
        state.oldest.get_or_insert(committed);
        state.request(tid);
        if !freed.is_empty() {
            state.released.push(freed, GFP)?;
            self.has_released.store(true, Ordering::Release);
        }
        drop(state);
        events::end_commit(&self.device, sync, tid, head);
        self.durable.notify_all();
        self.progress.notify_all();
        Ok(())
    }

    /// Log blocks that a transaction of `blocks` blocks and `revoked` revocations takes, at most.
    pub(super) fn log_blocks(&self, blocks: u32, revoked: u32) -> u32 {
        let descriptors = blocks.div_ceil(self.tags_per_block);
        blocks
            .saturating_add(descriptors)
            .saturating_add(self.revoke_blocks(revoked))
            .saturating_add(1)
    }

    /// Log blocks that so many revocations take.
    pub(super) fn revoke_blocks(&self, revoked: u32) -> u32 {
        revoked.div_ceil(self.revokes_per_block)
    }

    /// Re-reads what was just written with recovery's own code, when the mount option `verify` asks.
    fn verify_logged(&self, log: &Log, start: LogBlock, logged: &Logged, record: &Block) -> Result {
        if !self.verify.load(Ordering::Relaxed) {
            return Ok(());
        }
        super::recovery::verify(log, &self.device, start, logged, record).inspect_err(|_| {
            message(
                Level::Error,
                &self.device,
                format_args!(
                    "transaction {} in the log is not what was committed",
                    logged.sealed.tid
                ),
            );
        })
    }
}
