// SPDX-License-Identifier: GPL-2.0

//! Mappings for iomap: one small table for each purpose.

use super::error::OrErrno;
use super::{writeback, InodeExt, Rext4};
use crate::core::events;
use crate::core::mount::{BlockRange, Mapping as CoreMapping, State};
use crate::format::units::{DiskBlock, FileBlock};
use crate::linux::fs::address_space::AddressSpaceOps;
use crate::linux::fs::inode::Inode;
use crate::linux::fs::writeback::Control;
use crate::linux::iomap::{self, Extent, Flags, IomapOps, IomapWriteOps, Mapping};
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// No position in a file is larger.
const MAX_BYTES: u64 = i64::MAX.unsigned_abs();

/// The blocks that the bytes `pos..pos + length` touch: the first, and how many.
pub(super) fn blocks_of(inode: &Inode<Rext4>, pos: u64, length: u64) -> Result<(FileBlock, u32)> {
    let bits = inode.sb().block_bits();
    let first = u32::try_from(pos >> bits).map_err(|_| EFBIG)?;
    let last = pos.saturating_add(length.max(1) - 1) >> bits;
    let count = last.saturating_sub(u64::from(first)).saturating_add(1);
    Ok((FileBlock(first), u32::try_from(count).unwrap_or(u32::MAX)))
}

/// How a state of the file system's map is shown to iomap.
pub(super) type Show = fn(State, fn(DiskBlock, u8) -> u64, u8) -> Extent;

fn address(block: DiskBlock, bits: u8) -> u64 {
    block.get().checked_shl(u32::from(bits)).unwrap_or(u64::MAX)
}

/// For readers: data on its way to the device is in the page cache, as delayed data is.
pub(super) fn for_readers(state: State, address: fn(DiskBlock, u8) -> u64, bits: u8) -> Extent {
    match state {
        State::Hole => Extent::Hole,
        State::Delayed | State::InFlight(_) => Extent::Delayed,
        State::Unwritten(block) => Extent::Unwritten(address(block, bits)),
        State::Written(block) => Extent::Mapped(address(block, bits)),
    }
}

/// For writing back: blocks chosen in memory hold old bytes, and the end of the write is followed, as
/// for unwritten ones.
pub(super) fn for_writeback(state: State, address: fn(DiskBlock, u8) -> u64, bits: u8) -> Extent {
    match state {
        State::InFlight(block) => Extent::Unwritten(address(block, bits)),
        other => for_readers(other, address, bits),
    }
}

/// For direct I/O: as for writing back. What of an unwritten block is not written is zeroed.
fn for_direct(state: State, address: fn(DiskBlock, u8) -> u64, bits: u8) -> Extent {
    match state {
        // Promised, but not written when the page cache was: iomap takes a delayed block for a bug.
        State::Delayed => Extent::Hole,
        other => for_writeback(other, address, bits),
    }
}

/// A mapping in bytes.
pub(super) fn in_bytes(inode: &Inode<Rext4>, mapping: &CoreMapping, show: Show) -> Mapping {
    let bits = inode.sb().block_bits();
    Mapping::new(
        u64::from(mapping.start.get()) << bits,
        u64::from(mapping.len) << bits,
        show(mapping.state, address, bits),
        mapping.sequence,
    )
}

fn lookup(inode: &Inode<Rext4>, pos: u64, length: u64, show: Show) -> Result<Mapping> {
    let end = u64::from(BlockRange::MAX_END.get()) << inode.sb().block_bits();
    if pos >= end {
        // The last folio of the largest file, and a long read near its end, reach further.
        return Ok(Mapping::new(end, MAX_BYTES - end, Extent::Hole, 0));
    }
    let (first, count) = blocks_of(inode, pos, length)?;
    let mapping = inode.fs().map(inode.live()?, first, count).errno()?;
    Ok(in_bytes(inode, &mapping, show))
}

/// Reading into the page cache.
pub(super) struct Read;

#[vtable]
impl IomapOps<Rext4> for Read {
    fn begin(inode: &Inode<Rext4>, pos: u64, length: u64, _: Flags) -> Result<Mapping> {
        lookup(inode, pos, length, for_readers)
    }
}

/// Telling where data is: `FIEMAP`, `FIBMAP`, `SEEK_HOLE`, swap files.
pub(super) struct Report;

#[vtable]
impl IomapOps<Rext4> for Report {
    fn begin(inode: &Inode<Rext4>, pos: u64, length: u64, _: Flags) -> Result<Mapping> {
        lookup(inode, pos, length, for_readers)
    }
}

/// Writing into the page cache, and zeroing in it.
pub(super) struct Write;

#[vtable]
impl IomapOps<Rext4> for Write {
    fn begin(inode: &Inode<Rext4>, pos: u64, length: u64, flags: Flags) -> Result<Mapping> {
        if flags.is_zero() {
            // A hole is zero already.
            return lookup(inode, pos, length, for_readers);
        }
        let core = inode.core()?;
        events::da_write_begin(inode.fs().device(), core.ino(), pos, length);
        let (first, count) = blocks_of(inode, pos, length)?;
        let (mapping, is_new) = inode.fs().write_begin(core, first, count).errno()?;
        Ok(Mapping {
            is_new,
            ..in_bytes(inode, &mapping, for_readers)
        })
    }

    fn end(
        inode: &Inode<Rext4>,
        pos: u64,
        length: u64,
        written: u64,
        flags: Flags,
        _: &Mapping,
    ) -> Result {
        if !flags.is_zero() {
            events::da_write_end(
                inode.fs().device(),
                inode.core()?.ino(),
                pos,
                length,
                written,
            );
        }
        Ok(())
    }

    fn punch(inode: &Inode<Rext4>, start: u64, length: u64) {
        writeback::release(inode, start, length);
    }
}

impl IomapWriteOps<Rext4> for Write {
    fn is_valid(inode: &Inode<Rext4>, mapping: &Mapping) -> bool {
        inode
            .core()
            .is_ok_and(|core| inode.fs().is_valid(core, mapping.cookie))
    }
}

/// Direct reads and writes.
pub(super) struct Direct;

#[vtable]
impl IomapOps<Rext4> for Direct {
    fn begin(inode: &Inode<Rext4>, pos: u64, length: u64, flags: Flags) -> Result<Mapping> {
        if !flags.is_write() {
            return lookup(inode, pos, length, for_direct);
        }
        let (first, count) = blocks_of(inode, pos, length)?;
        let (fs, core) = (inode.fs(), inode.core()?);
        let mapping = fs.map(core, first, count).errno()?;
        let mapping = match mapping.state {
            State::Written(_) => mapping,
            _ if flags.is_nowait() => return Err(EAGAIN),
            _ => {
                let size = inode.size().max(pos.saturating_add(length));
                let _invalidate = inode.lock_invalidate();
                let placed = fs.begin_direct(core, first, count, size).errno()?;
                placed.ok_or(ENOTBLK)?
            }
        };
        // Who wants the data to be durable needs a larger size there as well.
        let grows = pos.saturating_add(length) > inode.size().min(core.disk_size());
        let is_dirty = grows || fs.needs_commit(core, true);
        Ok(Mapping {
            is_dirty,
            ..in_bytes(inode, &mapping, for_direct)
        })
    }

    fn end(
        inode: &Inode<Rext4>,
        pos: u64,
        length: u64,
        written: u64,
        flags: Flags,
        mapping: &Mapping,
    ) -> Result {
        // Only who has the inode's lock exclusively gets blocks that are not written yet.
        let is_new = matches!(mapping.extent, Extent::Unwritten(_));
        if flags.is_write() && is_new && written < length {
            // A block that was written in part is zeroed up to its end.
            let rest = inode.sb().block_size().into();
            let from = pos.saturating_add(written).next_multiple_of(rest);
            let end = pos.saturating_add(length);
            writeback::give_back(inode, from, end.saturating_sub(from));
        }
        Ok(())
    }
}

/// The page cache of regular files.
pub(super) struct Cached;

#[vtable]
impl AddressSpaceOps<Rext4> for Cached {
    type Read = Read;
    type Report = Report;
    type Writeback = writeback::Writeback;

    fn writepages(
        inode: &Inode<Rext4>,
        control: &mut Control<'_, Rext4, writeback::Writeback>,
    ) -> Result {
        writeback::write_pages(inode, control)
    }
}

/// Zeroes the rest of the block that the file ends in, before the file grows from `old` to `new`: a
/// mapping of the file may have left bytes there. Needs `i_rwsem` and the invalidate lock.
pub(super) fn zero_end(inode: &Inode<Rext4>, old: u64, new: u64) -> Result {
    let end = old
        .next_multiple_of(u64::from(inode.sb().block_size()))
        .min(new);
    if end > old {
        iomap::zero_range::<Rext4, Write>(inode, old, end - old)?;
    }
    Ok(())
}
