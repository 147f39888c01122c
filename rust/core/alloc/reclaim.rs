// SPDX-License-Identifier: GPL-2.0

//! Giving the memory of bitmaps back. What a group has in memory can be made again from the disk's
//! bitmap, unless some of it is ahead of the disk, or some inode has a window there.

use super::Allocator;
use crate::format::units::Group;
use core::sync::atomic::Ordering::Relaxed;

impl Allocator {
    /// How many bitmaps are in memory, each as large as a block.
    pub fn loaded_bitmaps(&self) -> usize {
        self.loaded.load(Relaxed)
    }

    /// Looks at up to `count` bitmaps in memory and drops those that can be made again; returns how
    /// many. Never waits, and takes no memory.
    pub fn reclaim(&self, count: usize) -> usize {
        let groups = self.groups.count();
        let from = self.reclaim_from.load(Relaxed);
        let (mut looked, mut dropped) = (0, 0);
        for group in (from..groups).chain(0..from).map(Group) {
            if looked >= count {
                self.reclaim_from.store(group.get(), Relaxed);
                break;
            }
            let Some(info) = self
                .groups
                .get(group)
                .filter(|info| info.loaded.load(Relaxed))
            else {
                continue;
            };
            looked += 1;
            // Whoever has the lock may be waiting for the disk.
            let Some(mut state) = info.state.try_lock() else {
                continue;
            };
            if state.ahead == 0 && state.windows == 0 && !state.busy.is_empty() {
                let bits = core::mem::take(&mut state.busy);
                info.loaded.store(false, Relaxed);
                drop(state);
                drop(bits);
                self.loaded.fetch_sub(1, Relaxed);
                dropped += 1;
            }
        }
        dropped
    }
}
