// SPDX-License-Identifier: GPL-2.0

//! Randomness for generations and seeds.
//!
//! C header: `include/linux/random.h`.

use super::bindings;

/// A random number.
pub fn random_u32() -> u32 {
    // SAFETY: No preconditions; it may be called from any context.
    unsafe { bindings::get_random_u32() }
}
