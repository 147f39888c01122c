// SPDX-License-Identifier: GPL-2.0

//! Commands of `ioctl`, the same for files and directories.

use super::{InodeExt, Rext4};
use crate::linux::fs::file::{Argument, File};
use kernel::prelude::*;

/// `FS_IOC_SHUTDOWN`.
const SHUTDOWN: u32 = 0x8004_587d;

/// Does a command.
pub(super) fn ioctl(file: &File<Rext4>, command: u32, argument: Argument) -> Result<isize> {
    match command {
        SHUTDOWN => shutdown(file, argument),
        _ => Err(ENOTTY),
    }
}

/// Ends all use of the file system at once, for tests and for those who stop using a device.
fn shutdown(file: &File<Rext4>, argument: Argument) -> Result<isize> {
    /// Everything is made durable first.
    const DEFAULT: u32 = 0;
    /// What was changed in metadata so far becomes durable.
    const LOG_FLUSH: u32 = 1;
    /// What is not durable is lost.
    const NO_LOG_FLUSH: u32 = 2;
    if !File::<Rext4>::caller_is_admin() {
        return Err(EPERM);
    }
    let inode = file.inode();
    let (sb, fs) = (inode.sb(), inode.fs());
    let how: u32 = argument.read()?;
    match how {
        DEFAULT | LOG_FLUSH | NO_LOG_FLUSH if fs.is_shut_down() => return Ok(0),
        DEFAULT => sb.while_frozen(|| fs.shutdown())?,
        LOG_FLUSH => fs.shutdown_after_commit(),
        NO_LOG_FLUSH => fs.shutdown(),
        _ => return Err(EINVAL),
    }
    sb.report_shutdown();
    Ok(0)
}
