// SPDX-License-Identifier: GPL-2.0

//! Writing an inode: fields and map go into the inode table block, under a handle.

use super::create::wanted_extra_isize;
use super::{Inode, InodeKind};
use crate::core::cache::{Buffer, Kind};
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::Handle;
use crate::core::volume::Volume;
use crate::format::bytes::{le32, put_le32};
use crate::format::fault::{Fault, Record};
use crate::format::inode::InodeFields;
use crate::format::units::{DiskBlock, Ino};
use core::sync::atomic::Ordering;

/// Whether a change matters to `fdatasync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Only times, owner, permissions.
    Attributes,
    /// Size or blocks.
    Data,
}

/// Place of `i_dtime` in a record. While an inode is an orphan this is the link to the next one and
/// belongs to [`super::Orphans`]; storing an inode leaves it alone.
const DTIME: usize = 0x14;

impl Inode {
    /// The inode table block.
    pub(super) fn table(&self, volume: &Volume) -> Result<Buffer> {
        volume.read(self.place.block, Kind::InodeTable(self.place.first))
    }

    fn too_short(&self) -> Error {
        let place = Place::new(self.ino, self.place.block);
        Error::Corrupt(
            place,
            Fault::Short {
                record: Record::Inode,
                need: 128,
                have: 0,
            },
        )
    }

    /// Changes fields and writes the record, with the map as it is now. Spends one credit at most.
    ///
    /// `edit` decides: if it fails nothing is changed.
    pub fn change<R>(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        touch: Touch,
        edit: impl FnOnce(&mut InodeFields) -> Result<R>,
    ) -> Result<R> {
        let table = self.table(volume)?;
        let mut fields = self.fields.lock();
        let mut next = *fields;
        let result = edit(&mut next)?;
        self.write(volume, handle, &table, &mut next, None)?;
        *fields = next;
        self.note_change(handle, touch);
        Ok(result)
    }

    /// The handle's transaction is one that a sync of the inode waits for from here on.
    ///
    /// Who changes the map does this first, as others see the change before the record is written.
    pub fn note_change(&self, handle: &Handle<'_>, touch: Touch) {
        let tid = handle.tid().0;
        self.sync_tid.store(tid, Ordering::Release);
        if touch == Touch::Data {
            self.datasync_tid.store(tid, Ordering::Release);
        }
    }

    /// Writes the record as it is, with the map as it is now.
    pub fn store(&self, volume: &Volume, handle: &mut Handle<'_>) -> Result {
        self.change(volume, handle, Touch::Data, |_| Ok(()))
    }

    /// Writes the first record of a new inode over whatever an old one has left there, into the
    /// table block that the allocator has prepared.
    pub(super) fn store_new(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        table: &Buffer,
    ) -> Result {
        {
            let mut block = handle.write(table)?;
            let end = self.place.offset.saturating_add(self.place.size);
            block
                .get_mut(self.place.offset..end)
                .ok_or(self.too_short())?
                .fill(0);
        }
        let mut fields = self.fields.lock();
        let mut next = *fields;
        self.write(volume, handle, table, &mut next, Some(0))?;
        *fields = next;
        self.note_change(handle, Touch::Data);
        Ok(())
    }

    /// Writes the last record: the inode is free from here on, deleted at `time`.
    pub(super) fn store_deleted(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        time: u32,
    ) -> Result {
        let table = self.table(volume)?;
        let mut fields = self.fields.lock();
        let mut next = *fields;
        next.links = 0;
        next.file_acl = DiskBlock(0);
        self.write(volume, handle, &table, &mut next, Some(time))?;
        *fields = next;
        Ok(())
    }

    /// Formats `next` into the record. `dtime` replaces what stands there, if given.
    fn write(
        &self,
        volume: &Volume,
        handle: &mut Handle<'_>,
        table: &Buffer,
        next: &mut InodeFields,
        dtime: Option<u32>,
    ) -> Result {
        if let Some(map) = &self.map {
            next.i_block = map.root();
            next.blocks = self.sectors(0);
        }
        events::mark_inode_dirty(&volume.device, self.ino);
        let mut block = handle.write(table)?;
        let end = self.place.offset.saturating_add(self.place.size);
        let raw = block
            .get_mut(self.place.offset..end)
            .ok_or(self.too_short())?;
        next.grow_extra(raw, wanted_extra_isize(&volume.superblock));
        // Nobody is to see what the disk cannot keep: a time would go back within its second.
        next.fit();
        next.dtime = dtime.or(le32(raw, DTIME)).ok_or(self.too_short())?;
        let here = Place::new(self.ino, self.place.block);
        next.encode(raw, &volume.superblock.geometry)
            .map_err(|fault| Error::Corrupt(here, fault))?;
        block.changed_inode(self.place.slot);
        Ok(())
    }

    /// Sets this record's link in the chain of orphans.
    pub(super) fn set_next_orphan(
        volume: &Volume,
        handle: &mut Handle<'_>,
        ino: Ino,
        next: Option<Ino>,
    ) -> Result {
        let place = super::load::place(volume, ino)?;
        let table = volume.read(place.block, Kind::InodeTable(place.first))?;
        let mut block = handle.write(&table)?;
        let at = place.offset.saturating_add(DTIME);
        put_le32(&mut block, at, next.map_or(0, Ino::get)).ok_or(Error::Io(place.block))?;
        block.changed_inode(place.slot);
        Ok(())
    }

    /// This record's link in the chain of orphans.
    pub(super) fn next_orphan(volume: &Volume, ino: Ino) -> Result<Option<Ino>> {
        let place = super::load::place(volume, ino)?;
        let data = volume
            .read(place.block, Kind::InodeTable(place.first))?
            .data()?;
        let next = le32(&data, place.offset.saturating_add(DTIME)).unwrap_or(0);
        Ok((next != 0).then_some(Ino(next)))
    }

    /// Whether its size may be changed.
    pub fn can_truncate(&self) -> bool {
        self.map.is_some()
            && matches!(
                self.kind,
                InodeKind::Regular | InodeKind::Directory | InodeKind::Symlink
            )
    }
}
