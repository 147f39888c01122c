// SPDX-License-Identifier: GPL-2.0

//! The disk's side: bits set and cleared in the bitmaps under a handle, with the group's count.

use super::blocks::Locked;
use super::Allocator;
use crate::core::cache::Kind;
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::{Handle, Journal, Run};
use crate::format::bitmap;
use crate::format::fault::{BitmapFault, Fault, GroupFault};
use crate::format::group_desc::{GroupDesc, GroupFlags};
use crate::format::units::Group;
use core::ops::Range;

/// What a change of a bitmap or of a descriptor returns.
type Checked = core::result::Result<(), Fault>;

impl Allocator {
    /// Credits that [`Self::settle`] (piece by piece) or [`Self::free`] of this run needs: a bitmap and a
    /// descriptor for every group it touches.
    pub fn credits(&self, run: Run) -> u32 {
        let last = run
            .start
            .get()
            .saturating_add(u64::from(run.len.saturating_sub(1)));
        let first = self.geometry().group_of(run.start);
        let last = self
            .geometry()
            .group_of(crate::format::units::DiskBlock(last));
        let groups = match (first, last) {
            (Some((first, _)), Some((last, _))) => {
                last.get().saturating_sub(first.get()).saturating_add(1)
            }
            _ => 1,
        };
        groups.saturating_mul(super::SETTLE_CREDITS)
    }

    /// Writes down on disk that a run in flight is in use: all of it, or nothing. It lies in one group;
    /// see [`Self::in_one_group`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it does not, [`Error::Corrupt`] when the disk has a block of it in use
    /// already; the errors of the handle. After any of them it stays in flight.
    pub fn settle(&self, handle: &mut Handle<'_>, run: Run) -> Result {
        let Some((group, range)) = self.parts(run).next().transpose()? else {
            return Ok(());
        };
        let (start, len) = (range.start, super::runs::length(&range));
        if len != run.len {
            return Err(Error::Invalid);
        }
        // What is in flight has its group in memory, even one that is left alone by now.
        let mut locked = self.enter(group)?;
        self.change(
            handle,
            &mut locked,
            |desc| {
                let fault = Fault::Group(
                    GroupFault::FreeBlocks,
                    u64::from(desc.free_blocks),
                    u64::from(len),
                );
                desc.free_blocks = desc.free_blocks.checked_sub(len).ok_or(fault)?;
                Ok(())
            },
            |bits| bitmap::set(bits, start, len),
        )?;
        locked.state.ahead = locked.state.ahead.saturating_sub(len);
        self.space.settle(len);
        Ok(())
    }

    /// How many blocks of a run lie in the group of its first one.
    pub fn in_one_group(&self, run: Run) -> Result<u32> {
        let first = self.parts(run).next().transpose()?;
        Ok(first.map_or(0, |(_, range)| super::runs::length(&range)))
    }

    /// Frees blocks that are in use on disk. They can be allocated again when the handle's
    /// transaction is durable. For metadata blocks call [`Handle::forget`] first.
    ///
    /// Blocks of a group whose bitmap is corrupt or lost stay in use, as nobody can tell. A bitmap that
    /// has one of them free already is corrupt: the group is left alone from then on, and the facade is
    /// told. So whoever frees blocks need not know what to do if only some of them could be freed.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when a block of it is fixed metadata: then nothing is changed.
    pub fn free(&self, handle: &mut Handle<'_>, run: Run) -> Result {
        events::free_blocks(&self.device, run);
        if !self.is_data(run) {
            let fault = Fault::Bitmap(BitmapFault::Metadata, run.start.get(), u64::from(run.len));
            return Err(Error::Corrupt(Place::block(run.start), fault));
        }
        // Who only deletes never comes to where blocks are taken.
        self.collect(handle.journal());
        for part in self.parts(run) {
            let (group, range) = part?;
            // Loading it first: what the disk now says is in use stays busy until the commit.
            let freed = self.lock(group).and_then(|mut locked| {
                let freed = self.free_part(handle, &mut locked, &range);
                if matches!(freed, Err(Error::Corrupt(..) | Error::Io(_))) {
                    locked.condemn();
                }
                freed
            });
            match freed {
                Err(error @ (Error::Corrupt(..) | Error::Io(_))) => self.note_fault(error),
                Err(Error::NoSpace) => {}
                freed => freed?,
            }
        }
        Ok(())
    }

    fn free_part(
        &self,
        handle: &mut Handle<'_>,
        locked: &mut Locked<'_>,
        range: &Range<u32>,
    ) -> Result {
        let (start, len) = (range.start, super::runs::length(range));
        let most = locked.len;
        self.change(
            handle,
            locked,
            |desc| {
                let sum = desc.free_blocks.checked_add(len).filter(|sum| *sum <= most);
                let fault = Fault::Group(
                    GroupFault::FreeBlocks,
                    u64::from(desc.free_blocks),
                    u64::from(most),
                );
                desc.free_blocks = sum.ok_or(fault)?;
                Ok(())
            },
            |bits| bitmap::clear(bits, start, len),
        )?;
        locked.state.ahead = locked.state.ahead.saturating_add(len);
        self.space.free_later(len);
        let run = locked.run(self, range)?;
        handle.freed(run)
    }

    /// Changes a group's bitmap and descriptor together, or neither.
    pub(super) fn change(
        &self,
        handle: &mut Handle<'_>,
        locked: &mut Locked<'_>,
        count: impl FnOnce(&mut GroupDesc) -> Checked,
        bits: impl FnOnce(&mut [u8]) -> Checked,
    ) -> Result {
        let count = |desc: &mut GroupDesc| {
            desc.flags = desc.flags.without(GroupFlags::BLOCK_UNINIT);
            count(desc)
        };
        let group = locked.group;
        let bits = |handle: &mut Handle<'_>| self.write_bitmap(handle, locked, bits);
        self.groups.change(handle, &self.cache, group, count, bits)
    }

    /// Changes the bitmap on disk; makes it if it was never written.
    pub(super) fn write_bitmap(
        &self,
        handle: &mut Handle<'_>,
        locked: &mut Locked<'_>,
        change: impl FnOnce(&mut [u8]) -> Checked,
    ) -> Result {
        let (group, block) = (locked.group, locked.info.block_bitmap);
        let corrupt = |fault| Error::Corrupt(Place::block(block), fault);
        if locked.state.blocks_uninit {
            let desc = self.groups.descriptor(&self.cache, group)?;
            let buffer = self
                .cache
                .fresh(&self.device, block, Kind::BlockBitmap(group))?;
            let mut bits = handle.write(&buffer)?;
            desc.fresh_block_bitmap(group, self.geometry(), &mut bits)
                .map_err(corrupt)?;
            change(&mut bits).map_err(corrupt)?;
            locked.state.blocks_uninit = false;
            return Ok(());
        }
        let buffer = self
            .cache
            .read(&self.device, block, Kind::BlockBitmap(group))?;
        let mut bits = handle.write(&buffer)?;
        change(&mut bits).map_err(corrupt)
    }

    /// Gives back a run that was in flight and never settled (the write failed, or was cancelled).
    pub fn release(&self, run: Run) {
        self.give_back(run, false);
    }

    /// Takes back what transactions freed that are durable now, but for what somebody else is at.
    pub(super) fn collect(&self, journal: &Journal) {
        if journal.has_released() {
            self.collect_all(journal);
        }
    }

    /// Takes back what transactions freed that are durable now: all of it can be allocated afterwards.
    pub(super) fn collect_all(&self, journal: &Journal) {
        let _collecting = self.collecting.lock();
        journal.take_released(|run| self.give_back(run, true));
    }

    fn give_back(&self, run: Run, freed: bool) {
        for part in self.parts(run) {
            let given = part.and_then(|(group, range): (Group, Range<u32>)| {
                if freed {
                    events::released(
                        &self.device,
                        group,
                        range.start,
                        super::runs::length(&range),
                    );
                }
                self.enter(group)?.give(&range, freed)
            });
            if let Err(error @ Error::Corrupt(..)) = given {
                self.note_fault(error);
            }
        }
    }
}
