// SPDX-License-Identifier: GPL-2.0

//! Ordered extents: the disk learns of a block when its data is there.
//!
//! Neighbours that finished together share a handle. The caller starts it with
//! [`FileMap::credits_for_finish`], writes the inode's new root and block count under it, and ends page
//! writeback only after it has closed the handle.

use super::change::{change_credits, Context};
use super::edit::Change;
use super::status::{Piece, Spare};
use super::tree::Tree;
use super::{BlockRange, Contents, FileMap, Inner, Mapping, State};
use crate::core::alloc::{Allocator, Request, MAX_RUN, SETTLE_CREDITS};
use crate::core::error::{Error, Result};
use crate::core::events::map as events;
use crate::core::journal::{Handle, Run};
use crate::core::platform::{Vec, GFP};
use crate::core::volume::Volume;
use crate::format::extent::{Extent, Header, MAX_DEPTH, MAX_UNWRITTEN};
use crate::format::units::{DiskBlock, FileBlock};

/// At most so many ordered extents share a handle.
const BATCH: usize = 32;
/// Nor do more share one than need so many credits: the smallest journal has room for 256 in a
/// transaction.
const BATCH_CREDITS: u32 = 96;

/// Credits that are left for the inode's record, and the superblock if the file becomes a large one.
const RECORD: u32 = 2;

/// What is new about blocks whose data has reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// They were in flight: nothing on the disk knows of them.
    Fresh,
    /// They were allocated, but unwritten.
    Convert,
}

/// Blocks of a file whose data has reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The first block.
    pub start: FileBlock,
    /// How many, at least 1.
    pub len: u32,
    /// Where the first one is.
    pub block: DiskBlock,
    /// What they were.
    pub kind: Completion,
}

impl Ordered {
    /// The blocks of the file.
    pub const fn range(&self) -> BlockRange {
        BlockRange::new(self.start, self.len)
    }
}

impl FileMap {
    /// How many of these, from the first on, should share a handle: at least one, if there is one.
    pub fn batch(&self, volume: &Volume, finished: &[Ordered]) -> usize {
        let mut count = finished.len().min(BATCH);
        while count > 1 {
            let batch = finished.get(..count).unwrap_or(finished);
            if self.credits_for_finish(volume, batch) <= BATCH_CREDITS {
                break;
            }
            count /= 2;
        }
        count
    }

    /// How many credits a handle needs for [`Self::finish`] of these. The inode's record comes on top.
    pub fn credits_for_finish(&self, volume: &Volume, finished: &[Ordered]) -> u32 {
        let root = self.status.lock().root;
        credits(&volume.allocator, root, finished)
    }

    /// The data of these is on the disk: what was in flight goes into the bitmap and the tree, what was
    /// unwritten is written now. Then the inode's root and block count have to be written, and a size on
    /// disk that covers what was finished: `reached` is moved behind that.
    ///
    /// [`Error::Again`] if it takes more credits than were reckoned: write the inode, and call it again
    /// with a new handle. After any other error the caller writes the inode as well; what is not
    /// finished then stays in flight. Parts that are finished already, or were given up, are passed over.
    pub fn finish(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        finished: &[Ordered],
        reached: &mut FileBlock,
    ) -> Result {
        let mut inner = self.inner.lock();
        let needed = credits(&volume.allocator, inner.tree.header()?, finished);
        ensure(handle, needed)?;
        self.with_nodes(volume, handle, &mut inner, |inner, cx| {
            finished.iter().try_for_each(|ordered| match ordered.kind {
                Completion::Fresh => self.finish_fresh(inner, cx, ordered, reached),
                Completion::Convert => self.finish_convert(inner, cx, ordered, reached),
            })
        })
    }

    /// Adds to `into` what of `range` waits for [`Self::finish`] now that its data is on the disk. The
    /// data was written to `place` and on, if the caller knows: what is elsewhere by now is left out. None is
    /// longer than an extent, so that each fits a transaction of the smallest journal.
    pub fn ordered_in(
        &self,
        volume: &Volume,
        range: BlockRange,
        place: Option<DiskBlock>,
        into: &mut Vec<Ordered>,
    ) -> Result {
        let mut at = range.start;
        while at < range.end {
            let most = (range.end.get() - at.get()).min(MAX_UNWRITTEN.into());
            let found = self.lookup(volume, at, most)?;
            let kind = match found.state {
                State::InFlight(_) => Some(Completion::Fresh),
                State::Unwritten(_) => Some(Completion::Convert),
                State::Hole | State::Delayed | State::Written(_) => None,
            };
            let written = place.map(|place| super::further(place, at.get() - range.start.get()));
            if let (Some(kind), Some(block)) = (kind, found.state.block()) {
                if written.is_none_or(|written| written == block) {
                    let (start, len) = (found.start, found.len);
                    into.push(
                        Ordered {
                            start,
                            len,
                            block,
                            kind,
                        },
                        GFP,
                    )?;
                }
            }
            at = found.piece().range.end;
        }
        Ok(())
    }

    /// The credits that [`Self::allocate_now`] needs. The inode's record comes on top.
    pub fn credits_for_allocate(&self) -> u32 {
        let depth = self.status.lock().root.depth;
        SETTLE_CREDITS + change_credits((depth + 1).min(MAX_DEPTH))
    }

    /// Allocates up to `len` blocks from `at` on, at once written: for directories and symbolic links,
    /// whose contents the same handle writes. A block that is there already is returned as it is.
    pub fn allocate_now(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        at: FileBlock,
        len: u32,
    ) -> Result<Mapping> {
        self.fill_hole(volume, handle, at, len, false)
    }

    /// Allocates up to `len` blocks from `at` on that read as zeroes. A block that is there already is
    /// returned as it is. Credits and the inode as for [`Self::allocate_now`].
    pub fn allocate_unwritten(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        at: FileBlock,
        len: u32,
    ) -> Result<Mapping> {
        self.fill_hole(volume, handle, at, len, true)
    }

    fn fill_hole(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        at: FileBlock,
        len: u32,
        unwritten: bool,
    ) -> Result<Mapping> {
        let found = self.lookup(volume, at, len.max(1))?;
        if found.state != State::Hole {
            return Ok(found);
        }
        let mut inner = self.inner.lock();
        let longest = if unwritten {
            u32::from(MAX_UNWRITTEN)
        } else {
            MAX_RUN
        };
        let wanted = found.len.min(longest);
        let mut paid = volume
            .allocator
            .reserve(handle.journal(), u64::from(wanted))?;
        let goal = self.goal(volume, &inner, at)?;
        let request = Request {
            ino: self.owner.ino,
            logical: at,
            goal,
            len: wanted,
            file_blocks: u64::from(at.get()) + u64::from(wanted),
            window: if self.contents == Contents::Data {
                Some(&mut inner.window)
            } else {
                None
            },
        };
        let in_flight = volume
            .allocator
            .allocate(handle.journal(), request, &mut paid)?;
        let run = in_flight.run();
        let range = BlockRange::new(at, run.len);
        let state = if unwritten {
            State::Unwritten(run.start)
        } else {
            State::Written(run.start)
        };
        self.with_nodes(volume, handle, &mut inner, |inner, cx| {
            self.insert(inner, cx, Piece { range, state }, || {
                in_flight.keep();
            })
        })?;
        Ok(Mapping {
            start: at,
            len: run.len,
            state,
            sequence: self.sequence(),
        })
    }

    /// Does something to the tree with the space promised to its nodes, and notes what came of it.
    pub(super) fn with_nodes<'j, R>(
        &self,
        volume: &Volume,
        handle: &mut Handle<'j>,
        inner: &mut Inner,
        change: impl FnOnce(&mut Inner, &mut Context<'_, '_, 'j>) -> Result<R>,
    ) -> Result<R> {
        let loan = self.status.lock().lend_nodes();
        let mut reserved = loan.unwrap_or_else(|| volume.allocator.no_reservation());
        let changed = change(
            inner,
            &mut Context {
                volume,
                handle,
                reserved: &mut reserved,
            },
        );
        let root = inner.tree.header();
        let mut status = self.status.lock();
        if let Ok(root) = root {
            status.root = root;
        }
        status.recorded = inner.recorded();
        status.take_back(reserved);
        changed
    }

    /// Puts a piece that the tree has now into the status, at one moment with what that did to the
    /// promise. A failure stops the journal.
    pub(super) fn put_changed(
        &self,
        inner: &Inner,
        cx: &Context<'_, '_, '_>,
        piece: Piece,
    ) -> Result {
        let (root, left) = (cx.whole(inner.tree.header())?, cx.reserved.blocks());
        let mut spare = Spare::default();
        let put = self.put_with(piece.range, piece.state, &mut spare, |status| {
            status.root = root;
            // With the piece: what it has is counted as pending or as recorded, never as neither.
            status.recorded = inner.recorded();
            status.lent = left;
        });
        cx.whole(put)
    }

    fn finish_fresh(
        &self,
        inner: &mut Inner,
        cx: &mut Context<'_, '_, '_>,
        ordered: &Ordered,
        reached: &mut FileBlock,
    ) -> Result {
        let whole = Piece::new(ordered.range(), State::InFlight(ordered.block));
        self.each_in_flight(whole, |mut rest| {
            while !rest.range.is_empty() {
                let start = rest.state.block().ok_or(Error::Invalid)?;
                let len = MAX_RUN.min(rest.range.len());
                let len = cx.volume.allocator.in_one_group(Run { start, len })?;
                let first = BlockRange::new(rest.range.start, len);
                let piece = Piece::new(first, State::Written(start));
                self.insert(inner, cx, piece, || {})?;
                *reached = first.end.max(*reached);
                events::ordered_finish(&cx.volume.device, self.shown(piece), true);
                let after = BlockRange::between(first.end, rest.range.end);
                rest = Piece::new(after, rest.state.advanced(first.len()));
            }
            Ok(())
        })
    }

    /// Enters allocated blocks, which lie in one group, in the bitmap, and as `piece` in the tree: all of
    /// it, or nothing. `settled` is called when the bitmap has them.
    fn insert(
        &self,
        inner: &mut Inner,
        cx: &mut Context<'_, '_, '_>,
        piece: Piece,
        settled: impl FnOnce(),
    ) -> Result {
        let (range, start) = (piece.range, piece.state.block().ok_or(Error::Invalid)?);
        let len = u16::try_from(range.len()).map_err(|_| Error::Invalid)?;
        let unwritten = matches!(piece.state, State::Unwritten(_));
        let extent = Extent {
            lblk: range.start,
            len,
            pblk: start,
            unwritten,
        };
        let run = Run {
            start,
            len: range.len(),
        };
        let settle = cx.volume.allocator.credits(run);
        make_sure(cx, &inner.tree, settle)?;
        let plan = inner.tree.plan(cx, &Change::Insert(extent))?;
        cx.volume.allocator.settle(cx.handle, run)?;
        settled();
        inner.tree.apply(cx, &plan)?;
        inner.tree.blocks = inner.tree.blocks.saturating_add(u64::from(range.len()));
        self.put_changed(inner, cx, piece)?;
        let (device, shown) = (&cx.volume.device, self.shown(piece));
        events::tree_insert(device, shown, inner.tree.header()?.depth);
        events::es_insert(device, shown, self.sequence());
        Ok(())
    }

    fn finish_convert(
        &self,
        inner: &mut Inner,
        cx: &mut Context<'_, '_, '_>,
        ordered: &Ordered,
        reached: &mut FileBlock,
    ) -> Result {
        let range = ordered.range();
        let mut at = range.start;
        while at < range.end {
            let found = inner.tree.lookup(cx.volume, at)?;
            let rest = BlockRange::between(at, range.end);
            let part = found.within(rest).ok_or(Error::Invalid)?;
            at = part.range.end;
            let State::Unwritten(start) = part.state else {
                continue;
            };
            if start != super::further(ordered.block, part.range.start.get() - range.start.get()) {
                continue;
            }
            make_sure(cx, &inner.tree, 0)?;
            let plan = inner.tree.plan(cx, &Change::Convert(part.range))?;
            inner.tree.apply(cx, &plan)?;
            let written = Piece::new(part.range, State::Written(start));
            self.put_changed(inner, cx, written)?;
            *reached = part.range.end.max(*reached);
            let (device, shown) = (&cx.volume.device, self.shown(written));
            events::tree_convert(device, shown);
            events::es_insert(device, shown, self.sequence());
            events::ordered_finish(device, shown, false);
        }
        Ok(())
    }

    /// Hands every part of `whole` that is in flight, and at the same place on the disk, to `each`. As
    /// the caller has the tree's lock, they stay so until `each` ends them.
    fn each_in_flight(&self, whole: Piece, mut each: impl FnMut(Piece) -> Result) -> Result {
        let mut at = whole.range.start;
        while at < whole.range.end {
            let rest = BlockRange::between(at, whole.range.end);
            let found = self
                .status
                .lock()
                .pieces
                .first_from(at)
                .and_then(|piece| piece.within(rest));
            let Some(part) = found else {
                break;
            };
            at = part.range.end;
            if whole.within(part.range) == Some(part) {
                each(part)?;
            }
        }
        Ok(())
    }
}

/// Makes sure of the credits for one more change of a tree, and `others`: to run out of them in the
/// middle of a change would stop the journal.
///
/// More may be needed than was reckoned: what is one run in memory may be several extents on the disk.
fn make_sure(cx: &mut Context<'_, '_, '_>, tree: &Tree, others: u32) -> Result {
    let root = tree.header()?;
    let needed = others
        .saturating_add(change_in(root, 2))
        .saturating_add(RECORD);
    ensure(cx.handle, needed)
}

/// Sees to it that a handle has so many credits, or answers [`Error::Again`].
fn ensure(handle: &mut Handle<'_>, credits: u32) -> Result {
    if handle.has(credits, 0) || handle.reach(credits, 0)? {
        return Ok(());
    }
    Err(Error::Again)
}

/// Credits for a change that adds up to `entries` entries to a tree.
fn change_in(root: Header, entries: u32) -> u32 {
    let fits = u32::from(root.entries).saturating_add(entries) <= u32::from(root.max);
    if root.depth == 0 && fits {
        0
    } else {
        change_credits(root.depth)
    }
}

/// Credits for finishing these with a root like this.
fn credits(allocator: &Allocator, root: Header, finished: &[Ordered]) -> u32 {
    let fresh = finished
        .iter()
        .filter(|ordered| ordered.kind == Completion::Fresh);
    let settle = fresh.fold(0u32, |sum, ordered| {
        sum.saturating_add(allocator.credits(Run {
            start: ordered.block,
            len: ordered.len,
        }))
    });
    // An ordered extent longer than an extent can be is more than one; a conversion may add two.
    let parts = finished.iter().fold(0u32, |sum, ordered| {
        sum.saturating_add(2 * ordered.len.div_ceil(u32::from(MAX_UNWRITTEN)))
    });
    if root.depth == 0 && u32::from(root.entries).saturating_add(parts) <= u32::from(root.max) {
        return settle;
    }
    let changes = finished.iter().fold(0u32, |sum, ordered| {
        sum.saturating_add(ordered.len.div_ceil(u32::from(MAX_UNWRITTEN)))
    });
    // Each level may get one more while this handle is open.
    let depth = root.depth.saturating_add(1).min(MAX_DEPTH);
    settle.saturating_add(changes.saturating_mul(change_credits(depth)))
}
