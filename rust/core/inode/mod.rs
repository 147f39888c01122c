// SPDX-License-Identifier: GPL-2.0

//! Inodes in memory: the fields of the record, the map of the file, and which transactions they are
//! in. Also what keeps inodes that must be finished after a crash: the orphans.
//!
//! Every change of an inode is written into its inode table block at once, under the handle that
//! makes the change; nothing is dirty outside a transaction. Its checksum is computed when the
//! transaction closes.
//!
//! Locks: a handle is opened before [`Inode`]'s fields are locked; the map's spinning lock and the table
//! block's lock are taken inside. The map's sleeping lock is not: `stat` would wait for its readers.

mod create;
mod evict;
mod links;
mod load;
mod orphan;
mod resize;
mod store;
mod superblock;
mod xattr;

pub use crate::format::inode::InodeKind;
pub use create::NewInode;
pub use links::{
    add_directory_link, add_link, drop_directory_link, drop_link, has_room_for_directory,
};
pub use load::Purpose;
pub use orphan::{OrphanFaults, Orphans, ORPHAN_CREDITS};
pub use resize::{Resize, Settled, Zeroed};
pub use store::Touch;
pub use xattr::XATTR_CREDITS;

use super::error::{Error, Place, Result};
use super::map::FileMap;
use super::platform::Mutex;
use crate::format::checksum::Seed;
use crate::format::inode::{InodeFields, Timestamp};
use crate::format::units::{DiskBlock, Ino, Tid};
use core::sync::atomic::{AtomicU32, Ordering};

/// Where an inode's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordPlace {
    /// The inode table block.
    block: DiskBlock,
    /// The first inode of that block.
    first: Ino,
    /// The record's number in the block.
    slot: u32,
    /// The record's first byte in the block.
    offset: usize,
    /// The record's length in bytes.
    size: usize,
}

/// An inode in memory. There is one for each number; whoever caches inodes sees to that.
#[derive(Debug)]
pub struct Inode {
    ino: Ino,
    generation: u32,
    kind: InodeKind,
    seed: Seed,
    place: RecordPlace,
    /// Binary logarithm of the 512-byte units in a block.
    sector_shift: u32,
    /// Where the file's blocks are; `None` for what has none: devices, pipes, sockets, and symbolic
    /// links whose target is in the inode.
    map: Option<FileMap>,
    /// The record. `i_block` and `blocks` in it are only as new as the last store; the map has the truth.
    fields: Mutex<InodeFields>,
    /// The newest transaction that changed anything of it.
    sync_tid: AtomicU32,
    /// The newest transaction without which its data could not be read back.
    datasync_tid: AtomicU32,
}

/// What `stat` wants to know of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The number.
    pub ino: Ino,
    /// Told apart by this when the number is used again.
    pub generation: u32,
    /// File type and permissions.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Names that there are; of a directory 1 when there are too many to count.
    pub links: u32,
    /// Size on disk, in bytes. What was written but has not reached the disk may lie beyond.
    pub size: u64,
    /// Space taken on the disk, in units of 512 bytes; see [`Inode::space`].
    pub blocks: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// When it was made, if the record has room for that.
    pub crtime: Option<Timestamp>,
    /// `i_flags` as on disk.
    pub flags: u32,
    /// Major and minor number of a device.
    pub rdev: (u32, u32),
    /// The project.
    pub project: u32,
}

impl Inode {
    /// The number.
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// Told apart by this when the number is used again.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the file is.
    pub fn kind(&self) -> InodeKind {
        self.kind
    }

    /// The seed of the checksums of its blocks.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The inode as a place of an error.
    pub fn here(&self) -> Place {
        Place::inode(self.ino)
    }

    /// Where its blocks are; [`Error::Invalid`] for an inode that has none.
    pub fn map(&self) -> Result<&FileMap> {
        self.map.as_ref().ok_or(Error::Invalid)
    }

    /// Where its blocks are, or [`Error::NotDirectory`].
    pub fn directory_map(&self) -> Result<&FileMap> {
        match (self.kind, &self.map) {
            (InodeKind::Directory, Some(map)) => Ok(map),
            _ => Err(Error::NotDirectory),
        }
    }

    /// A copy of the record's fields. The map knows better about blocks.
    pub fn fields(&self) -> InodeFields {
        *self.fields.lock()
    }

    /// The size on disk, in bytes.
    pub fn disk_size(&self) -> u64 {
        self.fields.lock().size
    }

    /// Whether there may be extended attributes, and so an access control list.
    pub fn may_have_xattrs(&self) -> bool {
        let fields = self.fields.lock();
        fields.file_acl.get() != 0 || fields.extra_isize != 0
    }

    /// What `stat` wants to know.
    pub fn attributes(&self) -> Attributes {
        let fields = self.fields.lock();
        Attributes {
            ino: self.ino,
            generation: self.generation,
            mode: fields.mode,
            uid: fields.uid,
            gid: fields.gid,
            links: u32::from(fields.links),
            size: fields.size,
            blocks: self.sectors(fields.blocks),
            atime: fields.atime,
            mtime: fields.mtime,
            ctime: fields.ctime,
            crtime: fields.crtime,
            flags: fields.flags.0,
            rdev: fields.device(),
            project: fields.project,
        }
    }

    /// Space taken in units of 512 bytes; `stored` is what the record says.
    fn sectors(&self, stored: u64) -> u64 {
        self.map
            .as_ref()
            .map_or(stored, |map| map.blocks() << self.sector_shift)
    }

    /// Space taken, and space that data will take which is delayed or in flight, in units of 512 bytes:
    /// programs take 0 for "nothing but holes".
    pub fn space(&self) -> u64 {
        match &self.map {
            Some(map) => map.blocks_with_pending() << self.sector_shift,
            None => self.fields.lock().blocks,
        }
    }

    /// The map's sequence number; a mapping with another one may be stale.
    pub fn sequence(&self) -> u64 {
        self.map.as_ref().map_or(0, FileMap::sequence)
    }

    /// The transaction to wait for when everything of the inode, or (`datasync`) only what its data
    /// needs, is to be durable.
    pub fn tid(&self, datasync: bool) -> Tid {
        let tid = if datasync {
            &self.datasync_tid
        } else {
            &self.sync_tid
        };
        Tid(tid.load(Ordering::Acquire))
    }
}
