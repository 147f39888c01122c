// SPDX-License-Identifier: GPL-2.0

//! Events of names and inodes.

use super::{code, number};
use crate::core::error::Result;
use crate::core::platform::{trace, Device};
use crate::format::units::Ino;

/// An inode number is wanted in a directory.
pub fn request_inode(device: &Device, dir: Ino, mode: u16) {
    emit!(request_inode(
        device.dev(),
        u64::from(dir.get()),
        u32::from(mode)
    ));
}

/// An inode number was taken.
pub fn allocate_inode(device: &Device, ino: Ino, dir: Ino, mode: u16) {
    let (ino, dir) = (u64::from(ino.get()), u64::from(dir.get()));
    emit!(allocate_inode(device.dev(), ino, dir, u32::from(mode)));
}

/// An inode number is free again; the inode had `blocks` blocks.
pub fn free_inode(device: &Device, ino: Ino, mode: u16, blocks: u64) {
    emit!(free_inode(
        device.dev(),
        number(ino),
        u32::from(mode),
        blocks
    ));
}

/// A name was looked up in `dir`.
pub fn lookup(device: &Device, dir: Ino, found: Option<Ino>) {
    emit!(lookup(device.dev(), number(dir), found.map_or(0, number)));
}

/// A name of an inode is about to go; the file has `size` bytes.
pub fn unlink_enter(device: &Device, parent: Ino, ino: Ino, size: u64) {
    emit!(unlink_enter(
        device.dev(),
        number(parent),
        number(ino),
        size
    ));
}

/// A name of an inode is gone, or not.
pub fn unlink_exit<T>(device: &Device, ino: Ino, result: &Result<T>) {
    emit!(unlink_exit(device.dev(), number(ino), code(result)));
}

/// An inode was read from its table.
pub fn load_inode(device: &Device, ino: Ino) {
    emit!(load_inode(device.dev(), number(ino)));
}

/// An inode's record changes in the open transaction.
pub fn mark_inode_dirty(device: &Device, ino: Ino) {
    emit!(mark_inode_dirty(device.dev(), number(ino)));
}

/// Nobody uses an inode any more.
pub fn evict_inode(device: &Device, ino: Ino, links: u32) {
    emit!(evict_inode(device.dev(), number(ino), links));
}

/// A file with `blocks` blocks is about to be cut.
pub fn truncate_enter(device: &Device, ino: Ino, blocks: impl FnOnce() -> u64) {
    emit!(truncate_enter(device.dev(), number(ino), blocks()));
}

/// A file was cut and has `blocks` blocks.
pub fn truncate_exit(device: &Device, ino: Ino, blocks: impl FnOnce() -> u64) {
    emit!(truncate_exit(device.dev(), number(ino), blocks()));
}

/// An inode is noted to be finished by a mount.
pub fn orphan_add(device: &Device, ino: Ino) {
    emit!(orphan_add(device.dev(), number(ino)));
}

/// An inode is no longer noted.
pub fn orphan_del(device: &Device, ino: Ino) {
    emit!(orphan_del(device.dev(), number(ino)));
}
