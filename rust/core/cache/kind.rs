// SPDX-License-Identifier: GPL-2.0

//! What a metadata block holds: known from the moment it is read or made, so that its checksum can
//! be checked and computed without asking anybody.

use crate::format::checksum::Seed;
use crate::format::units::{Group, Ino};

/// The inode that a block belongs to, and the seed that its checksums start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The inode.
    pub ino: Ino,
    /// The checksum seed of its number and generation.
    pub seed: Seed,
}

/// What a metadata block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The superblock.
    Superblock,
    /// Group descriptors, from this group's on.
    Descriptors(Group),
    /// The block bitmap of a group. Its checksum is in the group's descriptor.
    BlockBitmap(Group),
    /// The inode bitmap of a group. Its checksum is in the group's descriptor.
    InodeBitmap(Group),
    /// Inode records, from this inode's on; each has its own checksum, checked when it is loaded.
    InodeTable(Ino),
    /// A node of an extent tree below the root in the inode.
    ExtentNode(Owner),
    /// A block of a directory: names, or a node of its index.
    Directory(Owner),
    /// Extended attributes.
    Xattr,
    /// A block of the orphan file.
    OrphanFile(Owner),
    /// The target of a symbolic link; has no checksum.
    SymlinkTarget(Ino),
}

impl Kind {
    /// The inode it belongs to, 0 if none.
    pub const fn ino(self) -> Ino {
        match self {
            Self::ExtentNode(owner) | Self::Directory(owner) | Self::OrphanFile(owner) => owner.ino,
            Self::SymlinkTarget(ino) => ino,
            _ => Ino(0),
        }
    }
}
