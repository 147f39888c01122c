// SPDX-License-Identifier: GPL-2.0

//! Giving memory back when it runs short.
//!
//! C header: `include/linux/shrinker.h`.

use crate::linux::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::types::ForeignOwnable;

/// There is nothing to give back (`SHRINK_EMPTY`, which bindgen takes for an `int`).
const EMPTY: usize = usize::MAX - 1;
/// No progress can be made now (`SHRINK_STOP`).
const STOP: usize = usize::MAX;

/// A cache that can give memory back.
///
/// Both are called by any task that allocates, with whatever locks it holds; `scan` but never within a scope
/// or an allocation from which memory must not be reclaimed through file systems
/// ([`crate::linux::nofs::NofsScope`]). `count` is: it must take no lock under which anything is allocated.
pub trait Shrink: Send + Sync + 'static {
    /// How many objects could be given back; quick and approximate.
    fn count(&self) -> usize;

    /// Looks at up to `limit` objects and gives back what nobody uses, without waiting for I/O.
    /// Returns how many were given back; `None` when it can make no progress now.
    fn scan(&self, limit: usize) -> Option<usize>;
}

/// A registered cache; it is asked no more when this is dropped.
///
/// # Invariants
///
/// The C object is registered, and its `private_data` owns a reference of the cache.
pub struct Shrinker<T: Shrink>(NonNull<bindings::shrinker>, PhantomData<T>);

// SAFETY: Freeing a shrinker may be done by any task; the cache itself is `Send + Sync`.
unsafe impl<T: Shrink> Send for Shrinker<T> {}
// SAFETY: A shared reference gives access to nothing.
unsafe impl<T: Shrink> Sync for Shrinker<T> {}

impl<T: Shrink> Shrinker<T> {
    /// Registers `cache` under a name for debugfs.
    pub fn register(name: &CStr, cache: Arc<T>) -> Result<Self> {
        // SAFETY: The format asks for one string, which is copied.
        let raw = unsafe {
            bindings::shrinker_alloc(
                0,
                c"%s".as_char_ptr().cast(),
                name.as_char_ptr().cast::<ffi::c_char>(),
            )
        };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: The object is ours until it is registered, and complete then.
        unsafe {
            let shrinker = raw.as_ptr();
            (*shrinker).count_objects = Some(Self::count);
            (*shrinker).scan_objects = Some(Self::scan);
            (*shrinker).private_data = cache.into_foreign().cast();
            bindings::shrinker_register(shrinker);
        }
        // INVARIANT: As just done.
        Ok(Self(raw, PhantomData))
    }

    /// # Safety
    ///
    /// This and [`Self::scan`] are called by the memory manager only, for registered objects.
    unsafe extern "C" fn count(
        shrinker: *mut bindings::shrinker,
        _control: *mut bindings::shrink_control,
    ) -> ffi::c_ulong {
        // SAFETY: The type invariant.
        let cache = unsafe { Arc::<T>::borrow((*shrinker).private_data.cast()) };
        match cache.count() {
            // 0 would mean that it is not known.
            0 => EMPTY,
            count => count,
        }
    }

    /// # Safety
    ///
    /// As for [`Self::count`].
    unsafe extern "C" fn scan(
        shrinker: *mut bindings::shrinker,
        control: *mut bindings::shrink_control,
    ) -> ffi::c_ulong {
        // SAFETY: The control is live.
        let (mask, limit) = unsafe { ((*control).gfp_mask, (*control).nr_to_scan) };
        if mask & bindings::__GFP_FS == 0 {
            return STOP;
        }
        // SAFETY: The type invariant.
        let cache = unsafe { Arc::<T>::borrow((*shrinker).private_data.cast()) };
        cache.scan(limit).unwrap_or(STOP)
    }
}

impl<T: Shrink> Drop for Shrinker<T> {
    fn drop(&mut self) {
        // SAFETY: The type invariant. `shrinker_free` waits for callbacks that run; the object itself
        // is freed later, without another look at `private_data`.
        unsafe {
            let cache = (*self.0.as_ptr()).private_data;
            bindings::shrinker_free(self.0.as_ptr());
            drop(Arc::<T>::from_foreign(cache.cast()));
        }
    }
}
