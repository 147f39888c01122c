// SPDX-License-Identifier: GPL-2.0

//! A mounted file system. [`Filesystem`] is the face that everything above sees: the VFS glue in the
//! kernel, the tests on the host.
//!
//! Every call here opens its own handle and has closed it when it returns. Damage that a call meets
//! is logged, recorded and answered by the `errors=` policy before it returns.
//!
//! The callers' locks: a directory is changed by one task at a time and not read meanwhile; an
//! inode's size and attributes are changed by one task at a time.

mod close;
mod data;
mod errors;
mod features;
mod journal_map;
mod messages;
mod names;
mod open;
mod options;
mod rename;
mod statistics;
mod superblock;
mod xattr;

pub use super::dir::Width;
pub use super::inode::{Attributes, Inode, InodeKind, NewInode, Resize, Settled, Zeroed};
pub use super::map::{BlockRange, Mapping, State};
pub use crate::format::inode::Timestamp;
pub use crate::format::superblock::{ErrorRecord, NotedError};
pub use data::{AttributeChanges, Landed};
pub use features::Obstacle;
pub use names::DirEntry;
pub use options::{Effective, ErrorPolicy, MountOptions};
pub use rename::Rename;
pub use statistics::{Statistics, Written};

use super::dir::Rules;
use super::error::{Error, Place, Result};
use super::inode::{Orphans, Purpose};
use super::platform::{Arc, Device, Mutex, GFP};
use super::volume::Volume;
use crate::format::fault::{Fault, InodeFault};
use crate::format::geometry::special;
use crate::format::inode::{TIME_MAX_BASE, TIME_MAX_EXTRA, TIME_MIN};
use crate::format::units::{DiskBlock, Ino};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

/// A mounted file system.
#[derive(Debug)]
pub struct Filesystem {
    volume: Volume,
    /// What directories are like.
    rules: Rules,
    orphans: Orphans,
    /// The options as given, and what follows from them.
    options: Mutex<(MountOptions, Effective)>,
    /// Nothing may be changed: asked for, or not possible.
    read_only: AtomicBool,
    /// Nothing may be changed any more after an error.
    failed: AtomicBool,
    /// It was shut down, by an administrator or because the device is gone.
    shut_down: AtomicBool,
    /// What a clean unmount writes to `s_state`.
    state_bits: AtomicU16,
    /// Sectors the device had written when the mount began.
    sectors_at_mount: u64,
    /// Where it is mounted was recorded, or tried to be.
    path_recorded: AtomicBool,
    /// The block from which the next search for memory to give back goes on.
    reclaim_from: AtomicU64,
}

impl Filesystem {
    /// The device.
    pub fn device(&self) -> &Device {
        &self.volume.device
    }

    /// The block size in bytes.
    pub fn block_size(&self) -> u32 {
        self.volume.superblock.geometry.block_size()
    }

    /// The largest size of a file in bytes.
    pub fn max_file_size(&self) -> u64 {
        self.volume.max_file_size()
    }

    /// The UUID.
    pub fn uuid(&self) -> [u8; 16] {
        self.volume.superblock.uuid
    }

    /// The label as it is now, padded with zeroes. Reads the disk if nobody has changed it lately.
    pub fn label(&self) -> Result<[u8; 16]> {
        self.volume.view_administered(|raw| raw.volume_name)
    }

    /// Whether nothing may be changed, be it asked for or after an error.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Acquire) || self.failed.load(Ordering::Acquire)
    }

    /// Whether an error has ended all writing.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether it was shut down: unlike after an error, reading files fails as well.
    pub fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Acquire)
    }

    /// The first and the last second that inodes can hold.
    pub fn time_range(&self) -> (i64, i64) {
        (
            TIME_MIN,
            if self.has_nanoseconds() {
                TIME_MAX_EXTRA
            } else {
                TIME_MAX_BASE
            },
        )
    }

    /// Whether inodes have room for nanoseconds.
    pub fn has_nanoseconds(&self) -> bool {
        self.volume.superblock.geometry.inode_size() > 128
    }

    /// The options as given to the mount or the last remount.
    pub fn options(&self) -> MountOptions {
        self.options.lock().0
    }

    /// What follows from the options.
    pub fn effective(&self) -> Effective {
        self.options.lock().1
    }

    /// How many metadata blocks are in memory that nothing waits for, and bitmaps of the allocator, which
    /// are as large: at most so many can be dropped. When more wait for a checkpoint, that is asked for.
    pub fn reclaimable(&self) -> usize {
        let bitmaps = self.volume.allocator.loaded_bitmaps();
        let cached = self.volume.cache.block_count();
        let pinned = self.pinned();
        let free = cached.saturating_sub(pinned).saturating_add(bitmaps);
        if pinned > free {
            self.relieve();
        }
        free
    }

    fn pinned(&self) -> usize {
        let journal = self.volume.journal.as_ref();
        journal.map_or(0, |journal| journal.pinned())
    }

    fn relieve(&self) {
        if let Some(journal) = &self.volume.journal {
            journal.relieve();
        }
    }

    /// Looks at up to `count` of each and drops those that nobody uses; returns how many. What waits for
    /// a checkpoint gets one soon. Waits for no lock that is held while memory is asked for.
    pub fn reclaim(&self, count: usize) -> usize {
        self.relieve();
        let from = DiskBlock(self.reclaim_from.load(Ordering::Relaxed));
        let (dropped, next) = self.volume.cache.reclaim(from, count);
        self.reclaim_from.store(next.get(), Ordering::Relaxed);
        dropped.saturating_add(self.volume.allocator.reclaim(count))
    }

    /// The root directory.
    pub fn root(&self) -> Result<Arc<Inode>> {
        self.inode(special::ROOT)
    }

    /// Reads an inode. The caller sees to it that there is only one in memory for a number.
    ///
    /// [`Stale`](Error::Stale) when it is not in use.
    pub fn inode(&self, ino: Ino) -> Result<Arc<Inode>> {
        let loaded = self.report("inode", ino, Inode::load(&self.volume, ino, Purpose::Name))?;
        Ok(Arc::new(loaded, GFP)?)
    }

    /// Reads the inode that a name in `dir` stands for, as [`Self::lookup`] has just said.
    ///
    /// That it is not in use is damage: the directory is locked.
    pub fn inode_of_name(&self, dir: &Inode, ino: Ino) -> Result<Arc<Inode>> {
        let loaded = match Inode::load(&self.volume, ino, Purpose::Name) {
            Err(Error::Stale) => {
                let fault = Fault::Inode(InodeFault::Deleted, u64::from(ino.get()), 0);
                Err(Error::Corrupt(dir.here(), fault))
            }
            loaded => loaded,
        };
        let loaded = self.report("lookup", ino, loaded)?;
        Ok(Arc::new(loaded, GFP)?)
    }

    /// A number was given to a new inode while another was in use: the bitmap had lost it. Answers that, and
    /// returns the error for the caller.
    pub fn taken_twice(&self, ino: Ino) -> Error {
        let fault = Fault::Inode(InodeFault::TakenTwice, u64::from(ino.get()), 0);
        let error = Error::Corrupt(Place::inode(ino), fault);
        self.damaged("create", ino, &error);
        error
    }

    /// Reads an inode of which somebody has kept the number; it may be any number. Otherwise as
    /// [`Self::inode`].
    pub fn inode_of_handle(&self, ino: Ino) -> Result<Arc<Inode>> {
        let loaded = Inode::load(&self.volume, ino, Purpose::Handle);
        let loaded = self.report("inode_of_handle", ino, loaded)?;
        Ok(Arc::new(loaded, GFP)?)
    }
}
