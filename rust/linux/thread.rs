// SPDX-License-Identifier: GPL-2.0

//! Kernel threads that run one closure.
//!
//! C header: `include/linux/kthread.h`.

use super::alloc::{AllocError, GFP};
use super::bindings;
use super::block::device::Device;
use super::nofs::NofsScope;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr;
use kernel::alloc::{KBox, KVec};
use kernel::error::from_err_ptr;
use kernel::ffi::{c_int, c_void};
use kernel::str::CStrExt as _;
use kernel::types::Opaque;

/// A running thread. Dropping it waits for its end, as [`Self::join`] does.
///
/// It takes no signals, and never allocates in a way that reaches back into the file system. A suspend
/// or hibernation waits until it sleeps in [`super::sync::Condvar::wait_idle`], or has ended.
pub struct Thread {
    /// Completed by the thread as the last thing it does.
    ended: KBox<Opaque<bindings::completion>>,
}

// SAFETY: A completion may be used from any task.
unsafe impl Send for Thread {}
// SAFETY: Nothing can be done with a shared reference.
unsafe impl Sync for Thread {}

/// What a new thread is given; it owns it.
struct Start<F> {
    run: F,
    ended: *mut bindings::completion,
}

impl Thread {
    /// Starts `run` on a new thread called `name/device` (the first fifteen bytes show everywhere).
    pub fn spawn<F: FnOnce() + Send + 'static>(
        name: &str,
        device: &Device,
        run: F,
    ) -> Result<Self, AllocError> {
        let mut role = KVec::with_capacity(name.len() + 1, GFP)?;
        role.extend_from_slice(name.as_bytes(), GFP)?;
        role.push(0, GFP)?;
        let role = CStr::from_bytes_until_nul(&role).map_err(|_| AllocError)?;

        let ended = KBox::new(Opaque::<bindings::completion>::uninit(), GFP)?;
        // SAFETY: It is on the heap, where it stays.
        unsafe { bindings::init_completion(ended.get()) };
        let start = KBox::into_raw(KBox::new(
            Start {
                run,
                ended: ended.get(),
            },
            GFP,
        )?);
        // SAFETY: The format asks for two terminated strings. `begin::<F>` takes the `Start<F>`.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(begin::<F>),
                start.cast::<c_void>(),
                bindings::NUMA_NO_NODE,
                c"%s/%s".as_char_ptr(),
                role.as_char_ptr(),
                device.name().as_char_ptr(),
            )
        };
        match from_err_ptr(task) {
            Ok(task) => {
                // SAFETY: The task waits for its first wake-up, so it is still there.
                unsafe { bindings::wake_up_process(task) };
                Ok(Self { ended })
            }
            Err(_) => {
                // SAFETY: No thread was made, so the value is still ours.
                drop(unsafe { KBox::from_raw(start) });
                Err(AllocError)
            }
        }
    }

    /// Waits until the thread has returned.
    pub fn join(self) {}
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: `spawn` initialised it. The thread's `complete` is over with it when this returns,
        // so it may be freed.
        unsafe { bindings::wait_for_completion(self.ended.get()) };
    }
}

impl core::fmt::Debug for Thread {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Thread")
    }
}

/// Where a thread begins.
///
/// # Safety
///
/// `start` is a `KBox<Start<F>>` made into a pointer, which nobody else has.
unsafe extern "C" fn begin<F: FnOnce() + Send + 'static>(start: *mut c_void) -> c_int {
    // SAFETY: The contract of this function.
    let start = unsafe { ptr::read(&*KBox::from_raw(start.cast::<MaybeUninit<Start<F>>>())) };
    // SAFETY: It was a whole `Start<F>`; the box it was moved out of did not drop it.
    let Start { run, ended } = unsafe { start.assume_init() };
    // What is written after a hibernation has taken its image of the memory, the memory that comes back
    // does not know of.
    //
    // SAFETY: It is about the current task only, which may sleep here.
    unsafe { bindings::set_freezable() };
    let nofs = NofsScope::enter();
    run();
    drop(nofs);
    // SAFETY: This is a kthread, and the completion lives until it is completed. Ending here, and
    // not by returning, makes sure that no code of the module runs once the waiter goes on.
    unsafe { bindings::kthread_complete_and_exit(ended, 0) }
}
