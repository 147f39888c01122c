// SPDX-License-Identifier: GPL-2.0

//! The superblock: its 1024 bytes, and the values a mount takes from them after all checks.
//!
//! [`RawSuperblock`] is the record as it is on the disk; it is also what is edited in place.
//! [`Superblock`] is what a mount believes: no field of it can be impossible.
//!
//! Source: `Documentation/filesystems/ext4/super.rst`.

mod raw;

pub use raw::{Checking, ErrorNote, ErrorRecord, NotedError, RawSuperblock};

use super::{
    checksum::{self, Checksums, Functions, Mode, Seed},
    fault::{Fault, SuperblockFault as S},
    features::{Compat, Incompat, RoCompat},
    geometry::Geometry,
    hash::{HashSeed, HashVersion, Signedness},
    units::Ino,
};

/// Where the superblock is, in bytes from the start of the device.
pub const OFFSET: u64 = 1024;
/// Length of the superblock in bytes.
pub const LEN: usize = 1024;
/// The magic number.
pub const MAGIC: u16 = 0xef53;

/// Bits of `s_state`.
pub mod state {
    /// Unmounted cleanly.
    pub const VALID: u16 = 1;
    /// An error was found.
    pub const ERROR: u16 = 2;
}

/// Bits of `s_default_mount_opts`.
pub mod default_mount {
    /// New files take the directory's group.
    pub const BSDGROUPS: u32 = 0x2;
    /// User xattrs.
    pub const XATTR_USER: u32 = 0x4;
    /// POSIX ACLs.
    pub const ACL: u32 = 0x8;
    /// 16-bit owners only.
    pub const UID16: u32 = 0x10;
    /// The two bits of the data mode.
    pub const DATA_MODE: u32 = 0x60;
    /// No barriers.
    pub const NOBARRIER: u32 = 0x100;
    /// Check blocks against the metadata's places.
    pub const BLOCK_VALIDITY: u32 = 0x200;
    /// Discard freed blocks.
    pub const DISCARD: u32 = 0x400;
    /// No delayed allocation.
    pub const NODELALLOC: u32 = 0x800;
}

/// What is to be done when the file system is found damaged (`s_errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPolicy {
    /// Record it and go on.
    Continue,
    /// Record it and write no more.
    RemountReadOnly,
    /// Record it and stop the machine.
    Panic,
}

/// Where the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalPlace {
    /// There is none.
    None,
    /// In an inode of this file system.
    Inode(Ino),
    /// On a device of its own, named by its number.
    Device(u32),
}

/// What a mount takes from the superblock; every value has passed its checks.
#[derive(Clone, Debug)]
pub struct Superblock {
    /// Sizes and places of everything.
    pub geometry: Geometry,
    /// Compatible features.
    pub compat: Compat,
    /// Incompatible features.
    pub incompat: Incompat,
    /// Read-only compatible features.
    pub ro_compat: RoCompat,
    /// The UUID.
    pub uuid: [u8; 16],
    /// `s_state`, see [`state`].
    pub state: u16,
    /// What to do on errors; `None` when the superblock does not say.
    pub errors: Option<ErrorPolicy>,
    /// See [`default_mount`].
    pub default_mount_opts: u32,
    /// Mount options in words (`tune2fs -E mount_opts`), padded with zeros.
    pub mount_opts: [u8; 64],
    /// Blocks only the reserved user may take.
    pub reserved_blocks: u64,
    /// User who may take reserved blocks.
    pub reserved_uid: u32,
    /// Group that may take reserved blocks.
    pub reserved_gid: u32,
    /// Where the journal is.
    pub journal: JournalPlace,
    /// Head of the list of orphans, if any; no number is impossible.
    pub last_orphan: Option<Ino>,
    /// Inode of the orphan file, if the feature is set.
    pub orphan_file: Option<Ino>,
    /// Inodes of the quota files (0: none).
    pub quota_files: [Ino; 3],
    /// Seed of directory hashes.
    pub hash_seed: HashSeed,
    /// Hash of new directory indices.
    pub hash_version: HashVersion,
    /// Signedness of characters in hashes; `None` when no writer has said yet.
    pub hash_signedness: Option<Signedness>,
    /// Extra bytes every inode has, a multiple of 4.
    pub min_extra_isize: u16,
    /// Extra bytes new inodes shall have: not less than those that are known, if there is room.
    pub want_extra_isize: u16,
    /// Whether the revision is newer than any known (then the mount must be read-only).
    pub future_revision: bool,
    /// KiB written over the file system's life, as of the mount.
    pub kbytes_written: u64,
}

/// Tells of a superblock's fault.
const fn bad(what: S, a: u64, b: u64) -> Fault {
    Fault::Superblock(what, a, b)
}

impl Superblock {
    /// Takes a superblock apart. `bytes` begin with the superblock; `device_blocks` tells how many
    /// blocks of a size (in bytes) the device has, when it is known.
    ///
    /// # Errors
    ///
    /// Every number that cannot be is a fault. Features are not judged here, except where they
    /// contradict each other: the mount decides which it can take.
    pub fn parse(
        bytes: &[u8],
        functions: &Functions,
        device_blocks: Option<&dyn Fn(u32) -> u64>,
    ) -> Result<Self, Fault> {
        let raw = RawSuperblock::view(bytes)?;
        if raw.magic.get() != MAGIC {
            return Err(bad(S::Magic, u64::from(raw.magic.get()), 0));
        }
        let (compat, incompat, ro_compat) = raw.features();
        if ro_compat.has(RoCompat::METADATA_CSUM) {
            if raw.checksum_type != 1 {
                return Err(bad(S::ChecksumType, u64::from(raw.checksum_type), 0));
            }
            checksum::verify_superblock(functions, bytes)?;
        }
        raw.check_features()?;
        let geometry = Geometry::parse(raw)?;
        if let Some(device) = device_blocks {
            let have = device(geometry.block_size());
            if geometry.block_count() > have {
                return Err(bad(S::BlockCount, geometry.block_count(), have));
            }
        }
        let last_orphan = raw.last_orphan.get();
        let (min_extra_isize, want_extra_isize) = raw.extra_sizes(geometry.inode_size())?;
        Ok(Self {
            compat,
            incompat,
            ro_compat,
            uuid: raw.uuid,
            state: raw.state.get(),
            errors: raw.error_policy(),
            default_mount_opts: raw.default_mount_opts.get(),
            mount_opts: raw.mount_opts,
            reserved_blocks: raw.reserved_blocks(),
            reserved_uid: (u32::from(raw.def_resuid_hi.get()) << 16)
                | u32::from(raw.def_resuid.get()),
            reserved_gid: (u32::from(raw.def_resgid_hi.get()) << 16)
                | u32::from(raw.def_resgid.get()),
            journal: raw.journal_place(&geometry)?,
            last_orphan: (last_orphan != 0).then_some(Ino(last_orphan)),
            orphan_file: raw.orphan_file_place(&geometry)?,
            quota_files: raw.quota_files(),
            hash_seed: HashSeed(raw.hash_seed.map(|word| word.get())),
            hash_version: raw.hash_version()?,
            hash_signedness: raw.hash_signedness(),
            min_extra_isize,
            want_extra_isize,
            future_revision: raw.rev_level.get() > 1,
            kbytes_written: raw.kbytes_written.get(),
            geometry,
        })
    }

    /// The checksums of this file system; `bytes` are those the superblock was parsed from.
    pub fn checksums(bytes: &[u8], functions: Functions) -> Result<Checksums, Fault> {
        let raw = RawSuperblock::view(bytes)?;
        let (_, incompat, ro_compat) = raw.features();
        let mode = if ro_compat.has(RoCompat::METADATA_CSUM) {
            Mode::Metadata
        } else if ro_compat.has(RoCompat::GDT_CSUM) {
            Mode::GroupDescriptors
        } else {
            Mode::None
        };
        let seed = if incompat.has(Incompat::CSUM_SEED) {
            raw.checksum_seed.get()
        } else {
            (functions.crc32c)(!0, &raw.uuid)
        };
        Ok(Checksums::new(functions, mode, Seed(seed), raw.uuid))
    }
}

#[cfg(test)]
mod tests;
