// SPDX-License-Identifier: GPL-2.0

//! How much space there is, and promises of it that are not yet tied to blocks.
//!
//! Units: blocks. Every block that is handed out was promised before, by a [`Reservation`]; only
//! `available` is ever compared, so that a promise can always be kept. No locks.

use crate::core::error::{Error, Result};
use crate::core::platform::{shortage, Arc};
use core::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// At most this many blocks, and at most a fiftieth of the disk, are kept for tree nodes of writes
/// that were promised already (C's `s_resv_clusters`).
const POOL_LIMIT: u64 = 4096;

/// Who asks for space: what is kept back from him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimant {
    /// Anybody: the superuser's share and the pool are kept back.
    User,
    /// Root, or whom the superblock names: the pool is kept back.
    Privileged,
    /// Metadata of data that was promised its place: nothing is kept back.
    Promised,
}

/// The counters of one file system.
#[derive(Debug)]
pub(super) struct Space {
    /// Blocks nobody has: allocatable now.
    free: AtomicU64,
    /// Free blocks that are not promised; below zero only after blocks were lost to corruption.
    available: AtomicI64,
    /// Promised blocks.
    reserved: AtomicU64,
    /// Freed blocks whose transaction is not durable yet.
    pending: AtomicU64,
    /// What the descriptors say together.
    settled_free: AtomicU64,
    kept_for_root: u64,
    pool: u64,
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Space {
    /// `free` of `blocks` blocks are free, `kept_for_root` of them only for the superuser.
    pub(super) fn new(blocks: u64, free: u64, kept_for_root: u64) -> Self {
        Self {
            free: AtomicU64::new(free),
            available: AtomicI64::new(signed(free)),
            reserved: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            settled_free: AtomicU64::new(free),
            kept_for_root,
            pool: (blocks / 50).min(POOL_LIMIT),
        }
    }

    /// Free blocks, freed ones of open transactions included.
    pub(super) fn free(&self) -> u64 {
        self.free
            .load(Relaxed)
            .saturating_add(self.pending.load(Relaxed))
    }

    /// Promised blocks.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Relaxed)
    }

    /// Whether a commit makes more blocks allocatable.
    pub(super) fn has_pending(&self) -> bool {
        self.pending.load(Acquire) != 0
    }

    /// Blocks an ordinary user may still get.
    pub(super) fn available(&self) -> u64 {
        let pending = signed(self.pending.load(Relaxed));
        let there = self.available.load(Relaxed).saturating_add(pending);
        u64::try_from(there.saturating_sub(self.floor(Claimant::User))).unwrap_or(0)
    }

    /// The sum of all descriptors.
    pub(super) fn settled_free(&self) -> u64 {
        self.settled_free.load(Relaxed)
    }

    fn floor(&self, who: Claimant) -> i64 {
        match who {
            Claimant::User => signed(self.pool.saturating_add(self.kept_for_root)),
            Claimant::Privileged => signed(self.pool),
            Claimant::Promised => 0,
        }
    }

    /// Promises `blocks`, or [`Error::NoSpace`].
    pub(super) fn reserve(this: &Arc<Self>, blocks: u64, who: Claimant) -> Result<Reservation> {
        if blocks != 0 && shortage::of_space() {
            return Err(Error::NoSpace);
        }
        let (floor, wanted) = (this.floor(who), signed(blocks));
        let enough = |available: i64| {
            available
                .checked_sub(wanted)
                .filter(|left| *left >= floor || wanted == 0)
        };
        this.available
            .fetch_update(Acquire, Relaxed, enough)
            .map_err(|_| Error::NoSpace)?;
        this.reserved.fetch_add(blocks, Relaxed);
        Ok(Reservation {
            space: this.clone(),
            blocks,
        })
    }

    /// Promised blocks got their places.
    pub(super) fn take(&self, blocks: u32) {
        self.free.fetch_sub(u64::from(blocks), Relaxed);
    }

    /// Blocks became allocatable; `freed` if they were on disk, not only in flight.
    pub(super) fn give(&self, blocks: u32, freed: bool) {
        let blocks = u64::from(blocks);
        self.free.fetch_add(blocks, Relaxed);
        self.available.fetch_add(signed(blocks), Release);
        // Last: they are never missing in both.
        if freed {
            self.pending.fetch_sub(blocks, Release);
        }
    }

    /// Blocks in flight are now in use on disk.
    pub(super) fn settle(&self, blocks: u32) {
        self.settled_free.fetch_sub(u64::from(blocks), Relaxed);
    }

    /// Blocks are now free on disk, but not allocatable before the commit.
    pub(super) fn free_later(&self, blocks: u32) {
        self.settled_free.fetch_add(u64::from(blocks), Relaxed);
        self.pending.fetch_add(u64::from(blocks), Relaxed);
    }

    /// Free blocks of a group whose bitmap cannot be trusted are not given out any more.
    pub(super) fn lose(&self, blocks: u32) {
        self.free.fetch_sub(u64::from(blocks), Relaxed);
        self.available.fetch_sub(i64::from(blocks), Relaxed);
    }
}

/// Blocks that are promised to their holder; dropping it gives them back.
#[derive(Debug)]
#[must_use = "a reservation that is dropped promises nothing"]
pub struct Reservation {
    space: Arc<Space>,
    blocks: u64,
}

impl Reservation {
    /// A reservation of nothing.
    pub(super) fn none(space: &Arc<Space>) -> Self {
        Self {
            space: space.clone(),
            blocks: 0,
        }
    }

    /// How many blocks are promised.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Moves `blocks` to a reservation of their own; `None` if there are fewer.
    pub fn split(&mut self, blocks: u64) -> Option<Self> {
        self.blocks = self.blocks.checked_sub(blocks)?;
        Some(Self {
            space: self.space.clone(),
            blocks,
        })
    }

    /// Takes over another's blocks.
    pub fn merge(&mut self, mut other: Self) {
        self.blocks = self
            .blocks
            .saturating_add(core::mem::take(&mut other.blocks));
    }

    /// Gives up to `blocks` back.
    pub fn shrink(&mut self, blocks: u64) {
        let blocks = blocks.min(self.blocks);
        if blocks == 0 {
            // What all processors share stays where it is.
            return;
        }
        self.blocks = self.blocks.saturating_sub(blocks);
        self.space.reserved.fetch_sub(blocks, Relaxed);
        self.space.available.fetch_add(signed(blocks), Relaxed);
    }

    /// Blocks that were promised got their places: `blocks` is at most what is left.
    pub(super) fn spend(&mut self, blocks: u32) {
        let blocks = u64::from(blocks).min(self.blocks);
        self.blocks = self.blocks.saturating_sub(blocks);
        self.space.reserved.fetch_sub(blocks, Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::platform::GFP;

    #[test]
    fn promises_are_kept() {
        let space = Arc::new(Space::new(1000, 100, 10), GFP).unwrap();
        assert_eq!(space.available(), 100 - 20 - 10);
        let mut mine = Space::reserve(&space, 70, Claimant::User).unwrap();
        assert!(matches!(
            Space::reserve(&space, 1, Claimant::User),
            Err(Error::NoSpace)
        ));
        let root = Space::reserve(&space, 10, Claimant::Privileged).unwrap();
        assert!(Space::reserve(&space, 1, Claimant::Privileged).is_err());
        let pool = Space::reserve(&space, 20, Claimant::Promised).unwrap();
        assert!(Space::reserve(&space, 1, Claimant::Promised).is_err());
        assert!(Space::reserve(&space, 0, Claimant::User).is_ok());
        // A part of mine gets its blocks; the rest comes back.
        space.take(30);
        mine.spend(30);
        let part = mine.split(15).unwrap();
        assert!(mine.split(26).is_none());
        assert_eq!(
            (mine.blocks(), part.blocks(), space.reserved(), space.free()),
            (25, 15, 70, 70)
        );
        mine.merge(part);
        drop((mine, root, pool));
        assert_eq!(
            (space.reserved(), space.free(), space.available()),
            (0, 70, 40)
        );
        // The 30 are settled, freed, and durable.
        space.settle(30);
        assert_eq!(space.settled_free(), 70);
        space.free_later(30);
        assert!(space.has_pending() && space.free() == 100);
        space.give(30, true);
        assert_eq!(
            (space.free(), space.available(), space.settled_free()),
            (100, 70, 100)
        );
    }
}
