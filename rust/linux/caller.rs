// SPDX-License-Identifier: GPL-2.0

//! Who calls.
//!
//! C headers: `include/linux/cred.h`, `include/linux/sched/signal.h`.

use super::bindings;
use kernel::ffi;

/// Whether the calling task may administer the system (`CAP_SYS_ADMIN`).
pub fn is_administrator() -> bool {
    // SAFETY: It asks about the calling task.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as ffi::c_int) }
}

/// Whether the calling task is user `uid`, belongs to group `gid` (unless that is 0), or may pass by
/// limits of resources (`CAP_SYS_RESOURCE`). Numbers are those of the first user namespace.
pub fn owns(uid: u32, gid: u32) -> bool {
    // SAFETY: They ask about the calling task.
    unsafe {
        bindings::current_fsuid_is(uid)
            || (gid != 0 && bindings::current_in_group(gid))
            || bindings::capable(bindings::CAP_SYS_RESOURCE as ffi::c_int)
    }
}

/// Whether the calling task was killed: nobody waits for what it does.
pub fn is_dying() -> bool {
    // SAFETY: It asks about the calling task.
    unsafe { bindings::current_fatal_signal_pending() }
}
