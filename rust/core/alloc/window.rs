// SPDX-License-Identifier: GPL-2.0

//! Requests for runs of blocks, and the windows that keep growing files apart.

use crate::core::journal::Run;
use crate::format::extent::MAX_WRITTEN;
use crate::format::units::{DiskBlock, FileBlock, Ino};

/// No run is longer, in blocks: the most one extent of written blocks can have.
pub const MAX_RUN: u32 = MAX_WRITTEN as u32;
/// The least a growing file's window has.
const LEAST_WINDOW: u32 = 16;
/// From this many blocks on a file is expected to grow on, even if it was written in one go.
const LARGE_FILE: u64 = 2048;
/// From this many blocks on a file gets whole groups.
const HUGE_FILE: u64 = 8192;

/// Blocks behind an inode's newest run that its next one will take, so that files which grow in
/// turn do not interleave.
///
/// It lives in memory only and is a wish, not a right: others keep out while they find space
/// elsewhere. So nothing is lost when one is dropped without [`super::Allocator::release_window`],
/// but the space stays unattractive until the group is forgotten.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub(super) run: Option<Run>,
}

impl Window {
    /// No window yet.
    pub const fn new() -> Self {
        Self { run: None }
    }
}

/// Where a run would best begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Right behind the block that holds the file's block before the run.
    Next(DiskBlock),
    /// Somewhere there: see [`super::Allocator::inode_goal`].
    Near(DiskBlock),
}

impl Goal {
    /// The block as such.
    pub const fn block(self) -> DiskBlock {
        match self {
            Self::Next(block) | Self::Near(block) => block,
        }
    }
}

/// A request for a run of blocks for a file.
#[derive(Debug)]
pub struct Request<'a> {
    /// The inode, for trace events.
    pub ino: Ino,
    /// The file's first block of the run.
    pub logical: FileBlock,
    /// Where it would best be.
    pub goal: Goal,
    /// How many blocks are wanted.
    pub len: u32,
    /// The file's size in blocks, with all that is not yet written back.
    pub file_blocks: u64,
    /// The inode's window; `None` for blocks that are not followed by more.
    pub window: Option<&'a mut Window>,
}

impl Request<'_> {
    /// Whether the file is going to grow behind this run.
    pub(super) fn grows(&self) -> bool {
        if self.window.is_none() {
            return false;
        }
        // A file that is written at once is most often done with.
        let at_once = self.logical == FileBlock(0) && u64::from(self.len) >= self.file_blocks;
        !at_once || self.file_blocks >= LARGE_FILE
    }

    /// How much space to look for when the run of `len` blocks cannot continue the last one: the
    /// file doubles, and goes on in whole groups when it is large.
    pub(super) fn area(&self, len: u32, group_blocks: u32) -> u32 {
        let limit = MAX_RUN.min(group_blocks);
        let wanted = if !self.grows() {
            len
        } else if self.file_blocks >= HUGE_FILE {
            limit
        } else {
            let size = u32::try_from(self.file_blocks)
                .unwrap_or(limit)
                .max(len)
                .max(LEAST_WINDOW);
            size.checked_next_power_of_two().unwrap_or(limit)
        };
        wanted.clamp(len, limit.max(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas() {
        let mut window = Window::new();
        for (logical, len, file_blocks, has_window, want) in [
            (0, 1, 1, true, 1),
            (0, 300, 300, true, 300),
            (1, 1, 2, true, 16),
            (16, 1, 17, true, 32),
            (0, 300, 300, false, 300),
            (0, 1, 17, true, 32),
            (0, 2500, 2500, true, 4096),
            (0, 25600, 25600, true, 32768),
            (100_000, 300, 100_300, true, 32768),
            (0, 32768, 1 << 40, true, 32768),
        ] {
            let request = Request {
                ino: Ino(12),
                logical: FileBlock(logical),
                goal: Goal::Near(DiskBlock(0)),
                len,
                file_blocks,
                window: has_window.then_some(&mut window),
            };
            assert_eq!(request.area(len, 32768), want, "{request:?}");
            assert_eq!(
                request.area(len, 8192),
                want.min(8192).max(len),
                "{request:?}"
            );
        }
    }
}
