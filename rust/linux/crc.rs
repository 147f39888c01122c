// SPDX-License-Identifier: GPL-2.0

//! Checksums with the kernel's conventions: the caller gives the running value, nothing is inverted.
//!
//! C headers: `include/linux/crc32.h`, `include/linux/crc16.h`.

use super::bindings;

/// CRC-32C (Castagnoli).
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // SAFETY: Pointer and length are those of a slice; the function only reads.
    unsafe { bindings::crc32c(seed, bytes.as_ptr().cast(), bytes.len()) }
}

/// CRC-16 (ANSI).
pub fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    // SAFETY: Pointer and length are those of a slice; the function only reads.
    unsafe { bindings::crc16(seed, bytes.as_ptr(), bytes.len()) }
}

/// CRC-32, most significant bit first.
pub fn crc32_be(seed: u32, bytes: &[u8]) -> u32 {
    // SAFETY: Pointer and length are those of a slice; the function only reads.
    unsafe { bindings::crc32_be(seed, bytes.as_ptr().cast(), bytes.len()) }
}
