// SPDX-License-Identifier: GPL-2.0

//! Bitmaps of blocks and inodes: bit `n` is bit `n % 8` of byte `n / 8`; set means in use.
//!
//! The slice given is the bitmap; a bit outside it is a fault for writers and "in use" for
//! readers, so that nothing past the end is ever found free.

use super::{
    bytes::{clamp32, index},
    fault::{BitmapFault as B, Fault},
};
use core::ops::Range;

/// Whether a bit is set. Bits outside the bitmap are.
pub fn is_set(bits: &[u8], bit: u32) -> bool {
    bits.get(index(bit / 8))
        .is_none_or(|byte| byte & (1 << (bit % 8)) != 0)
}

/// Number of bits of the slice.
fn size(bits: &[u8]) -> u32 {
    clamp32(bits.len().saturating_mul(8))
}

/// The range as a range, when all of it is in the bitmap.
fn checked(bits: &[u8], start: u32, count: u32) -> Result<Range<u32>, Fault> {
    match start.checked_add(count) {
        Some(end) if end <= size(bits) => Ok(start..end),
        _ => Err(Fault::Bitmap(B::Range, u64::from(start), u64::from(count))),
    }
}

/// Each byte that `range` touches: its index, and which of its bits are meant.
fn masks(range: Range<u32>) -> impl Iterator<Item = (usize, u8)> {
    let (first, last) = (range.start / 8, range.end.div_ceil(8));
    (first..last).map(move |byte| {
        let mut mask = 0xffu8;
        if byte == first {
            mask &= 0xff << (range.start % 8);
        }
        if byte == range.end / 8 {
            // Only reached when the end is inside this byte.
            mask &= !(0xff << (range.end % 8));
        }
        (index(byte), mask)
    })
}

/// Sets bits, whatever they were.
pub fn fill(bits: &mut [u8], start: u32, count: u32) -> Result<(), Fault> {
    for (at, mask) in masks(checked(bits, start, count)?) {
        if let Some(byte) = bits.get_mut(at) {
            *byte |= mask;
        }
    }
    Ok(())
}

/// Sets bits that are all clear.
///
/// # Errors
///
/// When one of them is set already; then nothing is changed.
pub fn set(bits: &mut [u8], start: u32, count: u32) -> Result<(), Fault> {
    let range = checked(bits, start, count)?;
    if let Some(bit) = next_set(bits, range.clone()) {
        return Err(Fault::Bitmap(
            B::AlreadySet,
            u64::from(bit),
            u64::from(count),
        ));
    }
    fill(bits, start, count)
}

/// Clears bits that are all set.
///
/// # Errors
///
/// When one of them is clear already; then nothing is changed.
pub fn clear(bits: &mut [u8], start: u32, count: u32) -> Result<(), Fault> {
    let range = checked(bits, start, count)?;
    if let Some(bit) = next_clear(bits, range.clone()) {
        return Err(Fault::Bitmap(
            B::AlreadyClear,
            u64::from(bit),
            u64::from(count),
        ));
    }
    for (at, mask) in masks(range) {
        if let Some(byte) = bits.get_mut(at) {
            *byte &= !mask;
        }
    }
    Ok(())
}

/// The 64 bits from `bit` (a multiple of 64); what is outside the bitmap reads as `outside`.
fn word(bits: &[u8], bit: u32, outside: u8) -> u64 {
    let at = index(bit / 8);
    if let Some(bytes) = bits.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        return u64::from_le_bytes(*bytes);
    }
    let mut bytes = [outside; 8];
    for (to, from) in bytes.iter_mut().zip(bits.get(at..).unwrap_or(&[])) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// The first bit in `range` for which the word, xored with `flip`, has a one.
fn find(bits: &[u8], range: Range<u32>, flip: u64) -> Option<u32> {
    let end = range.end.min(size(bits));
    let mut base = range.start & !63;
    let mut mask = u64::MAX << (range.start % 64);
    while base < end {
        let found = (word(bits, base, 0) ^ flip) & mask;
        if found != 0 {
            let bit = base.checked_add(found.trailing_zeros())?;
            return (bit < end).then_some(bit);
        }
        mask = u64::MAX;
        base = base.checked_add(64)?;
    }
    None
}

/// The first set bit in `range`.
pub fn next_set(bits: &[u8], range: Range<u32>) -> Option<u32> {
    find(bits, range, 0)
}

/// The first clear bit in `range`.
pub fn next_clear(bits: &[u8], range: Range<u32>) -> Option<u32> {
    find(bits, range, u64::MAX)
}

/// The first run of clear bits in `range`, to its end (or that of the range).
pub fn next_free_run(bits: &[u8], range: Range<u32>) -> Option<Range<u32>> {
    let start = next_clear(bits, range.clone())?;
    let limit = range.end.min(size(bits));
    let end = next_set(bits, start..limit).unwrap_or(limit);
    Some(start..end)
}

/// All runs of clear bits in `range`, in order.
pub fn free_runs(bits: &[u8], range: Range<u32>) -> impl Iterator<Item = Range<u32>> + '_ {
    let mut at = range.start;
    core::iter::from_fn(move || {
        let run = next_free_run(bits, at..range.end)?;
        at = run.end;
        Some(run)
    })
}

/// Number of set bits in `range`.
pub fn count_set(bits: &[u8], range: Range<u32>) -> u32 {
    let end = range.end.min(size(bits));
    let mut base = range.start & !63;
    let mut mask = u64::MAX << (range.start % 64);
    let mut total = 0u32;
    while base < end {
        let left = end.saturating_sub(base);
        if left < 64 {
            mask &= !(u64::MAX << left);
        }
        total = total.saturating_add((word(bits, base, 0) & mask).count_ones());
        mask = u64::MAX;
        base = base.saturating_add(64);
    }
    total
}

/// Number of clear bits in `range` that are inside the bitmap.
pub fn count_clear(bits: &[u8], range: Range<u32>) -> u32 {
    let end = range.end.min(size(bits));
    let len = end.saturating_sub(range.start);
    len.saturating_sub(count_set(bits, range.start..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn edges() {
        let mut bits = [0u8; 12];
        for (start, count, ok) in [
            (0, 1, true),
            (0, 1, false),
            (8, 8, true),
            (63, 2, true),
            (64, 1, false),
            (95, 1, true),
            (95, 2, false),
            (96, 1, false),
            (u32::MAX, 2, false),
            (20, 0, true),
        ] {
            assert_eq!(set(&mut bits, start, count).is_ok(), ok, "{start} {count}");
        }
        assert!(is_set(&bits, 95) && is_set(&bits, 96) && is_set(&bits, u32::MAX));
        assert!(clear(&mut bits, 63, 3).is_err());
        assert!(clear(&mut bits, 63, 2).is_ok());
        assert_eq!(next_clear(&bits, 8..96), Some(16));
    }

    proptest! {
        #[test]
        fn as_a_list_of_bools(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            start in 0u32..400, count in 0u32..400, on: bool,
        ) {
            let model: Vec<bool> = bytes.iter().flat_map(|b| (0..8).map(move |i| (b >> i) & 1 == 1)).collect();
            let n = model.len() as u32;
            let (s, e) = (start as usize, (start + count) as usize);
            let inside = e <= model.len();
            let range = start..start + count;
            let part = &model[s.min(model.len())..e.min(model.len())];
            prop_assert_eq!(count_set(&bytes, range.clone()) as usize, part.iter().filter(|b| **b).count());
            prop_assert_eq!(count_clear(&bytes, range.clone()) as usize, part.iter().filter(|b| !**b).count());
            prop_assert_eq!(next_clear(&bytes, range.clone()), part.iter().position(|b| !*b).map(|p| p as u32 + start));
            prop_assert_eq!(next_set(&bytes, range), part.iter().position(|b| *b).map(|p| p as u32 + start));
            let mut changed = bytes.clone();
            let result = if on { set(&mut changed, start, count) } else { clear(&mut changed, start, count) };
            prop_assert_eq!(result.is_ok(), inside && part.iter().all(|b| *b != on));
            for bit in 0..n {
                let hit = result.is_ok() && (start..start + count).contains(&bit);
                prop_assert_eq!(is_set(&changed, bit), if hit { on } else { model[bit as usize] });
            }
        }
    }
}
