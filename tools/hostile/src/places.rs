// SPDX-License-Identifier: GPL-2.0

//! Where the structures of an image are, by kind, found with the parsers of `format` themselves.

use host_core::core::cache::FUNCTIONS;
use host_core::format::checksum::Checksums;
use host_core::format::dirent::DirFormat;
use host_core::format::geometry::{special, Geometry};
use host_core::format::group_desc::{GroupDesc, GroupFlags};
use host_core::format::htree::IndexFormat;
use host_core::format::inode::{InodeFields, InodeFlags, InodeKind};
use host_core::format::superblock::{JournalPlace, Superblock};
use host_core::format::units::{DiskBlock, FileBlock, Group, Ino};
use host_core::format::{bitmap, extent, indirect, jbd2};
use std::collections::BTreeMap;

/// Whatever a parser found wrong.
pub type Failure = Box<dyn std::error::Error>;

/// What a structure is. The order is the one in which checksums are made: what holds the sum of
/// another comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A block of an extent tree.
    Extent,
    /// A block of an indirect map.
    Indirect,
    /// A linear block of a directory.
    Dir,
    /// The root of a hash index.
    IndexRoot,
    /// A node of a hash index.
    IndexNode,
    /// A block of attributes.
    Xattr,
    /// A block of the orphan file.
    Orphan,
    /// The record of an inode in use.
    Inode,
    /// A block bitmap.
    BlockBitmap,
    /// An inode bitmap.
    InodeBitmap,
    /// A group descriptor.
    GroupDesc,
    /// The superblock.
    Superblock,
    /// The superblock of the journal.
    JournalSuper,
    /// A metadata block as it stands in the log.
    Logged,
    /// A descriptor, revoke or commit block of the log.
    JournalBlock,
    /// Any other block.
    Other,
}

/// All kinds, for who picks one by number.
pub const KINDS: [Kind; 16] = [
    Kind::Extent,
    Kind::Indirect,
    Kind::Dir,
    Kind::IndexRoot,
    Kind::IndexNode,
    Kind::Xattr,
    Kind::Orphan,
    Kind::Inode,
    Kind::BlockBitmap,
    Kind::InodeBitmap,
    Kind::GroupDesc,
    Kind::Superblock,
    Kind::JournalSuper,
    Kind::Logged,
    Kind::JournalBlock,
    Kind::Other,
];

/// One structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is.
    pub kind: Kind,
    /// Its first byte in the image.
    pub at: u64,
    /// Its length in bytes.
    pub len: usize,
    /// The inode it belongs to (0: none), the group of a bitmap or descriptor.
    pub owner: u32,
}

/// The structures of an image.
#[derive(Clone, Debug)]
pub struct Places {
    /// All of them, in the order of their kinds.
    pub all: Vec<Place>,
    /// Bytes of a block.
    pub block_size: u32,
    /// Bytes of the image.
    pub size: u64,
    /// Blocks that hold fixed metadata: superblocks, descriptors, bitmaps, inode tables.
    pub fixed: Vec<DiskBlock>,
    /// The blocks of the journal, in the order of the log.
    pub log: Vec<DiskBlock>,
}

/// Walks over an image.
struct Walk<'a> {
    image: &'a [u8],
    sb: Superblock,
    sums: Checksums,
    found: Vec<Place>,
    fixed: Vec<DiskBlock>,
    log: Vec<DiskBlock>,
}

impl Places {
    /// Finds the structures of an undamaged image.
    pub fn collect(image: &[u8]) -> Result<Self, Failure> {
        let raw = image.get(1024..2048).ok_or("short")?;
        let mut walk = Walk {
            image,
            sb: Superblock::parse(raw, &FUNCTIONS, None)?,
            sums: Superblock::checksums(raw, FUNCTIONS)?,
            found: Vec::new(),
            fixed: Vec::new(),
            log: Vec::new(),
        };
        walk.everything()?;
        let mut all = walk.found;
        all.sort_by_key(|place| place.kind);
        Ok(Self {
            all,
            block_size: walk.sb.geometry.block_size(),
            size: image.len() as u64,
            fixed: walk.fixed,
            log: walk.log,
        })
    }

    /// The places of a kind.
    pub fn of(&self, kind: Kind) -> &[Place] {
        let from = self.all.partition_point(|place| place.kind < kind);
        let to = self.all.partition_point(|place| place.kind <= kind);
        &self.all[from..to]
    }

    /// The record of an inode in use.
    pub fn inode(&self, ino: u32) -> Option<&Place> {
        self.of(Kind::Inode).iter().find(|place| place.owner == ino)
    }
}

impl Walk<'_> {
    fn geometry(&self) -> Geometry {
        self.sb.geometry.clone()
    }

    fn block(&self, at: DiskBlock) -> &[u8] {
        let size = self.sb.geometry.block_size() as usize;
        let from = at.get() as usize * size;
        &self.image[from..from + size]
    }

    fn add(&mut self, kind: Kind, block: DiskBlock, offset: usize, len: usize, owner: u32) {
        let at = block.get() * u64::from(self.sb.geometry.block_size()) + offset as u64;
        self.found.push(Place {
            kind,
            at,
            len,
            owner,
        });
    }

    fn add_block(&mut self, kind: Kind, block: DiskBlock, owner: Ino) {
        let size = self.sb.geometry.block_size() as usize;
        self.add(kind, block, 0, size, owner.get());
    }

    fn everything(&mut self) -> Result<(), Failure> {
        self.add(Kind::Superblock, DiskBlock(0), 1024, 1024, 0);
        let geometry = self.geometry();
        self.fixed.push(geometry.superblock_block());
        for n in 0..geometry.descriptor_blocks() {
            self.fixed.extend(geometry.descriptor_block(n));
        }
        for group in geometry.groups() {
            self.group(&geometry, group)?;
        }
        Ok(())
    }

    fn group(&mut self, geometry: &Geometry, group: Group) -> Result<(), Failure> {
        let (block, at) = geometry.descriptor_place(group)?;
        let len = usize::from(geometry.desc_size());
        let desc = GroupDesc::parse(&self.block(block)[at..at + len])?;
        let size = geometry.block_size() as usize;
        self.add(Kind::GroupDesc, block, at, len, group.get());
        self.add(Kind::BlockBitmap, desc.block_bitmap, 0, size, group.get());
        self.add(Kind::InodeBitmap, desc.inode_bitmap, 0, size, group.get());
        self.fixed.extend([desc.block_bitmap, desc.inode_bitmap]);
        for n in 0..geometry.inode_table_blocks() {
            self.fixed.extend(desc.inode_table.checked_add(n.into()));
        }
        if desc.flags.has(GroupFlags::INODE_UNINIT) {
            return Ok(());
        }
        let bits = self.block(desc.inode_bitmap).to_vec();
        for bit in 0..geometry.inodes_per_group().get() {
            if !bitmap::is_set(&bits, bit) {
                continue;
            }
            let ino = geometry.ino_at(group, bit).ok_or("inode")?;
            let place = geometry.inode_place(ino)?;
            let table = desc.inode_table.checked_add(place.table_block.into());
            self.inode(ino, table.ok_or("table")?, place.offset)?;
        }
        Ok(())
    }

    fn inode(&mut self, ino: Ino, block: DiskBlock, offset: usize) -> Result<(), Failure> {
        let geometry = self.geometry();
        let len = usize::from(geometry.inode_size());
        let fields = InodeFields::decode(&self.block(block)[offset..offset + len], &geometry)?;
        if fields.mode == 0 && ino != special::ROOT {
            return Ok(());
        }
        self.add(Kind::Inode, block, offset, len, ino.get());
        if fields.file_acl.get() != 0 {
            self.add_block(Kind::Xattr, fields.file_acl, ino);
        }
        if matches!(fields.kind()?, InodeKind::CharDevice | InodeKind::Fifo)
            || fields.is_fast_symlink(&geometry)
        {
            return Ok(());
        }
        let blocks = self.map(ino, &fields)?;
        if fields.kind()? == InodeKind::Directory {
            return self.directory(ino, &fields, &blocks);
        }
        if self.sb.journal == JournalPlace::Inode(ino) {
            return self.journal(ino, blocks.values().copied().collect());
        }
        let kind = if self.sb.orphan_file == Some(ino) {
            Kind::Orphan
        } else {
            Kind::Other
        };
        for block in blocks.values().take(4) {
            self.add_block(kind, *block, ino);
        }
        Ok(())
    }

    fn map(&mut self, ino: Ino, fields: &InodeFields) -> Result<BTreeMap<u32, DiskBlock>, Failure> {
        let mut blocks = BTreeMap::new();
        if fields.flags.has(InodeFlags::EXTENTS) {
            self.extents(ino, &fields.i_block.clone(), &mut blocks)?;
        } else if ino != special::RESIZE {
            let count = fields
                .size
                .div_ceil(u64::from(self.sb.geometry.block_size()));
            for lblk in 0..count as u32 {
                if let Some(block) = self.indirect(ino, fields, FileBlock(lblk))? {
                    blocks.insert(lblk, block);
                }
            }
        }
        Ok(blocks)
    }

    fn extents(
        &mut self,
        ino: Ino,
        bytes: &[u8],
        blocks: &mut BTreeMap<u32, DiskBlock>,
    ) -> Result<(), Failure> {
        let node = extent::Node::new(bytes)?;
        for extent in node.extents() {
            for n in 0..u32::from(extent.len) {
                let lblk = extent.lblk.checked_add(n).ok_or("wraps")?;
                blocks.insert(lblk.get(), extent.map(lblk).ok_or("map")?);
            }
        }
        for index in node.indices() {
            self.add_block(Kind::Extent, index.child, ino);
            let child = self.block(index.child).to_vec();
            self.extents(ino, &child, blocks)?;
        }
        Ok(())
    }

    fn indirect(
        &mut self,
        ino: Ino,
        fields: &InodeFields,
        lblk: FileBlock,
    ) -> Result<Option<DiskBlock>, Failure> {
        let path = indirect::Path::to(lblk, self.sb.geometry.block_bits())?;
        let mut bytes = fields.i_block.to_vec();
        let mut block = None;
        for (depth, step) in path.steps().iter().enumerate() {
            if let Some(node) = block.filter(|_| depth > 0) {
                bytes = self.block(node).to_vec();
                let size = u64::from(self.sb.geometry.block_size());
                if !self.found.iter().any(|place| place.at == node.get() * size) {
                    self.add_block(Kind::Indirect, node, ino);
                }
            }
            block = indirect::entry(&bytes, *step, |_, _| true)?;
            if block.is_none() {
                return Ok(None);
            }
        }
        Ok(block)
    }

    fn directory(
        &mut self,
        ino: Ino,
        fields: &InodeFields,
        blocks: &BTreeMap<u32, DiskBlock>,
    ) -> Result<(), Failure> {
        let dir = DirFormat::new(&self.sb.geometry, self.sums.enabled());
        let format = IndexFormat {
            dir,
            blocks: blocks.len() as u32,
        };
        let mut kinds: BTreeMap<u32, Kind> = BTreeMap::new();
        if fields.flags.has(InodeFlags::INDEX) {
            kinds.insert(0, Kind::IndexRoot);
            let (info, index) = format.root(self.block(blocks[&0]))?;
            if info.levels > 0 {
                kinds.extend(index.entries().map(|e| (e.block.get(), Kind::IndexNode)));
            }
        }
        for (lblk, at) in blocks {
            let kind = kinds.get(lblk).copied().unwrap_or(Kind::Dir);
            self.add_block(kind, *at, ino);
        }
        Ok(())
    }

    /// The journal's superblock and what the log holds from its start to its end.
    fn journal(&mut self, ino: Ino, log: Vec<DiskBlock>) -> Result<(), Failure> {
        let geometry = self.geometry();
        self.add(Kind::JournalSuper, log[0], 0, 1024, ino.get());
        let first = self.block(log[0]).to_vec();
        let len = log.len() as u32;
        self.log = log;
        let layout = jbd2::Layout::parse(&first, &FUNCTIONS, geometry.block_size(), len)?;
        let Some(mut at) = layout.start.map(|start| start.get()) else {
            return Ok(());
        };
        let next = |at: u32| {
            if at + 1 == layout.end_block {
                layout.first_block
            } else {
                at + 1
            }
        };
        for _ in 0..len {
            let place = self.log[at as usize];
            let block = self.block(place).to_vec();
            let Some((kind, _)) = jbd2::header(&block) else {
                break;
            };
            self.add_block(Kind::JournalBlock, place, ino);
            at = next(at);
            if kind == jbd2::BlockType::Descriptor {
                for _ in layout.tags(&block) {
                    self.add_block(Kind::Logged, self.log[at as usize], ino);
                    at = next(at);
                }
            }
        }
        Ok(())
    }
}
