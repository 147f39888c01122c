// SPDX-License-Identifier: GPL-2.0

//! The journal's format (JBD2), all numbers big-endian: superblock, descriptor blocks with their
//! tags, revoke blocks, commit blocks, and their checksums.
//!
//! Source: `Documentation/filesystems/ext4/journal.rst`.

mod tags;

pub use tags::{TagWriter, Tags};

use super::bytes::{array, be32, be64, index, put, put_be32, put_be64, wide};
use super::checksum::{compare, Functions};
use super::fault::{Fault, JournalFault, Record};
use super::units::{DiskBlock, LogBlock, Tid};

/// The fewest blocks a journal has.
const MIN_LEN: u32 = 1024;

/// What every block of the journal's own begins with.
pub const MAGIC: u32 = 0xc03b_3998;

/// Bytes of the header: magic number, type, sequence number.
const HEADER: usize = 12;
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const SUPERBLOCK_V1: u32 = 3;
const SUPERBLOCK_V2: u32 = 4;
const REVOKE: u32 = 5;

/// Places in the journal superblock.
mod sb {
    pub(super) const LEN: usize = 1024;
    pub(super) const BLOCK_SIZE: usize = 12;
    pub(super) const MAX_LEN: usize = 16;
    pub(super) const FIRST: usize = 20;
    pub(super) const SEQUENCE: usize = 24;
    pub(super) const START: usize = 28;
    pub(super) const ERRNO: usize = 32;
    pub(super) const COMPAT: usize = 36;
    pub(super) const INCOMPAT: usize = 40;
    pub(super) const RO_COMPAT: usize = 44;
    pub(super) const UUID: usize = 48;
    pub(super) const CHECKSUM_TYPE: usize = 80;
    pub(super) const CHECKSUM: usize = 252;
}

const COMPAT_CHECKSUM: u32 = 1;
const INCOMPAT_REVOKE: u32 = 1;
const INCOMPAT_64BIT: u32 = 2;
const INCOMPAT_CSUM_V2: u32 = 8;
const INCOMPAT_CSUM_V3: u32 = 16;
const INCOMPAT_KNOWN: u32 = INCOMPAT_REVOKE | INCOMPAT_64BIT | INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3;
/// Asynchronous and fast commits, which C ext4 leaves set: they say something of what is in the log only.
const INCOMPAT_IN_LOG: u32 = 4 | 32;
const CHECKSUM_CRC32C: u8 = 4;

const TAG_ESCAPED: u32 = 1;
const TAG_SAME_UUID: u32 = 2;
const TAG_LAST: u32 = 8;
const UUID: usize = 16;

/// Places in a commit block.
const COMMIT_CHECKSUM: usize = 16;
const COMMIT_SECONDS: usize = 48;
const COMMIT_NANOSECONDS: usize = 56;
/// Where a revoke block says how many of its bytes are used, and where its records begin.
const REVOKE_USED: usize = 12;
const REVOKE_RECORDS: usize = 16;

/// Which checksums the journal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// None.
    None,
    /// One crc32 per transaction, in the commit block.
    V1,
    /// crc32c of every block, cut to 16 bits in tags.
    V2,
    /// crc32c of every block.
    V3,
}

/// What a block of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockType {
    /// It lists the blocks that follow.
    Descriptor,
    /// It ends a transaction.
    Commit,
    /// It lists blocks that must not be replayed.
    Revoke,
}

/// One block listed by a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Where it belongs.
    pub block: DiskBlock,
    /// Its first word was the magic number and is blanked in the log.
    pub escaped: bool,
    /// The checksum of the block as it stands in the log.
    pub checksum: u32,
}

/// The journal superblock's facts, checked, and the sizes that follow from them.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    functions: Functions,
    seed: u32,
    uuid: [u8; UUID],
    block_size: usize,
    wide_blocks: bool,
    /// Which checksums there are.
    pub version: Version,
    /// The first block of the ring.
    pub first_block: u32,
    /// The block after the last of the ring.
    pub end_block: u32,
    /// Where the oldest transaction begins; `None` in an empty log.
    pub start: Option<LogBlock>,
    /// Its sequence number.
    pub sequence: u32,
    /// The error that stopped an earlier mount, 0 if none.
    pub errno: i32,
}

const fn bad(what: JournalFault, a: u64, b: u64) -> Fault {
    Fault::Journal(what, a, b)
}

const fn short(record: Record, need: usize, bytes: &[u8]) -> Fault {
    Fault::short(record, need, bytes.len())
}

impl Layout {
    /// Takes a journal superblock apart; the journal inode has `blocks` blocks of `block_size` bytes.
    pub fn parse(
        bytes: &[u8],
        functions: &Functions,
        block_size: u32,
        blocks: u32,
    ) -> Result<Self, Fault> {
        let missing = short(Record::JournalSuperblock, sb::LEN, bytes);
        let word = |at| be32(bytes, at).ok_or(missing);
        let (compat, incompat) = Self::features(bytes)?;
        let version = Self::version_of(compat, incompat)?;
        let uuid: [u8; UUID] = array(bytes, sb::UUID).ok_or(missing)?;
        if matches!(version, Version::V2 | Version::V3) {
            let kind = bytes.get(sb::CHECKSUM_TYPE).copied().ok_or(missing)?;
            if kind != CHECKSUM_CRC32C {
                return Err(bad(JournalFault::ChecksumType, u64::from(kind), 0));
            }
            let computed = superblock_sum(functions, bytes).ok_or(missing)?;
            compare(Record::JournalSuperblock, word(sb::CHECKSUM)?, computed)?;
        }
        if word(sb::BLOCK_SIZE)? != block_size {
            return Err(bad(
                JournalFault::BlockSize,
                u64::from(word(sb::BLOCK_SIZE)?),
                u64::from(block_size),
            ));
        }
        let (first_block, end_block) = Self::ring(word(sb::FIRST)?, word(sb::MAX_LEN)?, blocks)?;
        let start = word(sb::START)?;
        if start != 0 && !(first_block..end_block).contains(&start) {
            let (start, end) = (u64::from(start), u64::from(end_block));
            return Err(bad(JournalFault::Start, start, end));
        }
        Ok(Self {
            functions: *functions,
            seed: (functions.crc32c)(!0, &uuid),
            uuid,
            block_size: index(block_size),
            wide_blocks: incompat & INCOMPAT_64BIT != 0,
            version,
            first_block,
            end_block,
            start: (start != 0).then_some(LogBlock(start)),
            sequence: word(sb::SEQUENCE)?,
            errno: word(sb::ERRNO)? as i32,
        })
    }

    /// The compatible and the incompatible features of what is a journal superblock, and all known.
    fn features(bytes: &[u8]) -> Result<(u32, u32), Fault> {
        let missing = short(Record::JournalSuperblock, sb::LEN, bytes);
        let word = |at| be32(bytes, at).ok_or(missing);
        if word(0)? != MAGIC {
            return Err(bad(JournalFault::Magic, u64::from(word(0)?), 0));
        }
        let kind = word(4)?;
        let (compat, incompat, ro_compat) = match kind {
            SUPERBLOCK_V1 => (0, 0, 0),
            SUPERBLOCK_V2 => (word(sb::COMPAT)?, word(sb::INCOMPAT)?, word(sb::RO_COMPAT)?),
            _ => {
                let want = u64::from(SUPERBLOCK_V2);
                return Err(bad(JournalFault::BlockType, u64::from(kind), want));
            }
        };
        let harmless = if word(sb::START)? == 0 {
            INCOMPAT_IN_LOG
        } else {
            0
        };
        let unknown = incompat & !INCOMPAT_KNOWN & !harmless;
        if unknown != 0 {
            return Err(bad(JournalFault::UnknownIncompat, u64::from(unknown), 0));
        }
        if ro_compat != 0 {
            return Err(bad(JournalFault::UnknownRoCompat, u64::from(ro_compat), 0));
        }
        Ok((compat, incompat))
    }

    /// The first block of the ring and the one after its last, in a journal of `blocks` blocks.
    fn ring(first: u32, end: u32, blocks: u32) -> Result<(u32, u32), Fault> {
        if !(MIN_LEN..=blocks).contains(&end) {
            return Err(bad(JournalFault::Length, u64::from(end), u64::from(blocks)));
        }
        // Only the superblock comes before the ring in the smallest journal.
        if first == 0 || first > end.saturating_sub(MIN_LEN - 1) {
            let (first, end) = (u64::from(first), u64::from(end));
            return Err(bad(JournalFault::FirstBlock, first, end));
        }
        Ok((first, end))
    }

    fn version_of(compat: u32, incompat: u32) -> Result<Version, Fault> {
        let v1 = compat & COMPAT_CHECKSUM != 0;
        match (
            v1,
            incompat & INCOMPAT_CSUM_V2 != 0,
            incompat & INCOMPAT_CSUM_V3 != 0,
        ) {
            (false, false, false) => Ok(Version::None),
            (true, false, false) => Ok(Version::V1),
            (false, true, false) => Ok(Version::V2),
            (false, false, true) => Ok(Version::V3),
            _ => Err(bad(
                JournalFault::ChecksumMix,
                u64::from(compat),
                u64::from(incompat),
            )),
        }
    }

    /// Chooses the features of an empty log in `bytes`, its superblock: revocations, wide block
    /// numbers and checksums as the file system has them.
    pub fn choose_features(
        &mut self,
        bytes: &mut [u8],
        wide_blocks: bool,
        checksums: bool,
    ) -> Result<(), Fault> {
        let missing = short(Record::JournalSuperblock, sb::LEN, bytes);
        let mut incompat = INCOMPAT_REVOKE;
        if wide_blocks {
            incompat |= INCOMPAT_64BIT;
        }
        if checksums {
            incompat |= INCOMPAT_CSUM_V3;
        }
        let mut set = || {
            put_be32(bytes, 4, SUPERBLOCK_V2)?;
            let compat = be32(bytes, sb::COMPAT)? & !COMPAT_CHECKSUM;
            put_be32(bytes, sb::COMPAT, compat)?;
            put_be32(bytes, sb::INCOMPAT, incompat)?;
            put(
                bytes,
                sb::CHECKSUM_TYPE,
                &[if checksums { CHECKSUM_CRC32C } else { 0 }],
            )
        };
        set().ok_or(missing)?;
        self.wide_blocks = wide_blocks;
        self.version = if checksums {
            Version::V3
        } else {
            Version::None
        };
        Ok(())
    }

    /// Writes the log's beginning (`None`: it is empty), the sequence number that belongs there and
    /// the error into the journal superblock.
    pub fn set_start(
        &mut self,
        bytes: &mut [u8],
        start: Option<LogBlock>,
        tid: Tid,
        errno: i32,
    ) -> Result<(), Fault> {
        let missing = short(Record::JournalSuperblock, sb::LEN, bytes);
        self.start = start;
        self.sequence = tid.0;
        let mut set = || {
            put_be32(bytes, sb::START, start.map_or(0, LogBlock::get))?;
            put_be32(bytes, sb::SEQUENCE, tid.0)?;
            put_be32(bytes, sb::ERRNO, errno as u32)?;
            if self.has_sums() {
                let sum = superblock_sum(&self.functions, bytes)?;
                put_be32(bytes, sb::CHECKSUM, sum)?;
            }
            Some(())
        };
        set().ok_or(missing)
    }

    /// Whether blocks carry crc32c sums.
    fn has_sums(&self) -> bool {
        matches!(self.version, Version::V2 | Version::V3)
    }

    fn tag_len(&self) -> usize {
        match (self.version, self.wide_blocks) {
            (Version::V3, _) => 16,
            (Version::V2, true) => 14,
            (Version::V2, false) => 10,
            (_, true) => 12,
            (_, false) => 8,
        }
    }

    /// Bytes of a block before its checksum tail.
    fn room(&self) -> usize {
        self.block_size
            .saturating_sub(if self.has_sums() { 4 } else { 0 })
    }

    /// How many blocks one descriptor can list.
    pub fn tags_per_block(&self) -> usize {
        self.room().saturating_sub(HEADER + UUID) / self.tag_len()
    }

    fn record_len(&self) -> usize {
        if self.wide_blocks {
            8
        } else {
            4
        }
    }

    /// How many blocks one revoke block can list.
    pub fn revokes_per_block(&self) -> usize {
        self.room().saturating_sub(REVOKE_RECORDS) / self.record_len()
    }

    /// The checksum of a block as it stands in the log of transaction `tid`.
    fn data_sum(&self, tid: Tid, data: &[u8]) -> u32 {
        let sum = (self.functions.crc32c)(self.seed, &tid.0.to_be_bytes());
        (self.functions.crc32c)(sum, data)
    }

    /// The checksum of a block with a 4-byte hole at `at` read as zeros.
    fn block_sum(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let sum = (self.functions.crc32c)(self.seed, bytes.get(..at)?);
        let sum = (self.functions.crc32c)(sum, &[0; 4]);
        Some((self.functions.crc32c)(
            sum,
            bytes.get(at.checked_add(4)?..)?,
        ))
    }

    fn seal_tail(&self, bytes: &mut [u8]) -> Option<()> {
        if self.has_sums() {
            let sum = self.block_sum(bytes, self.room())?;
            put_be32(bytes, self.room(), sum)?;
        }
        Some(())
    }

    /// Checks the tail of a descriptor or revoke block.
    pub fn verify_tail(&self, record: Record, bytes: &[u8]) -> Result<(), Fault> {
        if !self.has_sums() {
            return Ok(());
        }
        let missing = short(record, self.block_size, bytes);
        let computed = self.block_sum(bytes, self.room()).ok_or(missing)?;
        compare(record, be32(bytes, self.room()).ok_or(missing)?, computed)
    }

    /// Begins a descriptor in a zeroed block.
    pub fn begin_descriptor<'b>(
        &self,
        bytes: &'b mut [u8],
        tid: Tid,
    ) -> Result<TagWriter<'b>, Fault> {
        begin(bytes, DESCRIPTOR, tid)?;
        Ok(TagWriter {
            layout: *self,
            bytes,
            tid,
            at: HEADER,
            last_flags: None,
        })
    }

    /// The blocks that a descriptor lists, in the order in which they follow it.
    pub fn tags<'b>(&self, bytes: &'b [u8]) -> Tags<'b> {
        Tags {
            layout: *self,
            bytes,
            at: HEADER,
            done: false,
        }
    }

    /// Checks a logged block against its tag.
    pub fn verify_data(&self, tag: &Tag, tid: Tid, data: &[u8]) -> Result<(), Fault> {
        let computed = match self.version {
            Version::None | Version::V1 => return Ok(()),
            Version::V2 => self.data_sum(tid, data) & 0xffff,
            Version::V3 => self.data_sum(tid, data),
        };
        compare(Record::JournalBlock, tag.checksum, computed)
    }

    /// Fills a zeroed block with the list of revoked blocks.
    pub fn write_revoke(
        &self,
        bytes: &mut [u8],
        tid: Tid,
        revoked: &[DiskBlock],
    ) -> Result<(), Fault> {
        begin(bytes, REVOKE, tid)?;
        let mut at = REVOKE_RECORDS;
        for block in revoked {
            let full = bad(JournalFault::NoRoom, wide(at), wide(self.room()));
            let end = at
                .checked_add(self.record_len())
                .filter(|end| *end <= self.room())
                .ok_or(full)?;
            if self.wide_blocks {
                put_be64(bytes, at, block.get()).ok_or(full)?;
            } else {
                let narrow = u32::try_from(block.get())
                    .map_err(|_| bad(JournalFault::BlockTooLarge, block.get(), 0))?;
                put_be32(bytes, at, narrow).ok_or(full)?;
            }
            at = end;
        }
        let full = bad(JournalFault::NoRoom, wide(at), wide(self.room()));
        let used = u32::try_from(at).map_err(|_| full)?;
        put_be32(bytes, REVOKE_USED, used).ok_or(full)?;
        self.seal_tail(bytes).ok_or(full)
    }

    /// The blocks that a revoke block lists.
    pub fn revokes<'b>(
        &self,
        bytes: &'b [u8],
    ) -> Result<impl Iterator<Item = DiskBlock> + 'b, Fault> {
        let missing = short(Record::JournalRevoke, self.block_size, bytes);
        let used = be32(bytes, REVOKE_USED).ok_or(missing)?;
        let (len, wide_blocks) = (self.record_len(), self.wide_blocks);
        let fault = bad(JournalFault::RevokeSize, u64::from(used), wide(self.room()));
        if index(used) > self.room() {
            return Err(fault);
        }
        let records = bytes.get(REVOKE_RECORDS..index(used)).ok_or(fault)?;
        if records.len() % len != 0 {
            return Err(fault);
        }
        Ok(records.chunks_exact(len).filter_map(move |record| {
            let block = if wide_blocks {
                be64(record, 0)
            } else {
                be32(record, 0).map(u64::from)
            };
            block.map(DiskBlock)
        }))
    }

    /// Fills a zeroed block with a commit record.
    pub fn write_commit(&self, bytes: &mut [u8], tid: Tid, time: (i64, u32)) -> Result<(), Fault> {
        begin(bytes, COMMIT, tid)?;
        let missing = short(Record::JournalCommit, self.block_size, bytes);
        let mut set = || {
            put_be64(bytes, COMMIT_SECONDS, time.0 as u64)?;
            put_be32(bytes, COMMIT_NANOSECONDS, time.1)?;
            if self.has_sums() {
                let sum = self.block_sum(bytes, COMMIT_CHECKSUM)?;
                put_be32(bytes, COMMIT_CHECKSUM, sum)?;
            }
            Some(())
        };
        set().ok_or(missing)
    }

    /// Checks a commit block. `v1_sum` is the crc32 over the transaction's blocks as they stand in
    /// the log, for journals of that version.
    pub fn verify_commit(&self, bytes: &[u8], v1_sum: u32) -> Result<(), Fault> {
        let missing = short(Record::JournalCommit, self.block_size, bytes);
        let stored = be32(bytes, COMMIT_CHECKSUM).ok_or(missing)?;
        match self.version {
            Version::None => Ok(()),
            // A commit block without the kind and size of a crc32 has no checksum.
            Version::V1 if bytes.get(12..14) != Some(&[1, 4]) => Ok(()),
            Version::V1 => compare(Record::JournalCommit, stored, v1_sum),
            Version::V2 | Version::V3 => {
                let computed = self.block_sum(bytes, COMMIT_CHECKSUM).ok_or(missing)?;
                compare(Record::JournalCommit, stored, computed)
            }
        }
    }
}

fn superblock_sum(functions: &Functions, bytes: &[u8]) -> Option<u32> {
    let sum = (functions.crc32c)(!0, bytes.get(..sb::CHECKSUM)?);
    let sum = (functions.crc32c)(sum, &[0; 4]);
    Some((functions.crc32c)(
        sum,
        bytes.get(sb::CHECKSUM + 4..sb::LEN)?,
    ))
}

fn begin(bytes: &mut [u8], kind: u32, tid: Tid) -> Result<(), Fault> {
    let missing = short(Record::JournalBlock, HEADER, bytes);
    put_be32(bytes, 0, MAGIC).ok_or(missing)?;
    put_be32(bytes, 4, kind).ok_or(missing)?;
    put_be32(bytes, 8, tid.0).ok_or(missing)
}

/// What a block of the log is and to which transaction it belongs; `None` if it is not the journal's
/// own (data, or old bytes).
pub fn header(bytes: &[u8]) -> Option<(BlockType, Tid)> {
    if be32(bytes, 0)? != MAGIC {
        return None;
    }
    let kind = match be32(bytes, 4)? {
        DESCRIPTOR => BlockType::Descriptor,
        COMMIT => BlockType::Commit,
        REVOKE => BlockType::Revoke,
        _ => return None,
    };
    Some((kind, Tid(be32(bytes, 8)?)))
}

/// The time a commit block was written, in seconds since 1970.
pub fn commit_seconds(bytes: &[u8]) -> Option<u64> {
    be64(bytes, COMMIT_SECONDS)
}

#[cfg(test)]
mod tests;
