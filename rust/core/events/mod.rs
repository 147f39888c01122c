// SPDX-License-Identifier: GPL-2.0

//! One function for every trace event, in the file system's own types. An event that is off costs a
//! jump: its values are computed behind it.
//!
//! - names and inodes ([`inode`]): `lookup`, `request_inode`, `allocate_inode`, `free_inode`,
//!   `load_inode`, `mark_inode_dirty`, `evict_inode`, `unlink_enter`, `unlink_exit`,
//!   `truncate_enter`, `truncate_exit`, `orphan_add`, `orphan_del`;
//! - writing files ([`data`]): `da_write_begin`, `da_write_end`, `dio_write`, `writepages`,
//!   `writepages_result`, `writepage`, `ordered_submit`, `ordered_end`,
//!   `sync_file_enter`, `sync_file_exit`, `sync_fs`;
//! - maps ([`map`]): what is known of a file's blocks in memory, its tree, promises of space,
//!   ordered extents;
//! - blocks ([`alloc`]): `request_blocks`, `allocate_blocks`, `mballoc_alloc`, `mballoc_prealloc`,
//!   `new_window`, `release_window`, `free_blocks`, `released`, `bitmap_load`,
//!   `inode_bitmap_load`;
//! - the journal ([`journal`]): `journal_start`, `handle_start`, `handle_extend`,
//!   `handle_restart`, `handle_stats`, `commit_phase`, `end_commit`, `run_stats`, `checkpoint`,
//!   `checkpoint_stats`, `drop_transaction`, `update_log_tail`, `write_superblock`;
//! - here: `mount`, `recover`, `unmount`, `error`, `cache_hit`, `cache_miss`.

use super::error::Error;
use super::platform::{trace, Device};
use crate::format::units::{DiskBlock, Ino};

/// Records an event if it is on; its values are computed only then.
macro_rules! emit {
    ($event:ident($($value:expr),* $(,)?)) => {
        if trace::$event::enabled() {
            trace::$event::emit($($value),*);
        }
    };
}

pub mod alloc;
pub mod data;
pub mod inode;
pub mod journal;
pub mod map;

pub use alloc::*;
pub use data::*;
pub use inode::*;
pub use journal::*;

/// An inode's number as events have it.
fn number(ino: Ino) -> u64 {
    u64::from(ino.get())
}

/// What a call returned as events have it: 0 or a negative errno.
fn code<T>(result: &Result<T, Error>) -> i32 {
    result.as_ref().err().map_or(0, |error| -error.errno())
}

/// A device was mounted.
pub fn mount(device: &Device, read_only: bool) {
    emit!(mount(
        device.dev(),
        device.block_size(),
        u32::from(read_only)
    ));
}

/// A log was replayed at mount.
pub fn recover(device: &Device, transactions: u32, blocks: u32) {
    emit!(recover(device.dev(), transactions, blocks));
}

/// A device was unmounted; `clean` if nothing is left for a recovery.
pub fn unmount(device: &Device, clean: bool) {
    emit!(unmount(device.dev(), u32::from(clean)));
}

/// Something on the disk cannot be, or could not be read.
pub fn error(device: &Device, ino: Ino, block: DiskBlock, error: &Error) {
    emit!(error(device.dev(), number(ino), block.get(), error.errno()));
}

/// A metadata block was found in memory.
pub fn cache_hit(device: &Device, block: DiskBlock) {
    emit!(cache_hit(device.dev(), block.get()));
}

/// A metadata block had to be read.
pub fn cache_miss(device: &Device, block: DiskBlock) {
    emit!(cache_miss(device.dev(), block.get()));
}
