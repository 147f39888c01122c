// SPDX-License-Identifier: GPL-2.0

//! Blocks of the orphan file: slots with the numbers of inodes to be finished after a crash (0 in
//! a free slot), then a magic number and a checksum.
//!
//! Source: `Documentation/filesystems/ext4/orphan.rst`.

use super::{
    bytes::{index, le32, put_le32},
    fault::{Fault, OrphanFault as O, Record},
    units::Ino,
};

/// The magic number at the end of a block.
pub const MAGIC: u32 = 0x0b10_ca04;
/// Length of magic number and checksum.
const TAIL: usize = 8;

/// Slots in a block of `len` bytes.
pub const fn slots(len: usize) -> u32 {
    super::bytes::clamp32(len.saturating_sub(TAIL) / 4)
}

/// Checks the magic number of a block. The checksum is checked elsewhere.
pub fn check(block: &[u8]) -> Result<(), Fault> {
    let short = Fault::short(Record::OrphanBlock, TAIL, block.len());
    let at = block.len().checked_sub(TAIL).ok_or(short)?;
    match le32(block, at).ok_or(short)? {
        MAGIC => Ok(()),
        magic => Err(Fault::Orphan(O::Magic, u64::from(magic), 0)),
    }
}

/// Checks what slot `n` holds: only inodes that are not reserved can be orphans.
pub fn check_slot(n: u32, ino: Ino, first_ino: Ino, inode_count: u32) -> Result<(), Fault> {
    if ino < first_ino || ino.get() > inode_count {
        return Err(Fault::Orphan(O::Inode, u64::from(n), u64::from(ino.get())));
    }
    Ok(())
}

/// What slot `n` holds: `None` when it is free.
pub fn slot(block: &[u8], n: u32) -> Result<Option<Ino>, Fault> {
    let count = slots(block.len());
    let fault = Fault::Orphan(O::Slot, u64::from(n), u64::from(count));
    if n >= count {
        return Err(fault);
    }
    let ino = le32(block, index(n).saturating_mul(4)).ok_or(fault)?;
    Ok((ino != 0).then_some(Ino(ino)))
}

/// Puts an inode into slot `n`, or frees it.
pub fn set_slot(block: &mut [u8], n: u32, ino: Option<Ino>) -> Result<(), Fault> {
    let count = slots(block.len());
    let fault = Fault::Orphan(O::Slot, u64::from(n), u64::from(count));
    if n >= count {
        return Err(fault);
    }
    put_le32(block, index(n).saturating_mul(4), ino.map_or(0, Ino::get)).ok_or(fault)
}

/// The slots in use, and what they hold.
pub fn orphans(block: &[u8]) -> impl Iterator<Item = (u32, Ino)> + '_ {
    (0..slots(block.len())).filter_map(|n| match slot(block, n) {
        Ok(Some(ino)) => Some((n, ino)),
        _ => None,
    })
}

/// Makes an empty block.
pub fn init(block: &mut [u8]) -> Result<(), Fault> {
    let len = block.len();
    let short = Fault::short(Record::OrphanBlock, TAIL, len);
    let at = len.checked_sub(TAIL).ok_or(short)?;
    block.fill(0);
    put_le32(block, at, MAGIC).ok_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_tail() {
        let mut block = [0xffu8; 1024];
        assert!(check(&block).is_err());
        init(&mut block).unwrap();
        assert_eq!(check(&block), Ok(()));
        assert_eq!(slots(1024), 254);
        set_slot(&mut block, 0, Some(Ino(12))).unwrap();
        set_slot(&mut block, 253, Some(Ino(100))).unwrap();
        assert!(set_slot(&mut block, 254, None).is_err());
        assert_eq!(check(&block), Ok(()));
        for (ino, count, is_possible) in [(11, 100, true), (10, 100, false), (100, 99, false)] {
            let checked = check_slot(3, Ino(ino), Ino(11), count);
            assert_eq!(checked.is_ok(), is_possible);
        }
        assert!(orphans(&block).eq([(0, Ino(12)), (253, Ino(100))]));
    }

    #[test]
    fn short_blocks_are_faults() {
        for len in 0..16usize {
            let mut block = [0u8; 16];
            let block = &mut block[..len];
            let _ = init(block);
            let _ = check(block);
            assert!(slot(block, u32::MAX).is_err());
        }
    }
}
