// SPDX-License-Identifier: GPL-2.0

//! The on-disk format: bytes to values and back. Nothing here does I/O, locks or allocates.
//!
//! Raw bytes and checked values are different types: what a `parse` gives has passed its checks,
//! what it refuses is a [`fault::Fault`] with the numbers that show why. No input panics.
#![forbid(unsafe_code)]

pub mod acl;
pub mod bitmap;
pub mod bytes;
pub mod checksum;
pub mod dirent;
pub mod extent;
pub mod fault;
pub mod features;
pub mod geometry;
pub mod group_desc;
pub mod hash;
pub mod htree;
pub mod indirect;
pub mod inode;
pub mod jbd2;
pub mod orphan_file;
pub mod superblock;
pub mod units;
pub mod xattr;
