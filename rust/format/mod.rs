// SPDX-License-Identifier: GPL-2.0

//! The on-disk format: bytes to values and back. Nothing here does I/O, locks or allocates.
#![forbid(unsafe_code)]

pub mod units;
