// SPDX-License-Identifier: GPL-2.0

//! Who calls: an ordinary user, unless a test says otherwise.

use std::cell::Cell;

thread_local! {
    static PRIVILEGED: Cell<bool> = const { Cell::new(false) };
    static DYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling task is user `uid`, belongs to group `gid` (unless that is 0), or may pass by
/// limits of resources.
pub fn owns(_uid: u32, _gid: u32) -> bool {
    PRIVILEGED.get()
}

/// Sets what [`owns`] answers in this thread.
pub fn set_privileged(privileged: bool) {
    PRIVILEGED.set(privileged);
}

/// Whether the calling task was killed: nobody waits for what it does.
pub fn is_dying() -> bool {
    DYING.get()
}

/// Sets what [`is_dying`] answers in this thread.
pub fn set_dying(dying: bool) {
    DYING.set(dying);
}
