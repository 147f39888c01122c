// SPDX-License-Identifier: GPL-2.0

//! Scopes in which allocation must not come back into the file system.
//!
//! C header: `include/linux/sched/mm.h`.

use super::bindings;
use kernel::types::NotThreadSafe;

/// While it lives, allocations of this task do not recurse into the file system
/// (`memalloc_nofs_save`). It ends on the task that began it: the type is not `Send`.
#[derive(Debug)]
pub struct NofsScope {
    /// The task's flags before, of which only this one is put back.
    before: u32,
    _task: NotThreadSafe,
}

impl NofsScope {
    /// Begins a scope. One within another ends before that: it puts back only what it has changed.
    pub fn enter() -> Self {
        // SAFETY: It changes the current task's own flags.
        let before = unsafe { bindings::memalloc_nofs_save() };
        Self {
            before,
            _task: NotThreadSafe,
        }
    }
}

impl Drop for NofsScope {
    fn drop(&mut self) {
        // SAFETY: `before` is what the save on this same task returned: the value is made by
        // `enter` only and cannot leave the task.
        unsafe { bindings::memalloc_nofs_restore(self.before) };
    }
}
