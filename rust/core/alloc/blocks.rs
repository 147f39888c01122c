// SPDX-License-Identifier: GPL-2.0

//! A locked group whose bitmap is in memory: taking blocks, keeping them for a window, giving them
//! back.

use super::groups::{no_group, GroupInfo, Groups, State};
use super::runs;
use super::space::Space;
use super::Allocator;
use crate::core::cache::Kind;
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::Run;
use crate::core::patience::patiently;
use crate::core::platform::{MutexGuard, Vec, GFP};
use crate::format::bitmap;
use crate::format::fault::{BitmapFault, Fault};
use crate::format::units::Group;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

/// A group's lock, held; its bitmap is loaded if it comes from [`Allocator::lock`].
///
/// # Invariants
///
/// Once loaded: `claimed` is empty or has every bit of `busy`; `ahead` counts the bits of `busy` that are not in
/// the disk's bitmap, and all of that are in `busy`. `free` counts the clear bits of `busy`; no run
/// of clear bits in [`State::bits`] is longer than `longest`, and none begins below where `lowest` says.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    groups: &'a Groups,
    space: &'a Space,
    pub(super) group: Group,
    pub(super) info: &'a GroupInfo,
    /// Blocks in the group.
    pub(super) len: u32,
    pub(super) state: MutexGuard<'a, State>,
}

impl Allocator {
    /// Locks a group and loads its bitmap if need be (which reads the disk).
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when the bitmap is not to be trusted and [`Error::Io`] when it cannot be
    /// read; the group is then left alone for good, and later calls fail with [`Error::NoSpace`].
    pub(super) fn lock(&self, group: Group) -> Result<Locked<'_>> {
        let mut locked = self.enter(group)?;
        self.loaded(&mut locked)?;
        Ok(locked)
    }

    /// Locks a group for the sake of its inodes: the bitmap of blocks may not be in memory.
    pub(super) fn enter(&self, group: Group) -> Result<Locked<'_>> {
        let info = self
            .groups
            .get(group)
            .ok_or(no_group(group, self.geometry()))?;
        let state = info.state.lock();
        let len = self.geometry().group_len(group);
        Ok(Locked {
            groups: &self.groups,
            space: &self.space,
            group,
            info,
            len,
            state,
        })
    }

    /// Loads the bitmap of blocks if it is not in memory; errors as [`Self::lock`].
    pub(super) fn loaded(&self, locked: &mut Locked<'_>) -> Result {
        if locked.info.blocks_bad.load(Relaxed) {
            return Err(Error::NoSpace);
        }
        if !locked.state.busy.is_empty() {
            return Ok(());
        }
        let result = self.load(locked);
        if matches!(result, Err(Error::Corrupt(..) | Error::Io(_))) {
            locked.condemn();
        }
        result
    }

    /// Reads and checks the group's bitmap.
    fn load(&self, locked: &mut Locked<'_>) -> Result {
        let group = locked.group;
        let place = locked.info.block_bitmap;
        let corrupt = |fault| Error::Corrupt(Place::block(place), fault);
        let size = usize::try_from(self.geometry().block_size()).map_err(|_| Error::NoMemory)?;
        let mut bits = patiently(|| Ok(Vec::from_elem(0u8, size, GFP)?))?;
        if locked.state.blocks_uninit {
            let desc = self.groups.descriptor(&self.cache, group)?;
            desc.fresh_block_bitmap(group, self.geometry(), &mut bits)
                .map_err(corrupt)?;
        } else {
            events::bitmap_load(&self.device, group);
            let buffer = self
                .cache
                .read(&self.device, place, Kind::BlockBitmap(group))?;
            for (to, from) in bits.iter_mut().zip(buffer.data()?.iter()) {
                *to = *from;
            }
        }
        self.check_bitmap(locked, &mut bits).map_err(corrupt)?;
        let longest = runs::longest(&bits, locked.len);
        locked.state.busy = bits;
        locked.info.loaded.store(true, Relaxed);
        self.loaded.fetch_add(1, Relaxed);
        self.groups
            .set_longest(group, locked.info, runs::length(&longest));
        Ok(())
    }

    /// Whether the bitmap can be: all metadata in use, nothing past the end free, the count right.
    fn check_bitmap(
        &self,
        locked: &Locked<'_>,
        bits: &mut [u8],
    ) -> core::result::Result<(), Fault> {
        let bad = |what, a: u64, b: u64| Err(Fault::Bitmap(what, a, b));
        // What lies past the bitmap's own bytes is not summed by anybody and never means a block.
        let end = self.geometry().blocks_per_group().get();
        let all = u32::try_from(bits.len().saturating_mul(8)).unwrap_or(u32::MAX);
        bitmap::fill(bits, end, all.saturating_sub(end))?;
        if let Some(bit) = bitmap::next_clear(bits, locked.len..end) {
            return bad(BitmapFault::Padding, u64::from(bit), 0);
        }
        let start = self
            .geometry()
            .group_start(locked.group)
            .map_or(0, |start| start.get());
        let blocks = start..start.saturating_add(u64::from(locked.len));
        for zone in self.zones.within(blocks) {
            let bit = |block: u64| u32::try_from(block.saturating_sub(start)).unwrap_or(u32::MAX);
            if let Some(free) = bitmap::next_clear(bits, bit(zone.start)..bit(zone.end)) {
                return bad(
                    BitmapFault::Metadata,
                    start.saturating_add(u64::from(free)),
                    0,
                );
            }
        }
        let (free, said) = (
            bitmap::count_clear(bits, 0..locked.len),
            locked.info.free.load(Relaxed),
        );
        if free != said {
            return bad(BitmapFault::FreeCount, u64::from(free), u64::from(said));
        }
        Ok(())
    }

    /// The parts of a run, a part for each group that has blocks of it.
    pub(super) fn parts(&self, run: Run) -> impl Iterator<Item = Result<(Group, Range<u32>)>> + '_ {
        let mut left = run;
        core::iter::from_fn(move || {
            if left.len == 0 {
                return None;
            }
            let Some((group, bit)) = self.geometry().group_of(left.start) else {
                let outside =
                    Fault::Bitmap(BitmapFault::Range, left.start.get(), u64::from(left.len));
                let error = Error::Corrupt(Place::block(left.start), outside);
                left.len = 0;
                return Some(Err(error));
            };
            // `group_of` puts the bit inside the group.
            let len = left
                .len
                .min(self.geometry().group_len(group).saturating_sub(bit))
                .max(1);
            left.len = left.len.saturating_sub(len);
            left.start = left.start.checked_add(u64::from(len)).unwrap_or(left.start);
            Some(Ok((group, bit..bit.saturating_add(len))))
        })
    }
}

/// Clears bits, whatever they were.
fn wipe(bits: &mut [u8], range: &Range<u32>) {
    let mut at = range.start;
    while let Some(start) = bitmap::next_set(bits, at..range.end) {
        let end = bitmap::next_clear(bits, start..range.end).unwrap_or(range.end);
        // All these bits are set, so it cannot fail.
        if bitmap::clear(bits, start, end.saturating_sub(start)).is_err() {
            return;
        }
        at = end;
    }
}

impl Locked<'_> {
    /// The range as blocks of the device.
    pub(super) fn run(&self, allocator: &Allocator, range: &Range<u32>) -> Result<Run> {
        let start = allocator.geometry().block_at(self.group, range.start);
        let start = start.ok_or(no_group(self.group, allocator.geometry()))?;
        Ok(Run {
            start,
            len: runs::length(range),
        })
    }

    /// Takes free blocks: they are in flight.
    pub(super) fn take(&mut self, range: &Range<u32>) -> Result {
        let (start, len) = (range.start, runs::length(range));
        let place = Place::block(self.info.block_bitmap);
        bitmap::set(&mut self.state.busy, start, len)
            .map_err(|fault| Error::Corrupt(place, fault))?;
        if !self.state.claimed.is_empty() {
            bitmap::fill(&mut self.state.claimed, start, len)
                .map_err(|fault| Error::Corrupt(place, fault))?;
        }
        self.state.ahead = self.state.ahead.saturating_add(len);
        let free = self.info.free.load(Relaxed).saturating_sub(len);
        self.info.free.store(free, Relaxed);
        if self.info.longest.load(Relaxed) > free {
            self.groups.set_longest(self.group, self.info, free);
        }
        self.space.take(len);
        Ok(())
    }

    /// Gives taken blocks back; `freed` when they were in use on disk before.
    pub(super) fn give(&mut self, range: &Range<u32>, freed: bool) -> Result {
        let len = runs::length(range);
        let place = Place::block(self.info.block_bitmap);
        bitmap::clear(&mut self.state.busy, range.start, len)
            .map_err(|fault| Error::Corrupt(place, fault))?;
        wipe(&mut self.state.claimed, range);
        self.state.ahead = self.state.ahead.saturating_sub(len);
        if self.info.blocks_bad.load(Relaxed) {
            self.space.give(len, freed);
            self.space.lose(len);
            return Ok(());
        }
        // Who is promised the blocks has to find them.
        self.info.free.fetch_add(len, Relaxed);
        self.note_free(range);
        self.space.give(len, freed);
        Ok(())
    }

    /// Keeps others out of free blocks.
    pub(super) fn claim(&mut self, range: &Range<u32>) -> Result {
        if self.state.claimed.is_empty() {
            let room = || Ok(Vec::with_capacity(self.state.busy.len(), GFP)?);
            let mut claimed = patiently(room)?;
            claimed.extend_from_slice(&self.state.busy, GFP)?;
            self.state.claimed = claimed;
        }
        let place = Place::block(self.info.block_bitmap);
        bitmap::fill(&mut self.state.claimed, range.start, runs::length(range))
            .map_err(|fault| Error::Corrupt(place, fault))?;
        self.state.windows = self.state.windows.saturating_add(1);
        Ok(())
    }

    /// Lets others take what is left of a window.
    pub(super) fn unclaim(&mut self, range: &Range<u32>) {
        self.state.windows = self.state.windows.saturating_sub(1);
        if self.state.windows == 0 {
            self.state.claimed = Vec::new();
        }
        let State { busy, claimed, .. } = &mut *self.state;
        for run in bitmap::free_runs(busy, range.clone()) {
            wipe(claimed, &run);
        }
        let mut at = range.start;
        while let Some(run) = bitmap::next_free_run(self.state.bits(), at..range.end) {
            self.note_free(&run);
            at = run.end;
        }
    }

    /// Keeps the hints true when blocks have become free.
    fn note_free(&mut self, range: &Range<u32>) {
        let run = runs::around(self.state.bits(), range, self.len);
        self.state.lowest.freed(run.start);
        let whole = runs::length(&run);
        if whole > self.info.longest.load(Relaxed) {
            self.groups.set_longest(self.group, self.info, whole);
        }
    }

    /// The start of a free run of at least `size` blocks.
    pub(super) fn find(&mut self, size: u32) -> Option<u32> {
        let State {
            busy,
            claimed,
            lowest,
            ..
        } = &mut *self.state;
        let bits = if claimed.is_empty() { busy } else { claimed };
        let bit = runs::first_fit(bits, lowest.start(size)..self.len, size);
        lowest.found(size, bit.unwrap_or(self.len));
        bit
    }

    /// Measures the longest free run and writes it down.
    pub(super) fn measure(&mut self) -> Range<u32> {
        let longest = runs::longest(self.state.bits(), self.len);
        self.groups
            .set_longest(self.group, self.info, runs::length(&longest));
        longest
    }

    /// Leaves the group alone for good: nothing is taken from it, and nothing freed in it. What is in flight
    /// there may still be settled.
    pub(super) fn condemn(&mut self) {
        self.info.blocks_bad.store(true, Relaxed);
        self.space.lose(self.info.free.swap(0, Relaxed));
        self.groups.set_longest(self.group, self.info, 0);
    }
}
