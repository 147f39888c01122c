// SPDX-License-Identifier: GPL-2.0

//! Checksums with the kernel's conventions: the caller gives the running value, nothing is inverted.

/// CRC-32C (Castagnoli), as `crc32c()` in the kernel.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // The crate inverts on the way in and out; the kernel's function does neither.
    !crc32c::crc32c_append(!seed, bytes)
}

/// CRC-16 (ANSI), as `crc16()` in the kernel.
pub fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(seed, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| {
            (crc >> 1) ^ (0xa001 & (crc & 1).wrapping_neg())
        })
    })
}

/// CRC-32, most significant bit first, as `crc32_be()` in the kernel.
pub fn crc32_be(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            (crc << 1) ^ (0x04c1_1db7 & (crc >> 31).wrapping_neg())
        })
    })
}
