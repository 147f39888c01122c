// SPDX-License-Identifier: GPL-2.0

//! The extent status: what is known in memory of a file's blocks, ordered by logical block.
//!
//! A piece says hole, delayed, in flight, written or unwritten. Where there is no piece, the extent
//! tree has to be asked. Delayed and in-flight pieces exist only here; all others repeat the tree
//! and may be forgotten at any time.
//!
//! Pieces live in short sorted chunks, so that a change moves little memory, and every change first
//! makes sure of room ([`Pieces::prepare`]): nothing is allocated under the spinlock that guards them.

use super::{BlockRange, State};
use crate::core::error::Result;
use crate::core::platform::{memory_size, Vec, GFP};
use crate::format::units::FileBlock;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Pieces in a full chunk.
const CHUNK: usize = 64;
/// A change adds at most so many pieces to one chunk: two cuts and the new piece.
const ADDED: usize = 3;
/// Above so many pieces of a file, those that repeat the tree are forgotten.
const MANY: usize = 16 * 1024;
/// When pieces of all files take more than this part of memory, [`CHUNK`] are many for each that changes.
const PART: usize = 64;

/// About how many pieces there are, of all files.
static ALL: AtomicUsize = AtomicUsize::new(0);

/// Neighbouring blocks in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: BlockRange,
    /// The state; a disk block in it is that of the range's first block.
    pub(super) state: State,
}

impl Piece {
    /// These blocks, in this state.
    pub(super) const fn new(range: BlockRange, state: State) -> Self {
        Self { range, state }
    }

    /// The part of it inside `range`; `None` if there is none.
    pub(super) fn within(self, range: BlockRange) -> Option<Self> {
        let part = self.range.intersection(range)?;
        Some(Self {
            range: part,
            state: self
                .state
                .advanced(part.start.get() - self.range.start.get()),
        })
    }

    /// Whether `next` goes on where this one ends, in the file and on the disk.
    fn continues_in(self, next: Self) -> bool {
        self.range.end == next.range.start && self.state.advanced(self.range.len()) == next.state
    }
}

/// Memory brought along for a change.
#[derive(Debug, Default)]
pub(super) struct Spare {
    /// Empty chunks; what a change no longer needs comes back here, to be dropped after the lock.
    chunks: Vec<Vec<Piece>>,
    /// A longer list of chunks.
    list: Vec<Vec<Piece>>,
}

/// What [`Pieces::prepare`] lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    /// The size of a chunk it needs, in pieces.
    chunk: usize,
    /// The length of a list of chunks it needs; 0 for none.
    list: usize,
}

impl Spare {
    /// Allocates what a change lacked. Call without the lock.
    pub(super) fn provide(&mut self, lack: Lack) -> Result {
        if lack.list > self.list.capacity() {
            self.list = Vec::with_capacity(lack.list, GFP)?;
        }
        // Room for chunks that come back as well: pushing them must not allocate.
        self.chunks.reserve(4, GFP)?;
        self.chunks
            .push(Vec::with_capacity(lack.chunk, GFP)?, GFP)?;
        Ok(())
    }

    /// An empty chunk for at least `size` pieces.
    fn take(&mut self, size: usize) -> Option<Vec<Piece>> {
        let at = self
            .chunks
            .iter()
            .position(|chunk| chunk.is_empty() && chunk.capacity() >= size)?;
        self.chunks.remove(at).ok()
    }
}

/// The pieces of one file.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Sorted, without overlaps; no chunk is empty.
    chunks: Vec<Vec<Piece>>,
    /// Pieces in all.
    count: usize,
    /// Delayed blocks.
    delayed: u32,
    /// In-flight blocks.
    in_flight: u32,
    /// Delayed and in-flight pieces.
    pending: u32,
    /// How many pieces are counted in [`ALL`].
    told: usize,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        ALL.fetch_sub(self.told, Ordering::Relaxed);
    }
}

impl Pieces {
    /// Nothing is known yet.
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            count: 0,
            delayed: 0,
            in_flight: 0,
            pending: 0,
            told: 0,
        }
    }

    /// Delayed blocks.
    pub(super) fn delayed(&self) -> u32 {
        self.delayed
    }

    /// Blocks that are delayed or in flight.
    pub(super) fn pending_blocks(&self) -> u32 {
        self.delayed + self.in_flight
    }

    /// Pieces that are delayed or in flight.
    pub(super) fn pending_pieces(&self) -> u32 {
        self.pending
    }

    /// The piece with `at` in it.
    pub(super) fn find(&self, at: FileBlock) -> Option<Piece> {
        let (chunk, slot) = self.position(at);
        let piece = *self.chunks.get(chunk)?.get(slot)?;
        piece.range.contains(at).then_some(piece)
    }

    /// The first piece that ends after `at`.
    pub(super) fn first_from(&self, at: FileBlock) -> Option<Piece> {
        let (chunk, slot) = self.position(at);
        let here = self.chunks.get(chunk)?;
        let piece = *here.get(slot)?;
        if piece.range.end > at {
            return Some(piece);
        }
        here.get(slot + 1)
            .or_else(|| self.chunks.get(chunk + 1)?.first())
            .copied()
    }

    /// The last piece that starts before `at`.
    pub(super) fn last_before(&self, at: FileBlock) -> Option<Piece> {
        let (chunk, slot) = self.position(FileBlock(at.get().checked_sub(1)?));
        let piece = *self.chunks.get(chunk)?.get(slot)?;
        (piece.range.start < at).then_some(piece)
    }

    /// The unknown blocks around `at`, which must be unknown.
    pub(super) fn gap(&self, at: FileBlock) -> BlockRange {
        BlockRange {
            start: self
                .last_before(at)
                .map_or(FileBlock(0), |piece| piece.range.end),
            end: self
                .first_from(at)
                .map_or(BlockRange::MAX_END, |piece| piece.range.start),
        }
    }

    /// Makes sure that [`Self::set`] on `range` will find room. If it lacks memory, the caller drops
    /// the lock, calls [`Spare::provide`] and asks again.
    pub(super) fn prepare(
        &mut self,
        range: BlockRange,
        spare: &mut Spare,
    ) -> core::result::Result<(), Lack> {
        // The start last: making room at the end may move it to another chunk, not the reverse,
        // because a chunk that was split in two has room in both halves.
        self.make_room(range.end, spare)?;
        self.make_room(range.start, spare)
    }

    /// The most that [`Self::prepare`] can lack for a border, also when others have doubled the pieces
    /// by then; the list, which is as long as there are pieces, only if it is almost full.
    pub(super) fn most(&self) -> Lack {
        let is_full = self.chunks.capacity() - self.chunks.len() < 4;
        Lack {
            chunk: CHUNK,
            list: if is_full {
                4 * self.chunks.len() + 4
            } else {
                0
            },
        }
    }

    /// As [`Self::set`], where that only moves the border between two pieces into a hole: the way in which
    /// files grow. Needs no memory. Answers whether it was that.
    pub(super) fn grow(&mut self, range: BlockRange, state: State) -> bool {
        let new = Piece { range, state };
        let (chunk, slot) = self.position(range.start);
        let pieces = slot
            .checked_sub(1)
            .and_then(|before| self.chunks.get_mut(chunk)?.get_mut(before..=slot));
        let Some([left, hole]) = pieces else {
            return false;
        };
        let begins = hole.range.start == range.start && hole.range.end > range.end;
        if !begins || hole.state != State::Hole || !left.continues_in(new) {
            return false;
        }
        left.range.end = range.end;
        hole.range.start = range.end;
        self.count_in(new);
        self.pending -= u32::from(state.is_pending());
        true
    }

    /// Puts everything in `range` into `state`. Needs [`Self::prepare`] under the same lock.
    pub(super) fn set(&mut self, range: BlockRange, state: State) {
        if range.is_empty() {
            return;
        }
        self.cut(range.start);
        self.cut(range.end);
        self.put_over(Piece { range, state });
        self.erase_after(range);
        self.join_at(range.end);
        self.join_at(range.start);
    }

    /// Forgets the pieces that repeat the tree if there are very many.
    pub(super) fn trim(&mut self) {
        let budget = memory_size() / (PART * size_of::<Piece>());
        let many = if self.tell() < budget { MANY } else { CHUNK };
        if self.count < many.max(2 * self.pending as usize) {
            return;
        }
        for chunk in &mut *self.chunks {
            chunk.retain(|piece| piece.state.is_pending());
        }
        self.count = self.chunks.iter().map(|chunk| chunk.len()).sum();
        self.drop_empty();
        self.tell();
    }

    /// Brings [`ALL`] up to date, if a chunk's worth has changed; what it is.
    fn tell(&mut self) -> usize {
        if self.count.abs_diff(self.told) < CHUNK {
            return ALL.load(Ordering::Relaxed);
        }
        let more = self.count.wrapping_sub(self.told);
        self.told = self.count;
        ALL.fetch_add(more, Ordering::Relaxed).wrapping_add(more)
    }

    /// The chunk and slot of the last piece that starts at or before `at`; the very first place if
    /// there is none.
    fn position(&self, at: FileBlock) -> (usize, usize) {
        let starts_before = |piece: &Piece| piece.range.start <= at;
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.first().is_some_and(starts_before));
        let chunk = chunk.saturating_sub(1);
        let slot = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.partition_point(starts_before));
        (chunk, slot.saturating_sub(1))
    }

    /// Room for [`ADDED`] more pieces in the chunk that `at` belongs to.
    fn make_room(&mut self, at: FileBlock, spare: &mut Spare) -> core::result::Result<(), Lack> {
        let (at, _) = self.position(at);
        let (len, capacity) = self
            .chunks
            .get(at)
            .map_or((0, 0), |chunk| (chunk.len(), chunk.capacity()));
        if len + ADDED <= capacity {
            return Ok(());
        }
        let splits = len + ADDED > CHUNK;
        let size = if splits {
            CHUNK
        } else {
            (2 * len + ADDED + 1).min(CHUNK)
        };
        let grows =
            (splits || self.chunks.is_empty()) && self.chunks.len() == self.chunks.capacity();
        let list = if grows {
            (2 * self.chunks.len()).max(1)
        } else {
            0
        };
        let lack = Lack { chunk: size, list };
        if spare.list.capacity() < list {
            return Err(lack);
        }
        let mut fresh = spare.take(size).ok_or(Lack { list: 0, ..lack })?;
        if grows {
            let mut longer = core::mem::take(&mut spare.list);
            for chunk in &mut *self.chunks {
                put(&mut longer, core::mem::take(chunk));
            }
            spare.list = core::mem::replace(&mut self.chunks, longer);
            spare.list.clear();
        }
        let Some(full) = self.chunks.get_mut(at) else {
            put(&mut self.chunks, fresh);
            return Ok(());
        };
        let keep = if splits { len / 2 } else { 0 };
        for piece in full.get(keep..).unwrap_or(&[]) {
            put(&mut fresh, *piece);
        }
        full.truncate(keep);
        if splits {
            put(&mut self.chunks, fresh);
            rotate_in(&mut self.chunks, at + 1);
        } else {
            put(&mut spare.chunks, core::mem::replace(full, fresh));
        }
        Ok(())
    }

    /// Makes `at` a border between pieces.
    fn cut(&mut self, at: FileBlock) {
        let Some(piece) = self.find(at).filter(|piece| piece.range.start < at) else {
            return;
        };
        let (chunk, slot) = self.position(at);
        if let Some(left) = self
            .chunks
            .get_mut(chunk)
            .and_then(|chunk| chunk.get_mut(slot))
        {
            left.range.end = at;
        }
        if let Some(right) = piece.within(BlockRange::between(at, piece.range.end)) {
            // The blocks are counted already, the piece is not.
            self.pending += u32::from(right.state.is_pending());
            self.place(right);
        }
    }

    /// Makes the first piece that starts in `piece`'s range that piece, or adds it. What else starts
    /// in the range is left for [`Self::erase_after`].
    fn put_over(&mut self, piece: Piece) {
        let (mut chunk, mut slot) = self.position(piece.range.start);
        let starts_there = |other: &Piece| {
            other.range.start >= piece.range.start && other.range.start < piece.range.end
        };
        let here =
            |chunk: usize, slot: usize| self.chunks.get(chunk).and_then(|chunk| chunk.get(slot));
        if !here(chunk, slot).is_some_and(starts_there) {
            (chunk, slot) = if here(chunk, slot + 1).is_some() {
                (chunk, slot + 1)
            } else {
                (chunk + 1, 0)
            };
        }
        match here(chunk, slot).copied().filter(starts_there) {
            Some(old) => {
                self.count_out(old);
                if let Some(place) = self
                    .chunks
                    .get_mut(chunk)
                    .and_then(|chunk| chunk.get_mut(slot))
                {
                    *place = piece;
                }
            }
            None => self.place(piece),
        }
        self.count_in(piece);
    }

    /// Takes out all pieces that start inside `range` but after its start.
    fn erase_after(&mut self, range: BlockRange) {
        let (mut at, _) = self.position(range.start);
        let mut emptied = false;
        while let Some(chunk) = self.chunks.get(at) {
            let from = chunk.partition_point(|piece| piece.range.start <= range.start);
            let to = chunk.partition_point(|piece| piece.range.start < range.end);
            let ends_here = to < chunk.len();
            for slot in from..to {
                let erased = self
                    .chunks
                    .get(at)
                    .and_then(|chunk| chunk.get(slot))
                    .copied();
                if let Some(erased) = erased {
                    self.count_out(erased);
                }
            }
            if let Some(chunk) = self.chunks.get_mut(at).filter(|_| from < to) {
                chunk.copy_within(to.., from);
                chunk.truncate(chunk.len() - (to - from));
                self.count -= to - from;
                emptied |= chunk.is_empty();
            }
            if ends_here {
                break;
            }
            at += 1;
        }
        if emptied {
            self.drop_empty();
        }
    }

    /// Takes empty chunks out of the list. A chunk's memory is small: freeing it under a spinlock is fine.
    fn drop_empty(&mut self) {
        let mut kept = 0;
        for at in 0..self.chunks.len() {
            if self.chunks.get(at).is_some_and(|chunk| !chunk.is_empty()) {
                self.chunks.swap(kept, at);
                kept += 1;
            }
        }
        self.chunks.truncate(kept);
    }

    fn count_in(&mut self, piece: Piece) {
        match piece.state {
            State::Delayed => self.delayed += piece.range.len(),
            State::InFlight(_) => self.in_flight += piece.range.len(),
            _ => {}
        }
        self.pending += u32::from(piece.state.is_pending());
    }

    fn count_out(&mut self, piece: Piece) {
        match piece.state {
            State::Delayed => self.delayed -= piece.range.len(),
            State::InFlight(_) => self.in_flight -= piece.range.len(),
            _ => {}
        }
        self.pending -= u32::from(piece.state.is_pending());
    }

    /// Puts a piece at its place.
    fn place(&mut self, piece: Piece) {
        let (at, _) = self.position(piece.range.start);
        if let Some(chunk) = self.chunks.get_mut(at) {
            let slot = chunk.partition_point(|other| other.range.start < piece.range.start);
            put(chunk, piece);
            rotate_in(chunk, slot);
            self.count += 1;
        }
    }

    /// Joins the pieces on both sides of `at` if they are one.
    fn join_at(&mut self, at: FileBlock) {
        let Some(left) = self.last_before(at).filter(|left| left.range.end == at) else {
            return;
        };
        let Some(right) = self
            .find(at)
            .filter(|right| right.range.start == at && left.continues_in(*right))
        else {
            return;
        };
        let (chunk, slot) = self.position(at);
        let Some(place) = self.chunks.get_mut(chunk) else {
            return;
        };
        let _ = place.remove(slot);
        let empty = place.is_empty();
        self.count -= 1;
        self.pending -= u32::from(right.state.is_pending());
        if empty {
            let _ = self.chunks.remove(chunk);
        }
        let (chunk, slot) = self.position(left.range.start);
        if let Some(left) = self
            .chunks
            .get_mut(chunk)
            .and_then(|chunk| chunk.get_mut(slot))
        {
            left.range.end = right.range.end;
        }
    }
}

/// Appends where there is room: this never allocates.
fn put<T>(list: &mut Vec<T>, value: T) {
    debug_assert!(list.len() < list.capacity());
    let full = list.push(value, GFP).is_err();
    debug_assert!(!full);
}

/// Moves the last element to `at`.
fn rotate_in<T>(list: &mut [T], at: usize) {
    if let Some(tail) = list.get_mut(at..) {
        if !tail.is_empty() {
            tail.rotate_right(1);
        }
    }
}
