// SPDX-License-Identifier: GPL-2.0

//! Writing dirty folios back, and what follows when the device has them: ordered extents.
//!
//! Blocks are chosen when a folio is written, in memory only. When the bio has ended, and before the
//! folio's writeback does, one handle enters the blocks into bitmap and extent tree and moves the
//! disk's size.

use super::error::OrErrno;
use super::map::{blocks_of, for_writeback, in_bytes};
use super::{InodeExt, Rext4};
use crate::core::events::{self, Pass};
use crate::core::mount::Landed;
use crate::core::platform::{NofsScope, Vec, GFP};
use crate::format::units::DiskBlock;
use crate::linux::alloc::wait_for_memory;
use crate::linux::fs::inode::Inode;
use crate::linux::fs::writeback::{Control, Finished, Write, WritebackOps};
use crate::linux::iomap::Mapping;
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// How regular files are written back.
pub(super) struct Writeback;

impl WritebackOps<Rext4> for Writeback {
    fn map(inode: &Inode<Rext4>, pos: u64, len: u32) -> Result<Mapping> {
        events::writepage(inode.fs().device(), inode.core()?.ino(), pos, len);
        let (first, _) = blocks_of(inode, pos, u64::from(len))?;
        let (fs, core) = (inode.fs(), inode.core()?);
        // After an error iomap drops the data.
        let mapping = patiently(|| fs.begin_writeback(core, first, inode.size()).errno())?;
        Ok(in_bytes(inode, &mapping, for_writeback))
    }

    fn is_valid(inode: &Inode<Rext4>, mapping: &Mapping) -> bool {
        inode
            .core()
            .is_ok_and(|core| inode.fs().is_valid(core, mapping.cookie))
    }

    fn discard(inode: &Inode<Rext4>, start: u64, end: u64) {
        release(inode, start, end.saturating_sub(start));
    }

    fn submit(inode: &Inode<Rext4>, write: &Write<'_, Rext4>, sent: bool) -> bool {
        let Ok(core) = inode.core() else {
            return false;
        };
        let end = write.pos().saturating_add(write.len());
        let ordered = write.is_unwritten() || end > core.disk_size();
        if sent {
            events::ordered_submit(
                inode.fs().device(),
                core.ino(),
                write.pos(),
                write.len(),
                write.sector(),
                ordered,
            );
        }
        ordered
    }
}

/// The pass of writing an inode back.
pub(super) fn write_pages(
    inode: &Inode<Rext4>,
    control: &mut Control<'_, Rext4, Writeback>,
) -> Result {
    // Folios that could not be written any more stay as they are: they still can be read.
    inode.fs().writable().errno()?;
    // Folios are locked: memory must not be found by writing others back.
    let _nofs = NofsScope::enter();
    let (device, core) = (inode.fs().device(), inode.core()?);
    let ino = core.ino();
    let before = control.pages_left();
    events::writepages(device, ino, || pass(control));
    let written = control.write_pages();
    let result = written.err().map_or(0, Error::to_errno);
    events::writepages_result(
        device,
        ino,
        result,
        before.saturating_sub(control.pages_left()),
        || pass(control),
    );
    if inode.writers() <= 0 {
        // Where an inode is evicted to find memory, nothing should be left that takes locks to give back.
        inode.fs().release_window(core);
    }
    written
}

/// What the kernel asks of a pass, for the events.
fn pass(control: &Control<'_, Rext4, Writeback>) -> Pass {
    Pass {
        pages: control.pages_left(),
        skipped: control.pages_skipped(),
        range: control.range(),
        next_page: control.next_page(),
        sync: control.is_sync(),
        periodic: control.is_periodic(),
        cyclic: control.is_cyclic(),
    }
}

/// Data is on the device: enters it into the file's map, and moves the disk's size up as far as it
/// reaches and `size`, that of the file, allows.
pub(super) fn settle(inode: &Inode<Rext4>, landed: &[Landed], size: u64) -> Result {
    let core = inode.core()?;
    inode.fs().data_landed(core, landed, size).errno()?;
    inode.set_blocks(core.attributes().blocks);
    Ok(())
}

/// Of a direct write to the bytes `pos..pos + len` nothing is on its way any more: blocks chosen for what
/// was not written are free again. Needs `i_rwsem` exclusively since before the write began.
pub(super) fn give_back(inode: &Inode<Rext4>, pos: u64, len: u64) {
    let (Ok(core), Ok((first, count))) = (inode.core(), blocks_of(inode, pos, len)) else {
        return;
    };
    if len == 0 {
        return;
    }
    // Mapped memory may have put data for the same blocks in the page cache. If that cannot be written,
    // which whoever syncs the file is told, they stay in flight until the file is cut or evicted.
    let _invalidate = inode.lock_invalidate();
    let flushed = inode.write_and_wait(pos, pos.saturating_add(len - 1));
    if flushed.is_ok() {
        report_lost(inode, inode.fs().release_pending(core, first, count));
    }
}

/// A write to the bytes before `end` was cut short: what was promised to, or chosen for, blocks behind the end
/// of the file is free again. Nothing there is dirty or on its way. Needs `i_rwsem` exclusively since before
/// the write began.
pub(super) fn cut_short(inode: &Inode<Rext4>, end: u64) {
    let from = inode
        .size()
        .next_multiple_of(inode.sb().block_size().into());
    if end <= from {
        return;
    }
    let _invalidate = inode.lock_invalidate();
    let (Ok(core), Ok((first, count))) = (inode.core(), blocks_of(inode, from, end - from)) else {
        return;
    };
    report_lost(inode, inode.fs().release_pending(core, first, count));
}

/// Takes the promise for the delayed blocks that begin among the bytes `start..start + length` back: the block
/// before belongs to a dirty folio when `start`, the end of the file, lies in it. What is in flight stays: a
/// clean folio may be under writeback.
pub(super) fn release(inode: &Inode<Rext4>, start: u64, length: u64) {
    let from = start.next_multiple_of(inode.sb().block_size().into());
    let length = length.saturating_sub(from.saturating_sub(start));
    if length == 0 {
        return;
    }
    let (Ok(core), Ok((first, count))) = (inode.core(), blocks_of(inode, from, length)) else {
        return;
    };
    report_lost(inode, inode.fs().release_delayed(core, first, count));
}

/// Nobody can be told but the log.
fn report_lost(inode: &Inode<Rext4>, released: crate::core::error::Result) {
    if released.is_err() {
        pr_err!("inode {}: a reservation is lost\n", inode.ino());
    }
}

/// Does `attempt` until memory is there for it: nobody writes the data again.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match attempt() {
            Err(error) if error == ENOMEM => wait_for_memory(),
            done => return done,
        }
    }
}

/// The writes of one inode that have ended, in order of offset: settled under one handle.
///
/// What has failed stays in flight: its folio may be dirty again already, and then it is written to the
/// same place once more.
fn finish_inode(inode: &Inode<Rext4>, writes: &[Write<'_, Rext4>]) {
    let bits = inode.sb().block_bits();
    let mut landed = Vec::new();
    let mut result = Ok(());
    for write in writes {
        if let Ok(core) = inode.core() {
            let error = write.error().map_or(0, Error::to_errno);
            events::ordered_end(
                inode.fs().device(),
                core.ino(),
                write.pos(),
                write.len(),
                error,
            );
        }
        if write.error().is_none() && result.is_ok() {
            let data = Landed {
                pos: write.pos(),
                len: write.len(),
                place: Some(DiskBlock((write.sector() << 9) >> bits)),
            };
            result = patiently(|| landed.push(data, GFP).map_err(Error::from));
        }
    }
    // Read once: the blocks that are entered and the disk's size have to fit each other.
    let size = inode.size();
    let result = result.and_then(|()| patiently(|| settle(inode, &landed, size)));
    if let Err(error) = result {
        for write in writes.iter().filter(|write| write.error().is_none()) {
            write.fail(error);
        }
    }
}

/// Data writes have ended; see [`crate::linux::fs::super_ops::SuperOps::finish_writeback`].
pub(super) fn finish(ended: &Finished<'_, Rext4>) {
    const MOST: usize = 64;
    let mut group = KVec::with_capacity(MOST, GFP).unwrap_or_default();
    for write in ended.iter() {
        let other = group
            .first()
            .is_some_and(|first: &Write<'_, Rext4>| first.inode().ino() != write.inode().ino());
        if other || group.len() >= MOST {
            flush_group(&mut group);
        }
        if let Err(full) = group.push_within_capacity(write) {
            // No memory for a group: one by one.
            let alone = [full.0];
            let [write] = &alone;
            finish_inode(write.inode(), &alone);
        }
    }
    flush_group(&mut group);
}

fn flush_group(group: &mut KVec<Write<'_, Rext4>>) {
    if let Some(first) = group.first() {
        finish_inode(first.inode(), group);
    }
    group.clear();
}
