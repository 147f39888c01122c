// SPDX-License-Identifier: GPL-2.0

//! Block devices.
//!
//! C headers: `include/linux/blkdev.h`, `include/linux/bio.h`.

pub mod buffer;
pub mod device;
