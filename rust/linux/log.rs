// SPDX-License-Identifier: GPL-2.0

//! The kernel log.
//!
//! C header: `include/linux/printk.h`.

use super::bindings;
use super::block::device::Device;
use core::fmt::Arguments;
use core::ptr;
use kernel::str::CStrExt as _;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What is on the device is damaged. Printed with the running task's name; limited as errors are.
    Damage,
    /// Something is lost or wrong. At most ten a second are printed, so that a bad disk does not
    /// fill the log.
    Error,
    /// Something is odd. Limited as errors are.
    Warning,
    /// A fact of the mount.
    Info,
}

/// Writes one line, naming the device.
pub fn log(level: Level, device: &Device, message: Arguments<'_>) {
    let format = match level {
        Level::Damage => c"\x013rext4 error (device %s): %pA (comm %s)\n",
        Level::Error => c"\x013rext4 (%s): %pA\n",
        Level::Warning => c"\x014rext4 (%s): %pA\n",
        Level::Info => c"\x016rext4 (%s): %pA\n",
    };
    // SAFETY: No preconditions.
    if level != Level::Info && !unsafe { bindings::log_allowed() } {
        return;
    }
    // SAFETY: The format asks for a terminated string, with `%pA` for a pointer to formatting
    // arguments, and perhaps for one more terminated string: all are given, and outlive the call.
    unsafe {
        bindings::_printk(
            format.as_char_ptr(),
            device.name().as_char_ptr(),
            ptr::from_ref(&message).cast::<kernel::ffi::c_void>(),
            bindings::current_comm(),
        )
    };
}

/// Stops the machine, as the error policy `panic` asks for.
pub fn halt(device: &Device, message: Arguments<'_>) -> ! {
    // SAFETY: As for `_printk` above; it does not return.
    unsafe {
        bindings::panic(
            c"rext4 (%s): %pA".as_char_ptr(),
            device.name().as_char_ptr(),
            ptr::from_ref(&message).cast::<kernel::ffi::c_void>(),
        )
    }
}
