// SPDX-License-Identifier: GPL-2.0

//! What may stand in the blocks of fixed metadata when the driver is done: what stood there before, or
//! something of the same kind, with the checksum that only its own kind has in this place.
//!
//! So anything else that is written there is seen, data and metadata of another kind alike. Without
//! checksums only data is.

use crate::overlay::Overlay;
use crate::visit::DATA;
use host_core::core::cache::FUNCTIONS;
use host_core::format::checksum::{self, Checksums};
use host_core::format::features::Incompat;
use host_core::format::geometry::Geometry;
use host_core::format::group_desc::GroupDesc;
use host_core::format::superblock::{Superblock, LEN, OFFSET};
use host_core::format::units::{DiskBlock, Group};
use host_core::host::device::Backend;

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The superblock that a mount reads.
    Superblock,
    /// Descriptors, from this group's on.
    Descriptors(Group),
    /// A group's block bitmap.
    BlockBitmap(Group),
    /// A group's inode bitmap.
    InodeBitmap(Group),
    /// The nth block of a group's inode table.
    InodeTable(Group, u32),
    /// Copies of superblock and descriptors, and room for more of them: nobody writes there.
    Copies,
}

/// A block as it was.
#[derive(Debug)]
struct Block {
    at: DiskBlock,
    what: Use,
    before: Vec<u8>,
}

/// The fixed metadata of a device at one moment.
#[derive(Debug)]
pub struct Fixed {
    geometry: Geometry,
    sums: Checksums,
    blocks: Vec<Block>,
}

/// The superblock of a device, if it can be one.
fn superblock(device: &Overlay) -> Option<Superblock> {
    let blocks = |block_size: u32| device.size() / u64::from(block_size);
    Superblock::parse(&device.bytes(OFFSET, LEN), &FUNCTIONS, Some(&blocks)).ok()
}

/// Whether a log is to be replayed: until then, blocks may be older than those they go with.
pub fn needs_recovery(device: &Overlay) -> bool {
    superblock(device).is_none_or(|sb| sb.incompat.has(Incompat::RECOVER))
}

impl Fixed {
    /// The metadata as superblock and descriptors have it now; `None` where no mount would believe them.
    pub fn of(device: &Overlay) -> Option<Self> {
        let sums = Superblock::checksums(&device.bytes(OFFSET, LEN), FUNCTIONS).ok()?;
        let mut fixed = Self {
            geometry: superblock(device)?.geometry,
            sums,
            blocks: Vec::new(),
        };
        let geometry = fixed.geometry.clone();
        for group in geometry.groups() {
            fixed.group(device, &geometry, group)?;
        }
        fixed.blocks.sort_by_key(|block| block.at);
        Some(fixed)
    }

    fn group(&mut self, device: &Overlay, geometry: &Geometry, group: Group) -> Option<()> {
        let desc = GroupDesc::parse(&self.descriptor(device, group)).ok()?;
        desc.check(group, geometry).ok()?;
        let start = geometry.group_start(group)?;
        for n in 0..geometry.base_meta_blocks(group) {
            let block = start.checked_add(n.into())?;
            let table = block.distance_from(geometry.superblock_block());
            let table = table.and_then(|n| u32::try_from(n).ok());
            let what = match table {
                Some(0) => Use::Superblock,
                Some(n) if n <= geometry.descriptor_blocks() => {
                    Use::Descriptors(Group((n - 1) * geometry.descs_per_block().get()))
                }
                _ => Use::Copies,
            };
            self.add(device, block, what);
        }
        self.add(device, desc.block_bitmap, Use::BlockBitmap(group));
        self.add(device, desc.inode_bitmap, Use::InodeBitmap(group));
        for n in 0..geometry.inode_table_blocks() {
            let block = desc.inode_table.checked_add(n.into())?;
            self.add(device, block, Use::InodeTable(group, n));
        }
        Some(())
    }

    fn add(&mut self, device: &Overlay, at: DiskBlock, what: Use) {
        let before = bytes_of(device, &self.geometry, at);
        self.blocks.push(Block { at, what, before });
    }

    /// The blocks and what they are for.
    pub fn uses(&self) -> impl Iterator<Item = (DiskBlock, Use)> + '_ {
        self.blocks.iter().map(|block| (block.at, block.what))
    }

    /// The blocks that hold by now what cannot be theirs.
    pub fn overwritten(&self, device: &Overlay) -> Vec<(DiskBlock, Use)> {
        let wrong = self.blocks.iter().filter(|block| {
            let now = bytes_of(device, &self.geometry, block.at);
            now != block.before && !self.may_be(device, block, &now)
        });
        wrong.map(|block| (block.at, block.what)).collect()
    }

    /// Whether a block may have become this.
    fn may_be(&self, device: &Overlay, block: &Block, now: &[u8]) -> bool {
        if now.iter().all(|byte| *byte == DATA) {
            return false;
        }
        match block.what {
            Use::Superblock => {
                let from = self.geometry.superblock_offset();
                !self.sums.enabled()
                    || checksum::verify_superblock(&FUNCTIONS, &now[from..from + LEN]).is_ok()
            }
            Use::Descriptors(first) => self.descriptors_may_be(first, &block.before, now),
            // The sum of a bitmap is in another block, which may be behind while there is a log.
            Use::BlockBitmap(group) => {
                let bits = &now[..self.geometry.block_bitmap_bytes()];
                let desc = self.descriptor(device, group);
                needs_recovery(device) || self.sums.verify_block_bitmap(&desc, bits).is_ok()
            }
            Use::InodeBitmap(group) => {
                let bits = &now[..self.geometry.inode_bitmap_bytes()];
                let desc = self.descriptor(device, group);
                needs_recovery(device) || self.sums.verify_inode_bitmap(&desc, bits).is_ok()
            }
            Use::InodeTable(group, n) => self.inodes_may_be(group, n, &block.before, now),
            Use::Copies => false,
        }
    }

    fn descriptors_may_be(&self, first: Group, before: &[u8], now: &[u8]) -> bool {
        let size = usize::from(self.geometry.desc_size());
        let pairs = before.chunks(size).zip(now.chunks(size));
        let places = |bytes: &[u8]| {
            let desc = GroupDesc::parse(bytes).ok();
            desc.map(|desc| (desc.block_bitmap, desc.inode_bitmap, desc.inode_table))
        };
        (first.get()..)
            .map(Group)
            .zip(pairs)
            .all(|(group, (before, now))| {
                before == now
                    || (self.geometry.has_group(group)
                        && places(before) == places(now)
                        && self.sums.verify_group_desc(group, now).is_ok())
            })
    }

    fn descriptor(&self, device: &Overlay, group: Group) -> Vec<u8> {
        let (at, offset) = self.geometry.descriptor_place(group).unwrap();
        let size = usize::from(self.geometry.desc_size());
        bytes_of(device, &self.geometry, at)[offset..offset + size].to_vec()
    }

    fn inodes_may_be(&self, group: Group, n: u32, before: &[u8], now: &[u8]) -> bool {
        let size = usize::from(self.geometry.inode_size());
        let first = n * self.geometry.inodes_per_block().get();
        let pairs = before.chunks(size).zip(now.chunks(size));
        (first..).zip(pairs).all(|(bit, (before, now))| {
            let Some(ino) = self.geometry.ino_at(group, bit) else {
                return false;
            };
            // A block of an inode table begins as zeroes, but not once it is the file system's own.
            let zeroes = now.iter().all(|byte| *byte == 0) && ino >= self.geometry.first_ino();
            before == now || zeroes || self.sums.verify_inode(ino, now).is_ok()
        })
    }
}

fn bytes_of(device: &Overlay, geometry: &Geometry, at: DiskBlock) -> Vec<u8> {
    let size = geometry.block_size();
    let mut bytes = device.bytes(at.get() * u64::from(size), size as usize);
    bytes.resize(size as usize, 0);
    bytes
}
