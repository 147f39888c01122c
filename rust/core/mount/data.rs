// SPDX-License-Identifier: GPL-2.0

//! Inodes' attributes, sizes and data.

use super::{Filesystem, Inode, InodeKind, Resize, Settled, Timestamp};
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::inode::{Touch, XATTR_CREDITS};
use crate::core::map::{BlockRange, Mapping, Ordered};
use crate::core::platform::{Vec, GFP};
use crate::format::inode::MODE_KIND;
use crate::format::units::{DiskBlock, FileBlock};

/// Credits for an inode's record and for the superblock (`large_file`).
const RECORD_CREDITS: u32 = 2;

/// Attributes to be set; `None` leaves one alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeChanges {
    /// Permissions; what the file is does not change.
    pub mode: Option<u16>,
    /// The owner.
    pub uid: Option<u32>,
    /// The owning group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Timestamp>,
    /// Last change of the contents.
    pub mtime: Option<Timestamp>,
    /// Last change of the inode.
    pub ctime: Option<Timestamp>,
}

/// Bytes of a file whose data is on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The first of them.
    pub pos: u64,
    /// How many; the last block may be counted in part.
    pub len: u64,
    /// The block of the device that the first one's block was written to, and the others behind it.
    /// `None` if the caller has kept all of them where they were since he asked for their place.
    pub place: Option<DiskBlock>,
}

impl Filesystem {
    /// Sets attributes. An access control list follows the permissions.
    pub fn set_attributes(&self, inode: &Inode, changes: &AttributeChanges) -> Result {
        self.writable()?;
        let set = self.retry(|| self.try_set_attributes(inode, changes));
        self.report("set_attributes", inode.ino(), set)
    }

    fn try_set_attributes(&self, inode: &Inode, changes: &AttributeChanges) -> Result {
        let list = match changes.mode {
            Some(mode) => inode.acl_of_mode(&self.volume, mode)?,
            None => None,
        };
        let credits = if list.is_some() { 1 + XATTR_CREDITS } else { 1 };
        self.volume.change(credits, |handle| {
            if let Some(list) = &list {
                inode.replace_acl(&self.volume, handle, list)?;
            }
            inode.change(&self.volume, handle, Touch::Attributes, |fields| {
                if let Some(mode) = changes.mode {
                    fields.mode = fields.mode & MODE_KIND | mode & !MODE_KIND;
                }
                fields.uid = changes.uid.unwrap_or(fields.uid);
                fields.gid = changes.gid.unwrap_or(fields.gid);
                fields.atime = changes.atime.unwrap_or(fields.atime);
                fields.mtime = changes.mtime.unwrap_or(fields.mtime);
                fields.ctime = changes.ctime.unwrap_or(fields.ctime);
                Ok(())
            })
        })
    }

    /// Sets times.
    pub fn set_times(
        &self,
        inode: &Inode,
        atime: Option<Timestamp>,
        mtime: Option<Timestamp>,
        ctime: Option<Timestamp>,
    ) -> Result {
        self.set_attributes(
            inode,
            &AttributeChanges {
                atime,
                mtime,
                ctime,
                ..AttributeChanges::default()
            },
        )
    }

    /// Takes over the times (of access, modification, change) that the VFS has stamped without asking.
    /// `times` is called when nobody else changes the inode.
    ///
    /// What was stamped here since then stays, as the VFS is told of it only afterwards.
    pub fn take_times(&self, inode: &Inode, times: impl FnOnce() -> [Timestamp; 3]) -> Result {
        self.writable()?;
        let set = self.volume.change(1, |handle| {
            inode.change(&self.volume, handle, Touch::Attributes, |fields| {
                let [atime, mtime, ctime] = times();
                let now = self.volume.now();
                fields.atime = atime;
                fields.mtime = newer(fields.mtime, mtime, now);
                fields.ctime = newer(fields.ctime, ctime, now);
                Ok(())
            })
        });
        self.report("take_times", inode.ino(), set)
    }

    /// Begins to make a file, which has `old` bytes in memory, shorter or longer.
    pub fn resize<'i>(&self, inode: &'i Inode, old: u64, new: u64) -> Resize<'i> {
        Resize::new(inode, old, new, self.block_size())
    }

    /// Makes a file shorter or longer. When shorter, its page cache was cut before.
    pub fn truncate(&self, settled: Settled<'_>) -> Result {
        let inode = settled.inode;
        self.writable()?;
        if inode.kind() != InodeKind::Regular {
            return Err(Error::Invalid);
        }
        self.report(
            "truncate",
            inode.ino(),
            inode.truncate(&self.volume, &self.orphans, &settled),
        )
    }

    /// Nobody uses the inode any more and its page cache is gone: without links it is deleted.
    ///
    /// On a file system that cannot be changed (any more) it stays an orphan.
    pub fn evict(&self, inode: &Inode) -> Result {
        events::evict_inode(
            &self.volume.device,
            inode.ino(),
            u32::from(inode.fields().links),
        );
        if let Ok(map) = inode.map() {
            // What could not be written in the end has no claim to space any more.
            let everything = BlockRange::from(FileBlock(0));
            let released = map.release_pending(&self.volume, everything);
            map.release_window(&self.volume);
            self.report("evict", inode.ino(), released)?;
        }
        if inode.fields().links != 0 || self.is_read_only() {
            return Ok(());
        }
        self.report(
            "evict",
            inode.ino(),
            inode.delete(&self.volume, &self.orphans),
        )
    }

    /// Nobody has the file open for writing any more: space kept for its growth is given back, unless
    /// something is still to be written into it.
    pub fn release_window(&self, inode: &Inode) {
        if let Ok(map) = inode.map() {
            map.release_window(&self.volume);
        }
    }

    /// Makes an inode durable, or (`datasync`) what its data needs. The data was written before.
    pub fn fsync(&self, inode: &Inode, datasync: bool) -> Result {
        events::sync_file_enter(&self.volume.device, inode.ino(), datasync);
        let synced = self.make_durable(inode, datasync);
        events::sync_file_exit(&self.volume.device, inode.ino(), &synced);
        synced
    }

    fn make_durable(&self, inode: &Inode, datasync: bool) -> Result {
        if self.is_read_only() {
            return if self.has_failed() {
                Err(self.stopped())
            } else {
                Ok(())
            };
        }
        let synced = self
            .volume
            .journal()
            .and_then(|journal| journal.commit(inode.tid(datasync)));
        let flushed = self.report("fsync", inode.ino(), synced)?;
        self.flush_data(flushed)
    }

    /// Makes data durable that the device has, unless a commit has `flushed` its cache since. A failure
    /// is told to the caller only: no metadata depends on it.
    pub(super) fn flush_data(&self, flushed: bool) -> Result {
        if !flushed && self.effective().barrier {
            self.volume.device.flush()?;
        }
        Ok(())
    }

    /// Whether [`Self::fsync`] would have to wait for a transaction.
    pub fn needs_commit(&self, inode: &Inode, datasync: bool) -> bool {
        let journal = self.volume.journal.as_ref();
        journal.is_some_and(|journal| journal.is_pending(inode.tid(datasync)))
    }

    /// The target of a symbolic link.
    pub fn read_link(&self, inode: &Inode) -> Result<Vec<u8>> {
        let read = inode.target(&self.volume, |target| {
            let mut copy = Vec::with_capacity(target.len(), GFP)?;
            copy.extend_from_slice(target, GFP)?;
            Ok(copy)
        });
        self.report("read_link", inode.ino(), read)
    }

    /// What is known of up to `len` blocks from `at` on.
    pub fn map(&self, inode: &Inode, at: FileBlock, len: u32) -> Result<Mapping> {
        let found = inode
            .map()
            .and_then(|map| map.lookup(&self.volume, at, len));
        self.report("map", inode.ino(), found)
    }

    /// Makes sure of space for a write of up to `len` blocks from `at` on: a hole becomes delayed.
    /// Returns whether this call made it so.
    ///
    /// [`Error::NoSpace`] comes here, never later.
    pub fn write_begin(&self, inode: &Inode, at: FileBlock, len: u32) -> Result<(Mapping, bool)> {
        self.writable()?;
        let reserved = inode
            .map()
            .and_then(|map| map.reserve_delayed(&self.volume, at, len));
        self.report("write_begin", inode.ino(), reserved)
    }

    /// Gives delayed blocks back that nobody will write. Blocks in flight stay.
    pub fn release_delayed(&self, inode: &Inode, at: FileBlock, len: u32) -> Result {
        let released = inode
            .map()
            .and_then(|map| map.release_delayed(&self.volume, BlockRange::new(at, len)));
        self.report("release_delayed", inode.ino(), released)
    }

    /// Gives delayed blocks back, and blocks in flight. Nothing of them may be dirty in the page cache or
    /// on its way to the device, nor become so meanwhile.
    pub fn release_pending(&self, inode: &Inode, at: FileBlock, len: u32) -> Result {
        let released = inode
            .map()
            .and_then(|map| map.release_pending(&self.volume, BlockRange::new(at, len)));
        self.report("release_pending", inode.ino(), released)
    }

    /// A dirty block is about to be written: the whole delayed run it is in gets a place on the disk,
    /// in memory only. `size` is the size of the file in memory, in bytes.
    pub fn begin_writeback(&self, inode: &Inode, at: FileBlock, size: u64) -> Result<Mapping> {
        self.writable()?;
        let found = inode
            .map()
            .and_then(|map| map.begin_writeback(&self.volume, at, self.blocks_of(size)));
        self.report("begin_writeback", inode.ino(), found)
    }

    /// Prepares a direct write of up to `len` blocks from `at` on: a hole gets a place on the disk, in
    /// memory only. `None` if the page cache has data for it that is not on the disk: the write has to
    /// go that way too. Needs the invalidate lock, so that this stays as it is.
    pub fn begin_direct(
        &self,
        inode: &Inode,
        at: FileBlock,
        len: u32,
        size: u64,
    ) -> Result<Option<Mapping>> {
        self.writable()?;
        let found = inode
            .map()
            .and_then(|map| map.allocate_direct(&self.volume, at, len, self.blocks_of(size)));
        match found {
            Err(Error::Again) => Ok(None),
            found => self.report("begin_direct", inode.ino(), found).map(Some),
        }
    }

    fn blocks_of(&self, size: u64) -> u64 {
        size.div_ceil(u64::from(self.block_size()))
    }

    /// Data is on the device: it becomes part of the file, and the size on disk grows as far as the data
    /// reaches, but not over `size`, the file's size in memory, in bytes.
    ///
    /// Blocks that `size` does not cover are left as they are: a truncation is under way, which gives
    /// them back when nothing is on its way any more. After an error what did not become part of the
    /// file stays in flight until it is written again, truncated or evicted. Starts handles.
    pub fn data_landed(&self, inode: &Inode, landed: &[Landed], size: u64) -> Result {
        let (mut ordered, mut reached) = (Vec::new(), 0);
        for data in landed {
            let end = data.pos.saturating_add(data.len).min(size);
            if end <= data.pos {
                continue;
            }
            reached = end.max(reached);
            let first = self.file_block(data.pos / u64::from(self.block_size()));
            let blocks = BlockRange::between(first, self.file_block(self.blocks_of(end)));
            let found = inode
                .map()
                .and_then(|map| map.ordered_in(&self.volume, blocks, data.place, &mut ordered));
            self.report("data_landed", inode.ino(), found)?;
        }
        let grown = (reached > inode.disk_size()).then_some(reached);
        if ordered.is_empty() && grown.is_none() {
            return Ok(());
        }
        self.finish_writes(inode, &ordered, grown)
    }

    /// A block of a file by its number; what no file can have becomes the end of the largest.
    fn file_block(&self, number: u64) -> FileBlock {
        u32::try_from(number).map_or(BlockRange::MAX_END, FileBlock)
    }

    /// The data of these ordered extents is on the disk: they become part of the file, and the size
    /// on disk grows to `disk_size`, if it is given and larger.
    fn finish_writes(&self, inode: &Inode, ordered: &[Ordered], disk_size: Option<u64>) -> Result {
        if self.is_read_only() {
            return Err(self.stopped());
        }
        let mut rest = ordered;
        loop {
            let (batch, after) = self.split_batch(inode, rest);
            // Each batch takes the size as far as its blocks reach: none may lie behind the size.
            let ends = batch.iter().map(|extent| extent.range().end);
            let reached = ends.max().map(|end| self.bytes_before(end));
            let size = match reached {
                Some(reached) if !after.is_empty() => disk_size.map(|size| size.min(reached)),
                _ => disk_size,
            };
            let finished = self.finish_batch(inode, batch, size);
            if finished.is_err() {
                return self.report("finish_writes", inode.ino(), finished);
            }
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Where a block of a file begins, in bytes.
    fn bytes_before(&self, block: FileBlock) -> u64 {
        u64::from(block.get()).saturating_mul(u64::from(self.block_size()))
    }

    /// As many ordered extents as one handle can take care of, and the others.
    fn split_batch<'a>(
        &self,
        inode: &Inode,
        ordered: &'a [Ordered],
    ) -> (&'a [Ordered], &'a [Ordered]) {
        let count = inode
            .map()
            .map_or(0, |map| map.batch(&self.volume, ordered));
        ordered.split_at_checked(count).unwrap_or((ordered, &[]))
    }

    fn finish_batch(&self, inode: &Inode, batch: &[Ordered], disk_size: Option<u64>) -> Result {
        let grows = disk_size.filter(|&size| size > inode.disk_size());
        if batch.is_empty() && grows.is_none() {
            return Ok(());
        }
        let map = inode.map()?;
        let mut has_waited = false;
        loop {
            let credits = map
                .credits_for_finish(&self.volume, batch)
                .saturating_add(RECORD_CREDITS);
            let finished = self.volume.change(credits, |handle| {
                let mut reached = FileBlock(0);
                inode.note_change(handle, Touch::Data);
                let finished = map.finish(&self.volume, handle, batch, &mut reached);
                // What was done before it failed is in the tree: it belongs in the record, and none of it
                // may lie behind the size.
                let grows = match finished {
                    Ok(()) => grows,
                    Err(_) => grows.map(|size| size.min(self.bytes_before(reached))),
                };
                if let Some(size) = grows {
                    self.volume.note_large_file(handle, size)?;
                }
                inode.change(&self.volume, handle, Touch::Data, |fields| {
                    fields.size = grows.map_or(fields.size, |size| size.max(fields.size));
                    Ok(())
                })?;
                Ok(finished)
            })?;
            match finished {
                // It takes more credits than were reckoned: the rest in another handle.
                Err(Error::Again) => {}
                // Nodes without a promise: blocks that were freed just now will do.
                Err(Error::NoSpace) if !has_waited => {
                    has_waited = true;
                    if !self.volume.allocator.make_room(self.volume.journal()?)? {
                        return finished;
                    }
                }
                finished => return finished,
            }
        }
    }

    /// Whether what a mapping said when it had this sequence number still holds.
    pub fn is_valid(&self, inode: &Inode, sequence: u64) -> bool {
        inode.map().is_ok_and(|map| map.sequence() == sequence)
    }

    /// Stamps a change of the contents.
    pub fn touch(&self, inode: &Inode) -> Result {
        let time = self.volume.now();
        self.set_times(inode, None, Some(time), Some(time))
    }
}

/// The newer one of two stamps. One in the future is older than a change of the clock, so it goes.
fn newer(ours: Timestamp, theirs: Timestamp, now: Timestamp) -> Timestamp {
    if ours > now {
        theirs
    } else {
        ours.max(theirs)
    }
}
