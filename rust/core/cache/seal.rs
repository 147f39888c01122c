// SPDX-License-Identifier: GPL-2.0

//! Checksums and structure of metadata blocks: checked when a block is read, computed when its
//! transaction is closed, and nowhere else.

use super::{shared, Buffer, BufferMut, Cache, Kind};
use crate::core::error::{Error, Place, Result};
use crate::core::platform::{crc, Device};
use crate::format::checksum::{Checksums, Functions};
use crate::format::dirent::DirFormat;
use crate::format::extent::{self, Expect};
use crate::format::fault::Fault;
use crate::format::geometry::Geometry;
use crate::format::htree;
use crate::format::units::{DiskBlock, Group, Ino, Tid};
use core::ops::Range;

/// The platform's checksum functions.
pub const FUNCTIONS: Functions = Functions {
    crc32c: crc::crc32c,
    crc16: crc::crc16,
};

/// The checksums and the geometry of one file system, as the cache needs them.
#[derive(Clone, Debug)]
pub struct Sealer {
    checksums: Checksums,
    geometry: Geometry,
    directories: DirFormat,
}

impl Sealer {
    /// Takes what the superblock says.
    pub fn new(checksums: Checksums, geometry: Geometry) -> Self {
        let directories = DirFormat::new(&geometry, checksums.enabled());
        Self {
            checksums,
            geometry,
            directories,
        }
    }

    /// The checksums, for seeds of inodes and for records smaller than a block.
    pub fn checksums(&self) -> &Checksums {
        &self.checksums
    }

    /// The geometry.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The kind and place of the block with a group's descriptor, and the descriptor's bytes in it.
    pub fn descriptor(&self, group: Group) -> Result<(DiskBlock, Kind, Range<usize>)> {
        let whole = |fault| Error::Corrupt(Place::default(), fault);
        let (block, offset) = self.geometry.descriptor_place(group).map_err(whole)?;
        let per_block = self.geometry.descs_per_block();
        let first = group.get() - group.get() % per_block;
        let end = offset.saturating_add(usize::from(self.geometry.desc_size()));
        Ok((block, Kind::Descriptors(Group(first)), offset..end))
    }

    /// Whether what was read may be trusted as a block of this kind.
    pub(super) fn verify(
        &self,
        cache: &Cache,
        device: &Device,
        at: DiskBlock,
        kind: Kind,
        data: &[u8],
    ) -> Result {
        let sums = &self.checksums;
        let checked = match kind {
            // The superblock was checked before anything else; records of inodes are checked one by one.
            Kind::Superblock | Kind::InodeTable(_) | Kind::SymlinkTarget(_) => Ok(()),
            Kind::Descriptors(first) => self.each_descriptor(first, data.len(), |group, range| {
                sums.verify_group_desc(group, data.get(range).unwrap_or(&[]))
            }),
            Kind::BlockBitmap(group) | Kind::InodeBitmap(group) => {
                let (block, descriptors, range) = self.descriptor(group)?;
                let descriptors = cache.read(device, block, descriptors)?.data()?;
                let desc = descriptors.get(range).unwrap_or(&[]);
                match kind {
                    Kind::BlockBitmap(_) => sums.verify_block_bitmap(desc, self.bits(kind, data)),
                    _ => sums.verify_inode_bitmap(desc, self.bits(kind, data)),
                }
            }
            // What its parent says of the node is checked by whoever walks the tree.
            Kind::ExtentNode(owner) => sums.verify_extent_block(owner.seed, data).and_then(|()| {
                let inside = |start, len| self.geometry.has_blocks(start, len);
                extent::check(data, &Expect::ROOT, inside).map(|_| ())
            }),
            Kind::Directory(owner) => match htree::count_limit_offset(data) {
                Some(offset) => sums.verify_htree(owner.seed, data, offset),
                None => sums
                    .verify_dir_block(owner.seed, data)
                    .and_then(|()| self.directories.check(data)),
            },
            Kind::Xattr => sums.verify_xattr_block(at, data),
            Kind::OrphanFile(owner) => sums.verify_orphan_block(owner.seed, at, data),
        };
        checked.map_err(|fault| Error::Corrupt(Place::new(kind.ino(), at), fault))
    }

    /// Computes the checksums of all blocks of a transaction that no handle can change any more.
    ///
    /// Bitmaps first: their checksums go into descriptors, which the transaction holds as well.
    pub(in crate::core) fn seal(
        &self,
        cache: &Cache,
        device: &Device,
        tid: Tid,
        buffers: &[Buffer],
    ) -> Result {
        for buffer in buffers {
            match buffer.kind() {
                Kind::BlockBitmap(group) | Kind::InodeBitmap(group) => {
                    self.seal_bitmap(cache, device, tid, buffer, group)?;
                }
                _ => {}
            }
        }
        for buffer in buffers {
            let version = buffer.version();
            if version.forgotten {
                continue;
            }
            let mut due = version.due_inodes;
            let mut bytes = BufferMut::new(buffer.block(), version)?;
            bytes.version.due_inodes = 0;
            if buffer.kind() == Kind::Superblock {
                shared::adopt_cached(device, &self.geometry, &mut bytes)?;
            }
            let sealed = self.seal_block(buffer, &mut due, &mut bytes);
            sealed.map_err(|fault| {
                Error::Corrupt(Place::new(buffer.kind().ino(), buffer.block()), fault)
            })?;
        }
        Ok(())
    }

    fn seal_block(
        &self,
        buffer: &Buffer,
        due: &mut u64,
        bytes: &mut [u8],
    ) -> core::result::Result<(), Fault> {
        let sums = &self.checksums;
        match buffer.kind() {
            Kind::Superblock => {
                let record = bytes
                    .get_mut(self.geometry.superblock_offset()..)
                    .unwrap_or(&mut []);
                sums.seal_superblock(record)
            }
            Kind::Descriptors(first) => {
                let len = bytes.len();
                self.each_descriptor(first, len, |group, range| {
                    sums.seal_group_desc(group, bytes.get_mut(range).unwrap_or(&mut []))
                })
            }
            Kind::InodeTable(first) => {
                let size = usize::from(self.geometry.inode_size());
                for (slot, record) in bytes.chunks_exact_mut(size).enumerate() {
                    if *due & 1 != 0 {
                        let ino = u32::try_from(slot)
                            .ok()
                            .and_then(|slot| first.checked_add(slot));
                        sums.seal_inode(ino.unwrap_or(Ino(0)), record)?;
                    }
                    *due >>= 1;
                }
                Ok(())
            }
            Kind::ExtentNode(owner) => sums.seal_extent_block(owner.seed, bytes),
            Kind::Directory(owner) => match htree::count_limit_offset(bytes) {
                Some(offset) => sums.seal_htree(owner.seed, bytes, offset),
                None => sums.seal_dir_block(owner.seed, bytes),
            },
            Kind::Xattr => sums.seal_xattr_block(buffer.block(), bytes),
            Kind::OrphanFile(owner) => sums.seal_orphan_block(owner.seed, buffer.block(), bytes),
            Kind::BlockBitmap(_) | Kind::InodeBitmap(_) | Kind::SymlinkTarget(_) => Ok(()),
        }
    }

    fn seal_bitmap(
        &self,
        cache: &Cache,
        device: &Device,
        tid: Tid,
        buffer: &Buffer,
        group: Group,
    ) -> Result {
        let corrupt = |fault| Error::Corrupt(Place::block(buffer.block()), fault);
        let data = buffer.data()?;
        let (block, kind, range) = self.descriptor(group)?;
        let descriptors = cache.read(device, block, kind)?;
        let version = descriptors.version();
        if version.running != Some(tid) {
            // A bitmap never changes without its group's counts.
            return Err(Error::CreditsExhausted);
        }
        let mut bytes = BufferMut::new(block, version)?;
        let desc = bytes.get_mut(range).unwrap_or(&mut []);
        let bits = self.bits(buffer.kind(), &data);
        let sealed = match buffer.kind() {
            Kind::BlockBitmap(_) => self.checksums.seal_block_bitmap(desc, bits),
            _ => self.checksums.seal_inode_bitmap(desc, bits),
        };
        sealed.map_err(corrupt)
    }

    /// The bytes of a bitmap's block that its checksum covers.
    fn bits<'a>(&self, kind: Kind, block: &'a [u8]) -> &'a [u8] {
        let len = match kind {
            Kind::BlockBitmap(_) => self.geometry.block_bitmap_bytes(),
            _ => self.geometry.inode_bitmap_bytes(),
        };
        block.get(..len).unwrap_or(block)
    }

    /// Calls `each` for every descriptor in a block of `len` bytes that begins with group `first`.
    fn each_descriptor(
        &self,
        first: Group,
        len: usize,
        mut each: impl FnMut(Group, Range<usize>) -> core::result::Result<(), Fault>,
    ) -> core::result::Result<(), Fault> {
        let size = usize::from(self.geometry.desc_size());
        let mut group = first;
        for start in (0..len).step_by(size.max(1)) {
            if !self.geometry.has_group(group) {
                break;
            }
            each(group, start..start.saturating_add(size))?;
            group = Group(group.get().saturating_add(1));
        }
        Ok(())
    }
}
