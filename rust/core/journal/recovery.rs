// SPDX-License-Identifier: GPL-2.0

//! Recovery: finds the committed transactions of a log and writes the newest version of each block
//! to its place.
//!
//! One pass over the log builds the plan (which block comes from where); the plan is checked whole
//! before the first block is written. A transaction without a valid commit block is the end of the
//! log; a committed transaction with a wrong checksum inside is corruption.

use super::log::Log;
use super::transaction::{Logged, Sealed};
use crate::core::cache::with_bytes_of_others;
use crate::core::error::{Error, Place, Result};
use crate::core::platform::{crc, Block, Device, RBTree, Vec, WriteClass, GFP};
use crate::format::bytes::wide;
use crate::format::fault::{Fault, JournalFault, Record};
use crate::format::geometry::Geometry;
use crate::format::jbd2::{self, BlockType, Tag, Version, MAGIC};
use crate::format::units::{DiskBlock, LogBlock, Tid};

/// What a recovery did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The sequence number after the last committed transaction.
    pub next: Tid,
    /// Committed transactions found.
    pub transactions: u32,
    /// Blocks written to their places.
    pub blocks: u32,
}

/// Where the newest version of a block stands in the log.
#[derive(Clone, Copy, Debug)]
struct Source {
    tid: Tid,
    at: LogBlock,
    tag: Tag,
}

/// The transaction being read, until its commit block makes it count.
#[derive(Debug)]
struct Pending {
    sources: Vec<Source>,
    /// Where blocks of revocations are: what they hold may be as much as the log.
    revocations: Vec<LogBlock>,
    /// The running crc32 of a version 1 journal.
    sum: u32,
    /// A checksum that did not match: harmless if the transaction was never committed.
    suspect: Option<Fault>,
}

impl Pending {
    const fn new() -> Self {
        Self {
            sources: Vec::new(),
            revocations: Vec::new(),
            sum: !0,
            suspect: None,
        }
    }
}

/// The log read from its tail: what is to be replayed.
struct Scan<'l> {
    log: &'l Log,
    device: &'l Device,
    plan: RBTree<DiskBlock, Source>,
    at: LogBlock,
    tid: Tid,
    /// Blocks of the ring not looked at: a log that bites its tail ends.
    left: u32,
    transactions: u32,
    /// When the last of these was committed, in seconds since 1970.
    committed: u64,
}

fn corrupt(fault: Fault) -> Error {
    Error::Corrupt(Place::default(), fault)
}

/// Does something with each block that these blocks of the log revoke.
fn each_revoked(
    log: &Log,
    device: &Device,
    revocations: &[LogBlock],
    mut each: impl FnMut(DiskBlock) -> Result,
) -> Result {
    for at in revocations {
        let block = log.read(device, *at)?;
        for revoked in log.layout.revokes(&block).map_err(corrupt)? {
            each(revoked)?;
        }
    }
    Ok(())
}

impl<'l> Scan<'l> {
    fn new(log: &'l Log, device: &'l Device, at: LogBlock, tid: Tid) -> Self {
        Self {
            log,
            device,
            plan: RBTree::new(),
            at,
            tid,
            left: log.len(),
            transactions: 0,
            committed: 0,
        }
    }

    /// Takes the next block of the ring; `None` when all were taken.
    fn step(&mut self) -> Option<LogBlock> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        self.at = self.log.after(at);
        Some(at)
    }

    /// Reads up to the end of the log, or over `limit` transactions.
    fn run(&mut self, limit: u32) -> Result {
        let mut pending = Pending::new();
        while self.transactions < limit {
            let Some(at) = self.step() else {
                return Ok(());
            };
            let block = self.log.read(self.device, at)?;
            let more = match jbd2::header(&block) {
                Some((kind, tid)) if tid == self.tid => match kind {
                    BlockType::Descriptor => self.descriptor(&block, &mut pending)?,
                    BlockType::Revoke => self.revoke(at, &block, &mut pending)?,
                    BlockType::Commit => {
                        self.commit(&block, core::mem::replace(&mut pending, Pending::new()))?
                    }
                },
                _ => false,
            };
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }

    fn descriptor(&mut self, block: &Block, pending: &mut Pending) -> Result<bool> {
        if let Err(fault) = self
            .log
            .layout
            .verify_tail(Record::JournalDescriptor, block)
        {
            pending.suspect = Some(fault);
        }
        if self.log.layout.version == Version::V1 {
            pending.sum = crc::crc32_be(pending.sum, block);
        }
        for tag in self.log.layout.tags(block) {
            let (Ok(tag), Some(at)) = (tag, self.step()) else {
                // Only old bytes or a torn write look like this: the log ends before them.
                return Ok(false);
            };
            if self.log.layout.version == Version::V1 {
                pending.sum = crc::crc32_be(pending.sum, &self.log.read(self.device, at)?);
            }
            pending.sources.push(
                Source {
                    tid: self.tid,
                    at,
                    tag,
                },
                GFP,
            )?;
        }
        Ok(true)
    }

    fn revoke(&self, at: LogBlock, block: &Block, pending: &mut Pending) -> Result<bool> {
        if let Err(fault) = self.log.layout.verify_tail(Record::JournalRevoke, block) {
            pending.suspect = Some(fault);
        }
        match self.log.layout.revokes(block) {
            Ok(_) => pending.revocations.push(at, GFP)?,
            Err(fault) => pending.suspect = Some(fault),
        }
        Ok(true)
    }

    /// The transaction counts: its blocks and revocations go into the plan.
    fn commit(&mut self, block: &Block, pending: Pending) -> Result<bool> {
        let committed = jbd2::commit_seconds(block).unwrap_or(0);
        let checked = self.log.layout.verify_commit(block, pending.sum);
        if let Some(fault) = checked.err().or(pending.suspect) {
            // What is older was left there by another file system: `mkfs` need not clear the journal.
            let is_damage =
                committed >= self.committed && (checked.is_ok() || self.another_follows()?);
            return if is_damage {
                Err(corrupt(fault))
            } else {
                Ok(false)
            };
        }
        self.adopt(pending)?;
        self.tid = self.tid.next();
        self.committed = committed;
        self.transactions = self.transactions.saturating_add(1);
        Ok(true)
    }

    fn adopt(&mut self, pending: Pending) -> Result {
        for source in pending.sources {
            self.plan.insert(source.tag.block, source)?;
        }
        let plan = &mut self.plan;
        each_revoked(self.log, self.device, &pending.revocations, |block| {
            // Whatever the log says of this block up to here is void.
            plan.remove(&block);
            Ok(())
        })
    }

    /// Whether the next transaction begins where a commit block with a wrong checksum ended this one:
    /// then it was committed once, and not torn by a power cut.
    fn another_follows(&self) -> Result<bool> {
        let block = self.log.read(self.device, self.at)?;
        Ok(jbd2::header(&block).is_some_and(|(_, tid)| tid == self.tid.next()))
    }

    /// The block that a source stands for, as it belongs in its place.
    fn load(&self, source: &Source) -> Result<Block> {
        let mut block = self.log.read(self.device, source.at)?;
        let checked = self.log.layout.verify_data(&source.tag, source.tid, &block);
        checked.map_err(|fault| Error::Corrupt(Place::block(source.tag.block), fault))?;
        if source.tag.escaped {
            if let Some(word) = block
                .get_mut()
                .and_then(|bytes| bytes.first_chunk_mut::<4>())
            {
                *word = MAGIC.to_be_bytes();
            }
        }
        Ok(block)
    }

    /// Refuses a transaction unless it brings these versions, and revokes these blocks.
    fn compare(&mut self, pending: Pending, sealed: &Sealed) -> Result {
        let mut revoked = Vec::new();
        each_revoked(self.log, self.device, &pending.revocations, |block| {
            Ok(revoked.push(block, GFP)?)
        })?;
        if pending.sources.len() != sealed.versions.len() || *revoked != *sealed.revoked {
            let (blocks, revoked) = (pending.sources.len(), revoked.len());
            let fault = Fault::Journal(JournalFault::OtherList, wide(blocks), wide(revoked));
            return Err(corrupt(fault));
        }
        self.adopt(pending)?;
        for (buffer, data) in &sealed.versions {
            let (block, source) = (buffer.block(), self.plan.get(&buffer.block()));
            let loaded = source.map(|source| self.load(source)).transpose()?;
            if loaded.is_none_or(|loaded| *loaded != **data) {
                let at = source.map_or(0, |source| u64::from(source.at.get()));
                let fault = Fault::Journal(JournalFault::NotCommitted, block.get(), at);
                return Err(Error::Corrupt(Place::block(block), fault));
            }
        }
        Ok(())
    }

    /// Refuses a plan that would write outside the device, over the journal, or wrong bytes. The end of
    /// the file system says nothing: the log may have it grow.
    fn check(&self) -> Result {
        let size = u64::from(self.device.block_size());
        let blocks = self.device.size_bytes().checked_div(size).unwrap_or(0);
        let journal = self.log.places()?;
        // No two runs share a block: `journal_map` saw to that.
        let holds = |block: &DiskBlock| {
            let at = journal.partition_point(|run| run.start <= *block);
            let run = at.checked_sub(1).and_then(|at| journal.get(at));
            let into = run.and_then(|run| Some((run, block.distance_from(run.start)?)));
            into.is_some_and(|(run, into)| into < u64::from(run.len))
        };
        for (block, source) in self.plan.iter() {
            if block.get() >= blocks || holds(block) {
                let fault = Fault::Journal(
                    JournalFault::Target,
                    block.get(),
                    u64::from(source.at.get()),
                );
                return Err(corrupt(fault));
            }
            self.load(source)?;
        }
        Ok(())
    }

    fn replay(&self, geometry: &Geometry) -> Result<u32> {
        const BATCH: usize = 256;
        let superblock = geometry.superblock_block();
        let mut batch = Vec::with_capacity(BATCH, GFP)?;
        let mut written = 0u32;
        for (block, source) in self.plan.iter() {
            let mut data = self.load(source)?;
            if *block == superblock {
                data = with_bytes_of_others(self.device, geometry, &data)?;
            }
            batch.push((block.get(), data), GFP)?;
            written = written.saturating_add(1);
            if batch.len() == BATCH {
                self.device.write_blocks(&batch, WriteClass::Background)?;
                batch.clear();
            }
        }
        self.device.write_blocks(&batch, WriteClass::Background)?;
        self.device.forget_cached(superblock.get());
        Ok(written)
    }
}

/// Replays a log that begins with transaction `first`, of a file system of this geometry. The caller
/// flushes the device and empties the log.
pub(super) fn recover(
    log: &Log,
    device: &Device,
    first: Tid,
    geometry: &Geometry,
) -> Result<Recovered> {
    let Some(start) = log.layout.start else {
        return Ok(Recovered {
            next: first,
            transactions: 0,
            blocks: 0,
        });
    };
    let mut scan = Scan::new(log, device, start, first);
    scan.run(u32::MAX)?;
    scan.check()?;
    Ok(Recovered {
        next: scan.tid,
        transactions: scan.transactions,
        blocks: scan.replay(geometry)?,
    })
}

/// Whether a transaction just written to the log would be recovered as it was meant, once its commit
/// block (`record`) is there as well.
pub(super) fn verify(
    log: &Log,
    device: &Device,
    start: LogBlock,
    logged: &Logged,
    record: &Block,
) -> Result {
    let sealed = &logged.sealed;
    let mut scan = Scan::new(log, device, start, sealed.tid);
    let mut pending = Pending::new();
    let no_record = |at: LogBlock| {
        let (at, tid) = (u64::from(at.get()), u64::from(sealed.tid.0));
        corrupt(Fault::Journal(JournalFault::NoRecord, at, tid))
    };
    while scan.at != log.head {
        let at = scan.at;
        let block = log.read(device, at)?;
        scan.step().ok_or(no_record(at))?;
        let more = match jbd2::header(&block) {
            Some((BlockType::Descriptor, tid)) if tid == sealed.tid => {
                scan.descriptor(&block, &mut pending)?
            }
            Some((BlockType::Revoke, tid)) if tid == sealed.tid => {
                scan.revoke(at, &block, &mut pending)?
            }
            _ => false,
        };
        if !more {
            return Err(no_record(at));
        }
    }
    if let Some(fault) = pending.suspect {
        return Err(corrupt(fault));
    }
    if jbd2::header(record) != Some((BlockType::Commit, sealed.tid)) {
        return Err(no_record(log.head));
    }
    let checked = log.layout.verify_commit(record, pending.sum);
    checked.map_err(corrupt)?;
    scan.compare(pending, sealed)
}
