// SPDX-License-Identifier: GPL-2.0

//! The file system: everything between the bytes of `format` and the entry points of `vfs`.
//!
//! Imports point down only, in the order of `Documentation/layering.md`.
#![forbid(unsafe_code)]

pub mod alloc;
pub mod cache;
pub mod dir;
pub mod error;
pub mod events;
pub mod inode;
pub mod journal;
pub mod locks;
pub mod map;
pub mod mount;
pub mod patience;
pub mod platform;
pub mod sort;
pub mod volume;
pub mod xattr;
