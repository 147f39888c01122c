// SPDX-License-Identifier: GPL-2.0

//! Which blocks and inode numbers are free, and who gets them.
//!
//! Blocks are allocated in memory ("in flight") when their data is about to be written, and *settled*
//! on disk, under a handle, when it has been. Freed blocks can be allocated again when the freeing
//! transaction is durable. So a group has two bitmaps: the disk's, and the one of busy blocks in
//! memory, which has both of these on top.
//!
//! Space is promised before it is allocated: see [`Reservation`].
//!
//! Locks: one per group, after a handle's start and before the buffers'. Never two groups at a time.
//! Freed blocks come back by way of [`Journal::take_released`], called where blocks are taken or freed.

mod blocks;
mod groups;
mod inodes;
mod orlov;
mod reclaim;
mod runs;
mod search;
mod settle;
mod sizes;
mod space;
#[cfg(test)]
mod tests;
mod window;
mod zones;

pub use inodes::{InodeLocation, NewInode, NewInodeKind};
pub use space::Reservation;
pub use window::{Goal, Request, Window, MAX_RUN};

use super::cache::Cache;
use super::error::{Error, Place, Result};
use super::events;
use super::journal::{Handle, Journal, Run};
use super::locks;
use super::platform::{caller, lock_class, shortage, Arc, Device, Mutex, SpinLock, Vec, GFP};
use crate::format::fault::{Fault, GroupFault};
use crate::format::geometry::Geometry;
use crate::format::superblock::Superblock;
use crate::format::units::{DiskBlock, FileBlock, Ino};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use groups::Groups;
use space::{Claimant, Space};
use zones::Zones;

/// Credits to settle or free blocks of one group: its bitmap and its descriptor.
pub const SETTLE_CREDITS: u32 = 2;
/// Credits to allocate an inode number: inode bitmap, block bitmap, descriptor, and the block of the
/// inode's record, which is then paid for. Freeing a number needs inode bitmap and descriptor.
pub const INODE_CREDITS: u32 = 4;

/// The free blocks and inodes of a mounted file system.
#[derive(Debug)]
pub struct Allocator {
    device: Arc<Device>,
    cache: Arc<Cache>,
    groups: Groups,
    zones: Zones,
    space: Arc<Space>,
    /// Held by who gives freed blocks back, so that others can wait for it.
    collecting: Mutex<()>,
    /// How many groups are loaded.
    loaded: AtomicUsize,
    /// The group where the next reclaim begins.
    reclaim_from: AtomicU32,
    /// The user and the group that may use root's share.
    share_owner: (u32, u32),
    blocks: u64,
    free_inodes: AtomicU64,
    directories: AtomicU64,
    /// The oldest fault nobody has asked for yet.
    fault: SpinLock<Option<Error>>,
    /// There is one; changed under its lock.
    has_fault: AtomicBool,
}

/// The numbers that `statfs` and the superblock want. Units: blocks, inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks of the file system, all metadata included.
    pub blocks: u64,
    /// Free blocks, less those in flight.
    pub free_blocks: u64,
    /// Free blocks that are promised to somebody.
    pub reserved_blocks: u64,
    /// Free blocks that an ordinary user can still get.
    pub available_blocks: u64,
    /// The sum of all descriptors' free blocks: `s_free_blocks_count`.
    pub settled_free_blocks: u64,
    /// Blocks that never can be a file's: the fixed metadata and all before it.
    pub overhead_blocks: u64,
    /// Inodes of the file system.
    pub inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// Directories.
    pub directories: u64,
}

/// A run that was taken in memory only; dropping it gives it back.
#[derive(Debug)]
#[must_use = "the run is given back when this is dropped"]
pub struct InFlight<'a> {
    allocator: &'a Allocator,
    run: Run,
}

impl InFlight<'_> {
    /// The blocks.
    pub fn run(&self) -> Run {
        self.run
    }

    /// Takes the run over: [`Allocator::settle`] or [`Allocator::release`] it later.
    pub fn keep(mut self) -> Run {
        let run = self.run;
        self.run.len = 0;
        run
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.run.len != 0 {
            self.allocator.release(self.run);
        }
    }
}

impl Allocator {
    /// Reads and checks the group descriptors of a file system.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when a descriptor cannot be, [`Error::Unsupported`] for clusters of more
    /// than one block.
    pub fn open(device: &Arc<Device>, cache: &Arc<Cache>, superblock: &Superblock) -> Result<Self> {
        let geometry = cache.sealer().geometry();
        if geometry.cluster_bits() != 0 {
            return Err(Error::Unsupported);
        }
        let (groups, zones, totals) = Groups::open(device, cache)?;
        let blocks = geometry.block_count();
        let space = Space::new(blocks, totals.free_blocks, superblock.reserved_blocks);
        Ok(Self {
            device: device.clone(),
            cache: cache.clone(),
            groups,
            zones,
            space: Arc::new(space, GFP)?,
            collecting: Mutex::new((), locks::COLLECTING)?,
            loaded: AtomicUsize::new(0),
            reclaim_from: AtomicU32::new(0),
            share_owner: (superblock.reserved_uid, superblock.reserved_gid),
            blocks,
            free_inodes: AtomicU64::new(totals.free_inodes),
            directories: AtomicU64::new(totals.directories),
            fault: SpinLock::new(None, lock_class!("rext4_allocator_fault"))?,
            has_fault: AtomicBool::new(false),
        })
    }

    /// Adds blocks that no file may map: those of the journal, once it is found.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when a run lies outside the file system, or shares a block with another or
    /// with other metadata.
    pub fn add_system_zones(&mut self, runs: impl Iterator<Item = Run>) -> Result {
        let mut ranges = Vec::new();
        for run in runs {
            let end = run
                .start
                .get()
                .checked_add(u64::from(run.len))
                .filter(|end| *end <= self.blocks);
            let outside = Fault::Group(GroupFault::Overlap, run.start.get(), 0);
            let end = end.ok_or(Error::Corrupt(Place::block(run.start), outside))?;
            ranges.push(run.start.get()..end, GFP)?;
        }
        self.zones.add(ranges)
    }

    pub(super) fn geometry(&self) -> &Geometry {
        self.cache.sealer().geometry()
    }

    /// Whether a block of the run is fixed metadata (or the journal).
    pub fn is_metadata(&self, run: Run) -> bool {
        self.zones
            .meets(&(run.start.get()..run.start.get().saturating_add(u64::from(run.len))))
    }

    /// Whether a file may map the run: it lies in the file system, and no block of it is fixed
    /// metadata.
    pub fn is_data(&self, run: Run) -> bool {
        run.len != 0 && self.geometry().has_blocks(run.start, run.len) && !self.is_metadata(run)
    }

    /// Promises blocks to the calling task. If it is root, or one of those whom the superblock names,
    /// it may use the share kept for them. Never waits.
    pub fn reserve(&self, journal: &Journal, blocks: u64) -> Result<Reservation> {
        match self.reserve_now(blocks) {
            Err(Error::NoSpace) if self.space.has_pending() => {
                self.collect(journal);
                self.reserve_now(blocks)
            }
            result => result,
        }
    }

    fn reserve_now(&self, blocks: u64) -> Result<Reservation> {
        let (uid, gid) = self.share_owner;
        match Space::reserve(&self.space, blocks, Claimant::User) {
            Err(Error::NoSpace) if caller::owns(uid, gid) => {
                Space::reserve(&self.space, blocks, Claimant::Privileged)
            }
            result => result,
        }
    }

    /// As [`Self::reserve`], but when only blocks are left that were freed just now, commits the
    /// transactions that freed them. No handle may be open.
    pub fn reserve_waiting(&self, journal: &Journal, blocks: u64) -> Result<Reservation> {
        match self.reserve(journal, blocks) {
            Err(Error::NoSpace) if self.make_room(journal)? => self.reserve(journal, blocks),
            result => result,
        }
    }

    /// Makes freed blocks allocatable by committing the transactions that freed them; returns
    /// whether there are any, so that what failed with [`Error::NoSpace`] is worth another try. No
    /// handle may be open.
    pub fn make_room(&self, journal: &Journal) -> Result<bool> {
        if !self.space.has_pending() {
            // They may have come just now.
            return Ok(self.reserve_now(1).is_ok());
        }
        journal.commit_all()?;
        self.collect_all(journal);
        Ok(true)
    }

    /// A promise of nothing, to merge others into.
    pub fn no_reservation(&self) -> Reservation {
        Reservation::none(&self.space)
    }

    /// Takes a run of at most `request.len` blocks, in memory only, out of what was promised.
    ///
    /// The run lies in one group; it is the longest that could be had there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] when nothing is left of the promise; device errors when no group could be
    /// read.
    pub fn allocate(
        &self,
        journal: &Journal,
        mut request: Request<'_>,
        paid_by: &mut Reservation,
    ) -> Result<InFlight<'_>> {
        self.collect(journal);
        let promised = u32::try_from(paid_by.blocks()).unwrap_or(u32::MAX);
        let group_blocks = self.geometry().blocks_per_group().get();
        let len = request.len.min(MAX_RUN).min(group_blocks).min(promised);
        if len == 0 || shortage::of_space() {
            return Err(if request.len == 0 {
                Error::Invalid
            } else {
                Error::NoSpace
            });
        }
        events::request_blocks(
            &self.device,
            request.ino,
            request.logical,
            request.goal.block(),
            len,
        );
        let before = request.window.as_deref().and_then(|window| window.run);
        let run = self.search(&mut request, len)?;
        paid_by.spend(run.len);
        events::allocate_blocks(
            &self.device,
            request.ino,
            request.logical,
            request.goal.block(),
            run,
        );
        if let (None, Some(kept)) = (
            before,
            request.window.as_deref().and_then(|window| window.run),
        ) {
            let logical = u64::from(request.logical.get()).saturating_add(u64::from(run.len));
            events::new_window(&self.device, request.ino, logical, kept);
        }
        Ok(InFlight {
            allocator: self,
            run,
        })
    }

    /// Takes one block for metadata near `goal` and settles it at once; 2 credits. When nothing is left
    /// of the reservation, the block comes out of the pool for tree nodes.
    pub fn allocate_metadata(
        &self,
        handle: &mut Handle<'_>,
        ino: Ino,
        goal: DiskBlock,
        paid_by: &mut Reservation,
    ) -> Result<DiskBlock> {
        let mut own = match paid_by.split(1) {
            Some(one) => one,
            None => {
                self.collect(handle.journal());
                Space::reserve(&self.space, 1, Claimant::Promised)?
            }
        };
        let goal = Goal::Near(goal);
        let request = Request {
            ino,
            logical: FileBlock(0),
            goal,
            len: 1,
            file_blocks: 1,
            window: None,
        };
        let block = self.allocate(handle.journal(), request, &mut own)?;
        self.settle(handle, block.run())?;
        Ok(block.keep().start)
    }

    /// Free and used blocks and inodes.
    pub fn statistics(&self) -> Statistics {
        let overhead = self
            .zones
            .blocks()
            .saturating_add(self.geometry().first_data_block().get());
        Statistics {
            blocks: self.blocks,
            free_blocks: self.space.free(),
            reserved_blocks: self.space.reserved(),
            available_blocks: self.space.available(),
            settled_free_blocks: self.space.settled_free(),
            overhead_blocks: overhead,
            inodes: u64::from(self.geometry().inode_count()),
            free_inodes: self.free_inodes.load(Relaxed),
            directories: self.directories.load(Relaxed),
        }
    }

    /// The oldest fault that was found while looking for space and did not make a call fail (the
    /// group is left alone since); for whoever applies the error policy. Cheap when there is none.
    pub fn take_fault(&self) -> Option<Error> {
        if !self.has_fault.load(Relaxed) {
            return None;
        }
        let mut fault = self.fault.lock();
        self.has_fault.store(false, Relaxed);
        fault.take()
    }

    fn note_fault(&self, error: Error) {
        let mut fault = self.fault.lock();
        fault.get_or_insert(error);
        self.has_fault.store(true, Relaxed);
    }
}
