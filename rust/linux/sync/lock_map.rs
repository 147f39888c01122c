// SPDX-License-Identifier: GPL-2.0

//! What lockdep is told of waiting that is done without a lock, and of the order of locks.
//!
//! C header: `include/linux/lockdep.h`. Without lockdep nothing of it is left.

use super::LockClass;
use crate::linux::bindings;
use crate::linux::mm::folio;
use core::fmt;
use kernel::types::{NotThreadSafe, Opaque};

/// Something that is waited for as a lock is: lockdep watches it as one (`struct lockdep_map`).
///
/// # Invariants
///
/// The map has the name and key of the class, and stays where it is: it is a `static`.
pub struct LockMap {
    map: Opaque<bindings::lockdep_map>,
    class: LockClass,
}

// SAFETY: Only lockdep looks into it; what it writes there is a cache that it fills with whole words.
unsafe impl Sync for LockMap {}

impl LockMap {
    /// A map for a `static`.
    pub const fn new(class: LockClass) -> Self {
        Self {
            map: Opaque::new(Self::lockdep_map(class)),
            class,
        }
    }

    #[cfg(CONFIG_LOCKDEP)]
    const fn lockdep_map(class: LockClass) -> bindings::lockdep_map {
        bindings::lockdep_map {
            key: class.key(),
            name: kernel::str::as_char_ptr_in_const_context(class.name),
            ..pin_init::zeroed()
        }
    }

    /// Without lockdep there is nothing in it.
    #[cfg(not(CONFIG_LOCKDEP))]
    const fn lockdep_map(_class: LockClass) -> bindings::lockdep_map {
        pin_init::zeroed()
    }

    /// Its class, for [`teach_order`].
    pub const fn class(&self) -> LockClass {
        self.class
    }

    /// The current task has what others may wait for, until the guard is dropped.
    pub fn hold(&'static self) -> LockMapGuard {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: The type invariant. The guard releases it.
            unsafe { bindings::lock_map_acquire(self.map.get()) };
        }
        LockMapGuard {
            map: self,
            _task: NotThreadSafe,
        }
    }

    /// The current task is about to wait for all who hold it, or may be.
    pub fn might_wait(&'static self) {
        drop(self.hold());
    }
}

impl fmt::Debug for LockMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.class.fmt(f)
    }
}

/// The current task has what a [`LockMap`] stands for.
///
/// # Invariants
///
/// The map is held by the current task.
#[must_use = "the map is released when the guard is dropped"]
pub struct LockMapGuard {
    map: &'static LockMap,
    _task: NotThreadSafe,
}

impl Drop for LockMapGuard {
    fn drop(&mut self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: The type invariants.
            unsafe { bindings::lock_map_release(self.map.map.get()) };
        }
    }
}

impl fmt::Debug for LockMapGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map.fmt(f)
    }
}

/// Tells lockdep that locks of these classes are taken in this order, before any is: who takes two of
/// them the other way round is reported the first time, and not when both orders have been seen. So is who
/// allocates under one of them in a way that may evict inodes, as eviction takes them.
///
/// The classes are those of sleeping locks and maps; those of [`folio`] come before them.
pub fn teach_order(order: &[LockClass]) {
    // The page cache calls the file system with folios locked, and is never called the other way round.
    let folios = (folio::LOCKED.hold(), folio::WRITEBACK.hold());
    teach(order);
    drop(folios);
    // SAFETY: Both only tell lockdep; the release is by the same task and for the same kind of allocation.
    unsafe { bindings::fs_reclaim_acquire(bindings::GFP_KERNEL) };
    teach(order);
    // SAFETY: As above.
    unsafe { bindings::fs_reclaim_release(bindings::GFP_KERNEL) };
}

fn teach(order: &[LockClass]) {
    let Some((first, rest)) = order.split_first() else {
        return;
    };
    let map = Opaque::<bindings::lockdep_map>::uninit();
    // SAFETY: The map stays in place until it is released; name and key are static.
    unsafe {
        bindings::lockdep_init_map_wait(map.get(), first.name(), first.key());
        bindings::lock_map_acquire(map.get());
    }
    teach(rest);
    // SAFETY: Acquired above, by this task.
    unsafe { bindings::lock_map_release(map.get()) };
}
