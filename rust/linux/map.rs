// SPDX-License-Identifier: GPL-2.0

//! Ordered maps: a plain one, and one with a lock of its own.
//!
//! C header: `include/linux/xarray.h`.

use super::alloc::{AllocError, Arc, GFP};
use super::bindings;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr;
use kernel::alloc::KBox;
use kernel::ffi::{c_ulong, c_void};
use kernel::rbtree::{self, RBTreeNode};
use kernel::types::{ForeignOwnable, Opaque};

/// An ordered map.
pub struct RBTree<K, V>(rbtree::RBTree<K, V>);

impl<K: Ord, V> RBTree<K, V> {
    /// An empty map; allocates nothing.
    pub fn new() -> Self {
        Self(rbtree::RBTree::new())
    }

    /// Puts `value` at `key` and gives back what was there. Sleeps.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, AllocError> {
        let node = RBTreeNode::new(key, value, GFP).map_err(|_| AllocError)?;
        Ok(self.0.insert(node).map(|old| old.to_key_value().1))
    }

    /// The value at `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// The entry with the smallest key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.0.iter().next()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }
}

impl<K: Ord, V> Default for RBTree<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for RBTree<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Shared values by number, behind a lock of its own.
///
/// # Invariants
///
/// The C array in the box is initialised and stays there. Each pointer in it is an `Arc<T>` made by
/// `into_foreign`, and the array owns that reference.
pub struct Index<T: 'static>(KBox<Opaque<bindings::xarray>>, PhantomData<Arc<T>>);

// SAFETY: It owns `Arc<T>`s and hands out others.
unsafe impl<T: Send + Sync> Send for Index<T> {}
// SAFETY: The array has a lock; what it hands out may be shared.
unsafe impl<T: Send + Sync> Sync for Index<T> {}

/// The array's lock, held.
struct Locked<'a, T: 'static>(&'a Index<T>);

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Held since `Index::lock`.
        unsafe { bindings::xa_unlock(self.0.raw()) };
    }
}

impl<T> Locked<'_, T> {
    fn load(&self, key: u64) -> *mut c_void {
        // SAFETY: Initialised: the type invariant.
        unsafe { bindings::xa_load(self.0.raw(), key as c_ulong) }
    }

    /// The value behind a pointer of the array, without taking the array's reference.
    ///
    /// # Safety
    ///
    /// `entry` is in the array, or was just taken out of it and not dropped.
    unsafe fn value(&self, entry: *mut c_void) -> ManuallyDrop<Arc<T>> {
        // SAFETY: By the type invariant it came from `into_foreign`; the reference stays where it is.
        ManuallyDrop::new(unsafe { Arc::from_foreign(entry.cast()) })
    }
}

impl<T> Index<T> {
    /// An empty index.
    pub fn new() -> Result<Self, AllocError> {
        let array = KBox::new(Opaque::<bindings::xarray>::uninit(), GFP)?;
        // SAFETY: The array is in its final place.
        unsafe { bindings::xa_init(array.get()) };
        // INVARIANT: It was just initialised and is empty.
        Ok(Self(array, PhantomData))
    }

    fn raw(&self) -> *mut bindings::xarray {
        self.0.get()
    }

    fn lock(&self) -> Locked<'_, T> {
        // SAFETY: Initialised: the type invariant.
        unsafe { bindings::xa_lock(self.raw()) };
        Locked(self)
    }

    /// The value at `key`. `touch` sees it under the index's lock and must not sleep.
    pub fn get_with(&self, key: u64, touch: impl FnOnce(&T)) -> Option<Arc<T>> {
        let array = self.lock();
        let entry = array.load(key);
        if entry.is_null() {
            return None;
        }
        // SAFETY: It is in the array, whose lock is held until after the clone.
        let value = unsafe { array.value(entry) };
        touch(&value);
        Some(Arc::clone(&value))
    }

    /// Puts `value` at `key` unless something is there; returns what is there afterwards, which
    /// `touch` has seen under the index's lock. Sleeps.
    pub fn insert_or_get(
        &self,
        key: u64,
        value: Arc<T>,
        touch: impl FnOnce(&T),
    ) -> Result<Arc<T>, AllocError> {
        let new = value.into_foreign();
        let array = self.lock();
        // The lock may be let go for an allocation, but not between the comparison and the return.
        //
        // SAFETY: Initialised, lock held; `new` is aligned as an entry must be, being a reference to
        // the insides of an `Arc`, which begin with its counter.
        let old = unsafe {
            bindings::__xa_cmpxchg(
                self.raw(),
                key as c_ulong,
                ptr::null_mut(),
                new.cast(),
                bindings::GFP_KERNEL,
            )
        };
        // SAFETY: No preconditions.
        if unsafe { bindings::xa_is_err(old) } {
            drop(array);
            // SAFETY: It was not stored, so the reference is still ours.
            drop(unsafe { Arc::<T>::from_foreign(new) });
            return Err(AllocError);
        }
        let there = if old.is_null() { new.cast() } else { old };
        // SAFETY: It is in the array, whose lock is held until after the clone.
        let value = unsafe { array.value(there) };
        touch(&value);
        let value = Arc::clone(&value);
        drop(array);
        if !old.is_null() {
            // SAFETY: It was not stored, so the reference is still ours.
            drop(unsafe { Arc::<T>::from_foreign(new) });
        }
        Ok(value)
    }

    /// Takes the value at `key` out if `condition` holds of it. `condition` must not sleep.
    pub fn remove_if(&self, key: u64, condition: impl FnOnce(&T) -> bool) -> Option<Arc<T>> {
        let array = self.lock();
        let entry = array.load(key);
        if entry.is_null() {
            return None;
        }
        // SAFETY: It is in the array, whose lock is held.
        let value = unsafe { array.value(entry) };
        if !condition(&value) {
            return None;
        }
        // SAFETY: Initialised, lock held.
        unsafe { bindings::__xa_erase(self.raw(), key as c_ulong) };
        // The array's reference is ours now.
        Some(ManuallyDrop::into_inner(value))
    }

    /// The first key in use at or after `key`.
    pub fn next_key(&self, key: u64) -> Option<u64> {
        let mut at = key as c_ulong;
        // SAFETY: Initialised; the function protects its walk itself.
        let entry =
            unsafe { bindings::xa_find(self.raw(), &mut at, c_ulong::MAX, bindings::XA_PRESENT) };
        (!entry.is_null()).then_some(at as u64)
    }
}

impl<T> Drop for Index<T> {
    fn drop(&mut self) {
        let mut key = 0;
        while let Some(at) = self.next_key(key) {
            drop(self.remove_if(at, |_| true));
            let Some(next) = at.checked_add(1) else { break };
            key = next;
        }
        // SAFETY: Initialised, and empty.
        unsafe { bindings::xa_destroy(self.raw()) };
    }
}

impl<T> fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Index")
    }
}
