// SPDX-License-Identifier: GPL-2.0

//! Fallible allocation with the kernel's signatures.

use super::ledger::Charge;
use super::shortage;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// An allocation failed: on the host, only during a [`shortage::Shortage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// Allocation flags; the host has no use for them.
#[derive(Clone, Copy, Debug)]
pub struct Flags;

/// The flags every allocation of the file system passes.
pub const GFP: Flags = Flags;

/// How much memory the machine has, in bytes.
pub fn memory_size() -> usize {
    4 << 30
}

/// Waits for memory: a [`shortage::Shortage`] ends with the next tries.
pub fn wait_for_memory() {}

/// A growable array (`kernel::alloc::KVVec`).
#[derive(Debug)]
pub struct Vec<T> {
    items: std::vec::Vec<T>,
    charge: Charge,
}

impl<T> Vec<T> {
    /// An empty array; allocates nothing.
    pub const fn new() -> Self {
        Self {
            items: std::vec::Vec::new(),
            charge: Charge::NONE,
        }
    }

    /// An empty array with room for `capacity` elements.
    pub fn with_capacity(capacity: usize, _: Flags) -> Result<Self, AllocError> {
        if capacity > 0 {
            shortage::admit()?;
        }
        Ok(Self::counted(std::vec::Vec::with_capacity(capacity)))
    }

    /// Room for `additional` more elements.
    pub fn reserve(&mut self, additional: usize, _: Flags) -> Result<(), AllocError> {
        if additional > self.items.capacity() - self.items.len() {
            shortage::admit()?;
            self.items.reserve(additional);
            self.charge.resize::<T>(self.items.capacity());
        }
        Ok(())
    }

    /// Appends one element.
    pub fn push(&mut self, value: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(1, flags)?;
        self.items.push(value);
        Ok(())
    }

    /// How many elements fit without another allocation.
    pub fn capacity(&self) -> usize {
        self.items.capacity()
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Shortens to `len`.
    pub fn truncate(&mut self, len: usize) {
        self.items.truncate(len);
    }

    /// Keeps the elements for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.items.retain_mut(keep);
    }

    /// Removes the element at `index`; `Err` when there is none.
    pub fn remove(&mut self, index: usize) -> Result<T, RemoveError> {
        if index < self.items.len() {
            Ok(self.items.remove(index))
        } else {
            Err(RemoveError)
        }
    }

    fn counted(items: std::vec::Vec<T>) -> Self {
        Self {
            charge: Charge::of::<T>(items.capacity()),
            items,
        }
    }
}

impl<T: Clone> Vec<T> {
    /// `len` copies of `value`.
    pub fn from_elem(value: T, len: usize, _: Flags) -> Result<Self, AllocError> {
        if len > 0 {
            shortage::admit()?;
        }
        Ok(Self::counted(std::vec![value; len]))
    }

    /// Appends copies of `other`'s elements.
    pub fn extend_from_slice(&mut self, other: &[T], flags: Flags) -> Result<(), AllocError> {
        self.reserve(other.len(), flags)?;
        self.items.extend_from_slice(other);
        Ok(())
    }
}

/// There was no element at that index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveError;

impl<T> Default for Vec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: PartialEq> PartialEq for Vec<T> {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl<T: Eq> Eq for Vec<T> {}

impl<T> Deref for Vec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> DerefMut for Vec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T> IntoIterator for Vec<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter {
            items: self.items.into_iter(),
            _charge: self.charge,
        }
    }
}

/// The elements of a [`Vec`], by value.
#[derive(Debug)]
pub struct IntoIter<T> {
    items: std::vec::IntoIter<T>,
    _charge: Charge,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.items.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl<'a, T> IntoIterator for &'a Vec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// A shared value (`kernel::sync::Arc`): no weak references.
#[derive(Debug)]
pub struct Arc<T>(std::sync::Arc<Counted<T>>);

#[derive(Debug)]
struct Counted<T> {
    value: T,
    _charge: Charge,
}

impl<T> Arc<T> {
    /// Moves `value` to the heap, with one reference.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        Ok(ArcRoom::new(flags)?.fill(value))
    }

    /// Whether both point to the same value.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&this.0, &other.0)
    }
}

/// Memory for a shared value that is not there yet.
#[derive(Debug)]
pub struct ArcRoom<T>(Charge, PhantomData<T>);

impl<T> ArcRoom<T> {
    /// Takes the memory.
    pub fn new(_: Flags) -> Result<Self, AllocError> {
        shortage::admit()?;
        Ok(Self(Charge::of::<T>(1), PhantomData))
    }

    /// Moves `value` there, with one reference.
    pub fn fill(self, value: T) -> Arc<T> {
        Arc(std::sync::Arc::new(Counted {
            value,
            _charge: self.0,
        }))
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}
