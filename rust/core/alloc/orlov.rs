// SPDX-License-Identifier: GPL-2.0

//! Where directories and the blocks of new files go: directories of the root, and of directories that are
//! flagged as the top of a hierarchy, are spread over the disk, others stay near their parent while it has
//! room, files stay with their directory (the Orlov allocator's idea). Sums are over packed groups
//! (`flex_bg`).

use super::Allocator;
use crate::core::platform::random_u32;
use crate::format::units::{DiskBlock, Group, Ino};
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

/// In packs of at least this many groups the first is left to directories and other metadata.
const PACK_WITH_DIRECTORIES: u32 = 4;

/// What a pack of groups has.
#[derive(Clone, Copy, Debug, Default)]
struct Pack {
    inodes: u64,
    blocks: u64,
    directories: u64,
}

impl Allocator {
    /// Groups in a pack.
    fn pack_size(&self) -> u32 {
        1u32.checked_shl(self.geometry().groups_per_flex_bits())
            .unwrap_or(1)
            .max(1)
    }

    fn pack_groups(&self, pack: u32) -> Range<u32> {
        let start = pack.saturating_mul(self.pack_size());
        start
            ..start
                .saturating_add(self.pack_size())
                .min(self.groups.count())
    }

    fn pack(&self, pack: u32) -> Pack {
        let groups = self
            .pack_groups(pack)
            .filter_map(|group| self.groups.get(Group(group)));
        groups.fold(Pack::default(), |sum, info| Pack {
            inodes: sum
                .inodes
                .saturating_add(u64::from(info.free_inodes.load(Relaxed))),
            blocks: sum
                .blocks
                .saturating_add(u64::from(info.free.load(Relaxed))),
            directories: sum
                .directories
                .saturating_add(u64::from(info.directories.load(Relaxed))),
        })
    }

    /// The first group of a pack with a free inode.
    fn group_in(&self, pack: u32) -> Option<Group> {
        let has_inodes = |group: &Group| {
            let info = self.groups.get(*group);
            info.is_some_and(|info| {
                info.free_inodes.load(Relaxed) != 0 && !info.inodes_bad.load(Relaxed)
            })
        };
        self.pack_groups(pack).map(Group).find(has_inodes)
    }

    /// The group a new directory shall be in: near its parent, which is in `home`, or, with `spread`,
    /// anywhere.
    pub(super) fn directory_group(&self, home: Group, spread: bool) -> Group {
        let packs = self.groups.count().div_ceil(self.pack_size()).max(1);
        let average = |total: u64| total / u64::from(packs);
        let mean = Pack {
            inodes: average(self.free_inodes.load(Relaxed)),
            blocks: average(self.space.free()),
            directories: average(self.directories.load(Relaxed)),
        };
        let chosen = if spread {
            self.emptiest(packs, mean)
        } else {
            self.near(home.get() / self.pack_size(), packs, mean)
        };
        chosen.unwrap_or(home)
    }

    /// Of the packs with hardly less than the average of everything the one with the fewest
    /// directories. (C takes none below the average, so never the one with the journal.)
    fn emptiest(&self, packs: u32, mean: Pack) -> Option<Group> {
        let start = random_u32() % packs;
        let mut best: Option<(u64, Group)> = None;
        for pack in (start..packs).chain(0..start) {
            let has = self.pack(pack);
            let fewer = best.is_none_or(|(directories, _)| has.directories < directories);
            let hardly_less = |mean: u64| mean.saturating_sub(mean / 8);
            if fewer
                && has.inodes >= hardly_less(mean.inodes).max(1)
                && has.blocks >= hardly_less(mean.blocks)
            {
                best = self
                    .group_in(pack)
                    .map(|group| (has.directories, group))
                    .or(best);
            }
        }
        best.map(|(_, group)| group)
    }

    /// The first pack from the parent's on that is not much worse off than the average.
    fn near(&self, home: u32, packs: u32, mean: Pack) -> Option<Group> {
        let per_pack = u64::from(self.pack_size());
        let inodes = u64::from(self.geometry().inodes_per_group().get()).saturating_mul(per_pack);
        let blocks = u64::from(self.geometry().blocks_per_group().get()).saturating_mul(per_pack);
        let good = |pack: &u32| {
            let has = self.pack(*pack);
            has.inodes >= mean.inodes.saturating_sub(inodes / 4).max(1)
                && has.blocks >= mean.blocks.saturating_sub(blocks / 4)
                && has.directories <= mean.directories.saturating_add(inodes / 16)
        };
        (home..packs)
            .chain(0..home)
            .find(good)
            .and_then(|pack| self.group_in(pack))
    }

    /// Where the blocks of a new file begin, if nothing else is known: in its inode's group, or for
    /// other than directories in the second group of the pack.
    pub fn inode_goal(&self, ino: Ino, is_directory: bool) -> DiskBlock {
        let group = self
            .geometry()
            .inode_place(ino)
            .map_or(Group(0), |place| place.group);
        let size = self.pack_size();
        let first = group.get().saturating_sub(group.get() % size);
        let second = first.saturating_add(1);
        let group = match size {
            size if size < PACK_WITH_DIRECTORIES => group,
            _ if is_directory || second >= self.groups.count() => Group(first),
            _ => Group(second),
        };
        self.geometry()
            .group_start(group)
            .unwrap_or(self.geometry().first_data_block())
    }
}
