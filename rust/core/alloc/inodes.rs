// SPDX-License-Identifier: GPL-2.0

//! Inode numbers: bits of the inode bitmaps, set and cleared under a handle.

use super::blocks::Locked;
use super::groups::no_group;
use super::Allocator;
use crate::core::cache::{Buffer, Kind};
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::Handle;
use crate::core::platform::shortage;
use crate::format::bitmap;
use crate::format::fault::{BitmapFault, Fault, GroupFault, InodeFault};
use crate::format::geometry::special;
use crate::format::group_desc::{GroupDesc, GroupFlags};
use crate::format::units::{DiskBlock, Group, Ino};
use core::sync::atomic::Ordering::Relaxed;

/// What kind of inode is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewInodeKind {
    /// Directories have a group chosen for them, others stay near their directory.
    pub is_directory: bool,
    /// A directory may be anywhere, as those of the root are.
    pub spread: bool,
    /// The mode, for trace events.
    pub mode: u16,
}

/// A new inode number and the block its record goes into.
#[derive(Debug)]
pub struct NewInode {
    /// The number.
    pub ino: Ino,
    /// The block of the inode table. It stays in memory while this exists, which it must until the
    /// record was written: on disk it may hold garbage, if the inode is the first of it.
    pub table: Buffer,
    /// The record's offset in the block, in bytes.
    pub offset: usize,
}

/// Where an inode's record is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeLocation {
    /// The block of the inode table.
    pub block: DiskBlock,
    /// The record's offset in it, in bytes.
    pub offset: usize,
    /// The first inode of the block: the block's kind is [`Kind::InodeTable`] of it.
    pub first: Ino,
}

/// A free inode that was found and is not taken yet.
#[derive(Debug)]
struct Candidate {
    index: u32,
    ino: Ino,
    bitmap: Buffer,
    table: Buffer,
    offset: usize,
}

impl Allocator {
    /// Where the record of an inode is.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when there is no such inode.
    pub fn inode_place(&self, ino: Ino) -> Result<InodeLocation> {
        let corrupt = |fault| Error::Corrupt(Place::inode(ino), fault);
        let place = self.geometry().inode_place(ino).map_err(corrupt)?;
        let info = self
            .groups
            .get(place.group)
            .ok_or(no_group(place.group, self.geometry()))?;
        let block = info.inode_table.checked_add(u64::from(place.table_block));
        let per_block = self.geometry().inodes_per_block();
        let first = ino.checked_sub(place.index % per_block);
        match (block, first) {
            (Some(block), Some(first)) => Ok(InodeLocation {
                block,
                offset: place.offset,
                first,
            }),
            _ => Err(no_group(place.group, self.geometry())),
        }
    }

    /// Takes a free inode number near `parent` (a directory: where there is room for its files).
    /// Needs [`super::INODE_CREDITS`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] when all inodes are in use; the errors of the handle and the device.
    pub fn allocate_inode(
        &self,
        handle: &mut Handle<'_>,
        parent: Ino,
        kind: NewInodeKind,
    ) -> Result<NewInode> {
        events::request_inode(&self.device, parent, kind.mode);
        if shortage::of_space() {
            return Err(Error::NoSpace);
        }
        let corrupt = |fault| Error::Corrupt(Place::inode(parent), fault);
        let home = self.geometry().inode_place(parent).map_err(corrupt)?.group;
        let home = if kind.is_directory {
            self.directory_group(home, kind.spread || parent == special::ROOT)
        } else {
            home
        };
        let count = self.groups.count();
        // First where there is room for the file's blocks too.
        for with_blocks in [true, false] {
            for group in (home.get()..count).chain(0..home.get()).map(Group) {
                let Some(info) = self.groups.get(group) else {
                    continue;
                };
                let is_full = with_blocks && info.free.load(Relaxed) == 0;
                if is_full || info.free_inodes.load(Relaxed) == 0 || info.inodes_bad.load(Relaxed) {
                    continue;
                }
                if let Some(new) = self.try_inode(handle, group, kind)? {
                    events::allocate_inode(&self.device, new.ino, parent, kind.mode);
                    return Ok(new);
                }
            }
        }
        Err(Error::NoSpace)
    }

    fn try_inode(
        &self,
        handle: &mut Handle<'_>,
        group: Group,
        kind: NewInodeKind,
    ) -> Result<Option<NewInode>> {
        let mut locked = self.enter(group)?;
        if locked.info.free_inodes.load(Relaxed) == 0 {
            return Ok(None);
        }
        let found = match self.find_inode(&mut locked) {
            Ok(found) => found,
            Err(Error::NoSpace) => return Ok(None),
            Err(error @ Error::Corrupt(..)) => {
                locked.info.inodes_bad.store(true, Relaxed);
                self.note_fault(error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.take_inode(handle, &mut locked, &found, kind.is_directory)?;
        let Candidate {
            ino, table, offset, ..
        } = found;
        Ok(Some(NewInode { ino, table, offset }))
    }

    /// Finds a free inode in the locked group, with its table block in memory.
    fn find_inode(&self, locked: &mut Locked<'_>) -> Result<Candidate> {
        let (group, info) = (locked.group, locked.info);
        let geometry = self.geometry();
        let per_group = geometry.inodes_per_group().get();
        let corrupt = |fault| Error::Corrupt(Place::block(info.inode_bitmap), fault);
        if locked.state.blocks_uninit {
            // It is going to be written, see below: it must be one that can be.
            self.loaded(locked)?;
        }
        let (bitmap, data) = if locked.state.inodes_uninit {
            let buffer =
                self.cache
                    .fresh(&self.device, info.inode_bitmap, Kind::InodeBitmap(group))?;
            (buffer, None)
        } else {
            let buffer = self.read_inode_bitmap(group, info.inode_bitmap)?;
            let data = buffer.data()?;
            (buffer, Some(data))
        };
        // A bitmap that was never written is all clear.
        let bits: &[u8] = data.as_ref().map_or(&[], |data| data);
        let reserved = self.reserved_inodes(group);
        if let (Some(bit), Some(_)) = (bitmap::next_clear(bits, 0..reserved), &data) {
            let ino = geometry.ino_at(group, bit).map_or(0, Ino::get);
            return Err(corrupt(Fault::Bitmap(
                BitmapFault::Reserved,
                u64::from(ino),
                0,
            )));
        }
        let from = locked.state.first_free_inode.max(reserved);
        let index = match &data {
            Some(_) => bitmap::next_clear(bits, from..per_group),
            None => Some(from).filter(|index| *index < per_group),
        };
        let said = u64::from(info.free_inodes.load(Relaxed));
        let miscounted = corrupt(Fault::Bitmap(BitmapFault::FreeCount, 0, said));
        let index = index.ok_or(miscounted)?;
        let ino = geometry
            .ino_at(group, index)
            .ok_or(no_group(group, geometry))?;
        let place = self.inode_place(ino)?;
        let table = self.table_block(&place, index, reserved, bits)?;
        Ok(Candidate {
            index,
            ino,
            bitmap,
            table,
            offset: place.offset,
        })
    }

    /// How many inodes at the start of a group are not for files.
    fn reserved_inodes(&self, group: Group) -> u32 {
        let per_group = self.geometry().inodes_per_group().get();
        let before = group.get().saturating_mul(per_group).saturating_add(1);
        let reserved = self.geometry().first_ino().get().saturating_sub(before);
        reserved.min(per_group)
    }

    /// The block of the inode table at `place`, where the free inode with bit `index` of `bits` goes;
    /// the bits below `reserved` count as set.
    fn table_block(
        &self,
        place: &InodeLocation,
        index: u32,
        reserved: u32,
        bits: &[u8],
    ) -> Result<Buffer> {
        let kind = Kind::InodeTable(place.first);
        let known = self.cache.peek(place.block);
        if let Some(table) = known.filter(|table| table.kind() == kind) {
            return Ok(table);
        }
        let per_block = self.geometry().inodes_per_block().get();
        let first = index.saturating_sub(index % per_block);
        let neighbours = first..first.saturating_add(per_block);
        if first < reserved || bitmap::next_set(bits, neighbours).is_some() {
            return self.cache.read(&self.device, place.block, kind);
        }
        // No inode of it is in use: what is on disk does not matter.
        self.cache.fresh(&self.device, place.block, kind)
    }

    fn read_inode_bitmap(&self, group: Group, block: DiskBlock) -> Result<Buffer> {
        let kind = Kind::InodeBitmap(group);
        match self.cache.peek(block) {
            Some(buffer) if buffer.kind() == kind => Ok(buffer),
            _ => {
                events::inode_bitmap_load(&self.device, group);
                self.cache.read(&self.device, block, kind)
            }
        }
    }

    /// Whether an inode number is in use.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when there is no such inode, or its bitmap cannot be; the device's.
    pub fn is_inode_used(&self, ino: Ino) -> Result<bool> {
        let corrupt = |fault| Error::Corrupt(Place::inode(ino), fault);
        let place = self.geometry().inode_place(ino).map_err(corrupt)?;
        let locked = self.enter(place.group)?;
        if locked.state.inodes_uninit {
            return Ok(false);
        }
        let buffer = self.read_inode_bitmap(place.group, locked.info.inode_bitmap)?;
        let data = buffer.data()?;
        Ok(bitmap::is_set(&data, place.index))
    }

    /// Sets the bit and the counts, or changes nothing.
    fn take_inode(
        &self,
        handle: &mut Handle<'_>,
        locked: &mut Locked<'_>,
        found: &Candidate,
        is_directory: bool,
    ) -> Result {
        let geometry = self.geometry();
        let (group, index) = (locked.group, found.index);
        let corrupt = |fault| Error::Corrupt(Place::block(found.bitmap.block()), fault);
        if locked.state.blocks_uninit {
            // A group with inodes in use counts as written, so its block bitmap must be.
            self.change(handle, locked, |_| Ok(()), |_| Ok(()))?;
        }
        let never_used = geometry
            .inodes_per_group()
            .get()
            .saturating_sub(index)
            .saturating_sub(1);
        // Should the record never be written, then at least no garbage counts as used.
        drop(handle.write(&found.table)?);
        let was_uninit = locked.state.inodes_uninit;
        let count = |desc: &mut GroupDesc| {
            let fault = Fault::Group(GroupFault::FreeInodes, u64::from(desc.free_inodes), 1);
            desc.free_inodes = desc.free_inodes.checked_sub(1).ok_or(fault)?;
            desc.used_dirs = desc.used_dirs.saturating_add(u32::from(is_directory));
            desc.unused_inodes = desc.unused_inodes.min(never_used);
            desc.flags = desc.flags.without(GroupFlags::INODE_UNINIT);
            Ok(())
        };
        self.groups
            .change(handle, &self.cache, group, count, |handle| {
                let mut bits = handle.write(&found.bitmap)?;
                if was_uninit {
                    GroupDesc::fresh_inode_bitmap(geometry, &mut bits).map_err(corrupt)?;
                }
                bitmap::set(&mut bits, index, 1).map_err(corrupt)
            })?;
        locked.state.inodes_uninit = false;
        locked.state.first_free_inode = index.saturating_add(1);
        locked.info.free_inodes.fetch_sub(1, Relaxed);
        self.free_inodes.fetch_sub(1, Relaxed);
        if is_directory {
            locked.info.directories.fetch_add(1, Relaxed);
            self.directories.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Gives an inode number back; 2 credits.
    ///
    /// An inode of a group whose bitmap is corrupt stays in use, as nobody can tell.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when the inode is free already, or is none that a file can have.
    pub fn free_inode(&self, handle: &mut Handle<'_>, ino: Ino, is_directory: bool) -> Result {
        let geometry = self.geometry();
        let corrupt = |fault| Error::Corrupt(Place::inode(ino), fault);
        let place = geometry.inode_place(ino).map_err(corrupt)?;
        if ino < geometry.first_ino() {
            let fault = Fault::Inode(
                InodeFault::Number,
                u64::from(ino.get()),
                u64::from(geometry.inode_count()),
            );
            return Err(corrupt(fault));
        }
        let mut locked = self.enter(place.group)?;
        if locked.info.inodes_bad.load(Relaxed) {
            return Ok(());
        }
        if locked.state.inodes_uninit {
            return Err(corrupt(Fault::Bitmap(
                BitmapFault::AlreadyClear,
                u64::from(place.index),
                1,
            )));
        }
        let buffer = self.read_inode_bitmap(place.group, locked.info.inode_bitmap)?;
        let most = geometry.inodes_per_group().get();
        let count = |desc: &mut GroupDesc| {
            let sum = desc.free_inodes.checked_add(1).filter(|sum| *sum <= most);
            let fault = Fault::Group(
                GroupFault::FreeInodes,
                u64::from(desc.free_inodes),
                u64::from(most),
            );
            let none = Fault::Group(GroupFault::UsedDirs, 0, 1);
            let directories = desc.used_dirs.checked_sub(u32::from(is_directory));
            desc.used_dirs = directories.ok_or(none)?;
            desc.free_inodes = sum.ok_or(fault)?;
            Ok(())
        };
        self.groups
            .change(handle, &self.cache, place.group, count, |handle| {
                bitmap::clear(&mut handle.write(&buffer)?, place.index, 1).map_err(corrupt)
            })?;
        locked.state.first_free_inode = locked.state.first_free_inode.min(place.index);
        locked.info.free_inodes.fetch_add(1, Relaxed);
        self.free_inodes.fetch_add(1, Relaxed);
        if is_directory {
            locked.info.directories.fetch_sub(1, Relaxed);
            self.directories.fetch_sub(1, Relaxed);
        }
        Ok(())
    }
}
