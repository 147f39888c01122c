// SPDX-License-Identifier: GPL-2.0

//! Taking blocks away from a file: from its end, or from its middle.
//!
//! One extent at a time, from the end backwards, so that the file is a whole one after every step: when
//! the handle's transaction has no more room the caller writes the inode and the work goes on in the
//! next. After a crash in between, the orphan list makes it go on.

use super::change::{change_credits, remove_credits};
use super::edit::Change;
use super::status::Piece;
use super::tree::piece_of;
use super::{BlockRange, Contents, FileMap, Inner, State};
use crate::core::error::{Error, Result};
use crate::core::events::map as events;
use crate::core::journal::{Handle, Run};
use crate::core::volume::Volume;
use crate::format::extent::Extent;
use crate::format::units::DiskBlock;

#[cfg(test)]
mod tests;

/// Blocks of metadata that one step frees at most: each of them is a revoke record.
const METADATA_STEP: u32 = 512;

/// What came of a step.
enum Step {
    /// A part is gone.
    Removed,
    /// There was nothing to take away.
    Nothing,
    /// The credits and revocations that it needs, and the handle does not have.
    Needs(u32, u32),
}

impl FileMap {
    /// The credits to start a handle with for [`Self::remove`], besides those it leaves the caller.
    pub fn credits_for_remove(&self) -> u32 {
        let depth = self.status.lock().root.depth;
        // An extent in up to two groups; one that spans more asks for more.
        4 + change_credits(depth) + remove_credits(depth)
    }

    /// Takes the blocks of `range` away and frees them. What is pending there has to be released
    /// first ([`Self::release_pending`]), and nobody may be adding any.
    ///
    /// When the work does not fit one transaction, the handle restarts. `save` is called before that, and
    /// in the end, also when something failed after a change: it writes the inode (its root and block count) under the
    /// handle, so that no transaction frees blocks that the record still has. It is told whether a
    /// restart follows. Of the handle's credits and revocations `spare` each are left for it, and after
    /// the end. Steps wait for memory: half of a removal must not stay, or blocks lie behind the end of the file.
    pub fn remove(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        range: BlockRange,
        spare: u32,
        mut save: impl FnMut(&mut Handle<'_>, bool) -> Result,
    ) -> Result {
        loop {
            let removed = self.remove_parts(volume, handle, range, spare);
            if removed.is_err() && !handle.has_changed() {
                return removed.map(drop);
            }
            let saved = save(handle, matches!(removed, Ok(Some(_))));
            let missing = removed?;
            saved?;
            match missing {
                None => return Ok(()),
                Some((credits, revocations)) => handle.restart(credits, revocations)?,
            }
        }
    }

    /// Takes away as much of `range` as the transaction has room for. Returns the credits and revocations
    /// that the next step needs, unless all is done.
    fn remove_parts(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        range: BlockRange,
        spare: u32,
    ) -> Result<Option<(u32, u32)>> {
        loop {
            match self.remove_last(volume, handle, range, spare)? {
                Step::Removed => {}
                Step::Nothing => return Ok(None),
                // Waiting for a transaction with the tree's lock held would stop those who are to end it.
                Step::Needs(credits, revocations) => {
                    if !handle.reach(credits, revocations)? {
                        return Ok(Some((credits, revocations)));
                    }
                }
            }
        }
    }

    /// Takes the last part of `range` away.
    fn remove_last(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        range: BlockRange,
        spare: u32,
    ) -> Result<Step> {
        let mut inner = self.inner.lock();
        let Some(extent) = inner.tree.last_in(volume, range)? else {
            self.finish_remove(volume, handle, &mut inner, spare)?;
            return Ok(Step::Nothing);
        };
        let part = self.part(&extent, range)?;
        let credits = spare.saturating_add(self.step_credits(volume, &inner, &part)?);
        let revocations = spare.saturating_add(self.step_revocations(&inner, &part)?);
        if !handle.has(credits, revocations) {
            return Ok(Step::Needs(credits, revocations));
        }
        self.remove_part(volume, handle, &mut inner, &part)?;
        Ok(Step::Removed)
    }

    /// The part of an extent that the next step takes away.
    fn part(&self, extent: &Extent, range: BlockRange) -> Result<Extent> {
        let whole = piece_of(extent).range;
        let mut part = whole.intersection(range).ok_or(Error::Invalid)?;
        if self.contents == Contents::Metadata && part.len() > METADATA_STEP {
            part.start.0 = part.end.0.saturating_sub(METADATA_STEP);
        }
        extent.slice(part.start, part.len()).ok_or(Error::Invalid)
    }

    /// Credits for taking a part of an extent away.
    fn step_credits(&self, volume: &Volume, inner: &Inner, part: &Extent) -> Result<u32> {
        let depth = inner.tree.header()?.depth;
        let run = Run {
            start: part.pblk,
            len: u32::from(part.len),
        };
        Ok(volume.allocator.credits(run) + change_credits(depth) + remove_credits(depth))
    }

    /// Metadata blocks that taking a part of an extent away may forget: its own, if the file's contents
    /// are metadata, and the nodes of the tree that it leaves empty.
    fn step_revocations(&self, inner: &Inner, part: &Extent) -> Result<u32> {
        let contents = match self.contents {
            Contents::Metadata => u32::from(part.len),
            Contents::Data => 0,
        };
        Ok(contents.saturating_add(u32::from(inner.tree.header()?.depth)))
    }

    fn remove_part(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        inner: &mut Inner,
        part: &Extent,
    ) -> Result {
        let run = Run {
            start: part.pblk,
            len: u32::from(part.len),
        };
        let range = BlockRange::new(part.lblk, run.len);
        inner.tree.check_run(volume, run, None)?;
        let depth = inner.tree.header()?.depth;
        events::tree_remove(
            &volume.device,
            self.owner.ino,
            range.start,
            range.end,
            depth,
        );
        self.with_nodes(volume, handle, inner, |inner, cx| {
            let plan = inner.tree.plan(cx, &Change::Remove(range))?;
            if self.contents == Contents::Metadata {
                for block in (0..u64::from(run.len)).filter_map(|n| run.start.checked_add(n)) {
                    cx.handle.forget(DiskBlock(block.get()))?;
                }
            }
            cx.volume.allocator.free(cx.handle, run)?;
            inner.tree.apply(cx, &plan)?;
            inner.tree.blocks = inner.tree.blocks.saturating_sub(u64::from(run.len));
            self.put_changed(inner, cx, Piece::new(range, State::Hole))
        })
    }

    /// The range is empty: a tree that became small goes back into the inode.
    fn finish_remove(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        inner: &mut Inner,
        spare: u32,
    ) -> Result {
        // Two credits for each node; if they are not there, the tree stays as it is.
        let depth = u32::from(inner.tree.header()?.depth);
        let (credits, revocations) = (spare.saturating_add(2 * depth), spare.saturating_add(depth));
        if !handle.has(credits, revocations) {
            return Ok(());
        }
        self.with_nodes(volume, handle, inner, |inner, cx| inner.tree.shrink(cx))
    }
}
