// SPDX-License-Identifier: GPL-2.0

//! The three feature sets of the superblock, with their names as e2fsprogs prints them.
//!
//! Which of them a mount can take is policy and decided above; here is only what they are called.
//!
//! Source: `Documentation/filesystems/ext4/super.rst`.

use core::fmt;

/// Declares the algebra of a set of bits.
macro_rules! bit_set {
    ($set:ident) => {
        impl $set {
            /// Whether every bit of `other` is set here.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Both sets together.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// This set without the bits of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }
    };
}
pub(super) use bit_set;

/// Declares a feature set: a mask with one constant and one name per bit.
macro_rules! features {
    ($(#[$doc:meta])* $set:ident { $($(#[$bit_doc:meta])* $name:ident = $bit:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $set(pub u32);

        impl $set {
            $($(#[$bit_doc])* pub const $name: Self = Self($bit);)*

            const NAMES: &'static [(u32, &'static str)] = &[$(($bit, $text)),*];

            /// Whether no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Each set bit: its value, and its name when it has one.
            pub fn iter(self) -> impl Iterator<Item = (u32, Option<&'static str>)> {
                (0..u32::BITS)
                    .map(|shift| 1u32 << shift)
                    .filter(move |bit| self.0 & bit != 0)
                    .map(|bit| {
                        let name = Self::NAMES.iter().find(|(known, _)| *known == bit);
                        (bit, name.map(|(_, text)| *text))
                    })
            }
        }

        bit_set!($set);

        impl fmt::Display for $set {
            /// The names of the set bits, separated by spaces; a bit without a name as a number.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (n, (bit, name)) in self.iter().enumerate() {
                    if n > 0 {
                        f.write_str(" ")?;
                    }
                    match name {
                        Some(name) => f.write_str(name)?,
                        None => write!(f, "{bit:#x}")?,
                    }
                }
                Ok(())
            }
        }
    };
}

features! {
    /// Features that a driver which does not know them may ignore.
    Compat {
        /// Blocks are preallocated for directories (a hint that nobody uses).
        DIR_PREALLOC = 0x1, "dir_prealloc";
        /// AFS inodes.
        IMAGIC_INODES = 0x2, "imagic_inodes";
        /// There is a journal.
        HAS_JOURNAL = 0x4, "has_journal";
        /// Extended attributes may be there.
        EXT_ATTR = 0x8, "ext_attr";
        /// Descriptor blocks are reserved for growing.
        RESIZE_INODE = 0x10, "resize_inode";
        /// Directories may have a hash index.
        DIR_INDEX = 0x20, "dir_index";
        /// Uninitialised groups, of a design that was never finished.
        LAZY_BG = 0x40, "lazy_bg";
        /// Snapshots exclude an inode.
        EXCLUDE_INODE = 0x80, "exclude_inode";
        /// Snapshots exclude blocks.
        EXCLUDE_BITMAP = 0x100, "snapshot_bitmap";
        /// At most two groups hold backup superblocks.
        SPARSE_SUPER2 = 0x200, "sparse_super2";
        /// The journal may have an area of fast commits.
        FAST_COMMIT = 0x400, "fast_commit";
        /// Inode numbers and the UUID may not change.
        STABLE_INODES = 0x800, "stable_inodes";
        /// Orphans are kept in a file.
        ORPHAN_FILE = 0x1000, "orphan_file";
    }
}

features! {
    /// Features that a driver must know to mount at all.
    Incompat {
        /// Compressed files (never made).
        COMPRESSION = 0x1, "compression";
        /// Directory entries have a file type.
        FILETYPE = 0x2, "filetype";
        /// The journal must be replayed.
        RECOVER = 0x4, "needs_recovery";
        /// The device is a journal.
        JOURNAL_DEV = 0x8, "journal_dev";
        /// Group descriptors are spread over meta block groups.
        META_BG = 0x10, "meta_bg";
        /// Files may be mapped by extents.
        EXTENTS = 0x40, "extent";
        /// Block numbers have 64 bits.
        BITS64 = 0x80, "64bit";
        /// Multiple mount protection.
        MMP = 0x100, "mmp";
        /// A group's metadata may lie in another group.
        FLEX_BG = 0x200, "flex_bg";
        /// Large extended attributes have their own inodes.
        EA_INODE = 0x400, "ea_inode";
        /// Data in directory entries.
        DIRDATA = 0x1000, "dirdata";
        /// The checksum seed is in the superblock.
        CSUM_SEED = 0x2000, "metadata_csum_seed";
        /// Directories above 2 GiB and of three index levels.
        LARGEDIR = 0x4000, "large_dir";
        /// Small files live in their inodes.
        INLINE_DATA = 0x8000, "inline_data";
        /// Encrypted files.
        ENCRYPT = 0x10000, "encrypt";
        /// Directories that ignore case.
        CASEFOLD = 0x20000, "casefold";
    }
}

features! {
    /// Features that a driver must know to write.
    RoCompat {
        /// Backup superblocks only in some groups.
        SPARSE_SUPER = 0x1, "sparse_super";
        /// A file above 2 GiB exists.
        LARGE_FILE = 0x2, "large_file";
        /// B-tree directories (never made).
        BTREE_DIR = 0x4, "btree_dir";
        /// Block counts of inodes have 48 bits.
        HUGE_FILE = 0x8, "huge_file";
        /// Group descriptors have a crc16.
        GDT_CSUM = 0x10, "uninit_bg";
        /// Directories may have more than 65000 subdirectories.
        DIR_NLINK = 0x20, "dir_nlink";
        /// Inodes have extra fields.
        EXTRA_ISIZE = 0x40, "extra_isize";
        /// There is a snapshot.
        HAS_SNAPSHOT = 0x80, "has_snapshot";
        /// Quota files are hidden inodes.
        QUOTA = 0x100, "quota";
        /// Space is allocated in clusters of blocks.
        BIGALLOC = 0x200, "bigalloc";
        /// All metadata has checksums.
        METADATA_CSUM = 0x400, "metadata_csum";
        /// Replicas.
        REPLICA = 0x800, "replica";
        /// The image is read-only.
        READONLY = 0x1000, "read-only";
        /// Project quota.
        PROJECT = 0x2000, "project";
        /// Blocks may be shared.
        SHARED_BLOCKS = 0x4000, "shared_blocks";
        /// fs-verity files.
        VERITY = 0x8000, "verity";
        /// The orphan file may have entries.
        ORPHAN_PRESENT = 0x10000, "orphan_present";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names() {
        for (set, text) in [
            (Incompat(0), ""),
            (Incompat::META_BG.with(Incompat::MMP), "meta_bg mmp"),
            (Incompat(0x8000_0002), "filetype 0x80000000"),
        ] {
            assert_eq!(set.to_string(), text);
        }
        assert!(!Incompat::FILETYPE.has(Incompat::FILETYPE.with(Incompat::MMP)));
    }
}
