// SPDX-License-Identifier: GPL-2.0

//! Reading an inode: nothing of the record is believed before it was checked.

use super::{Inode, InodeKind, RecordPlace};
use crate::core::cache::{Kind, Owner};
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::Run;
use crate::core::locks;
use crate::core::map::{Contents, FileMap};
use crate::core::platform::{log, Level, Mutex};
use crate::core::volume::Volume;
use crate::format::fault::{Fault, InodeFault};
use crate::format::features::{Compat, Incompat};
use crate::format::geometry::special;
use crate::format::inode::{InodeFields, InodeFlags};
use crate::format::units::{DiskBlock, Ino};
use core::sync::atomic::AtomicU32;

/// What an inode is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A name leads to it: it must be an ordinary inode in use.
    Name,
    /// Somebody gave its number: one that is no ordinary inode in use is stale.
    Handle,
    /// It is an orphan: it may be without links.
    Orphan,
    /// The file system's own: the journal, the orphan file.
    Internal,
}

/// Longest target of a symbolic link that is in the inode itself, plus one.
pub(super) const FAST_SYMLINK: u64 = 60;

/// Inode flags whose meaning is not done here: such an inode is refused.
const UNSUPPORTED: [(InodeFlags, &str); 3] = [
    (InodeFlags::INLINE_DATA, "inline data"),
    (InodeFlags::ENCRYPT, "encryption"),
    (InodeFlags::VERITY, "verity"),
];

/// What an inode has that is not done here, if anything.
fn unsupported(kind: InodeKind, fields: &InodeFields) -> Option<&'static str> {
    let mut flags = UNSUPPORTED.iter();
    if let Some((_, name)) = flags.find(|(flag, _)| fields.flags.has(*flag)) {
        return Some(name);
    }
    let extents = fields.flags.has(InodeFlags::EXTENTS);
    (is_mapped(kind, fields) && !extents).then_some("a block map without extents")
}

/// Where the record of `ino` lies.
pub(super) fn place(volume: &Volume, ino: Ino) -> Result<RecordPlace> {
    let at = volume.allocator.inode_place(ino)?;
    let size = usize::from(volume.superblock.geometry.inode_size());
    let slot = ino
        .distance_from(at.first)
        .ok_or(Error::Corrupt(Place::inode(ino), number(volume, ino)))?;
    Ok(RecordPlace {
        block: at.block,
        first: at.first,
        slot,
        offset: at.offset,
        size,
    })
}

/// The fault of a number that no inode can have, or not this way.
pub(super) fn number(volume: &Volume, ino: Ino) -> Fault {
    let count = volume.superblock.geometry.inode_count();
    Fault::Inode(InodeFault::Number, u64::from(ino.get()), u64::from(count))
}

impl Inode {
    /// Reads the inode `ino`.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when it is not in use, [`Error::Unsupported`] when it has a feature that is
    /// not done, [`Error::Corrupt`] when the record cannot be.
    pub fn load(volume: &Volume, ino: Ino, purpose: Purpose) -> Result<Self> {
        let geometry = &volume.superblock.geometry;
        let corrupt = |fault| Error::Corrupt(Place::inode(ino), fault);
        let known = geometry.check_ino(ino);
        let ordinary = (ino == special::ROOT || ino >= geometry.first_ino())
            && Some(ino) != volume.superblock.orphan_file
            && !volume.superblock.quota_files.contains(&ino);
        if purpose == Purpose::Handle
            && (known.is_err() || !ordinary || !volume.allocator.is_inode_used(ino)?)
        {
            return Err(Error::Stale);
        }
        known.map_err(corrupt)?;
        if purpose != Purpose::Internal && !ordinary {
            return Err(corrupt(number(volume, ino)));
        }
        let place = place(volume, ino)?;
        let table = volume.read(place.block, Kind::InodeTable(place.first))?;
        let (data, is_due) = {
            let version = table.version();
            let data = version.data.clone().ok_or(Error::Io(place.block))?;
            (
                data,
                version.due_inodes & 1u64.checked_shl(place.slot).unwrap_or(0) != 0,
            )
        };
        let end = place.offset.saturating_add(place.size);
        let raw = data.get(place.offset..end).unwrap_or(&[]);
        if raw.iter().all(|&byte| byte == 0) {
            // Never used; such a record has no checksum either.
            return Err(Error::Stale);
        }
        let here = Place::new(ino, place.block);
        let corrupt = |fault| Error::Corrupt(here, fault);
        if !is_due {
            // A record that changed gets its checksum when its transaction closes.
            volume.checksums().verify_inode(ino, raw).map_err(corrupt)?;
        }
        let fields = InodeFields::decode(raw, geometry).map_err(corrupt)?;
        let must_have_links = matches!(purpose, Purpose::Name | Purpose::Handle);
        if fields.links == 0 && (fields.mode == 0 || must_have_links) {
            return Err(Error::Stale);
        }
        if purpose == Purpose::Handle && fields.flags.has(InodeFlags::EA_INODE) {
            // It was a file once.
            return Err(Error::Stale);
        }
        let kind = fields.kind().map_err(corrupt)?;
        // C ext4 makes what it deletes empty before it has taken all blocks away.
        let may_be_empty = purpose == Purpose::Orphan && fields.links == 0;
        check(volume, kind, &fields, may_be_empty).map_err(corrupt)?;
        events::load_inode(&volume.device, ino);
        if let Some(what) = unsupported(kind, &fields) {
            log(
                Level::Error,
                &volume.device,
                format_args!("inode #{ino}: {what} is not supported"),
            );
            return Err(Error::Unsupported);
        }
        Self::assemble(volume, ino, kind, place, fields)
    }

    /// Puts an inode together from checked fields.
    pub(super) fn assemble(
        volume: &Volume,
        ino: Ino,
        kind: InodeKind,
        place: RecordPlace,
        fields: InodeFields,
    ) -> Result<Self> {
        let seed = volume.checksums().inode_seed(ino, fields.generation);
        let sector_shift = volume.superblock.geometry.block_bits().saturating_sub(9);
        let blocks = fields.blocks >> sector_shift;
        let contents = if kind == InodeKind::Regular {
            Contents::Data
        } else {
            Contents::Metadata
        };
        let map = if is_mapped(kind, &fields) {
            Some(FileMap::new(
                Owner { ino, seed },
                contents,
                fields.flags,
                fields.i_block,
                blocks,
            )?)
        } else {
            None
        };
        // The record may have been changed and forgotten in a transaction that is not durable yet.
        let tid = volume
            .journal
            .as_ref()
            .map_or(0, |journal| journal.newest().0);
        Ok(Self {
            ino,
            generation: fields.generation,
            kind,
            seed,
            place,
            sector_shift,
            map,
            fields: Mutex::new(fields, locks::INODE)?,
            sync_tid: AtomicU32::new(tid),
            datasync_tid: AtomicU32::new(tid),
        })
    }
}

/// Whether `i_block` leads to blocks of the file.
fn is_mapped(kind: InodeKind, fields: &InodeFields) -> bool {
    match kind {
        InodeKind::Regular | InodeKind::Directory => true,
        // An empty one is being deleted; only those with blocks have the flag.
        InodeKind::Symlink if fields.size == 0 => fields.flags.has(InodeFlags::EXTENTS),
        InodeKind::Symlink => fields.size >= FAST_SYMLINK,
        _ => false,
    }
}

/// Whether flags do not go together, or not with the kind of inode or the features.
fn contradict(volume: &Volume, kind: InodeKind, flags: InodeFlags) -> bool {
    let superblock = &volume.superblock;
    let inline = flags.has(InodeFlags::INLINE_DATA)
        && (flags.has(InodeFlags::EXTENTS) || !superblock.incompat.has(Incompat::INLINE_DATA));
    // These belong to features with which nothing is mounted.
    let foreign = flags.has(InodeFlags::EA_INODE) || flags.has(InodeFlags::CASEFOLD);
    let index = flags.has(InodeFlags::INDEX)
        && !superblock.compat.has(Compat::DIR_INDEX)
        && volume.checksums().enabled();
    let frozen = flags.has(InodeFlags::IMMUTABLE) || flags.has(InodeFlags::APPEND);
    inline || foreign || index || (kind == InodeKind::Symlink && frozen)
}

/// What must hold of a record beyond what its fields say one by one.
fn check(
    volume: &Volume,
    kind: InodeKind,
    fields: &InodeFields,
    may_be_empty: bool,
) -> core::result::Result<(), Fault> {
    let geometry = &volume.superblock.geometry;
    let bad = |what, value| Err(Fault::Inode(what, value, 0));
    let block_size = u64::from(geometry.block_size());
    if contradict(volume, kind, fields.flags) {
        return bad(InodeFault::Flags, u64::from(fields.flags.0));
    }
    let xattrs = fields.file_acl;
    if xattrs != DiskBlock(0) && !volume.allocator.is_data(Run::one(xattrs)) {
        return bad(InodeFault::XattrBlock, xattrs.get());
    }
    match kind {
        InodeKind::Directory | InodeKind::Symlink if fields.size == 0 && may_be_empty => Ok(()),
        InodeKind::Directory if fields.size == 0 || fields.size % block_size != 0 => {
            bad(InodeFault::Size, fields.size)
        }
        // A directory has no holes: it cannot have more blocks than there are.
        InodeKind::Directory if fields.size / block_size > geometry.block_count() => {
            bad(InodeFault::Size, fields.size)
        }
        InodeKind::Directory if fields.size > u64::from(u32::MAX) => {
            bad(InodeFault::Size, fields.size)
        }
        InodeKind::Symlink if fields.size == 0 || fields.size >= block_size => Err(Fault::Inode(
            InodeFault::SymlinkSize,
            fields.size,
            block_size,
        )),
        _ => Ok(()),
    }
}
