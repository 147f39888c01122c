// SPDX-License-Identifier: GPL-2.0

//! New inodes.

use super::load::{place, FAST_SYMLINK};
use super::{Inode, InodeKind};
use crate::core::alloc::{NewInode as Taken, NewInodeKind};
use crate::core::cache::Kind;
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Handle;
use crate::core::map::State;
use crate::core::patience::patiently;
use crate::core::platform::random_u32;
use crate::core::volume::Volume;
use crate::format::bytes::wide;
use crate::format::extent::NodeMut;
use crate::format::fault::{Fault, InodeFault};
use crate::format::features::RoCompat;
use crate::format::inode::{InodeFields, InodeFlags, BASE_LEN, I_BLOCK_LEN, KNOWN_EXTRA};
use crate::format::superblock::Superblock;
use crate::format::units::{DiskBlock, FileBlock};

/// What a new inode shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewInode {
    /// File type and permissions.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Major and minor number, of a device.
    pub rdev: (u32, u32),
}

/// Flags a new inode takes over from its directory.
const INHERITED: InodeFlags = InodeFlags::SECRM
    .with(InodeFlags::UNRM)
    .with(InodeFlags::COMPR)
    .with(InodeFlags::SYNC)
    .with(InodeFlags::NODUMP)
    .with(InodeFlags::NOATIME)
    .with(InodeFlags::NOCOMPR)
    .with(InodeFlags::JOURNAL_DATA)
    .with(InodeFlags::NOTAIL)
    .with(InodeFlags::DIRSYNC)
    .with(InodeFlags::PROJINHERIT)
    .with(InodeFlags::DAX);

/// Those that make sense only on directories.
const DIRECTORY_ONLY: InodeFlags = InodeFlags::DIRSYNC
    .with(InodeFlags::TOPDIR)
    .with(InodeFlags::PROJINHERIT);

/// The flags of a new inode of this kind under a directory with flags `parent`.
fn inherited(kind: InodeKind, parent: InodeFlags) -> InodeFlags {
    let flags = InodeFlags(parent.0 & INHERITED.0);
    match kind {
        InodeKind::Directory => flags,
        InodeKind::Regular => flags.without(DIRECTORY_ONLY),
        _ => InodeFlags(flags.0 & InodeFlags::NODUMP.with(InodeFlags::NOATIME).0),
    }
}

impl Inode {
    /// Takes a free inode number near `parent` and writes the first record of the new inode. It has
    /// no links yet, and no blocks.
    ///
    /// `target` is a symbolic link's. Spends up to [`crate::core::alloc::INODE_CREDITS`] credits.
    pub fn create(
        volume: &Volume,
        handle: &mut Handle<'_>,
        parent: &Self,
        new: &NewInode,
        target: Option<&[u8]>,
    ) -> Result<Self> {
        let kind = InodeKind::of_mode(new.mode).ok_or(Error::Invalid)?;
        let is_directory = kind == InodeKind::Directory;
        let wanted = NewInodeKind {
            is_directory,
            spread: parent.fields().flags.has(InodeFlags::TOPDIR),
            mode: new.mode,
        };
        let taken = volume
            .allocator
            .allocate_inode(handle, parent.ino, wanted)?;
        let ino = taken.ino;
        let made = Self::first_record(volume, handle, parent, new, &taken, target);
        if made.is_err() {
            // Nobody knows of it yet; an error of this is the lesser one.
            let _ = volume.allocator.free_inode(handle, ino, is_directory);
        }
        made
    }

    fn first_record(
        volume: &Volume,
        handle: &mut Handle<'_>,
        parent: &Self,
        new: &NewInode,
        taken: &Taken,
        target: Option<&[u8]>,
    ) -> Result<Self> {
        let kind = InodeKind::of_mode(new.mode).ok_or(Error::Invalid)?;
        let place = place(volume, taken.ino)?;
        let mut fields = Self::first_fields(volume, parent, new, kind);
        if let Some(target) = target {
            set_target(&mut fields, target)?;
        }
        let inode = patiently(|| Self::assemble(volume, taken.ino, kind, place, fields))?;
        inode.store_new(volume, handle, &taken.table)?;
        Ok(inode)
    }

    fn first_fields(
        volume: &Volume,
        parent: &Self,
        new: &NewInode,
        kind: InodeKind,
    ) -> InodeFields {
        let time = volume.now();
        let parent = parent.fields();
        let superblock = &volume.superblock;
        let mut fields = InodeFields {
            mode: new.mode,
            uid: new.uid,
            gid: new.gid,
            size: 0,
            blocks: 0,
            links: 0,
            flags: inherited(kind, parent.flags),
            generation: random_u32(),
            atime: time,
            ctime: time,
            mtime: time,
            crtime: Some(time),
            dtime: 0,
            file_acl: DiskBlock(0),
            project: if parent.flags.has(InodeFlags::PROJINHERIT) {
                parent.project
            } else {
                0
            },
            extra_isize: wanted_extra_isize(superblock),
            i_block: [0; I_BLOCK_LEN],
            version: 1,
        };
        match kind {
            InodeKind::Regular | InodeKind::Directory => {
                fields.flags = fields.flags.with(InodeFlags::EXTENTS);
                fields.i_block = empty_root();
            }
            InodeKind::CharDevice | InodeKind::BlockDevice => {
                fields.set_device(new.rdev.0, new.rdev.1)
            }
            _ => {}
        }
        fields
    }

    /// Writes the target of a symbolic link that is too long for the inode into a block.
    /// Spends the credits of one allocation and one more.
    pub fn store_target(&self, volume: &Volume, handle: &mut Handle<'_>, target: &[u8]) -> Result {
        let mapping = self.map()?.allocate_now(volume, handle, FileBlock(0), 1)?;
        let State::Written(block) = mapping.state else {
            return Err(Error::NoSpace);
        };
        let buffer = volume.fresh(block, Kind::SymlinkTarget(self.ino))?;
        let mut bytes = handle.write(&buffer)?;
        bytes
            .get_mut(..target.len())
            .ok_or(Error::NameTooLong)?
            .copy_from_slice(target);
        drop(bytes);
        self.store(volume, handle)
    }

    /// Hands the target of a symbolic link to `with`: as many bytes as the inode says, none of them zero.
    pub fn target<R>(&self, volume: &Volume, with: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        if self.kind != InodeKind::Symlink {
            return Err(Error::Invalid);
        }
        let fields = self.fields();
        let len = usize::try_from(fields.size).map_err(|_| Error::NameTooLong)?;
        let Ok(map) = self.map() else {
            return with(self.whole_target(&fields.i_block, len, DiskBlock(0))?);
        };
        match map.lookup(volume, FileBlock(0), 1)?.state {
            State::Written(block) => {
                let data = volume.read(block, Kind::SymlinkTarget(self.ino))?.data()?;
                with(self.whole_target(&data, len, block)?)
            }
            _ => {
                let hole = Fault::Inode(InodeFault::SymlinkHole, fields.size, 0);
                Err(Error::Corrupt(self.here(), hole))
            }
        }
    }

    /// The first `len` bytes, which are a target.
    fn whole_target<'a>(&self, bytes: &'a [u8], len: usize, block: DiskBlock) -> Result<&'a [u8]> {
        let target = bytes.get(..len).ok_or(Error::NameTooLong)?;
        match target.iter().position(|&byte| byte == 0) {
            None => Ok(target),
            Some(at) => {
                let ino = self.ino;
                let fault = Fault::Inode(InodeFault::SymlinkZero, wide(at), wide(len));
                Err(Error::Corrupt(Place { ino, block }, fault))
            }
        }
    }
}

/// The length of a new record's extra part: all that is known, if there is room for one, and more if the
/// superblock wants more.
pub(super) fn wanted_extra_isize(superblock: &Superblock) -> u16 {
    let wanted = superblock.want_extra_isize.max(superblock.min_extra_isize);
    match usize::from(superblock.geometry.inode_size()) {
        BASE_LEN => 0,
        _ if superblock.ro_compat.has(RoCompat::EXTRA_ISIZE) => wanted.max(KNOWN_EXTRA) & !3,
        _ => KNOWN_EXTRA,
    }
}

/// Makes the record one of a symbolic link to `target`, with the target in it if that fits.
fn set_target(fields: &mut InodeFields, target: &[u8]) -> Result {
    fields.size = target.len() as u64;
    if fields.size < FAST_SYMLINK {
        fields
            .i_block
            .get_mut(..target.len())
            .ok_or(Error::NameTooLong)?
            .copy_from_slice(target);
    } else {
        fields.flags = fields.flags.with(InodeFlags::EXTENTS);
        fields.i_block = empty_root();
    }
    Ok(())
}

/// The map of a file without blocks.
fn empty_root() -> [u8; I_BLOCK_LEN] {
    let mut root = [0; I_BLOCK_LEN];
    // 60 bytes are enough for a header and four entries.
    let _ = NodeMut::init(&mut root, 0);
    root
}
