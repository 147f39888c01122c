// SPDX-License-Identifier: GPL-2.0

//! Commands of `ioctl`, the same for files and directories.

use super::error::OrErrno;
use super::{InodeExt, Rext4};
use crate::format::bytes::le32;
use crate::linux::fs::file::{Argument, File};
use kernel::prelude::*;

/// `FS_IOC_SHUTDOWN`.
const SHUTDOWN: u32 = 0x8004_587d;

/// `FS_IOC_GETVERSION` and `EXT4_IOC_GETVERSION`, and the same for tasks with words of 32 bits.
const GET_GENERATION: [u32; 4] = [0x8008_7601, 0x8008_6603, 0x8004_7601, 0x8004_6603];
/// `FS_IOC_GETFSLABEL`.
const GET_LABEL: u32 = 0x8100_9431;
/// `EXT4_IOC_GETFSUUID`.
const GET_UUID: u32 = 0x8008_662c;

/// Does a command.
pub(super) fn ioctl(file: &File<Rext4>, command: u32, argument: Argument) -> Result<isize> {
    match command {
        SHUTDOWN => shutdown(file, argument),
        GET_LABEL => get_label(file, argument),
        GET_UUID => get_uuid(file, argument),
        command if GET_GENERATION.contains(&command) => {
            let generation = file.inode().core()?.generation();
            argument.write(0, &generation).map(|()| 0)
        }
        _ => Err(ENOTTY),
    }
}

/// The label, with a zero behind it. (There are 256 bytes for it.)
fn get_label(file: &File<Rext4>, argument: Argument) -> Result<isize> {
    let mut text = [0; 17];
    let label = file.inode().fs().label().errno()?;
    for (to, from) in text.iter_mut().zip(label) {
        if from == 0 {
            break;
        }
        *to = from;
    }
    argument.write(0, &text).map(|()| 0)
}

/// The UUID, in a `struct fsuuid`: the length of what follows, flags, the bytes. Asked with a length of 0
/// it only tells the length.
fn get_uuid(file: &File<Rext4>, argument: Argument) -> Result<isize> {
    const LEN: u32 = 16;
    const BYTES: usize = 8;
    let given: [u8; BYTES] = argument.read()?;
    let word = |at| le32(&given, at).unwrap_or(0);
    match (word(0), word(4)) {
        (0, _) => argument.write(0, &LEN)?,
        (LEN.., 0) => {
            argument.write(0, &LEN)?;
            argument.write(BYTES, &file.inode().fs().uuid())?;
        }
        _ => return Err(EINVAL),
    }
    Ok(0)
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
