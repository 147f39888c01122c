// SPDX-License-Identifier: GPL-2.0

//! What `statfs` wants to know.

use super::Filesystem;
use crate::format::dirent::NAME_MAX;

/// Sizes and counts of a file system, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The block size in bytes.
    pub block_size: u32,
    /// Blocks there are for files.
    pub blocks: u64,
    /// Free blocks; delayed ones are not free.
    pub free: u64,
    /// Free blocks that anybody may take.
    pub available: u64,
    /// Inodes there are.
    pub inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// The UUID.
    pub id: [u8; 16],
    /// Longest name in bytes.
    pub name_max: u32,
}

/// What was written, and what waits to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// KiB since the file system was made.
    pub lifetime_kbytes: u64,
    /// KiB since it was mounted.
    pub session_kbytes: u64,
    /// Blocks promised to data that is not written yet, those for tree nodes included.
    pub delayed_blocks: u64,
}

impl Filesystem {
    /// How much was written so far.
    pub fn written(&self) -> Written {
        let lifetime = self.kbytes_written();
        Written {
            lifetime_kbytes: lifetime,
            session_kbytes: lifetime.saturating_sub(self.volume.superblock.kbytes_written),
            delayed_blocks: self.volume.allocator.statistics().reserved_blocks,
        }
    }

    /// What `statfs` wants to know.
    pub fn statistics(&self) -> Statistics {
        let counts = self.volume.allocator.statistics();
        let superblock = &self.volume.superblock;
        let geometry = &superblock.geometry;
        let free = counts.free_blocks.saturating_sub(counts.reserved_blocks);
        Statistics {
            block_size: geometry.block_size(),
            blocks: geometry
                .block_count()
                .saturating_sub(counts.overhead_blocks),
            free,
            available: counts.available_blocks.min(free),
            inodes: u64::from(geometry.inode_count()),
            free_inodes: counts.free_inodes,
            id: superblock.uuid,
            name_max: u32::try_from(NAME_MAX).unwrap_or(u32::MAX),
        }
    }
}
