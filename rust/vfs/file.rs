// SPDX-License-Identifier: GPL-2.0

//! Open regular files: reading, writing, seeking, syncing.

use super::error::OrErrno;
use super::ioctl::ioctl;
use super::{map, writeback, InodeExt, Rext4};
use crate::core::events;
use crate::core::mount::{Landed, State};
use crate::format::units::FileBlock;
use crate::linux::fs::file::{Argument, File, FileOps, Opening, Seek, SeekKind};
use crate::linux::fs::inode::Inode;
use crate::linux::fs::iter::IovIter;
use crate::linux::fs::kiocb::Kiocb;
use crate::linux::fs::mmap::{Fault, Faulted};
use crate::linux::iomap;
use crate::linux::iomap::direct::{self, DirectOps};
use core::sync::atomic::Ordering::Relaxed;
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// Operations on open regular files.
pub(super) struct Regular;

#[vtable]
impl FileOps<Rext4> for Regular {
    const BLOCK_BASED: bool = true;

    fn open(inode: &Inode<Rext4>, file: &Opening<'_, Rext4>) -> Result {
        usable(inode, file)?;
        file.allow_direct();
        file.allow_nowait();
        if inode.fs().mount_path_is_due() {
            file.with_mount_path(|path| inode.fs().record_mount_path(path));
        }
        Ok(())
    }

    fn lend(file: &File<Rext4>, to_map: bool) -> Result {
        if to_map {
            return usable(file.inode(), file);
        }
        file.inode().live().map(drop)
    }

    fn release(inode: &Inode<Rext4>, file: &File<Rext4>) {
        if file.is_writable() && inode.data().rewritten.swap(false, Relaxed) {
            // An error of it is told by the next fsync.
            let _ = inode.start_writeback();
        }
        if file.is_writable() && inode.writers() <= 1 {
            if let Ok(core) = inode.core() {
                inode.fs().release_window(core);
            }
        }
    }

    fn llseek(file: &File<Rext4>, to: Seek) -> Result<u64> {
        let inode = file.inode();
        let (max, size) = (inode.sb().max_bytes(), inode.size());
        match to.kind() {
            SeekKind::Position => file.seek(to, max, size),
            SeekKind::Data => {
                let found = iomap::seek_data::<Rext4, map::Report>(inode, to.offset())?;
                file.set_pos(found, max)
            }
            SeekKind::Hole => {
                let found = iomap::seek_hole::<Rext4, map::Report>(inode, to.offset())?;
                file.set_pos(found, max)
            }
        }
    }

    fn read_iter(mut iocb: Kiocb<'_, Rext4>, to: &mut IovIter<'_>) -> Result<usize> {
        iocb.inode().live()?;
        if iocb.is_direct() {
            return direct_read(iocb, to);
        }
        iocb.read_cached(to)
    }

    fn write_iter(mut iocb: Kiocb<'_, Rext4>, from: &mut IovIter<'_>) -> Result<usize> {
        if iocb.is_direct() {
            return direct_write(iocb, from);
        }
        let written = buffered_write(&mut iocb, from)?;
        if written == 0 {
            return Ok(0);
        }
        iocb.write_sync(written)
    }

    fn fsync(file: &File<Rext4>, start: u64, end: u64, datasync: bool) -> Result {
        file.write_and_wait(start, end)?;
        let inode = file.inode();
        inode.fs().fsync(inode.core()?, datasync).errno()
    }

    fn ioctl(file: &File<Rext4>, command: u32, argument: Argument) -> Result<isize> {
        ioctl(file, command, argument)
    }

    fn page_mkwrite(_: &Inode<Rext4>, fault: Fault<'_, Rext4>) -> Faulted {
        fault.make_writable::<map::Write>()
    }
}

/// Whether an open file can be used as it is opened: nothing can be after a shutdown, and written after an
/// error that has ended all writing.
fn usable(inode: &Inode<Rext4>, file: &File<Rext4>) -> Result {
    inode.live()?;
    if file.is_writable() && inode.fs().has_failed() {
        return Err(EROFS);
    }
    Ok(())
}

/// Writes through the page cache; takes `i_rwsem`. The caller makes it durable.
fn buffered_write(iocb: &mut Kiocb<'_, Rext4>, from: &mut IovIter<'_>) -> Result<usize> {
    if iocb.is_nowait() {
        // Reserving space may read the tree, and commit.
        return Err(EOPNOTSUPP);
    }
    let inode = iocb.inode();
    let locked = inode.lock();
    let count = iocb.write_checks(from)?;
    if count == 0 {
        return Ok(0);
    }
    // The folio of a block to which a direct write is under way would be filled with what was there before.
    inode.wait_for_direct_io();
    iocb.modified()?;
    let old = inode.size();
    if iocb.pos() > old {
        let invalidate = inode.lock_invalidate();
        map::zero_end(inode, old, iocb.pos())?;
        drop(invalidate);
    }
    let pos = iocb.pos();
    let mut written = iomap::buffered_write::<Rext4, map::Write>(iocb, from);
    if matches!(written, Err(error) if error == ENOSPC) {
        written =
            make_room(inode).and_then(|()| iomap::buffered_write::<Rext4, map::Write>(iocb, from));
    }
    if written != Ok(count) {
        writeback::cut_short(inode, pos.saturating_add(count as u64));
    }
    drop(locked);
    written
}

/// Reservations for the worst case shrink when data is written back; space that deletions have freed comes back
/// with a commit.
fn make_room(inode: &Inode<Rext4>) -> Result {
    inode.sb().try_write_back();
    inode.write_and_wait(0, u64::MAX)?;
    inode.sb().wait_for_completions();
    inode.fs().sync(true).errno()
}

fn direct_read(iocb: Kiocb<'_, Rext4>, to: &mut IovIter<'_>) -> Result<usize> {
    let inode = iocb.inode();
    let _locked = if iocb.is_nowait() {
        inode.try_lock_shared().ok_or(EAGAIN)?
    } else {
        inode.lock_shared()
    };
    iocb.accessed();
    direct::read::<Rext4, map::Direct>(iocb, to)
}

/// What decides how a direct write is locked.
struct Shape {
    /// It ends behind the end of the file, here or on the disk: if what has made the file longer could not be
    /// written, the disk's is before.
    extends: bool,
    /// It begins or ends inside a block.
    unaligned: bool,
}

fn shape(inode: &Inode<Rext4>, pos: u64, count: u64) -> Result<Shape> {
    let mask = u64::from(inode.sb().block_size()) - 1;
    let size = inode.size().min(inode.core()?.disk_size());
    Ok(Shape {
        extends: pos.saturating_add(count) > size,
        unaligned: (pos | count) & mask != 0,
    })
}

/// Whether all blocks of the bytes are written: nothing is to be allocated or converted.
fn is_written(inode: &Inode<Rext4>, pos: u64, count: u64) -> Result<bool> {
    let (mut at, mut left) = map::blocks_of(inode, pos, count)?;
    let core = inode.core()?;
    while left > 0 {
        let mapping = inode.fs().map(core, at, left).errno()?;
        if !matches!(mapping.state, State::Written(_)) {
            return Ok(false);
        }
        left = left.saturating_sub(mapping.len.max(1));
        at = FileBlock(at.get().saturating_add(mapping.len));
    }
    Ok(true)
}

/// Writes around the page cache, and through it what cannot be.
fn direct_write(iocb: Kiocb<'_, Rext4>, from: &mut IovIter<'_>) -> Result<usize> {
    let (mut iocb, direct) = direct_part(iocb, from)?;
    let direct = match direct {
        Err(error) if error == ENOTBLK => 0,
        other => other?,
    };
    if from.count() == 0 {
        // It is durable, if it has to be.
        return Ok(direct);
    }
    if iocb.is_nowait() {
        return if direct > 0 { Ok(direct) } else { Err(EAGAIN) };
    }
    iocb.clear_direct();
    let buffered = buffered_write(&mut iocb, from);
    let written = iocb.finish_fallback(from, direct, buffered)?;
    iocb.write_sync(written)
}

/// The part of a direct write that can be done directly; takes `i_rwsem`, shared for overwrites,
/// exclusively for everything that changes the file's map or size. Errors and the request
/// as for [`direct::write`].
fn direct_part<'a>(
    mut iocb: Kiocb<'a, Rext4>,
    from: &mut IovIter<'_>,
) -> Result<(Kiocb<'a, Rext4>, Result<usize>)> {
    let inode = iocb.inode();
    inode.fs().writable().errno()?;
    let nowait = iocb.is_nowait();
    // Dropping set-user-ID bits and capabilities changes the inode.
    if inode.has_no_privileges() && !iocb.is_append() {
        let _shared = if nowait {
            inode.try_lock_shared().ok_or(EAGAIN)?
        } else {
            inode.lock_shared()
        };
        if is_overwrite(&iocb, from.count() as u64)? {
            if iocb.write_checks(from)? == 0 {
                return Ok((iocb, Ok(0)));
            }
            iocb.modified()?;
            note_direct(&iocb, from.count(), false, true)?;
            return direct::write::<Rext4, map::Direct, Within>(iocb, from);
        }
    }
    if nowait {
        // What follows allocates, or waits for others.
        return Err(EAGAIN);
    }
    let _locked = inode.lock();
    let count = iocb.write_checks(from)?;
    if count == 0 {
        return Ok((iocb, Ok(0)));
    }
    iocb.do_not_poll();
    inode.wait_for_direct_io();
    iocb.modified()?;
    let old = inode.size();
    if iocb.pos() > old {
        let invalidate = inode.lock_invalidate();
        map::zero_end(inode, old, iocb.pos())?;
        drop(invalidate);
        inode.write_and_wait(old, old)?;
    }
    let pos = iocb.pos();
    let shape = shape(inode, pos, count as u64)?;
    let wait = shape.extends || shape.unaligned || iocb.is_sync();
    note_direct(&iocb, count, shape.extends, false)?;
    if !wait {
        return direct::write::<Rext4, map::Direct, Within>(iocb, from);
    }
    let (iocb, written) = direct::write::<Rext4, map::Direct, Beyond>(iocb, from)?;
    if written != Ok(count) {
        // All has ended: what has a place in memory only, the zeroed rest of a block included, is given back.
        writeback::give_back(inode, pos, count as u64);
    }
    Ok((iocb, written))
}

/// Whether a write of `count` bytes changes nothing but them and times. Needs `i_rwsem`.
fn is_overwrite(iocb: &Kiocb<'_, Rext4>, count: u64) -> Result<bool> {
    let inode = iocb.inode();
    let shape = shape(inode, iocb.pos(), count)?;
    // Privileges again: they may have come before the lock.
    let plain = inode.has_no_privileges() && !shape.extends;
    Ok(plain && is_written(inode, iocb.pos(), count)?)
}

/// Tells of a direct write; `shared` is how the inode is locked.
fn note_direct(iocb: &Kiocb<'_, Rext4>, count: usize, extends: bool, shared: bool) -> Result {
    let inode = iocb.inode();
    let (device, ino) = (inode.fs().device(), inode.core()?.ino());
    events::dio_write(device, ino, iocb.pos(), count as u64, extends, shared);
    Ok(())
}

/// What follows a direct write that ends within the file, here and on the disk: of whole blocks, or to blocks that are
/// written.
struct Within;

impl DirectOps<Rext4> for Within {
    const WAITS: bool = false;

    fn end_io(iocb: &Kiocb<'_, Rext4>, size: u64, error: Option<Error>, unwritten: bool) -> Result {
        if let Some(error) = error {
            // Blocks chosen for it stay in flight: nobody may have the lock that giving them back needs.
            return Err(error);
        }
        if size == 0 || !unwritten {
            return Ok(());
        }
        landed(iocb, size)
    }
}

/// What follows any other; the lock is held exclusively meanwhile.
struct Beyond;

impl DirectOps<Rext4> for Beyond {
    const WAITS: bool = true;

    fn end_io(iocb: &Kiocb<'_, Rext4>, size: u64, error: Option<Error>, _: bool) -> Result {
        if let Some(error) = error {
            return Err(error);
        }
        if size == 0 {
            return Ok(());
        }
        landed(iocb, size)?;
        let inode = iocb.inode();
        let (old, end) = (inode.size(), iocb.pos().saturating_add(size));
        if end > old {
            inode.set_size(end);
            // Mapped memory asks again before it writes to blocks of its page that are there now.
            inode.pagecache_extended(old, iocb.pos());
        }
        Ok(())
    }
}

/// `size` bytes of a direct write are on the device.
fn landed(iocb: &Kiocb<'_, Rext4>, size: u64) -> Result {
    let inode = iocb.inode();
    let landed = Landed {
        pos: iocb.pos(),
        len: size,
        place: None,
    };
    let end = iocb.pos().saturating_add(size);
    writeback::settle(inode, &[landed], end.max(inode.size()))
}
