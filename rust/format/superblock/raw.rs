// SPDX-License-Identifier: GPL-2.0

//! The 1024 bytes of a superblock: reading them one by one, and editing them in place.

use super::{bad, state, ErrorPolicy, JournalPlace, LEN};
use crate::format::{
    fault::{Fault, Record, SuperblockFault as S},
    features::{Compat, Incompat, RoCompat},
    geometry::Geometry,
    hash::{HashVersion, Signedness},
    inode::KNOWN_EXTRA,
    units::{DiskBlock, Ino},
};
use zerocopy::{
    little_endian::{U16, U32, U64},
    FromBytes, IntoBytes,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The superblock as it is on the disk. Field names are those of `struct ext4_super_block`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawSuperblock {
    pub(crate) inodes_count: U32,
    pub(crate) blocks_count_lo: U32,
    pub(crate) r_blocks_count_lo: U32,
    pub(crate) free_blocks_count_lo: U32,
    pub(crate) free_inodes_count: U32,
    pub(crate) first_data_block: U32,
    pub(crate) log_block_size: U32,
    pub(crate) log_cluster_size: U32,
    pub(crate) blocks_per_group: U32,
    pub(crate) clusters_per_group: U32,
    pub(crate) inodes_per_group: U32,
    pub(crate) mtime: U32,
    pub(crate) wtime: U32,
    pub(crate) mnt_count: U16,
    pub(crate) max_mnt_count: U16,
    pub(crate) magic: U16,
    pub(crate) state: U16,
    pub(crate) errors: U16,
    pub(crate) minor_rev_level: U16,
    pub(crate) lastcheck: U32,
    pub(crate) checkinterval: U32,
    pub(crate) creator_os: U32,
    pub(crate) rev_level: U32,
    pub(crate) def_resuid: U16,
    pub(crate) def_resgid: U16,
    pub(crate) first_ino: U32,
    pub(crate) inode_size: U16,
    pub(crate) block_group_nr: U16,
    pub(crate) feature_compat: U32,
    pub(crate) feature_incompat: U32,
    pub(crate) feature_ro_compat: U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) volume_name: [u8; 16],
    pub(crate) last_mounted: [u8; 64],
    pub(crate) algorithm_usage_bitmap: U32,
    pub(crate) prealloc_blocks: u8,
    pub(crate) prealloc_dir_blocks: u8,
    pub(crate) reserved_gdt_blocks: U16,
    pub(crate) journal_uuid: [u8; 16],
    pub(crate) journal_inum: U32,
    pub(crate) journal_dev: U32,
    pub(crate) last_orphan: U32,
    pub(crate) hash_seed: [U32; 4],
    pub(crate) def_hash_version: u8,
    pub(crate) jnl_backup_type: u8,
    pub(crate) desc_size: U16,
    pub(crate) default_mount_opts: U32,
    pub(crate) first_meta_bg: U32,
    pub(crate) mkfs_time: U32,
    pub(crate) jnl_blocks: [U32; 17],
    pub(crate) blocks_count_hi: U32,
    pub(crate) r_blocks_count_hi: U32,
    pub(crate) free_blocks_count_hi: U32,
    pub(crate) min_extra_isize: U16,
    pub(crate) want_extra_isize: U16,
    pub(crate) flags: U32,
    pub(crate) raid_stride: U16,
    pub(crate) mmp_update_interval: U16,
    pub(crate) mmp_block: U64,
    pub(crate) raid_stripe_width: U32,
    pub(crate) log_groups_per_flex: u8,
    pub(crate) checksum_type: u8,
    pub(crate) encryption_level: u8,
    pub(crate) reserved_pad: u8,
    pub(crate) kbytes_written: U64,
    pub(crate) snapshot_inum: U32,
    pub(crate) snapshot_id: U32,
    pub(crate) snapshot_r_blocks_count: U64,
    pub(crate) snapshot_list: U32,
    pub(crate) error_count: U32,
    pub(crate) first_error_time: U32,
    pub(crate) first_error_ino: U32,
    pub(crate) first_error_block: U64,
    pub(crate) first_error_func: [u8; 32],
    pub(crate) first_error_line: U32,
    pub(crate) last_error_time: U32,
    pub(crate) last_error_ino: U32,
    pub(crate) last_error_line: U32,
    pub(crate) last_error_block: U64,
    pub(crate) last_error_func: [u8; 32],
    pub(crate) mount_opts: [u8; 64],
    pub(crate) usr_quota_inum: U32,
    pub(crate) grp_quota_inum: U32,
    pub(crate) overhead_blocks: U32,
    pub(crate) backup_bgs: [U32; 2],
    pub(crate) encrypt_algos: [u8; 4],
    pub(crate) encrypt_pw_salt: [u8; 16],
    pub(crate) lpf_ino: U32,
    pub(crate) prj_quota_inum: U32,
    pub(crate) checksum_seed: U32,
    pub(crate) wtime_hi: u8,
    pub(crate) mtime_hi: u8,
    pub(crate) mkfs_time_hi: u8,
    pub(crate) lastcheck_hi: u8,
    pub(crate) first_error_time_hi: u8,
    pub(crate) last_error_time_hi: u8,
    pub(crate) first_error_errcode: u8,
    pub(crate) last_error_errcode: u8,
    pub(crate) encoding: U16,
    pub(crate) encoding_flags: U16,
    pub(crate) orphan_file_inum: U32,
    pub(crate) def_resuid_hi: U16,
    pub(crate) def_resgid_hi: U16,
    pub(crate) reserved: [U32; 93],
    pub(crate) checksum: U32,
}

const _: () = assert!(size_of::<RawSuperblock>() == LEN);
const _: () = assert!(core::mem::offset_of!(RawSuperblock, journal_uuid) == 0xd0);
const _: () = assert!(core::mem::offset_of!(RawSuperblock, mount_opts) == 0x200);
const _: () = assert!(core::mem::offset_of!(RawSuperblock, orphan_file_inum) == 0x280);

impl RawSuperblock {
    /// The superblock at the start of `bytes`.
    pub fn view(bytes: &[u8]) -> Result<&Self, Fault> {
        match Self::ref_from_prefix(bytes) {
            Ok((raw, _)) => Ok(raw),
            Err(_) => Err(Fault::short(Record::Superblock, LEN, bytes.len())),
        }
    }

    /// The superblock at the start of `bytes`, to be edited. Seal it with
    /// [`crate::format::checksum::Checksums::seal_superblock`] before it is written.
    pub fn view_mut(bytes: &mut [u8]) -> Result<&mut Self, Fault> {
        let have = bytes.len();
        match Self::mut_from_prefix(bytes) {
            Ok((raw, _)) => Ok(raw),
            Err(_) => Err(Fault::short(Record::Superblock, LEN, have)),
        }
    }

    /// Its 1024 bytes.
    pub fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    /// The three feature sets.
    pub fn features(&self) -> (Compat, Incompat, RoCompat) {
        (
            Compat(self.feature_compat.get()),
            Incompat(self.feature_incompat.get()),
            RoCompat(self.feature_ro_compat.get()),
        )
    }

    pub(super) fn check_features(&self) -> Result<(), Fault> {
        let encrypts = self.features().1.has(Incompat::ENCRYPT);
        if encrypts && self.encryption_level != 0 {
            return Err(bad(S::EncryptionLevel, u64::from(self.encryption_level), 0));
        }
        Ok(())
    }

    pub(super) fn error_policy(&self) -> Option<ErrorPolicy> {
        match self.errors.get() {
            1 => Some(ErrorPolicy::Continue),
            2 => Some(ErrorPolicy::RemountReadOnly),
            3 => Some(ErrorPolicy::Panic),
            _ => None,
        }
    }

    pub(super) fn journal_place(&self, geometry: &Geometry) -> Result<JournalPlace, Fault> {
        let (ino, dev) = (self.journal_inum.get(), self.journal_dev.get());
        if !self.features().0.has(Compat::HAS_JOURNAL) {
            return Ok(JournalPlace::None);
        }
        match (ino, dev) {
            (0, dev) if dev != 0 => Ok(JournalPlace::Device(dev)),
            (ino, 0) if ino != 0 && ino != 2 && ino <= geometry.inode_count() => {
                Ok(JournalPlace::Inode(Ino(ino)))
            }
            (ino, 0) => Err(bad(S::JournalInode, u64::from(ino), 0)),
            (ino, dev) => Err(bad(S::TwoJournals, u64::from(ino), u64::from(dev))),
        }
    }

    pub(super) fn orphan_file_place(&self, geometry: &Geometry) -> Result<Option<Ino>, Fault> {
        if !self.features().0.has(Compat::ORPHAN_FILE) {
            return Ok(None);
        }
        let ino = self.orphan_file_inum.get();
        if ino < 3 || ino > geometry.inode_count() {
            return Err(bad(S::OrphanFileInode, u64::from(ino), 0));
        }
        Ok(Some(Ino(ino)))
    }

    pub(super) fn quota_files(&self) -> [Ino; 3] {
        let (user, group) = (self.usr_quota_inum, self.grp_quota_inum);
        [user, group, self.prj_quota_inum].map(|ino| Ino(ino.get()))
    }

    /// The extra bytes that every inode has and that new ones shall have.
    pub(super) fn extra_sizes(&self, inode_size: u16) -> Result<(u16, u16), Fault> {
        let limit = inode_size.saturating_sub(128);
        if limit == 0 || !self.features().2.has(RoCompat::EXTRA_ISIZE) {
            return Ok((0, limit.min(KNOWN_EXTRA)));
        }
        let sizes = (self.min_extra_isize.get(), self.want_extra_isize.get());
        for size in [sizes.0, sizes.1] {
            if size > limit || size % 4 != 0 {
                return Err(bad(S::ExtraSize, u64::from(size), u64::from(limit)));
            }
        }
        Ok((sizes.0, sizes.1.max(limit.min(KNOWN_EXTRA))))
    }

    pub(super) fn hash_version(&self) -> Result<HashVersion, Fault> {
        HashVersion::from_default(self.def_hash_version).ok_or(bad(
            S::HashVersion,
            u64::from(self.def_hash_version),
            0,
        ))
    }

    pub(super) fn hash_signedness(&self) -> Option<Signedness> {
        match self.flags.get() & 3 {
            0 => None,
            2 => Some(Signedness::Unsigned),
            _ => Some(Signedness::Signed),
        }
    }

    /// Writes down how characters in hashes are read, once it is decided.
    pub fn set_hash_signedness(&mut self, signedness: Signedness) {
        let bit = match signedness {
            Signedness::Signed => 1,
            Signedness::Unsigned => 2,
        };
        self.flags.set(self.flags.get() & !3 | bit);
    }

    fn has_64bit(&self) -> bool {
        self.features().1.has(Incompat::BITS64)
    }

    fn joined(&self, high: U32, low: U32) -> u64 {
        let high = if self.has_64bit() { high.get() } else { 0 };
        (u64::from(high) << 32) | u64::from(low.get())
    }

    /// Number of blocks of the file system.
    pub fn block_count(&self) -> u64 {
        self.joined(self.blocks_count_hi, self.blocks_count_lo)
    }

    /// Number of blocks only the reserved user may take.
    pub fn reserved_blocks(&self) -> u64 {
        self.joined(self.r_blocks_count_hi, self.r_blocks_count_lo)
    }

    /// Number of free blocks (clusters, with bigalloc), as of the last time it was written.
    pub fn free_blocks(&self) -> u64 {
        self.joined(self.free_blocks_count_hi, self.free_blocks_count_lo)
    }

    /// Sets the number of free blocks.
    pub fn set_free_blocks(&mut self, count: u64) {
        self.free_blocks_count_lo.set(count as u32);
        self.free_blocks_count_hi.set((count >> 32) as u32);
    }

    /// Sets the number of free inodes.
    pub fn set_free_inodes(&mut self, count: u32) {
        self.free_inodes_count.set(count);
    }

    /// Sets or clears incompatible features.
    pub fn set_incompat(&mut self, bits: Incompat, on: bool) {
        let (_, now, _) = self.features();
        let now = if on {
            now.with(bits)
        } else {
            now.without(bits)
        };
        self.feature_incompat.set(now.0);
    }

    /// Sets or clears read-only compatible features.
    pub fn set_ro_compat(&mut self, bits: RoCompat, on: bool) {
        let (_, _, now) = self.features();
        let now = if on {
            now.with(bits)
        } else {
            now.without(bits)
        };
        self.feature_ro_compat.set(now.0);
    }

    /// Sets the bits of `s_state`, see [`state`].
    pub fn set_state(&mut self, bits: u16) {
        self.state.set(bits);
    }

    /// Sets the head of the list of orphans.
    pub fn set_last_orphan(&mut self, head: Option<Ino>) {
        self.last_orphan.set(head.map_or(0, Ino::get));
    }

    /// Sets the time of the last write, in seconds since 1970.
    pub fn set_write_time(&mut self, seconds: u64) {
        (self.wtime, self.wtime_hi) = split_time(seconds);
    }

    /// Notes a mount: its time in seconds since 1970, and one more in the count.
    pub fn note_mount(&mut self, seconds: u64) {
        (self.mtime, self.mtime_hi) = split_time(seconds);
        self.mnt_count.set(self.mnt_count.get().wrapping_add(1));
    }

    /// Sets the KiB written over the file system's life.
    pub fn set_kbytes_written(&mut self, kib: u64) {
        self.kbytes_written.set(kib);
    }

    /// Whether it says that the file system was last mounted at `path` (cut to 64 bytes).
    pub fn was_mounted_at(&self, path: &[u8]) -> bool {
        let mut field = [0; 64];
        fill(&mut field, path);
        self.last_mounted == field
    }

    /// Sets where the file system was last mounted (cut to 64 bytes).
    pub fn set_last_mounted(&mut self, path: &[u8]) {
        fill(&mut self.last_mounted, path);
    }

    /// Notes an error in the fields of the last one, and of the first one when there was none;
    /// counts it, and marks the state.
    pub fn note_error(&mut self, error: &ErrorNote<'_>) {
        let mut noted = NotedError {
            seconds: error.seconds,
            ino: error.ino.map_or(0, Ino::get),
            block: error.block.map_or(0, DiskBlock::get),
            line: error.line,
            code: error.code,
            function: [0; 32],
        };
        fill(&mut noted.function, error.function.as_bytes());
        let mut record = self.error_record();
        if record.first.seconds == 0 {
            record.first = noted;
        }
        record.last = noted;
        record.count = record.count.saturating_add(1);
        self.set_error_record(&record);
        self.state.set(self.state.get() | state::ERROR);
    }

    /// What the error fields say.
    pub fn error_record(&self) -> ErrorRecord {
        let seconds = |low: U32, high: u8| u64::from(low.get()) | (u64::from(high) << 32);
        ErrorRecord {
            count: self.error_count.get(),
            first: NotedError {
                seconds: seconds(self.first_error_time, self.first_error_time_hi),
                ino: self.first_error_ino.get(),
                block: self.first_error_block.get(),
                line: self.first_error_line.get(),
                code: self.first_error_errcode,
                function: self.first_error_func,
            },
            last: NotedError {
                seconds: seconds(self.last_error_time, self.last_error_time_hi),
                ino: self.last_error_ino.get(),
                block: self.last_error_block.get(),
                line: self.last_error_line.get(),
                code: self.last_error_errcode,
                function: self.last_error_func,
            },
        }
    }

    /// Sets the error fields (count, first, last).
    pub fn set_error_record(&mut self, record: &ErrorRecord) {
        let (first, last) = (&record.first, &record.last);
        self.error_count.set(record.count);
        (self.first_error_time, self.first_error_time_hi) = split_time(first.seconds);
        self.first_error_ino.set(first.ino);
        self.first_error_block.set(first.block);
        self.first_error_line.set(first.line);
        self.first_error_errcode = first.code;
        self.first_error_func = first.function;
        (self.last_error_time, self.last_error_time_hi) = split_time(last.seconds);
        self.last_error_ino.set(last.ino);
        self.last_error_block.set(last.block);
        self.last_error_line.set(last.line);
        self.last_error_errcode = last.code;
        self.last_error_func = last.function;
    }

    /// What it says of when to check the file system.
    pub fn checking(&self) -> Checking {
        Checking {
            state: self.state.get(),
            mounts: self.mnt_count.get(),
            most_mounts: self.max_mnt_count.get(),
            last_check: u64::from(self.lastcheck.get()) | (u64::from(self.lastcheck_hi) << 32),
            interval: self.checkinterval.get(),
        }
    }

    /// Takes over from `ours`, the superblock in memory, all that a transaction or a mount writes into it.
    /// The rest belongs to who administers the disk and may have been changed there meanwhile (`tune2fs`),
    /// the count of mounts among it. What has no magic number is no superblock any more, and is replaced.
    /// The checksum is due then.
    ///
    /// Every setter here that a handle may call must be mentioned.
    pub fn take_over(&mut self, ours: &Self) {
        if self.magic != ours.magic {
            *self = *ours;
            return;
        }
        self.free_blocks_count_lo = ours.free_blocks_count_lo;
        self.free_blocks_count_hi = ours.free_blocks_count_hi;
        self.free_inodes_count = ours.free_inodes_count;
        self.last_orphan = ours.last_orphan;
        self.last_mounted = ours.last_mounted;
        (self.mtime, self.mtime_hi) = (ours.mtime, ours.mtime_hi);
        self.set_error_record(&ours.error_record());
        self.set_state(self.state.get() | ours.state.get() & state::ERROR);
        let (_, incompat, ro_compat) = ours.features();
        self.set_incompat(Incompat::RECOVER, incompat.has(Incompat::RECOVER));
        for bit in [RoCompat::LARGE_FILE, RoCompat::ORPHAN_PRESENT] {
            self.set_ro_compat(bit, ro_compat.has(bit));
        }
        if let Some(signedness) = ours.hash_signedness() {
            self.set_hash_signedness(signedness);
        }
    }
}

/// When the file system is to be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checking {
    /// `s_state`, see [`state`].
    pub state: u16,
    /// Mounts since the last check.
    pub mounts: u16,
    /// How many there may be; no limit if 0 or, as a signed number, below.
    pub most_mounts: u16,
    /// Seconds since 1970.
    pub last_check: u64,
    /// Seconds after which a check is due; no limit if 0.
    pub interval: u32,
}

impl Checking {
    /// Whether it was mounted too often.
    pub const fn mounts_are_due(&self) -> bool {
        (self.most_mounts as i16) > 0 && self.mounts >= self.most_mounts
    }

    /// Whether too much time has passed at `now`, in seconds since 1970.
    pub const fn time_is_due(&self, now: u64) -> bool {
        self.interval != 0 && self.last_check.saturating_add(self.interval as u64) <= now
    }
}

/// All that the superblock remembers of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRecord {
    /// How many there were since the last check.
    pub count: u32,
    /// The first one; its time is 0 when there was none.
    pub first: NotedError,
    /// The last one.
    pub last: NotedError,
}

/// An error as it was read from the superblock; see [`ErrorNote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedError {
    /// Seconds since 1970.
    pub seconds: u64,
    /// The inode, or 0.
    pub ino: u32,
    /// The block, or 0.
    pub block: u64,
    /// The source line.
    pub line: u32,
    /// `EXT4_ERR_*`.
    pub code: u8,
    /// The function, padded with zeros; any bytes may be in it.
    pub function: [u8; 32],
}

/// One error to be remembered.
#[derive(Clone, Copy, Debug)]
pub struct ErrorNote<'a> {
    /// Seconds since 1970.
    pub seconds: u64,
    /// The inode it was about.
    pub ino: Option<Ino>,
    /// The block it was about.
    pub block: Option<DiskBlock>,
    /// The function that found it (cut to 32 bytes).
    pub function: &'a str,
    /// The source line.
    pub line: u32,
    /// The format's own code of the error, see `EXT4_ERR_*`.
    pub code: u8,
}

/// A time of 40 bits, as the superblock stores it.
fn split_time(seconds: u64) -> (U32, u8) {
    (U32::new(seconds as u32), (seconds >> 32) as u8)
}

/// Copies what fits and pads with zeros.
fn fill(field: &mut [u8], text: &[u8]) {
    field.fill(0);
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}
