// SPDX-License-Identifier: GPL-2.0

//! Which groups have long runs of free blocks: a set of groups per size order.
//!
//! A search for a long run on a full disk asks 64 groups with one load instead of locking each. The
//! sets are hints: a group's own lock protects its truth, and changes its place here.

use crate::core::platform::{AllocError, Vec, GFP};
use crate::format::units::Group;
use core::sync::atomic::{AtomicU64, Ordering};

/// Number of orders: runs of 2^15 blocks and more are one order, no extent can be longer.
const ORDERS: u32 = 16;

/// The order of a run of `len` blocks, `None` for no run at all.
fn order(len: u32) -> Option<u32> {
    len.checked_ilog2().map(|order| order.min(ORDERS - 1))
}

/// The groups by the order of their longest run.
#[derive(Debug)]
pub(super) struct Sizes {
    groups: u32,
    /// For each 64 groups a word per order.
    words: Vec<AtomicU64>,
}

impl Sizes {
    /// No groups.
    pub(super) const fn new() -> Self {
        Self {
            groups: 0,
            words: Vec::new(),
        }
    }

    /// One more group, whose longest run is of `longest` blocks.
    pub(super) fn push(&mut self, longest: u32) -> Result<(), AllocError> {
        let group = self.groups;
        if group % 64 == 0 {
            for _ in 0..ORDERS {
                self.words.push(AtomicU64::new(0), GFP)?;
            }
        }
        self.groups = group.checked_add(1).ok_or(AllocError)?;
        self.change(Group(group), 0, longest);
        Ok(())
    }

    fn word(&self, order: u32, group: u32) -> Option<&AtomicU64> {
        let at = (group / 64).checked_mul(ORDERS)?.checked_add(order)?;
        self.words.get(usize::try_from(at).ok()?)
    }

    /// The longest run of `group` was of `before` blocks and is now of `now`.
    pub(super) fn change(&self, group: Group, before: u32, now: u32) {
        let (before, now) = (order(before), order(now));
        if before == now {
            return;
        }
        let bit = 1u64 << (group.get() % 64);
        if let Some(word) = before.and_then(|order| self.word(order, group.get())) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
        if let Some(word) = now.and_then(|order| self.word(order, group.get())) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// The first group at or after `from` (no further than the last one) that may have a run of at
    /// least `len` blocks: its order is that of `len` or above.
    pub(super) fn next(&self, from: Group, len: u32) -> Option<Group> {
        let lowest = order(len)?;
        let mut base = from.get() & !63;
        let mut mask = u64::MAX << (from.get() % 64);
        while base < self.groups {
            let row = |order| {
                self.word(order, base)
                    .map_or(0, |word| word.load(Ordering::Relaxed))
            };
            let set = (lowest..ORDERS).fold(0, |set, order| set | row(order)) & mask;
            if set != 0 {
                return base.checked_add(set.trailing_zeros()).map(Group);
            }
            mask = u64::MAX;
            base = base.checked_add(64)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn orders() {
        for (len, want) in [
            (0, None),
            (1, Some(0)),
            (3, Some(1)),
            (32767, Some(14)),
            (32768, Some(15)),
            (u32::MAX, Some(15)),
        ] {
            assert_eq!(order(len), want, "{len}");
        }
    }

    proptest! {
        #[test]
        fn as_a_list(changes in prop::collection::vec((0u32..200, 0u32..70_000), 0..100), from in 0u32..200, len in 1u32..70_000) {
            let mut sizes = Sizes::new();
            let mut model = [0u32; 200];
            for (n, longest) in model.iter_mut().enumerate() {
                *longest = n as u32 % 5;
                sizes.push(*longest).unwrap();
            }
            for (group, now) in changes {
                sizes.change(Group(group), model[group as usize], now);
                model[group as usize] = now;
            }
            let wanted = (from..200).find(|group| order(model[*group as usize]) >= order(len));
            prop_assert_eq!(sizes.next(Group(from), len), wanted.map(Group));
        }
    }
}
