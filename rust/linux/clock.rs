// SPDX-License-Identifier: GPL-2.0

//! The monotonic clock; a mount asks its device for the time ([`now`](super::block::device::Device::now)).
//!
//! C header: `include/linux/timekeeping.h`.

use super::bindings;

/// Nanoseconds since some fixed point.
pub fn monotonic_ns() -> u64 {
    // SAFETY: It reads the clock and has no preconditions once timekeeping runs.
    let time = unsafe { bindings::ktime_get() };
    u64::try_from(time).unwrap_or(0)
}
