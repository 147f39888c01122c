// SPDX-License-Identifier: GPL-2.0

//! Wall clock and monotonic clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time it is for ever, in seconds; 0 when the clock runs.
static STOPPED: AtomicI64 = AtomicI64::new(0);

/// Stops the wall clock of this process, so that what is done again is the same to the byte.
pub fn stop_at(seconds: i64) {
    STOPPED.store(seconds, Ordering::Relaxed);
}

/// Seconds and nanoseconds since 1970.
pub(super) fn now() -> (i64, u32) {
    let stopped = STOPPED.load(Ordering::Relaxed);
    if stopped != 0 {
        return (stopped, 0);
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    (
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        since.subsec_nanos(),
    )
}

/// Nanoseconds since some fixed point, which is long ago, as on a machine that has been up for a while.
pub fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed() + Duration::from_secs(3600);
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
