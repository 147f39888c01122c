// SPDX-License-Identifier: GPL-2.0

//! The one error type of the file system: it knows the place until the VFS turns it into an errno.

use super::platform::{AllocError, DeviceError};
use crate::format::fault::Fault;
use crate::format::units::{DiskBlock, Ino};
use core::fmt;

/// What a call of the file system returns.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// Where on the disk something is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The inode it belongs to; 0 when none is known.
    pub ino: Ino,
    /// The block it lies in; 0 when none is known.
    pub block: DiskBlock,
}

impl Place {
    /// A block of an inode's.
    pub const fn new(ino: Ino, block: DiskBlock) -> Self {
        Self { ino, block }
    }

    /// A block whose inode is not known or does not matter.
    pub const fn block(block: DiskBlock) -> Self {
        Self { ino: Ino(0), block }
    }

    /// An inode as such.
    pub const fn inode(ino: Ino) -> Self {
        Self {
            ino,
            block: DiskBlock(0),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ino, self.block) {
            (Ino(0), DiskBlock(0)) => f.write_str("somewhere"),
            (ino, DiskBlock(0)) => write!(f, "inode #{ino}"),
            (Ino(0), block) => write!(f, "block {block}"),
            (ino, block) => write!(f, "inode #{ino}: block {block}"),
        }
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The disk holds what cannot be (EFSCORRUPTED, or EFSBADCRC for a checksum).
    Corrupt(Place, Fault),
    /// The device failed; the block is 0 when the device as a whole did.
    Io(DiskBlock),
    /// No memory.
    NoMemory,
    /// No free block or inode is left.
    NoSpace,
    /// The journal has stopped after an error, or the mount is read-only.
    ReadOnly,
    /// The file system was shut down.
    Shutdown,
    /// An operation changed more blocks than it had announced: a bug, caught before it does harm.
    CreditsExhausted,
    /// No such name.
    NotFound,
    /// The name exists.
    Exists,
    /// The directory still has names in it.
    NotEmpty,
    /// A directory was needed.
    NotDirectory,
    /// A directory was not wanted.
    IsDirectory,
    /// The name is longer than 255 bytes, or the symbolic link's target than a block.
    NameTooLong,
    /// The link count has reached its limit.
    TooManyLinks,
    /// The file would pass the largest size the format allows.
    FileTooBig,
    /// An argument makes no sense here.
    Invalid,
    /// This file system, or this driver, cannot do that.
    Unsupported,
    /// The inode is not in use (any more).
    Stale,
    /// The caller was killed before anything was changed.
    Interrupted,
    /// Waiting would be needed and was not wanted.
    Again,
    /// There is no such attribute.
    NoData,
    /// The operation is not permitted on this inode.
    NotPermitted,
}

impl Error {
    /// A device's error with the block it happened at.
    pub fn at_block(error: DeviceError, block: DiskBlock) -> Self {
        match error {
            DeviceError::Io => Self::Io(block),
            DeviceError::NoMemory => Self::NoMemory,
        }
    }

    /// Whether it may come at any moment of an operation, so that what was done before it is half of
    /// something. The others are answers: an operation that gives one has changed nothing, or has seen
    /// to what it changed.
    pub const fn breaks_off(&self) -> bool {
        matches!(
            self,
            Self::Corrupt(..) | Self::Io(_) | Self::NoMemory | Self::CreditsExhausted
        )
    }

    /// The (positive) number that user space sees.
    pub const fn errno(self) -> i32 {
        match self {
            Self::NotPermitted => 1,
            Self::NotFound => 2,
            Self::Interrupted => 4,
            Self::Io(_) | Self::Shutdown | Self::CreditsExhausted => 5,
            Self::Again => 11,
            Self::NoMemory => 12,
            Self::Exists => 17,
            Self::NotDirectory => 20,
            Self::IsDirectory => 21,
            Self::Invalid => 22,
            Self::FileTooBig => 27,
            Self::NoSpace => 28,
            Self::ReadOnly => 30,
            Self::TooManyLinks => 31,
            Self::NameTooLong => 36,
            Self::NotEmpty => 39,
            Self::NoData => 61,
            Self::Corrupt(_, fault) if fault.is_checksum() => 74,
            Self::Unsupported => 95,
            Self::Stale => 116,
            Self::Corrupt(..) => 117,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(place, fault) => write!(f, "{place}: {fault}"),
            Self::Io(DiskBlock(0)) => f.write_str("I/O error"),
            Self::Io(block) => write!(f, "I/O error at block {block}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        Self::NoMemory
    }
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Io => Self::Io(DiskBlock(0)),
            DeviceError::NoMemory => Self::NoMemory,
        }
    }
}
