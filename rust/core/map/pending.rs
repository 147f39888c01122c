// SPDX-License-Identifier: GPL-2.0

//! Blocks that the disk knows nothing of yet: delayed, then in flight.
//!
//! A delayed block has space promised to it, for itself and for the tree nodes it may need. Writeback
//! of any of them gives the whole delayed run its place, in memory. Space is promised under no lock but
//! the caller's folio lock, and counted under the status lock. A block stays in flight until its data is
//! on the disk, or nobody can be writing it any more.

use super::status::{Piece, Spare};
use super::{BlockRange, FileMap, Inner, Mapping, State, Status};
use crate::core::alloc::{Goal, InFlight, Request, Reservation, MAX_RUN};
use crate::core::error::{Error, Result};
use crate::core::events::map::{self as events, Promise};
use crate::core::journal::Run;
use crate::core::volume::Volume;
use crate::format::units::FileBlock;

/// How a try to make blocks delayed went.
enum Try {
    /// They are, or were something else already.
    Done(Mapping, bool),
    /// Nothing is known of them.
    Unknown,
    /// More space has to be promised.
    Promise(u64),
    /// More memory is needed.
    Memory(super::status::Lack),
}

impl FileMap {
    /// The state of `at` for a write of `len` blocks; a hole becomes delayed, with space promised to
    /// it. Returns whether it did, in this call.
    ///
    /// May answer for fewer blocks. [`Error::NoSpace`] if there is no space for even one. Starts no
    /// handle; may wait for a commit that frees blocks, so the caller must not have one either.
    pub fn reserve_delayed(
        &self,
        volume: &Volume,
        at: FileBlock,
        len: u32,
    ) -> Result<(Mapping, bool)> {
        let mut len = len.max(1);
        let mut spare: Option<Spare> = None;
        let mut extra: Option<Reservation> = None;
        loop {
            match self.try_reserve(BlockRange::new(at, len), &mut spare, &mut extra)? {
                Try::Done(mapping, new) => {
                    if new {
                        self.show_delayed(volume, &mapping);
                    }
                    return Ok((mapping, new));
                }
                Try::Unknown => self.load(volume, at)?,
                Try::Memory(lack) => spare.get_or_insert_default().provide(lack)?,
                Try::Promise(blocks) => {
                    match volume.allocator.reserve_waiting(volume.journal()?, blocks) {
                        Ok(more) => match extra.as_mut() {
                            Some(extra) => extra.merge(more),
                            None => extra = Some(more),
                        },
                        Err(Error::NoSpace) if len > 1 => len /= 2,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// What is promised now.
    fn promised(&self) -> u64 {
        self.status.lock().has()
    }

    fn show_delayed(&self, volume: &Volume, mapping: &Mapping) {
        let (device, ino) = (&volume.device, self.owner.ino);
        events::promise(device, ino, Promise::Made, mapping.len, || self.promised());
        events::es_insert_delayed(device, self.shown(mapping.piece()), mapping.sequence);
    }

    /// One try under the status lock; takes what it needs from `extra`.
    fn try_reserve(
        &self,
        range: BlockRange,
        spare: &mut Option<Spare>,
        extra: &mut Option<Reservation>,
    ) -> Result<Try> {
        let mut status = self.status.lock();
        let Some(piece) = status.pieces.find(range.start) else {
            return Ok(Try::Unknown);
        };
        if piece.state != State::Hole {
            return Ok(Try::Done(self.mapping(&status, piece, range)?, false));
        }
        let hole = piece.within(range).ok_or(Error::Invalid)?.range;
        // The new piece may join neighbours; that it does not is the worst case.
        let nodes = super::nodes_for(
            status.root,
            status.pieces.pending_pieces().saturating_add(1),
            status.pieces.pending_blocks().saturating_add(hole.len()),
        );
        let wanted = nodes + u64::from(status.pieces.delayed()) + u64::from(hole.len());
        let need = wanted.saturating_sub(status.has());
        let have = extra.as_ref().map_or(0, Reservation::blocks);
        if need > have {
            return Ok(Try::Promise(need - have));
        }
        if !status.pieces.grow(hole, State::Delayed) {
            let spare = spare.get_or_insert_default();
            if let Err(lack) = status.pieces.prepare(hole, spare) {
                return Ok(Try::Memory(lack));
            }
            status.pieces.set(hole, State::Delayed);
        }
        if let Some(part) = extra.as_mut().and_then(|extra| extra.split(need)) {
            status.take_promise(part);
        }
        status.trim_promise();
        self.changed();
        let delayed = Piece::new(hole, State::Delayed);
        Ok(Try::Done(self.mapping(&status, delayed, range)?, true))
    }

    /// The delayed blocks of `range` become a hole again: nobody will write them. What is in flight
    /// stays, as its data may be on its way. May be called under a folio lock.
    pub fn release_delayed(&self, volume: &Volume, range: BlockRange) -> Result {
        self.release(volume, range, |state| state == State::Delayed)
    }

    /// What of `range` never reached the disk becomes a hole again: delayed blocks, and blocks in
    /// flight. The caller knows that nothing of it is dirty or on its way, nor can become so meanwhile.
    pub fn release_pending(&self, volume: &Volume, range: BlockRange) -> Result {
        self.release(volume, range, State::is_pending)
    }

    fn release(&self, volume: &Volume, range: BlockRange, which: fn(State) -> bool) -> Result {
        if self.status.lock().pieces.pending_blocks() == 0 {
            return Ok(());
        }
        let _held = self.inner.lock();
        let mut at = range.start;
        while at < range.end {
            let next = self.status.lock().pieces.first_from(at);
            let rest = BlockRange::between(at, range.end);
            let Some(part) = next.and_then(|piece| piece.within(rest)) else {
                break;
            };
            at = part.range.end;
            if which(part.state) {
                self.drop_pending(volume, part)?;
            }
        }
        Ok(())
    }

    /// Makes a pending piece a hole. Needs the tree's lock.
    fn drop_pending(&self, volume: &Volume, part: Piece) -> Result {
        self.put(part.range, State::Hole)?;
        let (device, ino) = (&volume.device, self.owner.ino);
        match part.state.block() {
            None => events::promise(device, ino, Promise::Dropped, part.range.len(), || {
                self.promised()
            }),
            Some(start) => {
                events::ordered_fail(device, self.shown(part));
                volume.allocator.release(Run {
                    start,
                    len: part.range.len(),
                });
            }
        }
        Ok(())
    }

    /// The state of `at` for writeback: if it is delayed, the whole delayed run around it gets its
    /// place first. `file_blocks` is the file's size, in blocks, as far as the caller knows.
    ///
    /// Memory only, but for bitmaps that have to be read. The promise made to the delayed blocks pays.
    pub fn begin_writeback(
        &self,
        volume: &Volume,
        at: FileBlock,
        file_blocks: u64,
    ) -> Result<Mapping> {
        loop {
            let mapping = self.lookup(volume, at, u32::MAX)?;
            if mapping.state != State::Delayed {
                return Ok(mapping);
            }
            let mut inner = self.inner.lock();
            self.place_run(volume, &mut inner, at, file_blocks)?;
        }
    }

    /// The state of `at` for direct I/O of `len` blocks: a hole gets its place. [`Error::Again`] if the
    /// block is pending already: then it is in the page cache.
    ///
    /// What is returned in flight and is never sent can be given back by [`Self::release_pending`]; what
    /// is unwritten is converted by [`Self::finish`]. Nobody may put anything in the page cache there
    /// meanwhile, as what gets no place becomes a hole again.
    pub fn allocate_direct(
        &self,
        volume: &Volume,
        at: FileBlock,
        len: u32,
        file_blocks: u64,
    ) -> Result<Mapping> {
        let (mapping, new) = self.reserve_delayed(volume, at, len)?;
        if !new {
            let pending = mapping.state.is_pending();
            return if pending {
                Err(Error::Again)
            } else {
                Ok(mapping)
            };
        }
        let placed = self.begin_writeback(volume, at, file_blocks);
        let len = placed.map_or(0, |placed| placed.len.min(mapping.len));
        let got = BlockRange::new(at, len);
        let hole = BlockRange::new(at, mapping.len);
        self.release_pending(volume, BlockRange::between(got.end, hole.end))?;
        Ok(Mapping { len, ..placed? })
    }

    /// Allocates blocks for (a part of) the delayed run around `at`.
    fn place_run(
        &self,
        volume: &Volume,
        inner: &mut Inner,
        at: FileBlock,
        file_blocks: u64,
    ) -> Result {
        events::es_find_enter(&volume.device, self.owner.ino, at);
        // Before the promise is spent: what is allocated then can be noted.
        let mut spare = self.spare_for_one()?;
        let Some((run, mut paid)) = self.lend_for_run(at)? else {
            return Ok(());
        };
        let delayed = self.shown(Piece::new(run, State::Delayed));
        events::es_find_exit(&volume.device, delayed);
        events::write_extent(&volume.device, delayed);
        match self.allocate_run(volume, inner, run, file_blocks, &mut paid) {
            Ok(found) => self.mark_in_flight(volume, run.start, found, paid, &mut spare),
            Err(error) => {
                self.status.lock().take_back(paid);
                Err(error)
            }
        }
    }

    /// Memory for any one change of the status.
    fn spare_for_one(&self) -> Result<Spare> {
        let most = self.status.lock().pieces.most();
        let mut spare = Spare::default();
        // A change cuts at two places.
        spare.provide(most)?;
        spare.provide(most)?;
        Ok(spare)
    }

    /// The delayed run around `at` that is to be allocated, and the space promised to it.
    fn lend_for_run(&self, at: FileBlock) -> Result<Option<(BlockRange, Reservation)>> {
        let mut status = self.status.lock();
        let Some(piece) = status
            .pieces
            .find(at)
            .filter(|piece| piece.state == State::Delayed)
        else {
            return Ok(None);
        };
        // Of a very long run, what is written first.
        let far = at.get() - piece.range.start.get() >= MAX_RUN;
        let start = if far { at } else { piece.range.start };
        let rest = BlockRange::between(start, piece.range.end);
        let run = BlockRange::new(start, rest.len().min(MAX_RUN));
        let paid = status.lend(u64::from(run.len())).ok_or(Error::NoSpace)?;
        Ok(Some((run, paid)))
    }

    fn allocate_run<'v>(
        &self,
        volume: &'v Volume,
        inner: &mut Inner,
        run: BlockRange,
        file_blocks: u64,
        paid: &mut Reservation,
    ) -> Result<InFlight<'v>> {
        let goal = self.goal(volume, inner, run.start)?;
        let request = Request {
            ino: self.owner.ino,
            logical: run.start,
            goal,
            len: run.len(),
            file_blocks: file_blocks.max(u64::from(run.end.get())),
            window: Some(&mut inner.window),
        };
        volume.allocator.allocate(volume.journal()?, request, paid)
    }

    /// The blocks from `start` on, which are delayed, are in flight now, to what was `found` for them;
    /// takes back what is left of the space that paid for it.
    fn mark_in_flight(
        &self,
        volume: &Volume,
        start: FileBlock,
        found: InFlight<'_>,
        paid: Reservation,
        spare: &mut Spare,
    ) -> Result {
        let run = found.run();
        let piece = Piece::new(BlockRange::new(start, run.len), State::InFlight(run.start));
        let mut paid = Some(paid);
        let marked = self.put_with(piece.range, piece.state, spare, |status| {
            if let Some(paid) = paid.take() {
                status.take_back(paid);
            }
        });
        if let Some(paid) = paid {
            self.status.lock().take_back(paid);
        }
        marked?;
        found.keep();
        let (device, ino) = (&volume.device, self.owner.ino);
        events::promise(device, ino, Promise::Kept, run.len, || self.promised());
        self.show_in_flight(volume, piece);
        Ok(())
    }

    fn show_in_flight(&self, volume: &Volume, piece: Piece) {
        events::es_insert(&volume.device, self.shown(piece), self.sequence());
        events::ordered_add(&volume.device, self.shown(piece));
    }

    /// Where the block `at` would best be: behind the block before it.
    pub(super) fn goal(&self, volume: &Volume, inner: &Inner, at: FileBlock) -> Result<Goal> {
        let known = self.status.lock().pieces.last_before(at);
        let known = known.and_then(|piece| Some((piece.range, piece.state.block()?)));
        let before = match known {
            Some(found) => Some(found),
            None => {
                let extent = inner.tree.before(volume, at)?;
                extent.map(|extent| {
                    (
                        BlockRange::new(extent.lblk, u32::from(extent.len)),
                        extent.pblk,
                    )
                })
            }
        };
        let Some((range, block)) = before else {
            let is_directory = self.contents == super::Contents::Metadata;
            return Ok(Goal::Near(
                volume.allocator.inode_goal(self.owner.ino, is_directory),
            ));
        };
        let next = super::further(block, range.len());
        Ok(if range.end == at {
            Goal::Next(next)
        } else {
            Goal::Near(next)
        })
    }
}

impl Status {
    /// More space is promised.
    fn take_promise(&mut self, more: Reservation) {
        match self.promised.as_mut() {
            Some(promised) => promised.merge(more),
            None => self.promised = Some(more),
        }
    }

    /// Lends `blocks` of what is promised to who has the tree's lock; `None` if there are fewer.
    pub(super) fn lend(&mut self, blocks: u64) -> Option<Reservation> {
        let lent = self.promised.as_mut()?.split(blocks)?;
        self.lent = blocks;
        Some(lent)
    }

    /// Lends what is promised for tree nodes.
    pub(super) fn lend_nodes(&mut self) -> Option<Reservation> {
        let blocks = self
            .promised
            .as_ref()?
            .blocks()
            .saturating_sub(u64::from(self.pieces.delayed()));
        self.lend(blocks)
    }

    /// Takes back what is left of the loan.
    pub(super) fn take_back(&mut self, rest: Reservation) {
        self.lent = 0;
        self.take_promise(rest);
        self.trim_promise();
    }
}
