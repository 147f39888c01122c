// SPDX-License-Identifier: GPL-2.0

//! What lockdep does in the kernel, for tests: a thread that takes locks against the order taught
//! panics.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock};

/// A lock's name and, in the kernel, its lockdep class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockClass(pub &'static str);

/// The class of the locks made at this place.
macro_rules! lock_class {
    ($name:literal) => {
        $crate::host::sync::LockClass($name)
    };
}
pub(crate) use lock_class;

/// Orders of classes, the first to take first.
static ORDERS: RwLock<Vec<Vec<LockClass>>> = RwLock::new(Vec::new());

thread_local! {
    /// What the thread holds.
    static HELD: RefCell<Vec<LockClass>> = const { RefCell::new(Vec::new()) };
}

/// Tells in which order locks of these classes are taken.
pub fn teach_order(order: &[LockClass]) {
    let known = ORDERS
        .read()
        .is_ok_and(|all| all.iter().any(|known| known == order));
    if let (false, Ok(mut all)) = (known, ORDERS.write()) {
        all.push(order.to_vec());
    }
}

/// The thread is about to take a lock of `class`. Without debug assertions nobody looks.
///
/// # Panics
///
/// When it holds one that comes after it, or one of the same class.
pub(super) fn take(class: LockClass) {
    if !cfg!(debug_assertions) {
        return;
    }
    let wrong = HELD.with_borrow(|held| {
        let orders = ORDERS.read().unwrap_or_else(PoisonError::into_inner);
        orders.iter().find_map(|order| {
            let at = order.iter().position(|known| *known == class)?;
            held.iter().copied().find(|held| order[at..].contains(held))
        })
    });
    if let Some(held) = wrong {
        panic!("lock order: {class:?} is taken while {held:?} is held");
    }
    note(class);
}

/// The thread has a lock of `class`.
pub(super) fn note(class: LockClass) {
    HELD.with_borrow_mut(|held| held.push(class));
}

/// The thread has let a lock of `class` go.
pub(super) fn release(class: LockClass) {
    HELD.with_borrow_mut(|held| {
        if let Some(last) = held.iter().rposition(|held| *held == class) {
            held.remove(last);
        }
    });
}

/// Something that is waited for as a lock is.
#[derive(Debug)]
pub struct LockMap(LockClass);

impl LockMap {
    /// A map for a `static`.
    pub const fn new(class: LockClass) -> Self {
        Self(class)
    }

    /// Its class, for [`teach_order`].
    pub const fn class(&self) -> LockClass {
        self.0
    }

    /// The thread has what others may wait for, until the guard is dropped.
    pub fn hold(&'static self) -> LockMapGuard {
        take(self.0);
        LockMapGuard(self.0, std::marker::PhantomData)
    }

    /// The thread is about to wait for all who hold it, or may be.
    pub fn might_wait(&'static self) {
        drop(self.hold());
    }
}

/// The thread has what a [`LockMap`] stands for.
#[derive(Debug)]
#[must_use = "the map is released when the guard is dropped"]
pub struct LockMapGuard(LockClass, std::marker::PhantomData<*mut ()>);

impl Drop for LockMapGuard {
    fn drop(&mut self) {
        release(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sync::Mutex;
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn the_wrong_order_panics() {
        let (first, second) = (lock_class!("first"), lock_class!("second"));
        let one = Mutex::new(0, first).unwrap();
        let two = Mutex::new(0, second).unwrap();
        teach_order(&[first, second]);
        drop((one.lock(), two.lock()));
        let wrong = catch_unwind(|| drop((two.lock(), one.lock())));
        assert!(wrong.is_err());
        let twice = catch_unwind(|| {
            let three = Mutex::new(0, first).unwrap();
            drop((one.lock(), three.lock()));
        });
        assert!(twice.is_err());
    }
}
