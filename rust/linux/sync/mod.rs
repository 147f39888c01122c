// SPDX-License-Identifier: GPL-2.0

//! Locks that live on the heap by themselves, so that what contains them may be moved.
//!
//! C headers: `include/linux/mutex.h`, `include/linux/spinlock.h`, `include/linux/wait.h`,
//! `include/linux/lockdep.h`.

mod condvar;
mod lock_map;
mod mutex;
mod spinlock;

pub use condvar::Condvar;
pub use lock_map::{teach_order, LockMap, LockMapGuard};
pub use mutex::{Mutex, MutexGuard};
pub use spinlock::{SpinLock, SpinLockGuard};

use super::bindings;
use core::ffi::CStr;
use core::fmt;
use kernel::ffi::c_char;
use kernel::str::CStrExt as _;
use kernel::types::Opaque;

/// What lockdep knows a class of locks by: an address that stays. Nothing but its address is used
/// until lockdep writes to it under its own lock.
#[repr(transparent)]
pub struct ClassKey(Opaque<bindings::lock_class_key>);

// SAFETY: Only lockdep looks into it, under its own lock.
unsafe impl Sync for ClassKey {}

impl ClassKey {
    /// A key for a `static`.
    #[expect(
        clippy::new_without_default,
        reason = "a key that is not a static makes no sense"
    )]
    pub const fn new() -> Self {
        Self(Opaque::zeroed())
    }
}

/// A lock's name and lockdep class.
#[derive(Clone, Copy)]
pub struct LockClass {
    name: &'static CStr,
    key: &'static ClassKey,
}

impl LockClass {
    /// A class; made by [`lock_class!`](lock_class).
    pub const fn new(name: &'static CStr, key: &'static ClassKey) -> Self {
        Self { name, key }
    }

    fn name(self) -> *const c_char {
        self.name.as_char_ptr()
    }

    const fn key(self) -> *mut bindings::lock_class_key {
        self.key.0.get()
    }
}

impl fmt::Debug for LockClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// The class of the locks made at this place.
macro_rules! lock_class {
    ($name:literal) => {{
        static KEY: $crate::linux::sync::ClassKey = $crate::linux::sync::ClassKey::new();
        const NAME: &::core::ffi::CStr =
            match ::core::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"?",
            };
        $crate::linux::sync::LockClass::new(NAME, &KEY)
    }};
}
pub(crate) use lock_class;
