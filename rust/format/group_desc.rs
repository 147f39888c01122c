// SPDX-License-Identifier: GPL-2.0

//! Group descriptors: 32 bytes, or 64 and more with 64-bit block numbers.
//!
//! Source: `Documentation/filesystems/ext4/group_descr.rst`.

use super::{
    bitmap,
    bytes::{le16, le32, put_le16},
    fault::{Fault, GroupFault as G, Record},
    features::bit_set,
    geometry::Geometry,
    units::{DiskBlock, Group},
};

/// Flags of a group (`bg_flags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupFlags(pub u16);

impl GroupFlags {
    /// The inode bitmap and table were never written: every inode is free.
    pub const INODE_UNINIT: Self = Self(1);
    /// The block bitmap was never written: only the group's own metadata is in use.
    pub const BLOCK_UNINIT: Self = Self(2);
    /// The inode table is zeroed.
    pub const INODE_ZEROED: Self = Self(4);
}

bit_set!(GroupFlags);

/// What a descriptor says (all but its sums, which [`super::checksum`] keeps in the bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDesc {
    /// Block of the block bitmap.
    pub block_bitmap: DiskBlock,
    /// Block of the inode bitmap.
    pub inode_bitmap: DiskBlock,
    /// First block of the inode table.
    pub inode_table: DiskBlock,
    /// Free blocks (clusters, with bigalloc).
    pub free_blocks: u32,
    /// Free inodes.
    pub free_inodes: u32,
    /// Directories.
    pub used_dirs: u32,
    /// Inodes at the end of the table that were never used.
    pub unused_inodes: u32,
    /// Flags.
    pub flags: GroupFlags,
}

/// Places of a field's two halves.
struct Halves(usize, usize);

const BLOCK_BITMAP: Halves = Halves(0x00, 0x20);
const INODE_BITMAP: Halves = Halves(0x04, 0x24);
const INODE_TABLE: Halves = Halves(0x08, 0x28);
const FREE_BLOCKS: Halves = Halves(0x0c, 0x2c);
const FREE_INODES: Halves = Halves(0x0e, 0x2e);
const USED_DIRS: Halves = Halves(0x10, 0x30);
const FLAGS: usize = 0x12;
const UNUSED_INODES: Halves = Halves(0x1c, 0x32);

/// A block number of two 32-bit halves; the high one only in descriptors of at least 64 bytes.
fn block(desc: &[u8], at: &Halves) -> Option<DiskBlock> {
    let high = if desc.len() >= 64 {
        le32(desc, at.1)?
    } else {
        0
    };
    Some(DiskBlock(
        (u64::from(high) << 32) | u64::from(le32(desc, at.0)?),
    ))
}

/// A count of two 16-bit halves.
fn count(desc: &[u8], at: &Halves) -> Option<u32> {
    let high = if desc.len() >= 64 {
        le16(desc, at.1)?
    } else {
        0
    };
    Some((u32::from(high) << 16) | u32::from(le16(desc, at.0)?))
}

fn put_count(desc: &mut [u8], at: &Halves, value: u32) -> Option<()> {
    put_le16(desc, at.0, value as u16)?;
    if desc.len() >= 64 {
        put_le16(desc, at.1, (value >> 16) as u16)?;
    }
    Some(())
}

impl GroupDesc {
    /// Reads a descriptor of exactly `bytes` (32 or at least 64 of them), without judging it:
    /// [`GroupDesc::check`] does.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::read(bytes).ok_or(Fault::short(Record::GroupDesc, 32, bytes.len()))
    }

    fn read(desc: &[u8]) -> Option<Self> {
        Some(Self {
            block_bitmap: block(desc, &BLOCK_BITMAP)?,
            inode_bitmap: block(desc, &INODE_BITMAP)?,
            inode_table: block(desc, &INODE_TABLE)?,
            free_blocks: count(desc, &FREE_BLOCKS)?,
            free_inodes: count(desc, &FREE_INODES)?,
            used_dirs: count(desc, &USED_DIRS)?,
            unused_inodes: count(desc, &UNUSED_INODES)?,
            flags: GroupFlags(le16(desc, FLAGS)?),
        })
    }

    /// Writes what changes in a group's life (counts and flags) into the descriptor's bytes. Its
    /// places stay as they are; the sums are not touched (seal afterwards).
    pub fn store(&self, bytes: &mut [u8]) -> Result<(), Fault> {
        let short = Fault::short(Record::GroupDesc, 32, bytes.len());
        self.write(bytes).ok_or(short)
    }

    fn write(&self, desc: &mut [u8]) -> Option<()> {
        put_count(desc, &FREE_BLOCKS, self.free_blocks)?;
        put_count(desc, &FREE_INODES, self.free_inodes)?;
        put_count(desc, &USED_DIRS, self.used_dirs)?;
        put_count(desc, &UNUSED_INODES, self.unused_inodes)?;
        put_le16(desc, FLAGS, self.flags.0)
    }

    /// Whether places and counts are possible for `group`.
    pub fn check(&self, group: Group, geometry: &Geometry) -> Result<(), Fault> {
        let table = geometry.inode_table_blocks();
        let places = [
            (self.block_bitmap, 1, G::BlockBitmap),
            (self.inode_bitmap, 1, G::InodeBitmap),
            (self.inode_table, table, G::InodeTable),
        ];
        for (at, len, what) in places {
            if !Self::place_is_possible(group, geometry, at, len) {
                return Err(Fault::Group(what, at.get(), u64::from(group.get())));
            }
        }
        let clash = |block: DiskBlock| {
            block
                .distance_from(self.inode_table)
                .is_some_and(|into| into < u64::from(table))
        };
        for at in [self.block_bitmap, self.inode_bitmap] {
            if clash(at) || (self.block_bitmap == self.inode_bitmap) {
                return Err(Fault::Group(G::Overlap, at.get(), u64::from(group.get())));
            }
        }
        let (blocks, inodes) = (geometry.group_len(group), geometry.inodes_per_group().get());
        let counts = [
            (self.free_blocks, blocks, G::FreeBlocks),
            (self.free_inodes, inodes, G::FreeInodes),
            (self.unused_inodes, inodes, G::UnusedInodes),
            (self.used_dirs, inodes, G::UsedDirs),
        ];
        for (count, limit, what) in counts {
            if count > limit {
                return Err(Fault::Group(what, u64::from(count), u64::from(limit)));
            }
        }
        Ok(())
    }

    /// Whether metadata may lie there: in the file system, in the group itself unless `flex_bg`,
    /// and never over the superblock or descriptors of the group it is in.
    fn place_is_possible(group: Group, geometry: &Geometry, at: DiskBlock, len: u32) -> bool {
        let Some((home, bit)) = geometry.group_of(at) else {
            return false;
        };
        geometry.has_blocks(at, len)
            && (geometry.flex_bg()
                || (home == group
                    && bit
                        .checked_add(len)
                        .is_some_and(|end| end <= geometry.group_len(group))))
            && bit >= geometry.base_meta_blocks(home)
    }

    /// Makes the block bitmap of a group whose own was never written ([`GroupFlags::BLOCK_UNINIT`]):
    /// the group's metadata is in use, and so is all past its end. `bits` is the whole block of
    /// the bitmap.
    ///
    /// # Errors
    ///
    /// [`Fault::Bitmap`] when `bits` is too short for the group.
    pub fn fresh_block_bitmap(
        &self,
        group: Group,
        geometry: &Geometry,
        bits: &mut [u8],
    ) -> Result<(), Fault> {
        bits.fill(0);
        let mark = |bits: &mut [u8], start: u32, len: u32| -> Result<(), Fault> {
            // Overlaps cannot be here: places were checked.
            bitmap::fill(bits, start, len)
        };
        mark(bits, 0, geometry.base_meta_blocks(group))?;
        let own = [
            (self.block_bitmap, 1),
            (self.inode_bitmap, 1),
            (self.inode_table, geometry.inode_table_blocks()),
        ];
        for (at, len) in own {
            for n in 0..len {
                let place = at
                    .checked_add(u64::from(n))
                    .and_then(|b| geometry.group_of(b));
                if let Some((home, bit)) = place {
                    if home == group {
                        mark(bits, bit, 1)?;
                    }
                }
            }
        }
        let end = geometry.group_len(group);
        let all = u32::try_from(bits.len().saturating_mul(8)).unwrap_or(u32::MAX);
        mark(bits, end, all.saturating_sub(end))
    }

    /// Makes the inode bitmap of a group whose own was never written: all free, and all past the
    /// last inode in use.
    pub fn fresh_inode_bitmap(geometry: &Geometry, bits: &mut [u8]) -> Result<(), Fault> {
        bits.fill(0);
        let end = geometry.inodes_per_group().get();
        let all = u32::try_from(bits.len().saturating_mul(8)).unwrap_or(u32::MAX);
        bitmap::fill(bits, end, all.saturating_sub(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::bytes::put_le32;

    #[test]
    fn both_sizes_keep_their_halves() {
        let desc = GroupDesc {
            block_bitmap: DiskBlock(0x1_0000_0001),
            inode_bitmap: DiskBlock(2),
            inode_table: DiskBlock(3),
            free_blocks: 0x1_0002,
            free_inodes: 7,
            used_dirs: 1,
            unused_inodes: 5,
            flags: GroupFlags::INODE_ZEROED,
        };
        let mut wide = [0; 64];
        put_le32(&mut wide, BLOCK_BITMAP.0, 1).unwrap();
        put_le32(&mut wide, BLOCK_BITMAP.1, 1).unwrap();
        put_le32(&mut wide, INODE_BITMAP.0, 2).unwrap();
        put_le32(&mut wide, INODE_TABLE.0, 3).unwrap();
        let mut narrow = [0; 32];
        narrow.copy_from_slice(&wide[..32]);
        desc.store(&mut wide).unwrap();
        assert_eq!(GroupDesc::parse(&wide), Ok(desc));
        desc.store(&mut narrow).unwrap();
        let back = GroupDesc::parse(&narrow).unwrap();
        assert_eq!((back.block_bitmap, back.free_blocks), (DiskBlock(1), 2));
        assert!(
            GroupDesc::parse(&narrow[..31]).is_ok(),
            "the last two bytes hold the sum only"
        );
        assert!(GroupDesc::parse(&narrow[..28]).is_err());
    }
}
