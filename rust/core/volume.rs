// SPDX-License-Identifier: GPL-2.0

//! What mapping, directories and inodes all need: the device and everything that manages its blocks.

use super::alloc::Allocator;
use super::cache::{Buffer, Cache, Kind};
use super::error::{Error, Place, Result};
use super::journal::{Handle, Journal, OpenJournal};
use super::platform::{Arc, Device};
use crate::format::fault::Fault;
use crate::format::inode::Timestamp;
use crate::format::superblock::Superblock;
use crate::format::units::DiskBlock;

/// An open file system below its inodes. Fields drop in order: the journal's thread first.
#[derive(Debug)]
pub struct Volume {
    /// Commits changes; `None` when the device or the file system can only be read.
    pub journal: Option<OpenJournal>,
    /// Hands out blocks and inode numbers.
    pub allocator: Allocator,
    /// Metadata blocks in memory.
    pub cache: Arc<Cache>,
    /// What the superblock said at mount: geometry, features, seeds.
    pub superblock: Superblock,
    /// The device.
    pub device: Arc<Device>,
}

impl Volume {
    /// A metadata block; see [`Cache::read`].
    pub fn read(&self, block: DiskBlock, kind: Kind) -> Result<Buffer> {
        self.cache.read(&self.device, block, kind)
    }

    /// A metadata block that was just allocated; see [`Cache::fresh`].
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when it is in memory already: somebody uses it, and the bitmap that called it
    /// free lies. The first user keeps it.
    pub fn fresh(&self, block: DiskBlock, kind: Kind) -> Result<Buffer> {
        if self.cache.peek(block).is_some() {
            let ino = kind.ino();
            return Err(Error::Corrupt(Place { ino, block }, Fault::BlockUsedTwice));
        }
        self.cache.fresh(&self.device, block, kind)
    }

    /// The time for stamps.
    pub fn now(&self) -> Timestamp {
        let (sec, nsec) = self.device.now();
        Timestamp { sec, nsec }
    }

    /// The journal, or [`Error::ReadOnly`] without one.
    pub fn journal(&self) -> Result<&Journal> {
        self.journal.as_deref().ok_or(Error::ReadOnly)
    }

    /// Does an operation under a handle of its own; see [`Handle::end`].
    pub fn change<T>(
        &self,
        credits: u32,
        operation: impl FnOnce(&mut Handle<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut handle = self.start(credits)?;
        let done = operation(&mut handle);
        handle.end(done)
    }

    /// Opens a handle; see [`Journal::start`]. Its user gives the result to [`Handle::end`].
    pub fn start(&self, credits: u32) -> Result<Handle<'_>> {
        self.journal()?.start(credits)
    }
}
