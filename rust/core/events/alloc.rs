// SPDX-License-Identifier: GPL-2.0

//! Events of the allocation of blocks.

use super::number;
use crate::core::journal::Run;
use crate::core::platform::{trace, Device};
use crate::format::units::{DiskBlock, FileBlock, Group, Ino};

/// A run of `len` blocks is wanted for a file.
pub fn request_blocks(device: &Device, ino: Ino, logical: FileBlock, goal: DiskBlock, len: u32) {
    let ino = u64::from(ino.get());
    emit!(request_blocks(
        device.dev(),
        ino,
        goal.get(),
        len,
        logical.get()
    ));
}

/// A run was found for a file: it is in flight.
pub fn allocate_blocks(device: &Device, ino: Ino, logical: FileBlock, goal: DiskBlock, run: Run) {
    emit!(allocate_blocks(
        device.dev(),
        u64::from(ino.get()),
        run.start.get(),
        goal.get(),
        run.len,
        logical.get(),
    ));
}

/// A file gets a window for its next blocks, those from `logical` on.
pub fn new_window(device: &Device, ino: Ino, logical: u64, run: Run) {
    let ino = u64::from(ino.get());
    emit!(mb_new_inode_pa(
        device.dev(),
        ino,
        run.start.get(),
        logical,
        run.len
    ));
}

/// The rest of a window is given up.
pub fn release_window(device: &Device, run: Run) {
    emit!(mb_release_inode_pa(device.dev(), run.start.get(), run.len));
}

/// Blocks are freed; they can be allocated after the commit.
pub fn free_blocks(device: &Device, run: Run) {
    emit!(free_blocks(
        device.dev(),
        run.start.get(),
        u64::from(run.len)
    ));
}

/// Freed blocks can be allocated again.
pub fn released(device: &Device, group: Group, start: u32, len: u32) {
    emit!(mballoc_free(device.dev(), group.get(), start, len));
}

/// A group's block bitmap is read into memory.
pub fn bitmap_load(device: &Device, group: Group) {
    emit!(mb_bitmap_load(device.dev(), group.get()));
}

/// A group's inode bitmap is read into memory.
pub fn inode_bitmap_load(device: &Device, group: Group) {
    emit!(load_inode_bitmap(device.dev(), group.get()));
}

/// A group, a block in it, and how many from there.
type Span = (Group, u32, u32);

/// A run was searched for; `spans` gives what was wished for, and what was found.
pub fn mballoc_alloc(device: &Device, ino: Ino, spans: impl FnOnce() -> (Span, Span)) {
    if trace::mballoc_alloc::enabled() {
        let (goal, got) = spans();
        let (dev, ino) = (device.dev(), number(ino));
        trace::mballoc_alloc::emit(
            dev,
            ino,
            goal.0.get(),
            goal.1,
            goal.2,
            got.0.get(),
            got.1,
            got.2,
        );
    }
}

/// A run came out of the inode's window; as [`mballoc_alloc`].
pub fn mballoc_prealloc(device: &Device, ino: Ino, spans: impl FnOnce() -> (Span, Span)) {
    if trace::mballoc_prealloc::enabled() {
        let (goal, got) = spans();
        let (dev, ino) = (device.dev(), number(ino));
        trace::mballoc_prealloc::emit(
            dev,
            ino,
            goal.0.get(),
            goal.1,
            goal.2,
            got.0.get(),
            got.1,
            got.2,
        );
    }
}
