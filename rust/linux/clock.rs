// SPDX-License-Identifier: GPL-2.0

//! Wall clock and monotonic clock.
//!
//! C header: `include/linux/timekeeping.h`.

use super::bindings;
use core::mem::MaybeUninit;

/// Seconds and nanoseconds since 1970.
///
/// It is the clock that the VFS stamps inodes with, which moves once in a tick: a finer one could
/// give a file a creation time after its first modification.
pub fn now() -> (i64, u32) {
    let mut time = MaybeUninit::<bindings::timespec64>::uninit();
    // SAFETY: The pointer is good for writing; the function fills the whole structure in.
    let time = unsafe {
        bindings::ktime_get_coarse_real_ts64(time.as_mut_ptr());
        time.assume_init()
    };
    (time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Nanoseconds since some fixed point.
pub fn monotonic_ns() -> u64 {
    // SAFETY: It reads the clock and has no preconditions once timekeeping runs.
    let time = unsafe { bindings::ktime_get() };
    u64::try_from(time).unwrap_or(0)
}
