// SPDX-License-Identifier: GPL-2.0

//! Open directories.

use super::error::OrErrno;
use super::ioctl::ioctl;
use super::{InodeExt, Rext4};
use crate::core::mount::{InodeKind, Width};
use crate::linux::fs::file::{Argument, File, FileOps, Seek};
use crate::linux::fs::iter::{DirContext, EntryKind};
use kernel::prelude::*;

/// Operations on open directories.
pub(super) struct Directory;

/// What `readdir` calls a kind of file.
fn entry_kind(kind: Option<InodeKind>) -> EntryKind {
    match kind {
        None => EntryKind::Unknown,
        Some(InodeKind::Regular) => EntryKind::Regular,
        Some(InodeKind::Directory) => EntryKind::Directory,
        Some(InodeKind::Symlink) => EntryKind::Link,
        Some(InodeKind::CharDevice) => EntryKind::Character,
        Some(InodeKind::BlockDevice) => EntryKind::Block,
        Some(InodeKind::Fifo) => EntryKind::Fifo,
        Some(InodeKind::Socket) => EntryKind::Socket,
    }
}

#[vtable]
impl FileOps<Rext4> for Directory {
    fn llseek(file: &File<Rext4>, to: Seek) -> Result<u64> {
        // Positions are hashes: any may be asked for again.
        let max = i64::MAX.unsigned_abs();
        file.seek(to, max, max)
    }

    fn iterate_shared(file: &File<Rext4>, into: &mut DirContext<'_>) -> Result {
        let dir = file.inode();
        let start = into.pos();
        let width = if file.has_narrow_positions() {
            Width::Narrow
        } else {
            Width::Wide
        };
        let next = dir
            .fs()
            .read_directory(dir.live()?, start, width, |entry, next| {
                let taken = into.emit(
                    entry.name,
                    u64::from(entry.ino.get()),
                    entry_kind(entry.kind),
                );
                if taken {
                    into.set_pos(next);
                }
                taken
            })
            .errno()?;
        into.set_pos(next);
        Ok(())
    }

    fn ioctl(file: &File<Rext4>, command: u32, argument: Argument) -> Result<isize> {
        ioctl(file, command, argument)
    }

    fn fsync(file: &File<Rext4>, _: u64, _: u64, datasync: bool) -> Result {
        let dir = file.inode();
        dir.fs().fsync(dir.core()?, datasync).errno()
    }
}
