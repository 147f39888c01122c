// SPDX-License-Identifier: GPL-2.0

//! Making files shorter, longer, and nothing.

use super::{Inode, InodeKind, Orphans, Settled, Touch, ORPHAN_CREDITS};
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::journal::Handle;
use crate::core::map::{BlockRange, FileMap};
use crate::core::volume::Volume;
use crate::core::xattr::read_block;
use crate::format::units::{DiskBlock, FileBlock};

/// Credits to free an inode at the end: its record, its bitmap, its descriptor, its xattr block with
/// the bitmap and descriptor of that, and the orphan entry.
const FREE_CREDITS: u32 = ORPHAN_CREDITS + 6;

impl Inode {
    /// Credits to begin a truncation with: what freeing the inode takes (or the orphan entry and the
    /// record), the superblock (for `large_file`), and what one step of [`FileMap::remove`] needs.
    pub fn truncate_credits(&self) -> u32 {
        let step = self.map.as_ref().map_or(0, FileMap::credits_for_remove);
        FREE_CREDITS.saturating_add(2).saturating_add(step)
    }

    /// Sets the size on disk, and frees the blocks behind it unless the file grows.
    ///
    /// The page cache behind the new end is gone already. The new size and, if one transaction is
    /// not enough, the orphan entry are in the first transaction: after a crash a mount goes on.
    pub fn truncate(&self, volume: &Volume, orphans: &Orphans, settled: &Settled<'_>) -> Result {
        let size = settled.size;
        if !self.can_truncate() {
            return Err(Error::Invalid);
        }
        if size > volume.max_file_size() {
            return Err(Error::FileTooBig);
        }
        let blocks = || self.map.as_ref().map_or(0, FileMap::blocks);
        events::truncate_enter(&volume.device, self.ino, blocks);
        volume.change(self.truncate_credits(), |handle| {
            volume.note_large_file(handle, size)?;
            self.change(volume, handle, Touch::Data, |fields| {
                let time = volume.now();
                fields.size = size;
                (fields.mtime, fields.ctime) = (time, time);
                Ok(())
            })?;
            if settled.frees {
                self.remove_from(volume, orphans, handle, size)?;
            }
            Ok(())
        })?;
        events::truncate_exit(&volume.device, self.ino, blocks);
        Ok(())
    }

    /// Frees the blocks behind `size`, which is not above the size on disk; the last part of
    /// every truncation, and all of one that a crash interrupted.
    pub fn remove_from(
        &self,
        volume: &Volume,
        orphans: &Orphans,
        handle: &mut Handle<'_>,
        size: u64,
    ) -> Result {
        let block_bits = volume.superblock.geometry.block_bits();
        let blocks = size.div_ceil(1 << block_bits);
        if let Ok(start) = u32::try_from(blocks) {
            self.remove_blocks(
                volume,
                handle,
                FileBlock(start),
                ORPHAN_CREDITS + 1,
                |handle| orphans.add(volume, handle, self.ino),
            )?;
        }
        if self.fields().links == 0 {
            // It stays one until it is deleted.
            return Ok(());
        }
        orphans.remove(volume, handle, self.ino)
    }

    /// Frees the blocks from `start` on, and stores the record, also when not all could be freed.
    /// `before_restart` runs before the handle goes on in another transaction. `spare` credits are left
    /// for that, and in the end.
    fn remove_blocks(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        start: FileBlock,
        spare: u32,
        mut before_restart: impl FnMut(&mut Handle<'_>) -> Result,
    ) -> Result {
        let Some(map) = &self.map else {
            return Ok(());
        };
        let range = BlockRange::from(start);
        map.release_pending(volume, range)?;
        // While it is in memory, that the record cannot be read does not keep it from being stored.
        let _table = self.table(volume)?;
        map.remove(volume, handle, range, spare, |handle, restarts| {
            let entered = if restarts {
                before_restart(handle)
            } else {
                Ok(())
            };
            // Also when that failed: what was freed so far must not stay in the record.
            self.store(volume, handle)?;
            entered
        })
    }

    /// Frees an inode that has no links and that nobody uses any more: blocks, attributes, number.
    ///
    /// It is an orphan already, so that a crash on the way, or an error, leaves it to a later mount.
    pub fn delete(&self, volume: &Volume, orphans: &Orphans) -> Result {
        volume.change(self.truncate_credits(), |handle| {
            self.remove_blocks(volume, handle, FileBlock(0), FREE_CREDITS, |handle| {
                orphans.add(volume, handle, self.ino)
            })?;
            self.release_xattr_block(volume, handle)?;
            orphans.remove(volume, handle, self.ino)?;
            let (seconds, _) = volume.device.now();
            // A deletion time of 0 would say that the inode is in use.
            let time = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
            self.store_deleted(volume, handle, time)?;
            let fields = self.fields();
            events::free_inode(&volume.device, self.ino, fields.mode, fields.blocks);
            volume
                .allocator
                .free_inode(handle, self.ino, self.kind == InodeKind::Directory)
        })
    }

    /// Gives up the inode's reference to its block of extended attributes, if it has one: the last one
    /// frees it. The record has it no more before that.
    fn release_xattr_block(&self, volume: &Volume, handle: &mut Handle<'_>) -> Result {
        let block = self.fields().file_acl;
        if block == DiskBlock(0) {
            return Ok(());
        }
        // One that cannot be read stays the inode's.
        let _buffer = read_block(volume, self.ino, block)?;
        self.change(volume, handle, Touch::Attributes, |fields| {
            fields.file_acl = DiskBlock(0);
            Ok(())
        })?;
        self.drop_xattr_reference(volume, handle, block)
    }
}
