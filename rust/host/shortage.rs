// SPDX-License-Identifier: GPL-2.0

//! Memory, or space, that runs short at a chosen allocation.
//!
//! A shortage belongs to the thread that begins it and to the threads started by it meanwhile, so that
//! tests do not disturb each other.

use super::alloc::AllocError;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// What runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Memory,
    Space,
}

/// Which allocations fail, and how many there were.
#[derive(Debug)]
pub struct Shortage {
    resource: Resource,
    first: u64,
    len: u64,
    count: AtomicU64,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Shortage>>> = const { RefCell::new(None) };
}

/// The shortage of the running thread, for a thread that it starts.
pub(super) fn current() -> Option<Arc<Shortage>> {
    CURRENT.with_borrow(Option::clone)
}

/// Puts the running thread under a shortage, or ends it.
pub(super) fn set_current(shortage: Option<Arc<Shortage>>) {
    CURRENT.set(shortage);
}

/// Every allocation of memory asks here first.
pub(super) fn admit() -> Result<(), AllocError> {
    if hits(Resource::Memory) {
        return Err(AllocError);
    }
    Ok(())
}

/// Whether whoever hands out or promises space has to say now that there is none.
pub fn of_space() -> bool {
    hits(Resource::Space)
}

fn hits(resource: Resource) -> bool {
    CURRENT.with_borrow(|current| match current {
        Some(shortage) if shortage.resource == resource => shortage.hits(),
        _ => false,
    })
}

impl Shortage {
    /// From now on the allocations `first..first + len` of this thread fail, counted from 0.
    pub fn begin(first: u64, len: u64) -> Arc<Self> {
        Self::begin_of(Resource::Memory, first, len)
    }

    /// The same of space: the promises, blocks and inodes that are asked for.
    pub fn begin_of_space(first: u64, len: u64) -> Arc<Self> {
        Self::begin_of(Resource::Space, first, len)
    }

    fn begin_of(resource: Resource, first: u64, len: u64) -> Arc<Self> {
        let shortage = Arc::new(Self {
            resource,
            first,
            len,
            count: AtomicU64::new(0),
        });
        set_current(Some(shortage.clone()));
        shortage
    }

    /// Ends the running thread's shortage.
    pub fn end() {
        set_current(None);
    }

    /// How many allocations there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn hits(&self) -> bool {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        number.checked_sub(self.first).is_some_and(|n| n < self.len)
    }
}
