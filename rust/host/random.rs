// SPDX-License-Identifier: GPL-2.0

//! Randomness for generations and seeds.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// The last number of a sequence that a test asked for; 0 when numbers are random.
static SEQUENCE: AtomicU32 = AtomicU32::new(0);

/// From now on the numbers of this process are those that follow `seed`, so that what is done again
/// is the same to the byte; 0 makes them random again.
pub fn follow(seed: u32) {
    SEQUENCE.store(seed, Ordering::Relaxed);
}

/// A random number.
pub fn random_u32() -> u32 {
    let next = SEQUENCE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        (last != 0).then(|| last.wrapping_mul(0x915f_77f5).wrapping_add(1).max(1))
    });
    next.unwrap_or_else(|_| RandomState::new().hash_one(0u8) as u32)
}
