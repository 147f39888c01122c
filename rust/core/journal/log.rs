// SPDX-License-Identifier: GPL-2.0

//! The log: a ring of blocks inside the journal inode, and the journal superblock that says where
//! its oldest transaction begins.

use super::transaction::Sealed;
use super::Run;
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::platform::{log as message, Block, Device, Level, Vec, WriteClass, GFP};
use crate::core::sort;
use crate::format::bytes::index;
use crate::format::fault::{Fault, JournalFault};
use crate::format::jbd2::{self, Layout};
use crate::format::units::{DiskBlock, LogBlock, Tid};

/// Where a stretch of the journal lies on the device. The journal inode is mapped once, at mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogExtent {
    /// Its first block in the journal.
    pub first: LogBlock,
    /// Where that is on the device, and how many blocks follow.
    pub run: Run,
}

/// The ring and its ends. The commit thread owns it while it runs.
#[derive(Debug)]
pub(super) struct Log {
    extents: Vec<LogExtent>,
    /// Features, checksum seed and sizes, from the journal superblock.
    pub(super) layout: Layout,
    /// The journal superblock's block (block 0 of the journal).
    superblock: Block,
    /// The ring: first block, and the block after the last.
    first: LogBlock,
    end: LogBlock,
    /// The next block to write.
    pub(super) head: LogBlock,
    /// The journal superblock on disk says that there is a log.
    pub(super) active: bool,
}

impl Log {
    /// Sets the features of an empty log, in memory: those of the next superblock that is written.
    pub(super) fn choose_features(&mut self, wide_blocks: bool, checksums: bool) -> Result {
        let mut block = self.superblock.copy()?;
        let bytes = block.get_mut().ok_or(Error::NoMemory)?;
        self.layout
            .choose_features(bytes, wide_blocks, checksums)
            .map_err(|fault| Error::Corrupt(Place::default(), fault))?;
        self.superblock = block;
        Ok(())
    }

    /// The log described by the journal superblock in `superblock`, its head at its first block.
    pub(super) fn new(extents: Vec<LogExtent>, superblock: Block, layout: Layout) -> Self {
        let first = LogBlock(layout.first_block);
        Self {
            extents,
            superblock,
            first,
            end: LogBlock(layout.end_block),
            head: first,
            active: false,
            layout,
        }
    }

    /// How many blocks the ring has.
    pub(super) fn len(&self) -> u32 {
        self.end.distance_from(self.first).unwrap_or(0)
    }

    /// The block after `block` in the ring.
    pub(super) fn after(&self, block: LogBlock) -> LogBlock {
        match block.checked_add(1) {
            Some(next) if next < self.end => next,
            _ => self.first,
        }
    }

    /// Where a block of the journal lies on the device.
    pub(super) fn disk_block(&self, block: LogBlock) -> Result<DiskBlock> {
        let at = self.extents.partition_point(|extent| extent.first <= block);
        let place = at
            .checked_sub(1)
            .and_then(|at| self.extents.get(at))
            .and_then(|extent| {
                let offset = block.distance_from(extent.first)?;
                (offset < extent.run.len).then_some(())?;
                extent.run.start.checked_add(u64::from(offset))
            });
        let fault = Fault::Journal(
            JournalFault::Start,
            u64::from(block.get()),
            u64::from(self.end.get()),
        );
        place.ok_or(Error::Corrupt(Place::default(), fault))
    }

    /// Where the journal lies, in the order of the device.
    pub(super) fn places(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::with_capacity(self.extents.len(), GFP)?;
        for extent in &self.extents {
            runs.push(extent.run, GFP)?;
        }
        sort::by(&mut runs, |a: &Run, b| a.start < b.start);
        Ok(runs)
    }

    /// Reads a block of the journal.
    pub(super) fn read(&self, device: &Device, block: LogBlock) -> Result<Block> {
        let at = self.disk_block(block)?;
        device
            .read_block(at.get())
            .map_err(|error| Error::at_block(error, at))
    }

    /// Makes the journal superblock say that the log begins at `start` with transaction `tid`, or is
    /// empty without a `start`; durable when it returns.
    pub(super) fn write_superblock(
        &mut self,
        device: &Device,
        start: Option<LogBlock>,
        tid: Tid,
        errno: i32,
    ) -> Result {
        events::write_superblock(device);
        let mut block = self.superblock.copy()?;
        if let Some(bytes) = block.get_mut() {
            self.layout
                .set_start(bytes, start, tid, errno)
                .map_err(|fault| Error::Corrupt(Place::default(), fault))?;
        }
        self.superblock = block;
        let at = self.disk_block(LogBlock(0))?;
        device
            .write_durable(at.get(), &self.superblock, true)
            .map_err(|error| Error::at_block(error, at))
    }

    /// Leaves an error in the journal superblock, where the next mount and e2fsck look for it. Start
    /// and number stay what they were: a transaction without its commit block ends the log by itself.
    pub(super) fn write_error(&mut self, device: &Device, error: &Error) -> Result {
        let (start, tid) = (self.layout.start, Tid(self.layout.sequence));
        self.write_superblock(device, start, tid, -error.errno())
    }

    /// Writes all of a transaction but its commit block to the log, and waits. Returns how many log
    /// blocks it takes, with its commit block. When it fails the head is where it was.
    ///
    /// Nothing is written of one that takes more than the `free` blocks between head and tail.
    pub(super) fn write(&mut self, device: &Device, sealed: &Sealed, free: u32) -> Result<u32> {
        let head = self.head;
        let mut batch = Batch {
            log: self,
            blocks: Vec::new(),
            taken: 0,
        };
        let added = batch
            .add_versions(device, sealed)
            .and_then(|()| batch.add_revokes(device, sealed));
        let Batch { blocks, taken, .. } = batch;
        let taken = taken.saturating_add(1);
        let written = added.and_then(|()| {
            if taken > free {
                let tid = sealed.tid;
                message(
                    Level::Error,
                    device,
                    format_args!("transaction {tid} takes {taken} log blocks, {free} are free"),
                );
                return Err(Error::CreditsExhausted);
            }
            device
                .write_blocks(&blocks, WriteClass::Journal)
                .map_err(Error::from)
        });
        if written.is_err() {
            self.head = head;
        }
        written.map(|()| taken)
    }

    /// The commit block of a transaction.
    pub(super) fn commit_record(&self, tid: Tid, time: (i64, u32)) -> Result<Block> {
        let mut block = Block::zeroed(self.superblock.len())?;
        if let Some(bytes) = block.get_mut() {
            self.layout
                .write_commit(bytes, tid, time)
                .map_err(|fault| Error::Corrupt(Place::default(), fault))?;
        }
        Ok(block)
    }

    /// Writes the commit block that makes a logged transaction count; durable when it returns, and
    /// with it, if `barrier`, all that was written before.
    pub(super) fn write_commit_record(
        &mut self,
        device: &Device,
        record: &Block,
        barrier: bool,
    ) -> Result {
        let at = self.disk_block(self.head)?;
        device
            .write_durable(at.get(), record, barrier)
            .map_err(|error| Error::at_block(error, at))?;
        self.head = self.after(self.head);
        Ok(())
    }
}

/// The log blocks of one transaction on their way to the device.
struct Batch<'l> {
    log: &'l mut Log,
    blocks: Vec<(u64, Block)>,
    taken: u32,
}

impl Batch<'_> {
    /// Puts a block at the log's head.
    fn add(&mut self, block: Block) -> Result {
        let at = self.log.disk_block(self.log.head)?;
        self.blocks.push((at.get(), block), GFP)?;
        self.log.head = self.log.after(self.log.head);
        self.taken = self.taken.saturating_add(1);
        Ok(())
    }

    /// Descriptors, each followed by the blocks it lists.
    fn add_versions(&mut self, device: &Device, sealed: &Sealed) -> Result {
        let corrupt = |fault| Error::Corrupt(Place::default(), fault);
        let layout = self.log.layout;
        let per_descriptor = layout.tags_per_block().max(1);
        for versions in sealed.versions.chunks(per_descriptor) {
            let mut descriptor = Block::zeroed(index(device.block_size()))?;
            let bytes = descriptor.get_mut().ok_or(Error::NoMemory)?;
            let mut tags = layout
                .begin_descriptor(bytes, sealed.tid)
                .map_err(corrupt)?;
            let mut escaped = Vec::with_capacity(versions.len(), GFP)?;
            for (buffer, version) in versions {
                let logged = escape(version)?;
                let is_escaped = logged.is_some();
                let logged = logged.unwrap_or_else(|| version.clone());
                tags.add(buffer.block(), &logged, is_escaped)
                    .map_err(corrupt)?;
                escaped.push(logged, GFP)?;
            }
            tags.finish().map_err(corrupt)?;
            self.add(descriptor)?;
            for logged in escaped {
                self.add(logged)?;
            }
        }
        Ok(())
    }

    fn add_revokes(&mut self, device: &Device, sealed: &Sealed) -> Result {
        let layout = self.log.layout;
        for revoked in sealed.revoked.chunks(layout.revokes_per_block().max(1)) {
            let mut block = Block::zeroed(index(device.block_size()))?;
            let bytes = block.get_mut().ok_or(Error::NoMemory)?;
            layout
                .write_revoke(bytes, sealed.tid, revoked)
                .map_err(|fault| Error::Corrupt(Place::default(), fault))?;
            self.add(block)?;
        }
        Ok(())
    }
}

/// A copy with its first word blanked, if the block begins with the journal's magic number: recovery
/// must not take it for a block of the journal's own.
fn escape(version: &Block) -> Result<Option<Block>> {
    if !version.starts_with(&jbd2::MAGIC.to_be_bytes()) {
        return Ok(None);
    }
    let mut copy = version.copy()?;
    if let Some(word) = copy
        .get_mut()
        .and_then(|bytes| bytes.first_chunk_mut::<4>())
    {
        *word = [0; 4];
    }
    Ok(Some(copy))
}
