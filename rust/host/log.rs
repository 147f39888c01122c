// SPDX-License-Identifier: GPL-2.0

//! The kernel log, on standard error when `REXT4_LOG` is set.

use super::device::Device;
use std::fmt::Arguments;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is lost or wrong.
    Error,
    /// Something is odd.
    Warning,
    /// A fact of the mount.
    Info,
}

/// Writes one line, naming the device.
pub fn log(level: Level, device: &Device, message: Arguments<'_>) {
    if std::env::var_os("REXT4_LOG").is_some() {
        eprintln!("rext4 ({device}): {level:?}: {message}");
    }
}

/// Writes the line that says what is damaged on a device, and where.
pub fn damage(device: &Device, place: Arguments<'_>, what: Arguments<'_>) {
    if std::env::var_os("REXT4_LOG").is_some() {
        eprintln!("rext4 error (device {device}): {place}: {what}");
    }
}

/// Stops the machine, as the error policy `panic` asks for; the host stops the thread.
pub fn halt(device: &Device, message: Arguments<'_>) {
    panic!("rext4 ({device}): {message}")
}
