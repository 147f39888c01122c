// SPDX-License-Identifier: GPL-2.0

//! Metadata checksums: which bytes each covers, and where it is stored.
//!
//! The sums themselves (crc32c, crc16) come from the platform as function pointers. None of the
//! crc32c sums here is inverted at the end: the kernel's `crc32c(seed, ..)` is meant, whose
//! argument and result are the bare register.
//!
//! Source: `Documentation/filesystems/ext4/checksums.rst`.

use super::{
    bytes::{le16, le32, put_le16, put_le32},
    extent,
    fault::{Fault, Record},
    units::{DiskBlock, Group, Ino},
};

/// The functions that compute sums: `crc(register, bytes)` gives the new register, no inversion.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// CRC-32C (Castagnoli), reflected.
    pub crc32c: fn(u32, &[u8]) -> u32,
    /// CRC-16 (polynomial 0x8005), reflected: the kernel's `crc16()`.
    pub crc16: fn(u16, &[u8]) -> u16,
}

/// A state of crc32c to go on from: of the file system, or of one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u32);

/// Which sums the file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No checksums.
    None,
    /// `uninit_bg`: crc16 on group descriptors only.
    GroupDescriptors,
    /// `metadata_csum`: crc32c on everything.
    Metadata,
}

/// The checksums of one mounted file system; made once from its superblock.
#[derive(Clone, Copy, Debug)]
pub struct Checksums {
    functions: Functions,
    mode: Mode,
    seed: Seed,
    uuid: [u8; 16],
}

/// Length of a superblock, and the place of its checksum in it.
const SUPERBLOCK: usize = 1024;
const SUPERBLOCK_CSUM: usize = 0x3fc;
/// Place of the checksum in a group descriptor, and of the high halves of the bitmaps' sums.
const DESC_CSUM: usize = 0x1e;
const BLOCK_BITMAP_CSUM: (usize, usize) = (0x18, 0x38);
const INODE_BITMAP_CSUM: (usize, usize) = (0x1a, 0x3a);
/// Places in an inode.
const INODE_GENERATION: usize = 0x64;
const INODE_CSUM_LO: usize = 0x7c;
const INODE_EXTRA_SIZE: usize = 0x80;
const INODE_CSUM_HI: usize = 0x82;
/// Length of the fake entry that ends a directory block.
const DIR_TAIL: usize = 12;
/// Place of the checksum in an xattr block.
const XATTR_CSUM: usize = 0x10;

/// `stored == computed`, or the fault that says otherwise.
pub(crate) fn compare(record: Record, stored: u32, computed: u32) -> Result<(), Fault> {
    if stored == computed {
        return Ok(());
    }
    Err(Fault::Checksum {
        record,
        stored,
        computed,
    })
}

/// The superblock's own sum, which needs no seed. `None` when the bytes are too few.
pub fn superblock_sum(functions: &Functions, bytes: &[u8]) -> Option<u32> {
    Some((functions.crc32c)(!0, bytes.get(..SUPERBLOCK_CSUM)?))
}

/// Checks the checksum of the superblock (its 1024 bytes). Call only with `metadata_csum`.
pub fn verify_superblock(functions: &Functions, bytes: &[u8]) -> Result<(), Fault> {
    let short = Fault::short(Record::Superblock, SUPERBLOCK, bytes.len());
    let computed = superblock_sum(functions, bytes).ok_or(short)?;
    let stored = le32(bytes, SUPERBLOCK_CSUM).ok_or(short)?;
    compare(Record::Superblock, stored, computed)
}

impl Checksums {
    /// Makes the sums of a file system: `seed` from the superblock (or from its `uuid`, which
    /// the crc16 variant needs too).
    pub const fn new(functions: Functions, mode: Mode, seed: Seed, uuid: [u8; 16]) -> Self {
        Self {
            functions,
            mode,
            seed,
            uuid,
        }
    }

    /// Whether all metadata carries crc32c sums.
    pub const fn enabled(&self) -> bool {
        matches!(self.mode, Mode::Metadata)
    }

    /// Which sums there are.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The seed of an inode's own record, extent blocks and directory blocks.
    pub fn inode_seed(&self, ino: Ino, generation: u32) -> Seed {
        let sum = self.crc(self.seed.0, &ino.get().to_le_bytes());
        Seed(self.crc(sum, &generation.to_le_bytes()))
    }

    fn crc(&self, state: u32, bytes: &[u8]) -> u32 {
        (self.functions.crc32c)(state, bytes)
    }

    /// Runs the sum over `bytes` with `hole` read as zeros.
    fn crc_with_hole(&self, state: u32, bytes: &[u8], hole: (usize, usize)) -> Option<u32> {
        const ZEROS: [u8; 4] = [0; 4];
        let (at, len) = hole;
        let state = self.crc(state, bytes.get(..at)?);
        let state = self.crc(state, ZEROS.get(..len)?);
        Some(self.crc(state, bytes.get(at.checked_add(len)?..)?))
    }

    /// Sums the superblock and stores the sum; nothing without `metadata_csum`.
    pub fn seal_superblock(&self, bytes: &mut [u8]) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let short = Fault::short(Record::Superblock, SUPERBLOCK, bytes.len());
        let sum = superblock_sum(&self.functions, bytes).ok_or(short)?;
        put_le32(bytes, SUPERBLOCK_CSUM, sum).ok_or(short)
    }

    /// The sum of a group descriptor (all its bytes), or `None` when there is none or it is short.
    fn group_desc_sum(&self, group: Group, desc: &[u8]) -> Option<u16> {
        let number = group.get().to_le_bytes();
        match self.mode {
            Mode::None => None,
            Mode::Metadata => {
                let sum = self.crc(self.seed.0, &number);
                let sum = self.crc_with_hole(sum, desc, (DESC_CSUM, 2))?;
                Some((sum & 0xffff) as u16)
            }
            Mode::GroupDescriptors => {
                let crc16 = self.functions.crc16;
                let sum = crc16(!0, &self.uuid);
                let sum = crc16(sum, &number);
                let sum = crc16(sum, desc.get(..DESC_CSUM)?);
                // The crc16 variant skips the field instead of reading zeros.
                Some(crc16(sum, desc.get(DESC_CSUM.checked_add(2)?..)?))
            }
        }
    }

    /// Checks a group descriptor; `desc` is exactly its bytes (32, 64, ...).
    pub fn verify_group_desc(&self, group: Group, desc: &[u8]) -> Result<(), Fault> {
        if self.mode == Mode::None {
            return Ok(());
        }
        let short = Fault::short(Record::GroupDesc, 32, desc.len());
        let computed = self.group_desc_sum(group, desc).ok_or(short)?;
        let stored = le16(desc, DESC_CSUM).ok_or(short)?;
        compare(Record::GroupDesc, u32::from(stored), u32::from(computed))
    }

    /// Stores the sum in a group descriptor.
    pub fn seal_group_desc(&self, group: Group, desc: &mut [u8]) -> Result<(), Fault> {
        if self.mode == Mode::None {
            return Ok(());
        }
        let short = Fault::short(Record::GroupDesc, 32, desc.len());
        let sum = self.group_desc_sum(group, desc).ok_or(short)?;
        put_le16(desc, DESC_CSUM, sum).ok_or(short)
    }

    fn verify_bitmap(
        &self,
        record: Record,
        desc: &[u8],
        bits: &[u8],
        at: (usize, usize),
    ) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let short = Fault::short(Record::GroupDesc, 32, desc.len());
        let low = le16(desc, at.0).ok_or(short)?;
        let computed = self.crc(self.seed.0, bits);
        match le16(desc, at.1) {
            Some(high) => compare(record, (u32::from(high) << 16) | u32::from(low), computed),
            None => compare(record, u32::from(low), computed & 0xffff),
        }
    }

    fn seal_bitmap(&self, desc: &mut [u8], bits: &[u8], at: (usize, usize)) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let sum = self.crc(self.seed.0, bits);
        let short = Fault::short(Record::GroupDesc, 32, desc.len());
        put_le16(desc, at.0, (sum & 0xffff) as u16).ok_or(short)?;
        // A 32-byte descriptor has no room for the high half, which is then not kept.
        let _ = put_le16(desc, at.1, (sum >> 16) as u16);
        Ok(())
    }

    /// Checks a block bitmap against its group's descriptor. `bits` are the first
    /// `blocks_per_group / 8` bytes of the bitmap's block, not the whole block.
    pub fn verify_block_bitmap(&self, desc: &[u8], bits: &[u8]) -> Result<(), Fault> {
        self.verify_bitmap(Record::BlockBitmap, desc, bits, BLOCK_BITMAP_CSUM)
    }

    /// Stores a block bitmap's sum in its group's descriptor (which must be sealed afterwards).
    pub fn seal_block_bitmap(&self, desc: &mut [u8], bits: &[u8]) -> Result<(), Fault> {
        self.seal_bitmap(desc, bits, BLOCK_BITMAP_CSUM)
    }

    /// Checks an inode bitmap; `bits` are its first `inodes_per_group / 8` bytes.
    pub fn verify_inode_bitmap(&self, desc: &[u8], bits: &[u8]) -> Result<(), Fault> {
        self.verify_bitmap(Record::InodeBitmap, desc, bits, INODE_BITMAP_CSUM)
    }

    /// Stores an inode bitmap's sum in its group's descriptor (which must be sealed afterwards).
    pub fn seal_inode_bitmap(&self, desc: &mut [u8], bits: &[u8]) -> Result<(), Fault> {
        self.seal_bitmap(desc, bits, INODE_BITMAP_CSUM)
    }

    /// Whether an inode record of these bytes has room for the high half of its sum.
    fn inode_has_high(raw: &[u8]) -> bool {
        raw.len() > 128 && le16(raw, INODE_EXTRA_SIZE).is_some_and(|extra| extra >= 4)
    }

    fn inode_sum(&self, ino: Ino, raw: &[u8]) -> Option<u32> {
        let generation = le32(raw, INODE_GENERATION)?;
        let seed = self.inode_seed(ino, generation).0;
        if !Self::inode_has_high(raw) {
            let sum = self.crc_with_hole(seed, raw, (INODE_CSUM_LO, 2))?;
            return Some(sum & 0xffff);
        }
        let (low, high) = raw.split_at_checked(INODE_EXTRA_SIZE)?;
        let sum = self.crc_with_hole(seed, low, (INODE_CSUM_LO, 2))?;
        self.crc_with_hole(sum, high, (INODE_CSUM_HI.checked_sub(INODE_EXTRA_SIZE)?, 2))
    }

    /// Checks an inode record; `raw` is all of it (`s_inode_size` bytes).
    pub fn verify_inode(&self, ino: Ino, raw: &[u8]) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let short = Fault::short(Record::Inode, 128, raw.len());
        let computed = self.inode_sum(ino, raw).ok_or(short)?;
        let low = u32::from(le16(raw, INODE_CSUM_LO).ok_or(short)?);
        if !Self::inode_has_high(raw) {
            return compare(Record::Inode, low, computed);
        }
        let high = u32::from(le16(raw, INODE_CSUM_HI).ok_or(short)?);
        compare(Record::Inode, (high << 16) | low, computed)
    }

    /// Stores the sum in an inode record.
    pub fn seal_inode(&self, ino: Ino, raw: &mut [u8]) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let short = Fault::short(Record::Inode, 128, raw.len());
        let sum = self.inode_sum(ino, raw).ok_or(short)?;
        put_le16(raw, INODE_CSUM_LO, (sum & 0xffff) as u16).ok_or(short)?;
        if Self::inode_has_high(raw) {
            put_le16(raw, INODE_CSUM_HI, (sum >> 16) as u16).ok_or(short)?;
        }
        Ok(())
    }

    /// Checks the sum that a block has in itself; `sum` gives its place and what it should be. `need` is
    /// how long the block is at least.
    fn verify_in(
        &self,
        (record, need): (Record, usize),
        block: &[u8],
        sum: impl FnOnce(&[u8]) -> Option<(usize, u32)>,
    ) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let short = Fault::short(record, need, block.len());
        let (at, computed) = sum(block).ok_or(short)?;
        compare(record, le32(block, at).ok_or(short)?, computed)
    }

    /// Stores the sum that [`Self::verify_in`] checks.
    fn seal_in(
        &self,
        (record, need): (Record, usize),
        block: &mut [u8],
        sum: impl FnOnce(&[u8]) -> Option<(usize, u32)>,
    ) -> Result<(), Fault> {
        if !self.enabled() {
            return Ok(());
        }
        let short = Fault::short(record, need, block.len());
        let (at, sum) = sum(block).ok_or(short)?;
        put_le32(block, at, sum).ok_or(short)
    }

    fn extent_sum(&self, seed: Seed, block: &[u8]) -> Option<(usize, u32)> {
        let at = extent::tail_offset(block)?;
        Some((at, self.crc(seed.0, block.get(..at)?)))
    }

    /// Checks an extent block (not the root in the inode); `seed` is its inode's.
    pub fn verify_extent_block(&self, seed: Seed, block: &[u8]) -> Result<(), Fault> {
        let record = (Record::ExtentNode, 16);
        self.verify_in(record, block, |block| self.extent_sum(seed, block))
    }

    /// Stores the sum in an extent block.
    pub fn seal_extent_block(&self, seed: Seed, block: &mut [u8]) -> Result<(), Fault> {
        let record = (Record::ExtentNode, 16);
        self.seal_in(record, block, |block| self.extent_sum(seed, block))
    }

    fn dir_sum(&self, seed: Seed, block: &[u8]) -> Option<(usize, u32)> {
        let tail = block.len().checked_sub(DIR_TAIL)?;
        Some((tail.checked_add(8)?, self.crc(seed.0, block.get(..tail)?)))
    }

    /// Checks a directory leaf, whose last entry holds the sum; `seed` is the directory's.
    /// That the last entry has the right form is the directory parser's to check.
    pub fn verify_dir_block(&self, seed: Seed, block: &[u8]) -> Result<(), Fault> {
        let record = (Record::DirBlock, DIR_TAIL);
        self.verify_in(record, block, |block| self.dir_sum(seed, block))
    }

    /// Stores the sum in a directory leaf.
    pub fn seal_dir_block(&self, seed: Seed, block: &mut [u8]) -> Result<(), Fault> {
        let record = (Record::DirBlock, DIR_TAIL);
        self.seal_in(record, block, |block| self.dir_sum(seed, block))
    }

    /// The sum of an index node whose count is at `countlimit`: header and live entries, then the
    /// tail's reserved word and zeros for the sum. Gives (place of the sum, sum).
    fn htree_sum(&self, seed: Seed, block: &[u8], countlimit: usize) -> Option<(usize, u32)> {
        const ENTRY: usize = 8;
        let limit = usize::from(le16(block, countlimit)?);
        let count = usize::from(le16(block, countlimit.checked_add(2)?)?);
        let tail = countlimit.checked_add(limit.checked_mul(ENTRY)?)?;
        let live = countlimit.checked_add(count.checked_mul(ENTRY)?)?;
        if count > limit {
            return None;
        }
        let sum = self.crc(seed.0, block.get(..live)?);
        let sum = self.crc(sum, block.get(tail..tail.checked_add(4)?)?);
        Some((tail.checked_add(4)?, self.crc(sum, &[0; 4])))
    }

    /// Checks a node of a directory's hash index; `countlimit` is the offset of its limit and
    /// count words (see [`crate::format::htree`]), `seed` the directory's.
    pub fn verify_htree(&self, seed: Seed, block: &[u8], countlimit: usize) -> Result<(), Fault> {
        let record = (Record::HtreeNode, countlimit);
        self.verify_in(record, block, |block| {
            self.htree_sum(seed, block, countlimit)
        })
    }

    /// Stores the sum in a node of a directory's hash index.
    pub fn seal_htree(&self, seed: Seed, block: &mut [u8], countlimit: usize) -> Result<(), Fault> {
        let record = (Record::HtreeNode, countlimit);
        self.seal_in(record, block, |block| {
            self.htree_sum(seed, block, countlimit)
        })
    }

    fn xattr_sum(&self, at: DiskBlock, block: &[u8]) -> Option<(usize, u32)> {
        let sum = self.crc(self.seed.0, &at.get().to_le_bytes());
        let sum = self.crc_with_hole(sum, block, (XATTR_CSUM, 4))?;
        Some((XATTR_CSUM, sum))
    }

    /// Checks an xattr block, whose sum knows its place.
    pub fn verify_xattr_block(&self, at: DiskBlock, block: &[u8]) -> Result<(), Fault> {
        let record = (Record::XattrBlock, 32);
        self.verify_in(record, block, |block| self.xattr_sum(at, block))
    }

    /// Stores the sum in an xattr block.
    pub fn seal_xattr_block(&self, at: DiskBlock, block: &mut [u8]) -> Result<(), Fault> {
        let record = (Record::XattrBlock, 32);
        self.seal_in(record, block, |block| self.xattr_sum(at, block))
    }

    /// The sum of an orphan file block at disk block `at`: the slots, without the 8-byte tail.
    fn orphan_sum(&self, seed: Seed, at: DiskBlock, block: &[u8]) -> Option<(usize, u32)> {
        let tail = block.len().checked_sub(8)?;
        let sum = self.crc(seed.0, &at.get().to_le_bytes());
        Some((tail.checked_add(4)?, self.crc(sum, block.get(..tail)?)))
    }

    /// Checks a block of the orphan file; `seed` is that file's.
    pub fn verify_orphan_block(
        &self,
        seed: Seed,
        at: DiskBlock,
        block: &[u8],
    ) -> Result<(), Fault> {
        let record = (Record::OrphanBlock, 8);
        self.verify_in(record, block, |block| self.orphan_sum(seed, at, block))
    }

    /// Stores the sum in a block of the orphan file.
    pub fn seal_orphan_block(
        &self,
        seed: Seed,
        at: DiskBlock,
        block: &mut [u8],
    ) -> Result<(), Fault> {
        let record = (Record::OrphanBlock, 8);
        self.seal_in(record, block, |block| self.orphan_sum(seed, at, block))
    }
}
