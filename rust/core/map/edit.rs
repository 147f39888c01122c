// SPDX-License-Identifier: GPL-2.0

//! What a change makes of a leaf's entries, decided before anything is written.

use super::BlockRange;
use crate::format::extent::{Extent, Node};
use crate::format::fault::{ExtentFault, Fault};
use crate::format::units::{DiskBlock, FileBlock};

/// A change of a range that lies in one hole or in one extent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// These blocks become mapped; they were a hole.
    Insert(Extent),
    /// These blocks of one extent become a hole.
    Remove(BlockRange),
    /// These blocks of one unwritten extent become written.
    Convert(BlockRange),
}

impl Change {
    /// The blocks it changes.
    pub(super) fn range(&self) -> BlockRange {
        match self {
            Self::Insert(extent) => BlockRange::new(extent.lblk, u32::from(extent.len)),
            Self::Remove(range) | Self::Convert(range) => *range,
        }
    }
}

/// Up to five extents in order: two neighbours, and an extent cut in three.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    list: [Extent; 5],
    len: usize,
}

impl Extents {
    const fn new() -> Self {
        let none = Extent {
            lblk: FileBlock(0),
            len: 0,
            pblk: DiskBlock(0),
            unwritten: false,
        };
        Self {
            list: [none; 5],
            len: 0,
        }
    }

    /// Adds an extent after the others: as part of the last one as far as they are one run and the
    /// length allows it, so that long runs make extents as long as can be.
    fn push(&mut self, mut extent: Extent) {
        let last = self.len.checked_sub(1);
        if let Some(last) = last.and_then(|last| self.list.get_mut(last)) {
            let room = last.max_len().saturating_sub(last.len).min(extent.len);
            let part = Extent {
                len: room,
                ..extent
            };
            if let Some(merged) = last.merged(&part).filter(|_| room > 0) {
                *last = merged;
                let rest = extent.end().get().saturating_sub(merged.end().get());
                match extent.slice(merged.end(), rest) {
                    Some(rest) => extent = rest,
                    None => return,
                }
            }
        }
        if let Some(slot) = self.list.get_mut(self.len) {
            *slot = extent;
            self.len += 1;
        }
    }

    /// The extents.
    pub(super) fn as_slice(&self) -> &[Extent] {
        self.list.get(..self.len).unwrap_or(&[])
    }
}

/// Entries of a leaf to be replaced by others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    /// The first entry that goes.
    pub(super) at: u16,
    /// How many go.
    pub(super) old: u16,
    /// What comes in their place.
    pub(super) new: Extents,
}

impl Edit {
    /// By how many entries the leaf grows.
    pub(super) fn growth(&self) -> u16 {
        u16::try_from(self.new.len)
            .unwrap_or(u16::MAX)
            .saturating_sub(self.old)
    }

    /// Leaves out what stays the same on both sides.
    fn shortened(mut self, leaf: &Node<'_>) -> Result<Self, Fault> {
        while self.old > 0
            && self.new.len > 0
            && self.new.list.first() == Some(&leaf.extent(self.at)?)
        {
            self.new.list.rotate_left(1);
            self.new.len -= 1;
            self.at = self.at.saturating_add(1);
            self.old -= 1;
        }
        while self.old > 0 && self.new.len > 0 {
            let last = leaf.extent(self.at.saturating_add(self.old - 1))?;
            if self.new.as_slice().last() != Some(&last) {
                break;
            }
            self.new.len -= 1;
            self.old -= 1;
        }
        Ok(self)
    }
}

/// Decides a change of a leaf. A fault if the leaf does not hold what the change needs.
pub(super) fn decide(leaf: &Node<'_>, change: &Change) -> Result<Edit, Fault> {
    let range = change.range();
    let found = leaf.find(range.start);
    let hit = found
        .map(|at| leaf.extent(at))
        .transpose()?
        .filter(|extent| extent.contains(range.start));
    let mut new = Extents::new();
    // The first entry of the window, the one that is changed or passed over, and the one after.
    let (from, next) = match (found, hit) {
        (Some(at), Some(_)) => (at.saturating_sub(1), at.saturating_add(1)),
        (Some(at), None) => (at, at.saturating_add(1)),
        (None, _) => (0, 0),
    };
    let right = leaf.extent(next).ok();
    if let Some(left) = (from < next)
        .then(|| leaf.extent(from))
        .transpose()?
        .filter(|left| Some(*left) != hit)
    {
        new.push(left);
    }
    match (hit, change) {
        (None, Change::Insert(extent)) if right.is_none_or(|right| range.end <= right.lblk) => {
            new.push(*extent)
        }
        (Some(old), Change::Remove(_)) if range.end <= old.end() => {
            cut(&mut new, &old, range, None)?;
        }
        (Some(old), Change::Convert(_)) if range.end <= old.end() && old.unwritten => {
            cut(&mut new, &old, range, Some(false))?;
        }
        _ => {
            let (start, end) = (u64::from(range.start.get()), u64::from(range.end.get()));
            return Err(Fault::Extent(ExtentFault::Order, end, start));
        }
    }
    if let Some(right) = right {
        new.push(right);
    }
    let old = next
        .saturating_sub(from)
        .saturating_add(u16::from(right.is_some()));
    Edit { at: from, old, new }.shortened(leaf)
}

/// Adds the parts of `old`, the one in `range` only if it is to stay, as `unwritten` says.
fn cut(
    new: &mut Extents,
    old: &Extent,
    range: BlockRange,
    unwritten: Option<bool>,
) -> Result<(), Fault> {
    let before = range.start.get().saturating_sub(old.lblk.get());
    let after = old.end().get().saturating_sub(range.end.get());
    if let Some(left) = old.slice(old.lblk, before) {
        new.push(left);
    }
    if let Some(unwritten) = unwritten {
        let middle = old.slice(range.start, range.len());
        let lost = Fault::Extent(
            ExtentFault::Length,
            u64::from(range.start.get()),
            u64::from(range.len()),
        );
        new.push(Extent {
            unwritten,
            ..middle.ok_or(lost)?
        });
    }
    if let Some(right) = old.slice(range.end, after) {
        new.push(right);
    }
    Ok(())
}
