// SPDX-License-Identifier: GPL-2.0

//! Metadata blocks in memory, by block number.
//!
//! A block is read and verified once; afterwards its bytes are trusted. Its contents are a
//! reference-counted [`Block`]: a reader or a commit holds a version, and a writer that finds the
//! version shared goes on with a copy. User space that scribbles on the block device cannot change
//! what is here.
//!
//! Locks: a bitmap's `version` before its descriptor's, otherwise one at a time; the journal's state is
//! taken inside them.

mod kind;
mod seal;
mod shared;

pub use kind::{Kind, Owner};
pub use seal::{Sealer, FUNCTIONS};
pub(super) use shared::for_its_place;
pub use shared::with_bytes_of_others;

use super::error::{Error, Place, Result};
use super::events;
use super::locks;
use super::patience::patiently;
use super::platform::{Arc, Block, Device, Index, Mutex, MutexGuard, GFP};
use crate::format::bytes::index;
use crate::format::fault::Fault;
use crate::format::units::{DiskBlock, Tid};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// One block's state, behind its lock.
#[derive(Debug)]
pub(super) struct Version {
    /// The newest contents; `None` until they were read.
    pub(super) data: Option<Block>,
    /// The transaction, still open, that has this block among its own.
    pub(super) running: Option<Tid>,
    /// The newest committed contents that are not yet in their place on disk.
    pub(super) committed: Option<(Tid, Block)>,
    /// Inodes of an inode table block whose checksum is due, a bit each.
    pub(super) due_inodes: u64,
    /// The block was freed: nobody may write it any more.
    pub(super) forgotten: bool,
}

/// One block in memory.
#[derive(Debug)]
pub(super) struct Entry {
    block: DiskBlock,
    kind: Kind,
    /// How many [`Buffer`]s there are; an entry without one may be reclaimed.
    users: AtomicU32,
    version: Mutex<Version>,
}

/// A metadata block in memory; while one exists, the block stays there.
#[derive(Debug)]
pub struct Buffer(Arc<Entry>);

impl Buffer {
    /// Its place on the device.
    pub fn block(&self) -> DiskBlock {
        self.0.block
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The contents as they are now. They do not change under the caller.
    pub fn data(&self) -> Result<Block> {
        self.0
            .version
            .lock()
            .data
            .clone()
            .ok_or(Error::Io(self.0.block))
    }

    /// The block's state. Rank: above the journal's state.
    pub(super) fn version(&self) -> MutexGuard<'_, Version> {
        self.0.version.lock()
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        self.0.users.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::Release);
    }
}

/// Writable bytes of a block that is part of an open transaction.
///
/// # Invariants
///
/// `version.data` is there and not shared: only [`Self::new`] makes the value, and a new reference
/// needs the lock that `version` holds.
#[derive(Debug)]
pub struct BufferMut<'a> {
    version: MutexGuard<'a, Version>,
}

impl<'a> BufferMut<'a> {
    /// Makes the contents writable: alone, or a copy of the shared version.
    pub(super) fn new(block: DiskBlock, mut version: MutexGuard<'a, Version>) -> Result<Self> {
        let data = version.data.as_mut().ok_or(Error::Io(block))?;
        if data.get_mut().is_none() {
            *data = data.copy()?;
        }
        Ok(Self { version })
    }

    /// Says that the inode in this slot of an inode table block changed.
    pub fn changed_inode(&mut self, slot: u32) {
        self.version.due_inodes |= 1u64.checked_shl(slot).unwrap_or(0);
    }
}

impl Deref for BufferMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.version.data.as_deref().unwrap_or(&[])
    }
}

impl DerefMut for BufferMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.version
            .data
            .as_mut()
            .and_then(Block::get_mut)
            .unwrap_or(&mut [])
    }
}

/// All metadata blocks in memory of one file system.
#[derive(Debug)]
pub struct Cache {
    index: Index<Entry>,
    /// How many entries the index has.
    count: AtomicUsize,
    sealer: Sealer,
}

impl Cache {
    /// An empty cache; `sealer` knows the checksums of this file system.
    pub fn new(sealer: Sealer) -> Result<Self> {
        Ok(Self {
            index: Index::new()?,
            count: AtomicUsize::new(0),
            sealer,
        })
    }

    /// How many blocks are in memory.
    pub fn block_count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes an entry out of the index, if `condition` holds of it.
    fn take(&self, block: u64, condition: impl FnOnce(&Entry) -> bool) -> bool {
        let taken = self.index.remove_if(block, condition).is_some();
        if taken {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// What checks blocks when they are read and checksums them when they are committed.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The block at `block`, which must be of this kind.
    ///
    /// Reads and verifies it if it is not in memory, [`patiently`]. May sleep.
    pub fn read(&self, device: &Device, block: DiskBlock, kind: Kind) -> Result<Buffer> {
        patiently(|| self.try_read(device, block, kind))
    }

    fn try_read(&self, device: &Device, block: DiskBlock, kind: Kind) -> Result<Buffer> {
        let buffer = self.entry(block, kind)?;
        let mut version = buffer.version();
        if version.data.is_some() {
            events::cache_hit(device, block);
        } else {
            events::cache_miss(device, block);
            let loaded = device
                .read_block(block.get())
                .map_err(|error| Error::at_block(error, block));
            let loaded = loaded.and_then(|data| {
                self.sealer.verify(self, device, block, kind, &data)?;
                Ok(data)
            });
            match loaded {
                Ok(data) => version.data = Some(data),
                Err(error) => {
                    drop(version);
                    self.discard(buffer);
                    return Err(error);
                }
            }
        }
        drop(version);
        Ok(buffer)
    }

    /// A block of zeroes for a block that was just allocated: nothing is read.
    ///
    /// The caller writes it through a handle before anybody else can reach it.
    pub fn fresh(&self, device: &Device, block: DiskBlock, kind: Kind) -> Result<Buffer> {
        let buffer = patiently(|| self.entry(block, kind))?;
        let zeroes = patiently(|| Ok(Block::zeroed(index(device.block_size()))?))?;
        buffer.version().data = Some(zeroes);
        Ok(buffer)
    }

    /// The block if it is in memory.
    pub fn peek(&self, block: DiskBlock) -> Option<Buffer> {
        let taken = |entry: &Entry| {
            entry.users.fetch_add(1, Ordering::Relaxed);
        };
        let buffer = Buffer(self.index.get_with(block.get(), taken)?);
        buffer.version().data.is_some().then_some(())?;
        Some(buffer)
    }

    /// Takes a freed block out of memory. Later writes to it fail; a version that a transaction
    /// still has to write stays with the transaction.
    pub(super) fn forget(&self, block: DiskBlock) -> Option<Buffer> {
        let buffer = self.peek(block)?;
        self.take(block.get(), |_| true);
        buffer.version().forgotten = true;
        Some(buffer)
    }

    /// Drops up to `count` blocks that nobody uses, from block `from` on; returns how many went
    /// and where to go on.
    pub fn reclaim(&self, from: DiskBlock, count: usize) -> (usize, DiskBlock) {
        let (mut dropped, mut at) = (0, from.get());
        for _ in 0..count {
            let Some(key) = self.index.next_key(at) else {
                return (dropped, DiskBlock(0));
            };
            let unused = |entry: &Entry| entry.users.load(Ordering::Acquire) == 0;
            dropped += usize::from(self.take(key, unused));
            at = key.saturating_add(1);
        }
        (dropped, DiskBlock(at))
    }

    fn entry(&self, block: DiskBlock, kind: Kind) -> Result<Buffer> {
        let taken = |entry: &Entry| {
            entry.users.fetch_add(1, Ordering::Relaxed);
        };
        let entry = match self.index.get_with(block.get(), taken) {
            Some(entry) => entry,
            None => {
                let version = Version {
                    data: None,
                    running: None,
                    committed: None,
                    due_inodes: 0,
                    forgotten: false,
                };
                let class = match kind {
                    // A bitmap's sum is in its descriptor, which is looked at while the bitmap is locked.
                    Kind::Descriptors(_) => locks::DESCRIPTORS,
                    _ => locks::BUFFER,
                };
                let version = Mutex::new(version, class)?;
                let entry = Entry {
                    block,
                    kind,
                    users: AtomicU32::new(0),
                    version,
                };
                let entry = Arc::new(entry, GFP)?;
                let there = self
                    .index
                    .insert_or_get(block.get(), entry.clone(), taken)?;
                if Arc::ptr_eq(&entry, &there) {
                    self.count.fetch_add(1, Ordering::Relaxed);
                }
                there
            }
        };
        let buffer = Buffer(entry);
        if buffer.kind() != kind {
            // Two structures claim the same block: one of them lies.
            return Err(Error::Corrupt(
                Place::new(kind.ino(), block),
                Fault::BlockUsedTwice,
            ));
        }
        Ok(buffer)
    }

    /// Drops a block that could not be read, so that the next try reads it again.
    fn discard(&self, buffer: Buffer) {
        let block = buffer.block().get();
        drop(buffer);
        self.take(block, |entry| entry.users.load(Ordering::Acquire) == 0);
    }
}
