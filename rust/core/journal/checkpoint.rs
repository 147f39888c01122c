// SPDX-License-Identifier: GPL-2.0

//! Checkpoints: the newest committed version of each block goes to its place on the device, so that
//! the log space of old transactions can be used again.

use super::Journal;
use crate::core::cache::{with_bytes_of_others, Buffer, Cache, Kind};
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::platform::{clock, Block, Device, Vec, WriteClass, GFP};
use crate::core::sort;
use crate::format::units::{LogBlock, Tid};

/// A committed transaction whose blocks are not all in their places.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) tid: Tid,
    pub(super) sync: bool,
    /// Where it begins in the log, and how many blocks it takes there.
    pub(super) start: LogBlock,
    pub(super) log_blocks: u32,
    pub(super) buffers: Vec<Buffer>,
}

impl Checkpoint {
    /// The blocks of which this transaction has the newest committed version. Newer transactions
    /// write the others.
    fn newest(&self, device: &Device, cache: &Cache) -> Result<Vec<(u64, Block)>> {
        let mut blocks = Vec::new();
        for buffer in &self.buffers {
            let committed = buffer.version().committed.clone();
            let Some((_, data)) = committed.filter(|(tid, _)| *tid == self.tid) else {
                continue;
            };
            let data = match buffer.kind() {
                Kind::Superblock => with_bytes_of_others(device, cache.sealer().geometry(), &data)?,
                _ => data,
            };
            blocks.push((buffer.block().get(), data), GFP)?;
        }
        sort::by(&mut blocks, |a, b| a.0 < b.0);
        Ok(blocks)
    }

    /// They are in their places and durable.
    fn done(&self) {
        for buffer in &self.buffers {
            let mut version = buffer.version();
            if version
                .committed
                .as_ref()
                .is_some_and(|(tid, _)| *tid == self.tid)
            {
                version.committed = None;
            }
        }
    }
}

impl Journal {
    /// Checkpoints when less than a quarter of the log is free.
    pub(super) fn checkpoint_if_low(&self) -> Result {
        let low = self.state.lock().free < self.log_len / 4;
        if low {
            return self.checkpoint(self.log_len / 2);
        }
        Ok(())
    }

    /// Writes home the oldest transactions until `wanted` log blocks are free, or all are home.
    ///
    /// Only the commit thread calls it, or whoever holds the journal alone: no commit runs meanwhile.
    pub(super) fn checkpoint(&self, wanted: u32) -> Result {
        let result = self.checkpoint_oldest(wanted);
        events::checkpoint(
            &self.device,
            result
                .as_ref()
                .err()
                .map_or(0, |error: &Error| -error.errno()),
        );
        result
    }

    fn checkpoint_oldest(&self, wanted: u32) -> Result {
        let began = clock::monotonic_ns();
        let missing = wanted.saturating_sub(self.state.lock().free);
        let mut checkpoints = self.checkpoints.lock();
        let (mut count, mut freed) = (0, 0u32);
        for checkpoint in checkpoints.iter() {
            if freed >= missing {
                break;
            }
            let blocks = self.patiently(|| checkpoint.newest(&self.device, &self.cache))?;
            self.patiently(|| Ok(self.device.write_blocks(&blocks, WriteClass::Background)?))?;
            let superblock = self.cache.sealer().geometry().superblock_block();
            if blocks.iter().any(|(block, _)| *block == superblock.get()) {
                self.device.forget_cached(superblock.get());
            }
            let written = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
            let in_all = u32::try_from(checkpoint.buffers.len()).unwrap_or(u32::MAX);
            let time = clock::monotonic_ns().saturating_sub(began);
            events::checkpoint_stats(
                &self.device,
                checkpoint.tid,
                time,
                written,
                in_all.saturating_sub(written),
            );
            freed = freed.saturating_add(checkpoint.log_blocks);
            count += 1;
        }
        if count > 0 {
            self.device.flush()?;
            for checkpoint in checkpoints.iter().take(count) {
                checkpoint.done();
                events::drop_transaction(&self.device, checkpoint.sync, checkpoint.tid);
            }
            let mut done = 0..count;
            checkpoints.retain(|_| done.next().is_none());
            self.move_tail(checkpoints.first(), freed)?;
        }
        drop(checkpoints);
        let mut state = self.state.lock();
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
        self.patiently(|| log.write_superblock(&self.device, Some(start), tid, 0))
    }
}
