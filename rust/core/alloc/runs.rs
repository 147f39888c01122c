// SPDX-License-Identifier: GPL-2.0

//! Searching a group's bitmap for runs of free blocks. Pure functions; bits are counted from the
//! start of the group, and everything past its end reads as in use.

use crate::format::bitmap;
use core::ops::Range;

/// How long a range is.
pub(super) fn length(range: &Range<u32>) -> u32 {
    range.end.saturating_sub(range.start)
}

/// How many bits are free from `start` on, at most `limit`.
pub(super) fn free_from(bits: &[u8], start: u32, limit: u32) -> u32 {
    match bitmap::next_free_run(bits, start..start.saturating_add(limit)) {
        Some(run) if run.start == start => length(&run),
        _ => 0,
    }
}

/// The first `size` free bits that begin at a multiple of `size`.
pub(super) fn aligned(bits: &[u8], end: u32, size: u32) -> Option<u32> {
    let mut at = 0u32;
    while let Some(stop) = at.checked_add(size).filter(|stop| *stop <= end && size > 0) {
        if bitmap::next_set(bits, at..stop).is_none() {
            return Some(at);
        }
        at = stop;
    }
    None
}

/// The start of the first run of at least `want` free bits in `range`.
pub(super) fn first_fit(bits: &[u8], range: Range<u32>, want: u32) -> Option<u32> {
    let fits = |run: &Range<u32>| length(run) >= want;
    bitmap::free_runs(bits, range)
        .find(fits)
        .map(|run| run.start)
}

/// The longest run of free bits before `end`; the first of several.
pub(super) fn longest(bits: &[u8], end: u32) -> Range<u32> {
    let longer = |best: Range<u32>, run: Range<u32>| {
        if length(&run) > length(&best) {
            run
        } else {
            best
        }
    };
    bitmap::free_runs(bits, 0..end).fold(0..0, longer)
}

/// The whole free run around a range of free bits.
pub(super) fn around(bits: &[u8], range: &Range<u32>, end: u32) -> Range<u32> {
    let start = previous_set(bits, range.start).map_or(0, |bit| bit.saturating_add(1));
    start..bitmap::next_set(bits, range.end..end).unwrap_or(end)
}

/// The last set bit before `before`.
fn previous_set(bits: &[u8], before: u32) -> Option<u32> {
    let mut end = before;
    while let Some(last) = end.checked_sub(1) {
        let base = last & !63;
        let at = usize::try_from(base / 8).ok()?;
        let mut bytes = [0u8; 8];
        for (to, from) in bytes.iter_mut().zip(bits.get(at..)?) {
            *to = *from;
        }
        // The bits of this word up to `last`.
        let word = u64::from_le_bytes(bytes) & (u64::MAX >> (63 - (last & 63)));
        if word != 0 {
            return Some(base | (63 - word.leading_zeros()));
        }
        end = base;
    }
    None
}

/// Number of orders of [`Lowest`]; longer runs are of the last one.
const ORDERS: usize = 16;

/// Where to begin looking for a run: no free run of `2^n` bits or more begins below the `n`-th bit.
/// So the holes that earlier searches found too small are not looked at again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lowest([u32; ORDERS]);

impl Lowest {
    /// Where a run of `want` bits can begin at the earliest.
    pub(super) fn start(&self, want: u32) -> u32 {
        let order = want.checked_ilog2().unwrap_or(0);
        let at = usize::try_from(order).unwrap_or(0).min(ORDERS - 1);
        self.0.get(at).copied().unwrap_or(0)
    }

    /// The first run of at least `want` bits begins at `bit`.
    pub(super) fn found(&mut self, want: u32, bit: u32) {
        let order = want
            .checked_next_power_of_two()
            .map_or(u32::BITS, u32::trailing_zeros);
        for lowest in self
            .0
            .iter_mut()
            .skip(usize::try_from(order).unwrap_or(ORDERS))
        {
            *lowest = bit.max(*lowest);
        }
    }

    /// A free run begins at `bit` now.
    pub(super) fn freed(&mut self, bit: u32) {
        for lowest in &mut self.0 {
            *lowest = bit.min(*lowest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_free(bits: &[u8], bit: u32) -> bool {
        !bitmap::is_set(bits, bit)
    }

    /// All runs, found bit by bit.
    fn runs(bits: &[u8], end: u32) -> std::vec::Vec<Range<u32>> {
        let mut found = std::vec::Vec::<Range<u32>>::new();
        for bit in (0..end).filter(|bit| is_free(bits, *bit)) {
            match found.last_mut() {
                Some(run) if run.end == bit => run.end += 1,
                _ => found.push(bit..bit + 1),
            }
        }
        found
    }

    #[test]
    fn edges() {
        let mut bits = [0u8; 32];
        assert_eq!(longest(&bits, 256), 0..256);
        assert_eq!(aligned(&bits, 256, 256), Some(0));
        assert_eq!(aligned(&bits, 255, 256), None);
        bitmap::set(&mut bits, 70, 1).unwrap();
        assert_eq!(aligned(&bits, 256, 64), Some(0));
        assert_eq!(aligned(&bits, 256, 128), Some(128));
        assert_eq!(free_from(&bits, 70, 10), 0);
        assert_eq!(free_from(&bits, 69, 10), 1);
        assert_eq!(free_from(&bits, 250, 10), 6);
        assert_eq!(free_from(&bits, 256, 10), 0);
        assert_eq!(around(&bits, &(71..72), 200), 71..200);
        assert_eq!(around(&bits, &(3..9), 200), 0..70);
        assert_eq!(first_fit(&bits, 1..256, 70), Some(71));
    }

    proptest! {
        #[test]
        fn as_a_list_of_runs(
            bits in prop::collection::vec(prop::sample::select(std::vec![0u8, 0, 0, 1, 0x80, 0x3c, 0xff]), 1..60),
            from in 0u32..500, want in 1u32..80,
        ) {
            let end = bits.len() as u32 * 8;
            let all = runs(&bits, end);
            let best = all.iter().map(length).max().unwrap_or(0);
            let found = longest(&bits, end);
            prop_assert_eq!(length(&found), best);
            prop_assert!(best == 0 || all.contains(&found));
            let fit = first_fit(&bits, from..end, want);
            let model = (from..end).find(|at| (*at..at.saturating_add(want)).all(|bit| bit < end && is_free(&bits, bit)));
            prop_assert_eq!(fit, model);
            let at = aligned(&bits, end, want);
            let model = (0..end).step_by(want as usize).find(|at| (*at..at + want).all(|bit| bit < end && is_free(&bits, bit)));
            prop_assert_eq!(at, model);
            for run in &all {
                for bit in run.clone() {
                    prop_assert_eq!(around(&bits, &(bit..run.end), end), run.clone());
                    prop_assert_eq!(free_from(&bits, bit, want), want.min(run.end - bit));
                }
            }
        }
    }
}
