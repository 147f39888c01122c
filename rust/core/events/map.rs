// SPDX-License-Identifier: GPL-2.0

//! The events of file maps.

use crate::core::platform::{trace, Device};
use crate::format::units::{DiskBlock, FileBlock, Ino};

/// Neighbouring blocks of a file, as events show them.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    /// The file.
    pub ino: Ino,
    /// The first block.
    pub start: FileBlock,
    /// How many.
    pub len: u32,
    /// Where the first one is; 0 if nowhere.
    pub block: DiskBlock,
    /// Their state, a bit: written 1, unwritten 2, delayed 4, hole 8, in flight 16.
    pub status: u32,
}

impl Blocks {
    fn parts(self) -> (u64, u32, u64, u32, u32) {
        let ino = u64::from(self.ino.get());
        (
            ino,
            self.start.get(),
            self.block.get(),
            self.len,
            self.status,
        )
    }
}

/// A block is looked up in the extent status.
#[inline]
pub fn es_lookup_enter(device: &Device, ino: Ino, at: FileBlock) {
    emit!(es_lookup_extent_enter(
        device.dev(),
        u64::from(ino.get()),
        at.get()
    ));
}

/// What the extent status knew of it.
#[inline]
pub fn es_lookup_exit(device: &Device, blocks: Blocks, found: bool) {
    let (ino, lblk, pblk, len, status) = blocks.parts();
    let found = u32::from(found);
    emit!(es_lookup_extent_exit(
        device.dev(),
        ino,
        pblk,
        lblk,
        len,
        found,
        status
    ));
}

/// The status of blocks changed, or became known.
pub fn es_insert(device: &Device, blocks: Blocks, sequence: u64) {
    let (ino, lblk, pblk, len, status) = blocks.parts();
    emit!(es_insert_extent(
        device.dev(),
        ino,
        sequence,
        pblk,
        lblk,
        len,
        status
    ));
}

/// Blocks became delayed.
pub fn es_insert_delayed(device: &Device, blocks: Blocks, sequence: u64) {
    let (ino, lblk, pblk, len, status) = blocks.parts();
    emit!(es_insert_delayed_extent(
        device.dev(),
        ino,
        sequence,
        pblk,
        lblk,
        len,
        status
    ));
}

/// The delayed run around a block is looked for.
pub fn es_find_enter(device: &Device, ino: Ino, at: FileBlock) {
    emit!(es_find_extent_range_enter(
        device.dev(),
        u64::from(ino.get()),
        at.get()
    ));
}

/// The delayed run that was found.
pub fn es_find_exit(device: &Device, blocks: Blocks) {
    let (ino, lblk, pblk, len, status) = blocks.parts();
    emit!(es_find_extent_range_exit(
        device.dev(),
        ino,
        pblk,
        lblk,
        len,
        status
    ));
}

/// The extent tree is asked.
pub fn tree_enter(device: &Device, ino: Ino, at: FileBlock, len: u32) {
    emit!(ext_map_blocks_enter(
        device.dev(),
        u64::from(ino.get()),
        at.get(),
        len,
        0
    ));
}

/// What the extent tree said.
pub fn tree_exit(device: &Device, blocks: Blocks) {
    let (ino, lblk, pblk, len, status) = blocks.parts();
    let found = i32::try_from(len).unwrap_or(i32::MAX);
    emit!(ext_map_blocks_exit(
        device.dev(),
        ino,
        0,
        pblk,
        lblk,
        len,
        status,
        found
    ));
    if pblk != 0 {
        emit!(ext_show_extent(device.dev(), ino, pblk, lblk, len));
    }
}

/// An extent is entered in the tree.
pub fn tree_insert(device: &Device, blocks: Blocks, depth: u16) {
    let (ino, lblk, pblk, len, status) = blocks.parts();
    let (unwritten, depth) = (u32::from(status & 2 != 0), u32::from(depth));
    emit!(ext_insert(
        device.dev(),
        ino,
        lblk,
        pblk,
        len,
        unwritten,
        depth
    ));
}

/// Unwritten blocks become written ones.
pub fn tree_convert(device: &Device, blocks: Blocks) {
    let (ino, lblk, pblk, len, _) = blocks.parts();
    emit!(ext_convert(device.dev(), ino, lblk, pblk, len));
}

/// Blocks from `start` up to `end` are taken out of the tree.
pub fn tree_remove(device: &Device, ino: Ino, start: FileBlock, end: FileBlock, depth: u16) {
    let (ino, depth) = (u64::from(ino.get()), u32::from(depth));
    emit!(ext_remove_space(
        device.dev(),
        ino,
        start.get(),
        end.get(),
        depth
    ));
}

/// What happened to the space promised to an inode. Units: blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Blocks became delayed.
    Made,
    /// Delayed blocks got their places.
    Kept,
    /// Delayed blocks were given up.
    Dropped,
}

/// The space promised to an inode changed by `blocks` delayed blocks; `left` is promised now.
pub fn promise(device: &Device, ino: Ino, what: Promise, blocks: u32, left: impl FnOnce() -> u64) {
    let (dev, ino) = (device.dev(), u64::from(ino.get()));
    match what {
        Promise::Made => emit!(da_reserve_space(dev, ino, 0, blocks, left())),
        Promise::Kept => emit!(da_update_reserve_space(dev, ino, 0, blocks, left())),
        Promise::Dropped => emit!(da_release_space(dev, ino, 0, blocks, left())),
    }
}

/// A part of a delayed run is about to be written.
pub fn write_extent(device: &Device, blocks: Blocks) {
    let (ino, lblk, _, len, status) = blocks.parts();
    emit!(da_write_pages_extent(
        device.dev(),
        ino,
        u64::from(lblk),
        len,
        status
    ));
}

/// Blocks are in flight.
pub fn ordered_add(device: &Device, blocks: Blocks) {
    let (ino, lblk, pblk, len, _) = blocks.parts();
    emit!(ordered_add(device.dev(), ino, lblk, pblk, len));
}

/// The disk knows of them; `fresh` if it did not before.
pub fn ordered_finish(device: &Device, blocks: Blocks, fresh: bool) {
    let (ino, lblk, pblk, len, _) = blocks.parts();
    emit!(ordered_finish(
        device.dev(),
        ino,
        lblk,
        pblk,
        len,
        u32::from(fresh)
    ));
}

/// They were given up.
pub fn ordered_fail(device: &Device, blocks: Blocks) {
    let (ino, lblk, pblk, len, _) = blocks.parts();
    emit!(ordered_fail(device.dev(), ino, lblk, pblk, len));
}
