// SPDX-License-Identifier: GPL-2.0

//! Which disks are taken: feature by feature.
//!
//! An incompatible feature that is not done here refuses the mount; a read-only compatible one
//! leaves only reading, which must be asked for. Whether the feature is unknown or known but not done makes no difference.

use crate::core::error::Error;
use crate::format::features::{Compat, Incompat, RoCompat};
use crate::format::superblock::{JournalPlace, Superblock};
use core::fmt;

/// Incompatible features that are done.
pub const INCOMPAT: Incompat = Incompat::FILETYPE
    .with(Incompat::RECOVER)
    .with(Incompat::EXTENTS)
    .with(Incompat::BITS64)
    .with(Incompat::FLEX_BG)
    .with(Incompat::CSUM_SEED);

/// Read-only compatible features that are done, for writing too.
pub const RO_COMPAT: RoCompat = RoCompat::SPARSE_SUPER
    .with(RoCompat::LARGE_FILE)
    .with(RoCompat::HUGE_FILE)
    .with(RoCompat::DIR_NLINK)
    .with(RoCompat::EXTRA_ISIZE)
    .with(RoCompat::METADATA_CSUM)
    .with(RoCompat::ORPHAN_PRESENT);

/// Incompatible features without which this driver does not work (they are in every ext4 disk).
const NEEDED: Incompat = Incompat::FILETYPE;

/// Compatible features that say nothing about reading, but that a writer would have to keep up.
const COMPAT_WRITE: Compat = Compat::SPARSE_SUPER2
    .with(Compat::FAST_COMMIT)
    .with(Compat::IMAGIC_INODES);

/// Why a disk is not taken, or not for writing; it prints as the message's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Features that are needed to read.
    Incompat(Incompat),
    /// Features that are missing.
    Missing(Incompat),
    /// Features that are needed to write.
    RoCompat(RoCompat),
    /// Compatible features that are needed to write.
    Compat(Compat),
    /// There is no journal.
    NoJournal,
    /// The journal is on a device of its own.
    JournalDevice(u32),
    /// The revision of the format is newer.
    Revision,
    /// The disk was changed below a read-only mount: the journal is elsewhere or gone, or the layout is another.
    Changed,
}

impl Obstacle {
    /// What a mount for writing fails with: [`Error::ReadOnly`], after which mount(8) tries again without a
    /// word, only where the disk itself wants to be read-only.
    pub const fn error(&self) -> Error {
        match self {
            Self::RoCompat(set) if set.has(RoCompat::READONLY) => Error::ReadOnly,
            Self::Revision | Self::Changed => Error::ReadOnly,
            _ => Error::Invalid,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incompat(set) => write!(f, "unsupported incompatible features: {set}"),
            Self::Missing(set) => write!(f, "the disk lacks needed features: {set}"),
            Self::RoCompat(set) => write!(f, "unsupported read-only compatible features: {set}"),
            Self::Compat(set) => write!(f, "features that are supported for reading only: {set}"),
            Self::NoJournal => f.write_str("there is no journal, which writing needs"),
            Self::JournalDevice(dev) => write!(
                f,
                "the journal is on another device ({dev:#x}), which is not supported"
            ),
            Self::Revision => f.write_str("the revision of the format is newer than any known"),
            Self::Changed => f.write_str("the disk was changed below the read-only mount"),
        }
    }
}

/// Why the disk cannot be mounted at all, if so.
pub fn refuses_reading(superblock: &Superblock) -> Option<Obstacle> {
    let unknown = superblock.incompat.without(INCOMPAT);
    if !unknown.is_empty() {
        return Some(Obstacle::Incompat(unknown));
    }
    if !superblock.incompat.has(NEEDED) {
        return Some(Obstacle::Missing(NEEDED.without(superblock.incompat)));
    }
    // A cluster is not a block then: every count and bitmap would be misread.
    if superblock.ro_compat.has(RoCompat::BIGALLOC) {
        return Some(Obstacle::RoCompat(RoCompat::BIGALLOC));
    }
    None
}

/// Why the disk can only be read, if so.
pub fn refuses_writing(superblock: &Superblock) -> Option<Obstacle> {
    let unknown = superblock.ro_compat.without(RO_COMPAT);
    if !unknown.is_empty() {
        return Some(Obstacle::RoCompat(unknown));
    }
    let kept = Compat(superblock.compat.0 & COMPAT_WRITE.0);
    if !kept.is_empty() {
        return Some(Obstacle::Compat(kept));
    }
    if superblock.future_revision {
        return Some(Obstacle::Revision);
    }
    match superblock.journal {
        JournalPlace::None => Some(Obstacle::NoJournal),
        JournalPlace::Device(dev) => Some(Obstacle::JournalDevice(dev)),
        JournalPlace::Inode(_) => None,
    }
}
