// SPDX-License-Identifier: GPL-2.0

//! The block map of an inode without extents: 12 blocks named in the inode, then trees of one, two
//! and three levels of blocks full of block numbers. 0 means a hole.
//!
//! Source: `Documentation/filesystems/ext4/ifork.rst`, "Direct/Indirect Block Addressing".

use super::{
    bytes::{index, le32, put_le32},
    fault::{Fault, MapFault, Record},
    units::{DiskBlock, FileBlock},
};

/// Blocks named in the inode itself.
pub const DIRECT: u32 = 12;

/// The way to a logical block: which number to take in the inode, and then in each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    steps: [u32; 4],
    len: u8,
    /// How many more logical blocks follow in the same last block of numbers (or in the inode).
    pub following: u32,
}

impl Path {
    /// The way to a logical block with blocks of `1 << block_bits` bytes.
    ///
    /// # Errors
    ///
    /// A logical block that three levels do not reach.
    pub fn to(lblk: FileBlock, block_bits: u32) -> Result<Self, Fault> {
        let bits = block_bits.saturating_sub(2);
        let per = 1u64 << bits;
        let mask = per.saturating_sub(1);
        let mut rest = u64::from(lblk.get());
        if rest < u64::from(DIRECT) {
            let following = DIRECT.saturating_sub(1).saturating_sub(lblk.get());
            return Ok(Self {
                steps: [lblk.get(), 0, 0, 0],
                len: 1,
                following,
            });
        }
        rest = rest.saturating_sub(u64::from(DIRECT));
        for level in 1u8..=3 {
            let span = 1u64 << bits.saturating_mul(u32::from(level));
            if rest >= span {
                rest = rest.saturating_sub(span);
                continue;
            }
            // Digits of `rest` to the base `per`, the most significant first.
            let digit = |n: u8| {
                let shift = bits.saturating_mul(u32::from(level.saturating_sub(n)));
                ((rest >> shift) & mask) as u32
            };
            let mut steps = [
                DIRECT.saturating_add(u32::from(level)).saturating_sub(1),
                0,
                0,
                0,
            ];
            for (n, step) in (1..=level).zip(steps.iter_mut().skip(1)) {
                *step = digit(n);
            }
            return Ok(Self {
                steps,
                len: level.saturating_add(1),
                following: mask.saturating_sub(rest & mask) as u32,
            });
        }
        Err(Fault::Map(MapFault::TooFar, u64::from(lblk.get()), 0))
    }

    /// The numbers to take: first in the inode (0 to 14), then in each block.
    pub fn steps(&self) -> &[u32] {
        self.steps.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// Logical blocks that three levels reach.
pub const fn reach(block_bits: u32) -> u64 {
    let bits = block_bits.saturating_sub(2);
    (DIRECT as u64)
        .saturating_add(1 << bits)
        .saturating_add(1 << (bits * 2))
        .saturating_add(1 << (bits * 3))
}

/// Number `at` of `i_block` or of a block of numbers: `None` is a hole. `valid` says whether a
/// block may be a file's.
pub fn entry(
    bytes: &[u8],
    at: u32,
    valid: impl Fn(DiskBlock, u32) -> bool,
) -> Result<Option<DiskBlock>, Fault> {
    let place = index(at).saturating_mul(4);
    let short = Fault::short(Record::IndirectBlock, place.saturating_add(4), bytes.len());
    let number = le32(bytes, place).ok_or(short)?;
    let block = DiskBlock(u64::from(number));
    match number {
        0 => Ok(None),
        _ if valid(block, 1) => Ok(Some(block)),
        _ => Err(Fault::Map(MapFault::Block, block.get(), u64::from(at))),
    }
}

/// Checks all numbers of a block of them.
pub fn check(bytes: &[u8], valid: impl Fn(DiskBlock, u32) -> bool) -> Result<(), Fault> {
    for at in 0..super::bytes::clamp32(bytes.len() / 4) {
        entry(bytes, at, &valid)?;
    }
    Ok(())
}

/// Stores number `at`. Block numbers of this map have 32 bits.
pub fn set_entry(bytes: &mut [u8], at: u32, block: Option<DiskBlock>) -> Result<(), Fault> {
    let place = index(at).saturating_mul(4);
    let short = Fault::short(Record::IndirectBlock, place.saturating_add(4), bytes.len());
    let block = block.map_or(0, DiskBlock::get);
    let number =
        u32::try_from(block).map_err(|_| Fault::Map(MapFault::Block, block, u64::from(at)))?;
    put_le32(bytes, place, number).ok_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_levels() {
        for (lblk, steps, following) in [
            (0, &[0][..], 11),
            (11, &[11], 0),
            (12, &[12, 0], 255),
            (267, &[12, 255], 0),
            (268, &[13, 0, 0], 255),
            (268 + 65535, &[13, 255, 255], 0),
            (268 + 65536, &[14, 0, 0, 0], 255),
            (268 + 65536 + 256 * 256 * 256 - 1, &[14, 255, 255, 255], 0),
        ] {
            let path = Path::to(FileBlock(lblk), 10).unwrap();
            assert_eq!(path.steps(), steps, "{lblk}");
            assert_eq!(path.following, following, "{lblk}");
        }
        let last = reach(10);
        assert!(Path::to(FileBlock(last as u32), 10).is_err());
        assert!(Path::to(FileBlock(last as u32 - 1), 10).is_ok());
        assert!(Path::to(FileBlock(u32::MAX), 12).is_err());
        assert!(Path::to(FileBlock(u32::MAX), 16).is_ok());
    }

    #[test]
    fn numbers() {
        let mut block = [0u8; 16];
        set_entry(&mut block, 3, Some(DiskBlock(7))).unwrap();
        assert_eq!(entry(&block, 3, |_, _| true), Ok(Some(DiskBlock(7))));
        assert_eq!(entry(&block, 2, |_, _| false), Ok(None));
        assert!(entry(&block, 3, |_, _| false).is_err());
        assert!(entry(&block, 4, |_, _| true).is_err());
        assert!(set_entry(&mut block, 0, Some(DiskBlock(1 << 32))).is_err());
    }
}
