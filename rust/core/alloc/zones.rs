// SPDX-License-Identifier: GPL-2.0

//! Where the fixed metadata lies: superblocks, descriptors, bitmaps, inode tables, the journal.
//!
//! No file may ever map such a block, whatever its extents say.

use crate::core::error::{Error, Place, Result};
use crate::core::platform::{Vec, GFP};
use crate::core::sort;
use crate::format::fault::{Fault, GroupFault};
use crate::format::units::DiskBlock;
use core::ops::Range;

/// Sorted ranges of blocks, no two of which touch.
#[derive(Debug)]
pub(super) struct Zones(Vec<Range<u64>>);

fn overlap(block: u64) -> Error {
    Error::Corrupt(
        Place::block(DiskBlock(block)),
        Fault::Group(GroupFault::Overlap, block, 0),
    )
}

impl Zones {
    /// Sorts and joins the ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when two of them share a block.
    pub(super) fn new(mut ranges: Vec<Range<u64>>) -> Result<Self> {
        ranges.retain(|range| !range.is_empty());
        sort::by(&mut ranges, |a, b| a.start < b.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start < last.end => return Err(overlap(range.start)),
                Some(last) if range.start == last.end => last.end = range.end,
                _ => joined.push(range, GFP)?,
            }
        }
        Ok(Self(joined))
    }

    /// More ranges, all at once: a hostile disk may have as many as it has blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when one of them shares a block with another or with those known.
    pub(super) fn add(&mut self, mut ranges: Vec<Range<u64>>) -> Result {
        ranges.reserve(self.0.len(), GFP)?;
        for known in &self.0 {
            ranges.push(known.clone(), GFP)?;
        }
        *self = Self::new(ranges)?;
        Ok(())
    }

    /// The first zone that ends after `block`.
    fn after(&self, block: u64) -> usize {
        self.0.partition_point(|zone| zone.end <= block)
    }

    /// Whether a zone has a block of the range.
    pub(super) fn meets(&self, range: &Range<u64>) -> bool {
        let zone = self.0.get(self.after(range.start));
        zone.is_some_and(|zone| zone.start < range.end)
    }

    /// The parts of zones inside a range.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let zones = self.0.get(self.after(range.start)..).unwrap_or(&[]);
        let Range { start, end } = range;
        zones
            .iter()
            .take_while(move |zone| zone.start < end)
            .map(move |zone| zone.start.max(start)..zone.end.min(end))
    }

    /// How many blocks all zones have.
    pub(super) fn blocks(&self) -> u64 {
        self.0.iter().fold(0, |sum, zone| {
            sum.saturating_add(zone.end.saturating_sub(zone.start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        let mut list = Vec::new();
        for range in [50..60, 10..20, 20..30, 40..40] {
            list.push(range, GFP).unwrap();
        }
        let mut zones = Zones::new(list).unwrap();
        assert_eq!(*zones.0, [10..30, 50..60]);
        assert_eq!(zones.blocks(), 30);
        for (range, meets) in [
            (0..10, false),
            (0..11, true),
            (29..30, true),
            (30..50, false),
            (59..90, true),
            (60..90, false),
        ] {
            assert_eq!(zones.meets(&range), meets, "{range:?}");
        }
        assert!(zones.within(15..55).eq([15..30, 50..55]));
        let list = |ranges: &[Range<u64>]| {
            let mut list = Vec::new();
            for range in ranges {
                list.push(range.clone(), GFP).unwrap();
            }
            list
        };
        assert!(zones.add(list(&[80..90, 55..70])).is_err());
        assert!(zones.add(list(&[80..90, 85..86])).is_err());
        zones.add(list(&[65..70, 60..65])).unwrap();
        assert!(zones.within(0..100).eq([10..30, 50..70]));
        let mut list = Vec::new();
        list.push(1..3, GFP).unwrap();
        list.push(2..4, GFP).unwrap();
        assert!(matches!(Zones::new(list), Err(Error::Corrupt(..))));
    }
}
