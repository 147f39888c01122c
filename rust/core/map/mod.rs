// SPDX-License-Identifier: GPL-2.0

//! From a file's blocks to the disk's.
//!
//! The extent tree ([`tree`]) says what is on the disk; the extent status (`status`) says that and
//! what is not there yet: delayed blocks, whose space is reserved, and in-flight blocks, which have a
//! place that no bitmap knows. An ordered extent ([`Ordered`]) is a range whose data has reached the
//! disk: only then does [`FileMap::finish`] put it into the bitmap and the tree.
//!
//! Under the status lock alone a hole becomes delayed, and no more: what a block is after that
//! changes under the tree's lock, so who holds that finds it as it was.

mod change;
#[cfg(test)]
mod crash_tests;
mod edit;
#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod flight_tests;
#[cfg(test)]
mod limit_tests;
mod ordered;
mod pending;
mod status;
#[cfg(test)]
mod status_tests;
#[cfg(test)]
mod tests;
mod tree;
mod truncate;

pub use ordered::{Completion, Ordered};

use super::alloc::{Reservation, Window};
use super::cache::Owner;
use super::error::{Error, Result};
use super::events::map as events;
use super::locks;
use super::patience::patiently;
use super::platform::{lock_class, Mutex, SpinLock, SpinLockGuard};
use super::volume::Volume;
use crate::format::extent::{self, Header};
use crate::format::inode::{InodeFlags, I_BLOCK_LEN};
use crate::format::units::{DiskBlock, FileBlock, Ino};
use core::sync::atomic::{AtomicU64, Ordering};
use status::{Piece, Pieces, Spare};
use tree::Tree;

/// Neighbouring blocks of a file, from `start` up to `end`, which is not part of it.
///
/// The last block a file can have is 2^32 - 2: `end` always fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The first block.
    pub start: FileBlock,
    /// The block after the last.
    pub end: FileBlock,
}

impl BlockRange {
    /// The end of the largest file.
    pub const MAX_END: FileBlock = FileBlock(u32::MAX);

    /// `len` blocks from `start`, cut off at the largest file's end.
    pub const fn new(start: FileBlock, len: u32) -> Self {
        Self {
            start,
            end: FileBlock(start.0.saturating_add(len)),
        }
    }

    /// The blocks from `start` up to `end`.
    pub const fn between(start: FileBlock, end: FileBlock) -> Self {
        Self { start, end }
    }

    /// `start` and everything after it.
    pub const fn from(start: FileBlock) -> Self {
        Self {
            start,
            end: Self::MAX_END,
        }
    }

    /// How many blocks it has.
    pub const fn len(self) -> u32 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `block` is one of them.
    pub fn contains(self, block: FileBlock) -> bool {
        self.start <= block && block < self.end
    }

    /// The blocks both have; `None` if there are none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self {
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        };
        (!both.is_empty()).then_some(both)
    }
}

/// What is known of a block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is there: it reads as zeroes.
    Hole,
    /// Written in the page cache only; its space is reserved.
    Delayed,
    /// It has a place on the disk in memory only, and the data may be on its way there, or have failed
    /// to get there.
    InFlight(DiskBlock),
    /// Its place on the disk is its own, but reads as zeroes.
    Unwritten(DiskBlock),
    /// Its data is on the disk.
    Written(DiskBlock),
}

impl State {
    /// The state of the block `by` blocks further on in the same run.
    #[must_use]
    pub const fn advanced(self, by: u32) -> Self {
        match self {
            Self::InFlight(block) => Self::InFlight(further(block, by)),
            Self::Unwritten(block) => Self::Unwritten(further(block, by)),
            Self::Written(block) => Self::Written(further(block, by)),
            same => same,
        }
    }

    /// Its place on the disk.
    pub const fn block(self) -> Option<DiskBlock> {
        match self {
            Self::InFlight(block) | Self::Unwritten(block) | Self::Written(block) => Some(block),
            Self::Hole | Self::Delayed => None,
        }
    }

    /// The state as events show it.
    const fn status(self) -> u32 {
        match self {
            Self::Written(_) => 1,
            Self::Unwritten(_) => 2,
            Self::Delayed => 4,
            Self::Hole => 8,
            Self::InFlight(_) => 16,
        }
    }

    /// Whether only the memory knows of it.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Delayed | Self::InFlight(_))
    }
}

/// The block `by` blocks on; runs were checked to lie inside the file system.
const fn further(block: DiskBlock, by: u32) -> DiskBlock {
    DiskBlock(block.0.saturating_add(by as u64))
}

/// Part of a file, all in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first block: the one that was asked for.
    pub start: FileBlock,
    /// How many blocks, at least 1.
    pub len: u32,
    /// Their state; a disk block in it is the first one's.
    pub state: State,
    /// The map's [`FileMap::sequence`] when this was true.
    pub sequence: u64,
}

impl Mapping {
    /// The blocks and their state.
    fn piece(&self) -> Piece {
        Piece::new(BlockRange::new(self.start, self.len), self.state)
    }
}

/// What the blocks of an inode hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A file's data: it goes through the page cache.
    Data,
    /// Directory blocks, a symbolic link's target: they go through the metadata cache and the journal.
    Metadata,
}

/// What the tree lock protects. Rank: below a handle, above the status.
#[derive(Debug)]
struct Inner {
    tree: Tree,
    window: Window,
}

impl Inner {
    fn recorded(&self) -> Recorded {
        Recorded {
            root: self.tree.root,
            blocks: self.tree.blocks,
        }
    }
}

/// What the status lock protects.
#[derive(Debug)]
struct Status {
    pieces: Pieces,
    /// Space promised to the delayed blocks, and to the tree nodes that pending blocks may need.
    promised: Option<Reservation>,
    /// Promised blocks that who has the tree's lock has in his hands, and not used yet.
    lent: u64,
    /// The root's header as it was last.
    root: Header,
    /// What the inode's record says of the tree: so who writes or shows that does not wait for those who
    /// read or change the tree. Whoever has changed it writes the record after that.
    recorded: Recorded,
}

/// What an inode's record says of its blocks.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    root: [u8; I_BLOCK_LEN],
    blocks: u64,
}

/// Where the blocks of one inode are.
///
/// Locks: `inner` is taken inside a handle and may wait for reads of tree nodes; `status` is a
/// spinlock inside it. A lookup of what is known takes `status` only.
#[derive(Debug)]
pub struct FileMap {
    owner: Owner,
    contents: Contents,
    inner: Mutex<Inner>,
    status: SpinLock<Status>,
    /// Changes whenever the state of any block does.
    sequence: AtomicU64,
}

impl FileMap {
    /// The map of an inode: its `i_block` and the blocks it has in all.
    ///
    /// Fails with [`Error::Unsupported`] for an inode without extents, and with
    /// [`Error::Corrupt`] for a root that cannot be.
    pub fn new(
        owner: Owner,
        contents: Contents,
        flags: InodeFlags,
        root: [u8; I_BLOCK_LEN],
        blocks: u64,
    ) -> Result<Self> {
        if !flags.has(InodeFlags::EXTENTS) {
            return Err(Error::Unsupported);
        }
        let tree = Tree::new(owner, root, blocks)?;
        let status = Status {
            pieces: Pieces::new(),
            promised: None,
            lent: 0,
            root: tree.header()?,
            recorded: Recorded { root, blocks },
        };
        let inner = Inner {
            tree,
            window: Window::new(),
        };
        Ok(Self {
            owner,
            contents,
            inner: Mutex::new(inner, locks::MAP)?,
            status: SpinLock::new(status, lock_class!("rext4_status"))?,
            sequence: AtomicU64::new(1),
        })
    }

    /// The `i_block` of an inode without blocks.
    pub fn empty_root() -> [u8; I_BLOCK_LEN] {
        Tree::empty_root()
    }

    /// The inode's number.
    pub fn ino(&self) -> Ino {
        self.owner.ino
    }

    /// The inode's `i_block`, to be written to it under the handle that changed it. Takes one spinlock.
    pub fn root(&self) -> [u8; I_BLOCK_LEN] {
        self.status.lock().recorded.root
    }

    /// Blocks the inode has on the disk: data, tree nodes, and what else it counts. Takes one spinlock.
    pub fn blocks(&self) -> u64 {
        self.status.lock().recorded.blocks
    }

    /// Counts a block less that the inode had for something else (extended attributes).
    pub fn lose_other(&self) {
        let mut inner = self.inner.lock();
        inner.tree.blocks = inner.tree.blocks.saturating_sub(1);
        self.status.lock().recorded = inner.recorded();
    }

    /// As [`Self::blocks`], with those that data will have which is delayed or in flight.
    pub fn blocks_with_pending(&self) -> u64 {
        let status = self.status.lock();
        let pending = status.pieces.pending_blocks();
        status.recorded.blocks.saturating_add(pending.into())
    }

    /// The present sequence number: a [`Mapping`] with another one may be stale.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The state of `at` and, at most `max_len` in all, of what follows in the same state.
    ///
    /// Takes one spinlock when the answer is in memory, else reads the tree and may sleep.
    pub fn lookup(&self, volume: &Volume, at: FileBlock, max_len: u32) -> Result<Mapping> {
        loop {
            events::es_lookup_enter(&volume.device, self.owner.ino, at);
            let found = {
                let status = self.status.lock();
                let piece = status.pieces.find(at);
                let range = BlockRange::new(at, max_len.max(1));
                piece
                    .map(|piece| self.mapping(&status, piece, range))
                    .transpose()?
            };
            let shown = found.map_or(self.unknown(at), |mapping| self.shown(mapping.piece()));
            events::es_lookup_exit(&volume.device, shown, found.is_some());
            if let Some(mapping) = found {
                return Ok(mapping);
            }
            self.load(volume, at)?;
        }
    }

    /// Gives the space behind the file that was kept for its growth back, unless blocks are delayed, which
    /// will be allocated there.
    pub fn release_window(&self, volume: &Volume) {
        if self.status.lock().pieces.delayed() > 0 {
            return;
        }
        volume
            .allocator
            .release_window(&mut self.inner.lock().window);
    }

    /// The part of a piece that was asked for.
    fn mapping(
        &self,
        _held: &SpinLockGuard<'_, Status>,
        piece: Piece,
        range: BlockRange,
    ) -> Result<Mapping> {
        let part = piece.within(range).ok_or(Error::Invalid)?;
        Ok(Mapping {
            start: part.range.start,
            len: part.range.len(),
            state: part.state,
            sequence: self.sequence(),
        })
    }

    /// A piece as events show it.
    fn shown(&self, piece: Piece) -> events::Blocks {
        events::Blocks {
            ino: self.owner.ino,
            start: piece.range.start,
            len: piece.range.len(),
            block: piece.state.block().unwrap_or_default(),
            status: piece.state.status(),
        }
    }

    /// A block of which nothing is known, as events show it.
    fn unknown(&self, at: FileBlock) -> events::Blocks {
        events::Blocks {
            ino: self.owner.ino,
            start: at,
            len: 0,
            block: DiskBlock(0),
            status: 0,
        }
    }

    /// Asks the tree for `at` and remembers the answer.
    fn load(&self, volume: &Volume, at: FileBlock) -> Result {
        if at >= BlockRange::MAX_END {
            return Err(Error::FileTooBig);
        }
        let inner = self.inner.lock();
        events::tree_enter(&volume.device, self.owner.ino, at, 1);
        let piece = inner.tree.lookup(volume, at)?;
        events::tree_exit(&volume.device, self.shown(piece));
        self.remember(piece, at)?;
        events::es_insert(&volume.device, self.shown(piece), self.sequence());
        Ok(())
    }

    /// Notes what the tree says around `at`, unless something is known. Needs the tree's lock.
    fn remember(&self, piece: Piece, at: FileBlock) -> Result {
        let mut spare = Spare::default();
        loop {
            let lack = {
                let mut status = self.status.lock();
                status.pieces.trim();
                if status.pieces.find(at).is_some() {
                    return Ok(());
                }
                // What is known around it may be newer than the tree: delayed, in flight.
                let Some(part) = piece.within(status.pieces.gap(at)) else {
                    return Ok(());
                };
                match status.pieces.prepare(part.range, &mut spare) {
                    Ok(()) => {
                        // Knowing more is no change.
                        status.pieces.set(part.range, part.state);
                        return Ok(());
                    }
                    Err(lack) => lack,
                }
            };
            patiently(|| spare.provide(lack))?;
        }
    }

    /// Puts `range` into `state`. Needs the tree's lock.
    fn put(&self, range: BlockRange, state: State) -> Result {
        self.put_with(range, state, &mut Spare::default(), |_| {})
    }

    /// As [`Self::put`], with memory brought along; `also` is done with the status at the same moment.
    fn put_with(
        &self,
        range: BlockRange,
        state: State,
        spare: &mut Spare,
        also: impl FnOnce(&mut Status),
    ) -> Result {
        loop {
            let lack = {
                let mut status = self.status.lock();
                status.pieces.trim();
                match status.pieces.prepare(range, spare) {
                    Ok(()) => {
                        status.pieces.set(range, state);
                        also(&mut status);
                        status.trim_promise();
                        self.changed();
                        return Ok(());
                    }
                    Err(lack) => lack,
                }
            };
            patiently(|| spare.provide(lack))?;
        }
    }

    /// The state of some block changed. Called under the status lock.
    fn changed(&self) {
        self.sequence.fetch_add(1, Ordering::AcqRel);
    }
}

impl Status {
    /// What has to be promised now: the delayed blocks, and the nodes that pending blocks may need.
    fn wanted(&self) -> u64 {
        let nodes = nodes_for(
            self.root,
            self.pieces.pending_pieces(),
            self.pieces.pending_blocks(),
        );
        u64::from(self.pieces.delayed()).saturating_add(nodes)
    }

    /// What is promised.
    fn has(&self) -> u64 {
        self.promised
            .as_ref()
            .map_or(0, Reservation::blocks)
            .saturating_add(self.lent)
    }

    /// Gives back what is promised and no longer wanted.
    fn trim_promise(&mut self) {
        let excess = self.has().saturating_sub(self.wanted());
        if let Some(promised) = self.promised.as_mut().filter(|_| excess > 0) {
            promised.shrink(excess);
        }
    }
}

/// The most tree nodes that mapping `blocks` blocks, in `places` places of the file, can take.
///
/// The first extent at a place may split a full node at each level below the root. From then on nodes
/// are at most half full after a split, or the file grows at its end: a node for each half node of
/// extents, and some for the levels above. The root itself may grow at each level.
fn nodes_for(root: Header, places: u32, blocks: u32) -> u64 {
    if blocks == 0
        || (root.depth == 0
            && u32::from(root.entries).saturating_add(blocks) <= u32::from(root.max))
    {
        return 0;
    }
    // The smallest node there is has room for 84 extents: two and a half nodes for as many extents.
    let by_extents = u64::from(blocks) * 5 / (2 * 84);
    u64::from(places) * u64::from(root.depth) + by_extents + u64::from(extent::MAX_DEPTH) + 1
}
