// SPDX-License-Identifier: GPL-2.0

//! The kernel log.
//!
//! C header: `include/linux/printk.h`.

use super::bindings;
use super::block::device::Device;
use core::fmt::Arguments;
use core::ptr;
use kernel::ffi::c_void;
use kernel::str::CStrExt as _;

/// The module's name, terminated: a line begins with it.
const MODULE: &[u8] = crate::__LOG_PREFIX;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is lost or wrong. At most ten in five seconds are printed, so that a bad disk does not
    /// fill the log.
    Error,
    /// Something is odd. Limited as errors are, but counted apart.
    Warning,
    /// A fact of the mount.
    Info,
}

/// Writes one line, naming the device.
pub fn log(level: Level, device: &Device, message: Arguments<'_>) {
    let format = match level {
        Level::Error => c"\x013%s (%s): %pA\n",
        Level::Warning => c"\x014%s (%s): %pA\n",
        Level::Info => c"\x016%s (%s): %pA\n",
    };
    device.count_message(level == Level::Warning);
    // SAFETY: No preconditions.
    if level != Level::Info && !unsafe { bindings::log_allowed(level == Level::Error) } {
        return;
    }
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
    // SAFETY: No preconditions.
    if !unsafe { bindings::log_allowed(true) } {
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

/// Stops the machine, as the error policy `panic` asks for.
pub fn halt(device: &Device, message: Arguments<'_>) -> ! {
    // SAFETY: As for `_printk` above; it does not return.
    unsafe {
        bindings::panic(
            c"%s (device %s): %pA".as_char_ptr(),
            MODULE.as_ptr(),
            device.name().as_char_ptr(),
            ptr::from_ref(&message).cast::<c_void>(),
        )
    }
}
