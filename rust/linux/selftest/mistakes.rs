// SPDX-License-Identifier: GPL-2.0

//! Mistakes on purpose: what a kernel with checkers must report in code that is built as the module is.
//! `tools/tests/host/checkers` builds them into a module of its own, and looks for each one's name.

use crate::linux::alloc::{Arc, GFP};
use crate::linux::block::device::Device;
use crate::linux::sync::{lock_class, Mutex, SpinLock};
use crate::linux::thread::Thread;
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::ptr;
use kernel::alloc::KBox;
use kernel::prelude::*;

/// Makes all of them. The order of locks comes first: lockdep stops at the first report of any checker.
pub(super) fn make(device: &Device) -> Result {
    takes_two_locks_in_both_orders()?;
    races(device)?;
    sleeps_under_a_spinlock()?;
    reads_behind_the_end(&*KBox::new([7u8; 40], GFP)?);
    reads_after_free(KBox::new([7u8; 60], GFP)?);
    forgets_its_memory()
}

/// DEBUG_ATOMIC_SLEEP.
#[inline(never)]
fn sleeps_under_a_spinlock() -> Result {
    let lock = SpinLock::new(0, lock_class!("mistake_spin"))?;
    let sleeping = Mutex::new(0, lock_class!("mistake_sleeping"))?;
    drop((lock.lock(), sleeping.lock()));
    Ok(())
}

/// PROVE_LOCKING.
#[inline(never)]
fn takes_two_locks_in_both_orders() -> Result {
    let one = Mutex::new(0, lock_class!("mistake_one"))?;
    let two = Mutex::new(0, lock_class!("mistake_two"))?;
    drop((one.lock(), two.lock()));
    drop((two.lock(), one.lock()));
    Ok(())
}

/// A word without a lock.
struct Unprotected(UnsafeCell<u32>);

// SAFETY: None: this is the mistake.
unsafe impl Sync for Unprotected {}

/// KCSAN.
fn races(device: &Device) -> Result {
    let word = Arc::new(Unprotected(UnsafeCell::new(0)), GFP)?;
    let other = word.clone();
    let thread = Thread::spawn("racer", device, move || changes_a_word(&other))?;
    changes_a_word(&word);
    thread.join();
    Ok(())
}

/// One access in some thousands is watched.
#[inline(never)]
fn changes_a_word(word: &Unprotected) {
    for _ in 0..2_000_000 {
        // SAFETY: None: this is the mistake. The word is there.
        unsafe { *black_box(word.0.get()) += 1 };
    }
}

/// KASAN, of a byte behind an object.
#[inline(never)]
fn reads_behind_the_end(bytes: &[u8; 40]) -> u8 {
    let end = black_box(bytes.as_ptr().wrapping_add(40));
    // SAFETY: None: this is the mistake. The byte is mapped, for the allocator gives 64.
    unsafe { ptr::read_volatile(end) }
}

/// KASAN, of freed memory.
#[inline(never)]
fn reads_after_free(bytes: KBox<[u8; 60]>) -> u8 {
    let first = black_box(bytes.as_ptr());
    drop(bytes);
    // SAFETY: None: this is the mistake. The byte stays mapped.
    unsafe { ptr::read_volatile(first) }
}

/// kmemleak.
#[inline(never)]
fn forgets_its_memory() -> Result {
    for _ in 0..8 {
        let _ = KBox::leak(KBox::new([7u8; 50], GFP)?);
    }
    Ok(())
}
