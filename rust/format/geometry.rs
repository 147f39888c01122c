// SPDX-License-Identifier: GPL-2.0

//! The sizes of a file system and the places of its fixed metadata.
//!
//! Groups are counted from the first data block: group `g` begins at
//! `first_data_block + g * blocks_per_group`. Everything here is arithmetic on numbers that were
//! checked once, so it cannot fail for a group or an inode that exists.
//!
//! Source: `Documentation/filesystems/ext4/blockgroup.rst`, `group_descr.rst`.

use super::{
    bytes::index,
    fault::{Fault, GroupFault, InodeFault, SuperblockFault as S},
    features::{Compat, Incompat, RoCompat},
    superblock::RawSuperblock,
    units::{DiskBlock, Group, Ino},
};
use core::num::NonZeroU32;

/// Inode numbers that the format gives a meaning.
pub mod special {
    use super::Ino;
    /// The root directory.
    pub const ROOT: Ino = Ino(2);
    /// Reserved group descriptors.
    pub const RESIZE: Ino = Ino(7);
}

/// First inode number for files on disks of revision 0.
const OLD_FIRST_INO: u32 = 11;
/// Inode size on disks of revision 0.
const OLD_INODE_SIZE: u16 = 128;

/// Sizes and places. All fields have passed their checks.
#[derive(Clone, Debug)]
pub struct Geometry {
    block_bits: u32,
    cluster_bits: u32,
    block_count: u64,
    first_data_block: u32,
    blocks_per_group: NonZeroU32,
    inodes_per_group: NonZeroU32,
    inodes_per_block: NonZeroU32,
    descs_per_block: NonZeroU32,
    group_count: NonZeroU32,
    inode_count: u32,
    first_ino: u32,
    inode_size: u16,
    desc_size: u16,
    reserved_gdt: u16,
    groups_per_flex_bits: u32,
    first_meta_bg: Option<u32>,
    sparse_super: bool,
    backup_groups: Option<[u32; 2]>,
    flex_bg: bool,
    huge_file: bool,
    filetype: bool,
    large_dir: bool,
}

/// Where an inode's record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodePlace {
    /// Its group.
    pub group: Group,
    /// Its bit in the group's inode bitmap.
    pub index: u32,
    /// Its block, counted from the start of the group's inode table.
    pub table_block: u32,
    /// Its offset in that block, in bytes.
    pub offset: usize,
}

const fn bad(what: S, a: u64, b: u64) -> Fault {
    Fault::Superblock(what, a, b)
}

fn nonzero(n: u32, fault: Fault) -> Result<NonZeroU32, Fault> {
    NonZeroU32::new(n).ok_or(fault)
}

impl Geometry {
    /// Checks the numbers of a superblock.
    pub(crate) fn parse(raw: &RawSuperblock) -> Result<Self, Fault> {
        let (compat, incompat, ro_compat) = raw.features();
        let (block_bits, cluster_bits) = Self::block_sizes(raw)?;
        let block_size = 1u32 << block_bits;
        let (inode_size, first_ino) = Self::inode_sizes(raw, block_size)?;
        let inodes_per_block = nonzero(
            block_size / u32::from(inode_size.max(1)),
            bad(S::InodeSize, u64::from(inode_size), u64::from(block_size)),
        )?;
        let blocks_per_group = Self::group_size(raw, block_bits, cluster_bits)?;
        let inodes_per_group =
            Self::inodes_in_group(raw, block_size, blocks_per_group, inodes_per_block)?;
        let desc_size = Self::descriptor_size(raw)?;
        let descs_per_block = nonzero(
            block_size / u32::from(desc_size.max(1)),
            bad(S::DescSize, u64::from(desc_size), 0),
        )?;
        let group_count = Self::count_groups(raw, block_bits, blocks_per_group, descs_per_block)?;
        let inode_count = raw.inodes_count.get();
        if group_count.get().checked_mul(inodes_per_group.get()) != Some(inode_count) {
            let groups = u64::from(group_count.get());
            return Err(bad(S::InodeCount, u64::from(inode_count), groups));
        }
        let reserved_gdt = Self::reserved_descriptors(raw, block_size)?;
        let gdt_blocks = group_count.get().div_ceil(descs_per_block.get());
        let first_meta_bg = Self::first_meta_group(raw, gdt_blocks)?;
        let flex = raw.log_groups_per_flex;
        let flex_bg = incompat.has(Incompat::FLEX_BG);
        let geometry = Self {
            block_bits,
            cluster_bits,
            block_count: raw.block_count(),
            first_data_block: raw.first_data_block.get(),
            blocks_per_group,
            inodes_per_group,
            inodes_per_block,
            descs_per_block,
            group_count,
            inode_count,
            first_ino,
            inode_size,
            desc_size,
            reserved_gdt,
            // Exponents that make no sense mean that groups are not packed.
            groups_per_flex_bits: if flex_bg && flex < 32 {
                u32::from(flex)
            } else {
                0
            },
            first_meta_bg,
            sparse_super: ro_compat.has(RoCompat::SPARSE_SUPER),
            backup_groups: compat
                .has(Compat::SPARSE_SUPER2)
                .then_some(raw.backup_bgs.map(|group| group.get())),
            flex_bg,
            huge_file: ro_compat.has(RoCompat::HUGE_FILE),
            filetype: incompat.has(Incompat::FILETYPE),
            large_dir: incompat.has(Incompat::LARGEDIR),
        };
        geometry.check_descriptors()?;
        Ok(geometry)
    }

    /// Group 0 has room for the descriptor table; so has every other group that holds a copy.
    /// (`mke2fs` makes nothing else; C refuses the mount where the table meets another copy.)
    fn check_descriptors(&self) -> Result<(), Fault> {
        let (need, have) = (self.base_meta_blocks(Group(0)), self.group_len(Group(0)));
        if need > have {
            return Err(bad(S::DescriptorTable, u64::from(need), u64::from(have)));
        }
        Ok(())
    }

    fn reserved_descriptors(raw: &RawSuperblock, block_size: u32) -> Result<u16, Fault> {
        let (reserved, limit) = (raw.reserved_gdt_blocks.get(), block_size / 4);
        if u32::from(reserved) > limit {
            return Err(bad(S::ReservedGdt, u64::from(reserved), u64::from(limit)));
        }
        Ok(reserved)
    }

    fn first_meta_group(raw: &RawSuperblock, gdt_blocks: u32) -> Result<Option<u32>, Fault> {
        let first = raw.first_meta_bg.get();
        if !raw.features().1.has(Incompat::META_BG) {
            return Ok(None);
        }
        if first > gdt_blocks {
            return Err(bad(S::FirstMetaBg, u64::from(first), u64::from(gdt_blocks)));
        }
        Ok(Some(first))
    }

    fn block_sizes(raw: &RawSuperblock) -> Result<(u32, u32), Fault> {
        let (log, cluster) = (raw.log_block_size.get(), raw.log_cluster_size.get());
        if log > 6 {
            return Err(bad(S::BlockSize, u64::from(log), 0));
        }
        let bigalloc = raw.features().2.has(RoCompat::BIGALLOC);
        if cluster > 20 || cluster < log || (cluster != log && !bigalloc) {
            return Err(bad(S::ClusterSize, u64::from(cluster), u64::from(log)));
        }
        Ok((log.saturating_add(10), cluster.saturating_sub(log)))
    }

    fn inode_sizes(raw: &RawSuperblock, block_size: u32) -> Result<(u16, u32), Fault> {
        if raw.rev_level.get() == 0 {
            return Ok((OLD_INODE_SIZE, OLD_FIRST_INO));
        }
        let (size, first) = (raw.inode_size.get(), raw.first_ino.get());
        if size < OLD_INODE_SIZE || !size.is_power_of_two() || u32::from(size) > block_size {
            return Err(bad(S::InodeSize, u64::from(size), u64::from(block_size)));
        }
        if first < OLD_FIRST_INO {
            return Err(bad(S::FirstInode, u64::from(first), 0));
        }
        Ok((size, first))
    }

    fn descriptor_size(raw: &RawSuperblock) -> Result<u16, Fault> {
        if !raw.features().1.has(Incompat::BITS64) {
            return Ok(32);
        }
        let size = raw.desc_size.get();
        if !(64..=1024).contains(&size) || !size.is_power_of_two() {
            return Err(bad(S::DescSize, u64::from(size), 0));
        }
        Ok(size)
    }

    fn group_size(raw: &RawSuperblock, bits: u32, cluster: u32) -> Result<NonZeroU32, Fault> {
        let limit = 8u32 << bits;
        let (blocks, clusters) = (raw.blocks_per_group.get(), raw.clusters_per_group.get());
        // Without bigalloc some old tools left the number of fragments here; it equals the blocks.
        if clusters > limit || clusters == 0 || clusters % 8 != 0 {
            return Err(bad(S::BlocksPerGroup, u64::from(blocks), u64::from(limit)));
        }
        if u64::from(clusters) << cluster != u64::from(blocks) {
            return Err(bad(
                S::ClustersPerGroup,
                u64::from(clusters),
                u64::from(blocks),
            ));
        }
        nonzero(blocks, bad(S::BlocksPerGroup, 0, u64::from(limit)))
    }

    fn inodes_in_group(
        raw: &RawSuperblock,
        block_size: u32,
        blocks_per_group: NonZeroU32,
        per_block: NonZeroU32,
    ) -> Result<NonZeroU32, Fault> {
        let count = raw.inodes_per_group.get();
        let limit = block_size.saturating_mul(8);
        let fault = bad(S::InodesPerGroup, u64::from(count), u64::from(limit));
        if count < per_block.get() || count > limit || count % 8 != 0 || count % per_block != 0 {
            return Err(fault);
        }
        // The places of all tables are checked one by one; this bounds the sizes early.
        let table = count / per_block;
        if table >= blocks_per_group.get() {
            let group = u64::from(blocks_per_group.get());
            return Err(bad(S::InodeTable, u64::from(table), group));
        }
        nonzero(count, fault)
    }

    fn count_groups(
        raw: &RawSuperblock,
        block_bits: u32,
        blocks_per_group: NonZeroU32,
        descs_per_block: NonZeroU32,
    ) -> Result<NonZeroU32, Fault> {
        let (first, count) = (raw.first_data_block.get(), raw.block_count());
        let small_blocks = block_bits == 10 && !raw.features().2.has(RoCompat::BIGALLOC);
        let fault = bad(S::FirstDataBlock, u64::from(first), count);
        let blocks = count.checked_sub(u64::from(first)).ok_or(fault)?;
        // With 1 KiB blocks block 0 is the boot sector; with larger ones it holds the superblock.
        if blocks == 0
            || first > 1
            || (small_blocks && first == 0)
            || (block_bits > 10 && first > 0)
        {
            return Err(fault);
        }
        // Numbers of bytes must fit a signed 64-bit offset.
        if count > (i64::MAX as u64) >> block_bits {
            return Err(bad(S::BlockCount, count, (i64::MAX as u64) >> block_bits));
        }
        let groups = blocks.div_ceil(u64::from(blocks_per_group.get()));
        let limit = u64::from(u32::MAX).saturating_sub(u64::from(descs_per_block.get()));
        match u32::try_from(groups)
            .ok()
            .filter(|n| u64::from(*n) <= limit)
        {
            Some(groups) => nonzero(groups, bad(S::GroupCount, 0, limit)),
            None => Err(bad(S::GroupCount, groups, limit)),
        }
    }

    /// Size of a block in bytes.
    pub const fn block_size(&self) -> u32 {
        1 << self.block_bits
    }

    /// Exponent of the block size.
    pub const fn block_bits(&self) -> u32 {
        self.block_bits
    }

    /// Exponent of the number of blocks in a cluster; 0 without bigalloc.
    pub const fn cluster_bits(&self) -> u32 {
        self.cluster_bits
    }

    /// Number of blocks, that is also the block after the last.
    pub const fn block_count(&self) -> u64 {
        self.block_count
    }

    /// The first block of group 0.
    pub const fn first_data_block(&self) -> DiskBlock {
        DiskBlock(self.first_data_block as u64)
    }

    /// Blocks in every group but perhaps the last.
    pub const fn blocks_per_group(&self) -> NonZeroU32 {
        self.blocks_per_group
    }

    /// Inodes in every group.
    pub const fn inodes_per_group(&self) -> NonZeroU32 {
        self.inodes_per_group
    }

    /// Inodes in a block of an inode table.
    pub const fn inodes_per_block(&self) -> NonZeroU32 {
        self.inodes_per_block
    }

    /// Blocks of every inode table.
    pub const fn inode_table_blocks(&self) -> u32 {
        // Both are checked: it divides without rest.
        self.inodes_per_group.get() / self.inodes_per_block.get()
    }

    /// Number of groups.
    pub const fn group_count(&self) -> NonZeroU32 {
        self.group_count
    }

    /// Number of inodes, that is also the greatest inode number.
    pub const fn inode_count(&self) -> u32 {
        self.inode_count
    }

    /// The first inode number for ordinary files.
    pub const fn first_ino(&self) -> Ino {
        Ino(self.first_ino)
    }

    /// Size of an inode's record in bytes.
    pub const fn inode_size(&self) -> u16 {
        self.inode_size
    }

    /// Size of a group descriptor in bytes.
    pub const fn desc_size(&self) -> u16 {
        self.desc_size
    }

    /// Whether the metadata of groups may lie anywhere.
    pub const fn flex_bg(&self) -> bool {
        self.flex_bg
    }

    /// Exponent of the number of groups packed together; 0 when they are not.
    pub const fn groups_per_flex_bits(&self) -> u32 {
        self.groups_per_flex_bits
    }

    /// Whether inodes count blocks with 48 bits.
    pub const fn huge_file(&self) -> bool {
        self.huge_file
    }

    /// Whether directory entries carry a file type.
    pub const fn filetype(&self) -> bool {
        self.filetype
    }

    /// Whether directories may have three index levels and 64-bit sizes.
    pub const fn large_dir(&self) -> bool {
        self.large_dir
    }

    /// Bytes of a group's block bitmap that are in use (and summed).
    pub const fn block_bitmap_bytes(&self) -> usize {
        index((self.blocks_per_group.get() >> self.cluster_bits) / 8)
    }

    /// Bytes of a group's inode bitmap that are in use (and summed).
    pub const fn inode_bitmap_bytes(&self) -> usize {
        index(self.inodes_per_group.get() / 8)
    }

    /// Whether `group` exists.
    pub const fn has_group(&self, group: Group) -> bool {
        group.get() < self.group_count.get()
    }

    /// All groups in order.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        (0..self.group_count.get()).map(Group)
    }

    /// Whether blocks `start .. start + len` are all in the file system (block 0 and the boot
    /// block are not). Says nothing of what they are used for.
    pub fn has_blocks(&self, start: DiskBlock, len: u32) -> bool {
        start > self.first_data_block()
            && start
                .checked_add(u64::from(len))
                .is_some_and(|end| end.get() <= self.block_count)
    }

    /// The group of a block and its bit in the group's bitmap, or `None` outside the groups.
    /// (With bigalloc the bit is a block's, not a cluster's.)
    pub fn group_of(&self, block: DiskBlock) -> Option<(Group, u32)> {
        if block.get() >= self.block_count {
            return None;
        }
        let at = block.distance_from(self.first_data_block())?;
        let per = u64::from(self.blocks_per_group.get());
        let group = u32::try_from(at / per).ok()?;
        let bit = u32::try_from(at % per).ok()?;
        Some((Group(group), bit))
    }

    /// The first block of a group, or `None` when there is no such group.
    pub fn group_start(&self, group: Group) -> Option<DiskBlock> {
        if !self.has_group(group) {
            return None;
        }
        let offset = u64::from(group.get()).checked_mul(u64::from(self.blocks_per_group.get()))?;
        self.first_data_block().checked_add(offset)
    }

    /// How many blocks a group has: all but the last are full; 0 when there is no such group.
    pub fn group_len(&self, group: Group) -> u32 {
        let full = self.blocks_per_group.get();
        let Some(start) = self.group_start(group) else {
            return 0;
        };
        let left = self.block_count.saturating_sub(start.get());
        u32::try_from(left).map_or(full, |left| left.min(full))
    }

    /// The block at a bit of a group.
    pub fn block_at(&self, group: Group, bit: u32) -> Option<DiskBlock> {
        if bit >= self.group_len(group) {
            return None;
        }
        self.group_start(group)?.checked_add(u64::from(bit))
    }

    /// Checks an inode number.
    pub fn check_ino(&self, ino: Ino) -> Result<Ino, Fault> {
        if ino.get() == 0 || ino.get() > self.inode_count {
            let (ino, count) = (u64::from(ino.get()), u64::from(self.inode_count));
            return Err(Fault::Inode(InodeFault::Number, ino, count));
        }
        Ok(ino)
    }

    /// Where an inode's record is.
    pub fn inode_place(&self, ino: Ino) -> Result<InodePlace, Fault> {
        let n = self.check_ino(ino)?.get().saturating_sub(1);
        let at = n % self.inodes_per_group;
        Ok(InodePlace {
            group: Group(n / self.inodes_per_group),
            index: at,
            table_block: at / self.inodes_per_block,
            offset: index(at % self.inodes_per_block).saturating_mul(usize::from(self.inode_size)),
        })
    }

    /// The inode at a bit of a group's inode bitmap.
    pub fn ino_at(&self, group: Group, bit: u32) -> Option<Ino> {
        if !self.has_group(group) || bit >= self.inodes_per_group.get() {
            return None;
        }
        let before = group.get().checked_mul(self.inodes_per_group.get())?;
        Some(Ino(before.checked_add(bit)?.checked_add(1)?))
    }

    /// Whether a group begins with a superblock (or its backup).
    pub fn has_super(&self, group: Group) -> bool {
        let group = group.get();
        if group == 0 {
            return true;
        }
        if let Some(backups) = self.backup_groups {
            return backups.contains(&group);
        }
        if group == 1 || !self.sparse_super {
            return true;
        }
        [3, 5, 7].iter().any(|base| is_power_of(group, *base))
    }

    /// Number of blocks of the descriptor table, spread or not.
    pub fn descriptor_blocks(&self) -> u32 {
        self.group_count.get().div_ceil(self.descs_per_block.get())
    }

    /// Descriptors in a block of the table.
    pub const fn descs_per_block(&self) -> NonZeroU32 {
        self.descs_per_block
    }

    /// The block that holds the superblock (at its byte 1024, or from its start with 1 KiB blocks).
    pub const fn superblock_block(&self) -> DiskBlock {
        DiskBlock(if self.block_bits == 10 { 1 } else { 0 })
    }

    /// Offset of the superblock in its block.
    pub const fn superblock_offset(&self) -> usize {
        if self.block_bits == 10 {
            0
        } else {
            1024
        }
    }

    /// Where the `n`-th block of the primary descriptor table is.
    pub fn descriptor_block(&self, n: u32) -> Option<DiskBlock> {
        if n >= self.descriptor_blocks() {
            return None;
        }
        match self.first_meta_bg {
            Some(first) if n >= first => {
                let group = Group(n.checked_mul(self.descs_per_block.get())?);
                let skip = u64::from(self.has_super(group));
                // With 1 KiB clusters of block 0, group 0 begins with the boot block.
                let boot = n == 0 && self.block_bits == 10 && self.first_data_block == 0;
                self.group_start(group)?
                    .checked_add(skip.saturating_add(u64::from(boot)))
            }
            _ => self
                .superblock_block()
                .checked_add(u64::from(n).saturating_add(1)),
        }
    }

    /// Where a group's descriptor is: its block, and the offset in it.
    pub fn descriptor_place(&self, group: Group) -> Result<(DiskBlock, usize), Fault> {
        let fault = Fault::Group(
            GroupFault::NoGroup,
            u64::from(group.get()),
            u64::from(self.group_count.get()),
        );
        if !self.has_group(group) {
            return Err(fault);
        }
        let block = self
            .descriptor_block(group.get() / self.descs_per_block)
            .ok_or(fault)?;
        let at = index(group.get() % self.descs_per_block);
        Ok((block, at.saturating_mul(usize::from(self.desc_size))))
    }

    /// How many blocks at the start of a group hold superblock, descriptors and the blocks
    /// reserved for more of them.
    pub fn base_meta_blocks(&self, group: Group) -> u32 {
        let per = self.descs_per_block.get();
        let has_super = self.has_super(group);
        let plain = |table: u32| {
            if has_super {
                table
                    .saturating_add(u32::from(self.reserved_gdt))
                    .saturating_add(1)
            } else {
                0
            }
        };
        let Some(first) = self.first_meta_bg else {
            return plain(self.descriptor_blocks());
        };
        if group.get() / per < first {
            return plain(first);
        }
        let at = group.get() % per;
        let holds = at <= 1 || at == per.saturating_sub(1);
        u32::from(has_super).saturating_add(u32::from(holds))
    }
}

/// Whether `n` is `base` raised to a power of at least 1.
fn is_power_of(mut n: u32, base: u32) -> bool {
    while n > base && n % base == 0 {
        n /= base;
    }
    n == base
}

#[cfg(test)]
mod tests;
