// SPDX-License-Identifier: GPL-2.0

//! Ordered maps: a plain one (`kernel::rbtree`) and one with a lock of its own (`kernel::xarray`).

use super::alloc::{AllocError, Arc};
use super::ledger::Charge;
use super::shortage;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a map has in a ledger for each entry: the kernel's node is three words.
type Node<K, V> = (K, V, [usize; 3]);

/// An ordered map.
#[derive(Debug)]
pub struct RBTree<K, V> {
    entries: BTreeMap<K, V>,
    charge: Charge,
}

impl<K: Ord, V> RBTree<K, V> {
    /// An empty map; allocates nothing.
    pub const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            charge: Charge::NONE,
        }
    }

    /// Puts `value` at `key` and gives back what was there.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, AllocError> {
        shortage::admit()?;
        let old = self.entries.insert(key, value);
        self.charge.resize::<Node<K, V>>(self.entries.len());
        Ok(old)
    }

    /// The value at `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.entries.remove(key);
        self.charge.resize::<Node<K, V>>(self.entries.len());
        old
    }

    /// The entry with the smallest key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.entries.first_key_value()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }
}

impl<K: Ord, V> Default for RBTree<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Shared values by number, behind a lock of its own.
#[derive(Debug)]
pub struct Index<T>(Mutex<RBTree<u64, Arc<T>>>);

impl<T> Index<T> {
    /// An empty index.
    pub fn new() -> Result<Self, AllocError> {
        Ok(Self(Mutex::new(RBTree::new())))
    }

    fn lock(&self) -> MutexGuard<'_, RBTree<u64, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value at `key`. `touch` sees it under the index's lock and must not sleep.
    pub fn get_with(&self, key: u64, touch: impl FnOnce(&T)) -> Option<Arc<T>> {
        self.lock().get(&key).inspect(|value| touch(value)).cloned()
    }

    /// Puts `value` at `key` unless something is there; returns what is there afterwards, which
    /// `touch` has seen under the index's lock.
    pub fn insert_or_get(
        &self,
        key: u64,
        value: Arc<T>,
        touch: impl FnOnce(&T),
    ) -> Result<Arc<T>, AllocError> {
        let mut entries = self.lock();
        let value = match entries.get(&key) {
            Some(there) => there.clone(),
            None => {
                entries.insert(key, value.clone())?;
                value
            }
        };
        touch(&value);
        Ok(value)
    }

    /// Takes the value at `key` out if `condition` holds of it. `condition` must not sleep.
    pub fn remove_if(&self, key: u64, condition: impl FnOnce(&T) -> bool) -> Option<Arc<T>> {
        let mut entries = self.lock();
        entries.get(&key).filter(|value| condition(value))?;
        entries.remove(&key)
    }

    /// The first key in use at or after `key`.
    pub fn next_key(&self, key: u64) -> Option<u64> {
        let entries = self.lock();
        let mut rest = entries.entries.range(key..);
        rest.next().map(|(&key, _)| key)
    }
}
