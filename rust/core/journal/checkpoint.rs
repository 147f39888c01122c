// SPDX-License-Identifier: GPL-2.0

//! Checkpoints: the newest committed version of each block goes to its place on the device, so that
//! the log space of old transactions can be used again.

use super::{Journal, State};
use crate::core::cache::{for_its_place, Buffer, Cache, Kind};
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::patience::patiently;
use crate::core::platform::{clock, Block, Device, MutexGuard, Vec, WriteClass, GFP};
use crate::core::sort;
use crate::format::units::{DiskBlock, LogBlock, Tid};
use core::sync::atomic::Ordering;

/// How long a committed block stays in memory only for the log's sake, in milliseconds; C's are in the
/// device's page cache, which is written back after as long.
const HOME_AFTER: u64 = 30_000;
/// The same while memory is short.
const HOME_SOON: u64 = 5_000;

/// The part of the log that one checkpoint in the background frees at least, if there is so much.
const BACKGROUND_STEP: u32 = 64;
/// Blocks that a checkpoint in the background writes at once, and before it looks whether somebody waits
/// for a commit.
const BACKGROUND_BATCH: usize = 256;

/// How far a checkpoint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Until so many log blocks are free.
    Free(u32),
    /// Until all transactions are home.
    All,
    /// The same, but a commit or a handle that needs the commit thread goes before.
    InBackground,
}

/// A committed transaction whose blocks are not all in their places.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) tid: Tid,
    pub(super) sync: bool,
    /// Where it begins in the log, and how many blocks it takes there.
    pub(super) start: LogBlock,
    pub(super) log_blocks: u32,
    /// When it was committed, in monotonic nanoseconds.
    pub(super) committed: u64,
    pub(super) buffers: Vec<Buffer>,
    /// Of its blocks those before this one were written to their places.
    pub(super) home: DiskBlock,
    /// How many that were.
    pub(super) written: u32,
}

impl Checkpoint {
    /// The blocks not written yet of which this transaction has the newest committed version. Newer
    /// transactions write the others.
    fn newest(&self, device: &Device, cache: &Cache) -> Result<Vec<(u64, Block)>> {
        let mut blocks = Vec::new();
        for buffer in self.buffers.iter().filter(|one| one.block() >= self.home) {
            let committed = buffer.version().committed.clone();
            let Some((_, data)) = committed.filter(|(tid, _)| *tid == self.tid) else {
                continue;
            };
            let data = match buffer.kind() {
                Kind::Superblock => for_its_place(device, cache.sealer(), buffer, &data)?,
                _ => data,
            };
            blocks.push((buffer.block().get(), data), GFP)?;
        }
        sort::by(&mut blocks, |a, b| a.0 < b.0);
        Ok(blocks)
    }

    /// They are in their places and durable. Returns how many waited for that.
    fn done(&self) -> usize {
        let mut count = 0;
        for buffer in &self.buffers {
            let mut version = buffer.version();
            if version
                .committed
                .as_ref()
                .is_some_and(|(tid, _)| *tid == self.tid)
            {
                version.committed = None;
                count += 1;
            }
        }
        count
    }
}

impl Journal {
    /// Checkpoints when less than a quarter of the log is free.
    pub(super) fn checkpoint_if_low(&self) -> Result {
        let low = self.state.lock().free < self.log_len / 4;
        if low {
            return self.checkpoint(Goal::Free(self.log_len / 2));
        }
        Ok(())
    }

    /// How long until the oldest transaction in the log shall go home, in milliseconds; `None` if there
    /// is none.
    pub(super) fn home_in(&self, state: &MutexGuard<'_, State>) -> Option<u64> {
        let age = clock::monotonic_ns().saturating_sub(state.oldest?) / 1_000_000;
        let limit = match self.memory_is_short.load(Ordering::Relaxed) {
            true => HOME_SOON,
            // Who lets commits wait longer wants the disk left alone as long.
            false => HOME_AFTER.max(self.interval.load(Ordering::Relaxed)),
        };
        Some(limit.saturating_sub(age))
    }

    /// How many blocks stay in memory until a checkpoint; at the moment, without a lock.
    pub fn pinned(&self) -> usize {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Memory is short: what was committed goes home early, so that it can be dropped. Waits for nothing
    /// and takes no lock; if the commit thread misses it, the next time wakes it.
    pub fn relieve(&self) {
        if self.pinned() > 0 {
            self.memory_is_short.store(true, Ordering::Relaxed);
            self.work.notify_all();
        }
    }

    /// Writes home the oldest transactions.
    ///
    /// Only the commit thread calls it, or whoever holds the journal alone: no commit runs meanwhile.
    pub(super) fn checkpoint(&self, goal: Goal) -> Result {
        let result = self.checkpoint_oldest(goal);
        events::checkpoint(
            &self.device,
            result
                .as_ref()
                .err()
                .map_or(0, |error: &Error| -error.errno()),
        );
        result
    }

    /// Whether the commit thread has something better to do than a checkpoint in the background.
    fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        state.starved || self.due(&state).is_none()
    }

    /// Writes a transaction's blocks to their places. `Ok(false)` if not all: something goes before.
    /// `since` blocks were written since that was asked.
    fn write_home(
        &self,
        goal: Goal,
        checkpoint: &mut Checkpoint,
        since: &mut usize,
    ) -> Result<bool> {
        let blocks = patiently(|| checkpoint.newest(&self.device, &self.cache))?;
        let batch = match goal {
            Goal::InBackground => BACKGROUND_BATCH,
            Goal::Free(_) | Goal::All => blocks.len().max(1),
        };
        for blocks in blocks.chunks(batch) {
            if goal == Goal::InBackground && *since >= BACKGROUND_BATCH {
                *since = 0;
                if self.is_wanted() {
                    return Ok(false);
                }
            }
            patiently(|| Ok(self.device.write_blocks(blocks, WriteClass::Background)?))?;
            for (block, _) in blocks {
                self.device.forget_cached(*block);
            }
            let last = blocks.last().map_or(0, |(block, _)| *block);
            checkpoint.home = DiskBlock(last.saturating_add(1));
            let written = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
            checkpoint.written = checkpoint.written.saturating_add(written);
            *since = since.saturating_add(blocks.len());
        }
        Ok(true)
    }

    /// Writes home what the goal asks for; returns how many transactions can go, and the log blocks that
    /// they have.
    fn write_oldest(&self, goal: Goal, checkpoints: &mut [Checkpoint]) -> Result<(usize, u32)> {
        let began = clock::monotonic_ns();
        let missing = match goal {
            Goal::Free(wanted) => wanted.saturating_sub(self.state.lock().free),
            Goal::All | Goal::InBackground => u32::MAX,
        };
        let (mut count, mut freed, mut since) = (0, 0u32, 0);
        for checkpoint in checkpoints {
            if freed >= missing {
                break;
            }
            if !self.write_home(goal, checkpoint, &mut since)? {
                // A flush is due, which many transactions should share.
                let enough = freed >= self.log_len / BACKGROUND_STEP;
                return Ok(if enough { (count, freed) } else { (0, 0) });
            }
            let in_all = u32::try_from(checkpoint.buffers.len()).unwrap_or(u32::MAX);
            events::checkpoint_stats(
                &self.device,
                checkpoint.tid,
                clock::monotonic_ns().saturating_sub(began),
                checkpoint.written,
                in_all.saturating_sub(checkpoint.written),
            );
            freed = freed.saturating_add(checkpoint.log_blocks);
            count += 1;
        }
        Ok((count, freed))
    }

    fn checkpoint_oldest(&self, goal: Goal) -> Result {
        let mut checkpoints = self.checkpoints.lock();
        let (count, freed) = self.write_oldest(goal, &mut checkpoints)?;
        if count > 0 {
            self.device.flush()?;
            for checkpoint in checkpoints.iter().take(count) {
                self.pinned.fetch_sub(checkpoint.done(), Ordering::Relaxed);
                events::drop_transaction(&self.device, checkpoint.sync, checkpoint.tid);
            }
            let mut done = 0..count;
            checkpoints.retain(|_| done.next().is_none());
            self.move_tail(checkpoints.first(), freed)?;
        }
        let oldest = checkpoints.first().map(|oldest| oldest.committed);
        drop(checkpoints);
        if oldest.is_none() {
            self.memory_is_short.store(false, Ordering::Relaxed);
        }
        let mut state = self.state.lock();
        state.oldest = oldest;
        state.free = state.free.saturating_add(freed);
        state.starved = false;
        drop(state);
        self.progress.notify_all();
        Ok(())
    }

    /// Tells the disk that the log begins with `oldest`, or with the next commit.
    fn move_tail(&self, oldest: Option<&Checkpoint>, freed: u32) -> Result {
        let mut log = self.log.lock();
        let next = self.state.lock().committed.next();
        let (tid, start) = oldest.map_or((next, log.head), |oldest| (oldest.tid, oldest.start));
        events::update_log_tail(&self.device, tid, start, freed);
        patiently(|| log.write_superblock(&self.device, Some(start), tid, 0))
    }
}
