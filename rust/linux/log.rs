// SPDX-License-Identifier: GPL-2.0

//! The kernel log.
//!
//! C header: `include/linux/printk.h`.

use super::bindings;
use super::block::device::Device;
use super::clock;
use core::fmt::Arguments;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use kernel::ffi::c_void;
use kernel::str::CStrExt as _;

/// The module's name, terminated: a line begins with it.
const MODULE: &[u8] = crate::__LOG_PREFIX;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is lost or wrong. At most ten in five seconds are printed of each device, so that a bad
    /// disk does not fill the log.
    Error,
    /// Something is odd. Limited as errors are, but counted apart.
    Warning,
    /// A fact of the mount.
    Info,
}

/// The time in which at most [`MOST`] messages of a kind are printed, in nanoseconds; both as C ext4 has it.
const SPAN: u64 = 5_000_000_000;
const MOST: u32 = 10;

/// Keeps one kind of message from filling the log.
#[derive(Debug, Default)]
struct Limit {
    /// When the span began, on the monotonic clock; 0 before the first.
    began: AtomicU64,
    /// Messages since then.
    count: AtomicU32,
}

impl Limit {
    /// Whether one more message is to be printed, and how many before it were not, if this is to be said.
    fn admit(&self) -> (bool, u32) {
        let (began, now) = (self.began.load(Relaxed), clock::monotonic_ns());
        let over = began == 0 || now.saturating_sub(began) >= SPAN;
        if over
            && self
                .began
                .compare_exchange(began, now, Relaxed, Relaxed)
                .is_ok()
        {
            return (true, self.count.swap(1, Relaxed).saturating_sub(MOST));
        }
        (self.count.fetch_add(1, Relaxed) < MOST, 0)
    }
}

/// What the log was told of one device: how much, and how much lately.
#[derive(Debug, Default)]
pub struct Said {
    messages: AtomicU32,
    warnings: AtomicU32,
    recent_errors: Limit,
    recent_warnings: Limit,
}

impl Said {
    /// How many messages there were that were not warnings, printed or not.
    pub fn messages(&self) -> u32 {
        self.messages.load(Relaxed)
    }

    /// How many warnings there were, printed or not.
    pub fn warnings(&self) -> u32 {
        self.warnings.load(Relaxed)
    }
}

/// Whether one more message of this level is to be printed.
fn admit(level: Level, device: &Device) -> bool {
    let limit = match level {
        Level::Error => &device.said().recent_errors,
        Level::Warning => &device.said().recent_warnings,
        Level::Info => return true,
    };
    let (admitted, missing) = limit.admit();
    if missing > 0 {
        print(
            Level::Warning,
            device,
            format_args!("{missing} messages were left out"),
        );
    }
    admitted
}

/// Writes one line, naming the device.
pub fn log(level: Level, device: &Device, message: Arguments<'_>) {
    let count = match level {
        Level::Warning => &device.said().warnings,
        _ => &device.said().messages,
    };
    count.fetch_add(1, Relaxed);
    if admit(level, device) {
        print(level, device, message);
    }
}

fn print(level: Level, device: &Device, message: Arguments<'_>) {
    let format = match level {
        Level::Error => c"\x013%s (%s): %pA\n",
        Level::Warning => c"\x014%s (%s): %pA\n",
        Level::Info => c"\x016%s (%s): %pA\n",
    };
    // SAFETY: The format asks for two terminated strings and, with `%pA`, for a pointer to formatting
    // arguments: all are given, and outlive the call.
    unsafe {
        bindings::_printk(
            format.as_char_ptr(),
            MODULE.as_ptr(),
            device.name().as_char_ptr(),
            ptr::from_ref(&message).cast::<c_void>(),
        )
    };
}

/// Writes the line that says what is damaged on a device, and where, with the name of the task that
/// met it. Limited as errors are.
pub fn damage(device: &Device, place: Arguments<'_>, what: Arguments<'_>) {
    if !admit(Level::Error, device) {
        return;
    }
    // SAFETY: As in `log`; a task's name is terminated.
    unsafe {
        bindings::_printk(
            c"\x012%s error (device %s): %pA: comm %s: %pA\n".as_char_ptr(),
            MODULE.as_ptr(),
            device.name().as_char_ptr(),
            ptr::from_ref(&place).cast::<c_void>(),
            bindings::current_comm(),
            ptr::from_ref(&what).cast::<c_void>(),
        )
    };
}

/// Stops the machine, as the error policy `panic` asks for, unless it is going down: disks fail then, and a panic
/// would keep it from starting again.
pub fn halt(device: &Device, message: Arguments<'_>) {
    use bindings::{
        system_states_SYSTEM_HALT as HALT, system_states_SYSTEM_POWER_OFF as POWER_OFF,
        system_states_SYSTEM_RESTART as RESTART,
    };
    // SAFETY: A word that is read whole.
    let state = unsafe { ptr::addr_of!(bindings::system_state).read_volatile() };
    if matches!(state, HALT | POWER_OFF | RESTART) {
        return;
    }
    // SAFETY: As for `_printk` above.
    unsafe {
        bindings::panic(
            c"%s (device %s): %pA".as_char_ptr(),
            MODULE.as_ptr(),
            device.name().as_char_ptr(),
            ptr::from_ref(&message).cast::<c_void>(),
        )
    }
}
