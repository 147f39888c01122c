// SPDX-License-Identifier: GPL-2.0

//! Randomness for generations and seeds.

use std::hash::{BuildHasher, RandomState};

/// A random number.
pub fn random_u32() -> u32 {
    RandomState::new().hash_one(0u8) as u32
}
