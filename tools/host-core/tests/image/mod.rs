// SPDX-License-Identifier: GPL-2.0

//! Images that e2fsprogs makes, and a walk over all of their metadata with our parsers.

mod make;

pub use make::{make, Recipe};

use host_core::core::cache::FUNCTIONS;
use host_core::format::{
    bitmap,
    checksum::Checksums,
    dirent::DirFormat,
    extent,
    fault::Record,
    geometry::{special, Geometry},
    group_desc::{GroupDesc, GroupFlags},
    htree::{IndexFormat, Place},
    indirect,
    inode::{InodeFields, InodeFlags, InodeKind},
    jbd2, orphan_file,
    superblock::{self, JournalPlace, Superblock},
    units::{DiskBlock, FileBlock, Group, Ino, Tid},
    xattr::Attrs,
};
use std::collections::BTreeMap;

pub type Failure = Box<dyn std::error::Error>;

/// What a harvested block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Superblock,
    GroupDesc,
    Inode,
    Extent,
    Indirect,
    Dir,
    IndexRoot,
    IndexNode,
    Xattr,
    Journal,
    Orphan,
}

/// An image in memory, and what was found on the walk over it.
pub struct Image {
    pub bytes: Vec<u8>,
    pub sb: Superblock,
    pub sums: Checksums,
    /// How many of each kind there were, and the first ones of each.
    pub found: BTreeMap<Kind, (usize, Vec<Vec<u8>>)>,
}

/// What a journal holds.
#[derive(Debug)]
pub struct Log {
    pub version: jbd2::Version,
    pub logged: Vec<DiskBlock>,
    pub revoked: Vec<DiskBlock>,
    pub commits: u32,
}

impl Image {
    /// Reads the superblock.
    pub fn open(bytes: Vec<u8>) -> Result<Self, Failure> {
        let sb_bytes = &bytes[1024..2048];
        let device = |size: u32| bytes.len() as u64 / u64::from(size);
        let sb = Superblock::parse(sb_bytes, &FUNCTIONS, Some(&device))?;
        let sums = Superblock::checksums(sb_bytes, FUNCTIONS)?;
        let found = BTreeMap::new();
        Ok(Self {
            bytes,
            sb,
            sums,
            found,
        })
    }

    fn geometry(&self) -> &Geometry {
        &self.sb.geometry
    }

    /// A copy of a block.
    pub fn block(&self, at: DiskBlock) -> Vec<u8> {
        let size = self.geometry().block_size() as usize;
        let from = at.get() as usize * size;
        self.bytes[from..from + size].to_vec()
    }

    fn keep(&mut self, kind: Kind, bytes: &[u8]) {
        let (count, kept) = self.found.entry(kind).or_default();
        *count += 1;
        if kept.len() < 3 {
            kept.push(bytes.to_vec());
        }
    }

    /// Walks over everything; an error is the first thing our parsers do not like.
    pub fn walk(&mut self) -> Result<(), Failure> {
        let raw = self.bytes[1024..2048].to_vec();
        self.reseal(&raw, |sums, bytes| sums.seal_superblock(bytes))?;
        self.keep(Kind::Superblock, &raw);
        let groups: Vec<Group> = self.geometry().groups().collect();
        for group in groups {
            self.group(group)
                .map_err(|e| format!("group {group}: {e}"))?;
        }
        Ok(())
    }

    /// Blanks nothing but checks that sealing gives the bytes there are.
    fn reseal(
        &self,
        bytes: &[u8],
        seal: impl Fn(&Checksums, &mut [u8]) -> Result<(), host_core::format::fault::Fault>,
    ) -> Result<(), Failure> {
        let mut copy = bytes.to_vec();
        seal(&self.sums, &mut copy)?;
        if copy != bytes {
            return Err("sealing gives other bytes".into());
        }
        Ok(())
    }

    fn group(&mut self, group: Group) -> Result<(), Failure> {
        let geometry = self.geometry().clone();
        let (block, at) = geometry.descriptor_place(group)?;
        let raw = self.block(block)[at..at + usize::from(geometry.desc_size())].to_vec();
        self.sums.verify_group_desc(group, &raw)?;
        self.reseal(&raw, |sums, bytes| sums.seal_group_desc(group, bytes))?;
        let desc = GroupDesc::parse(&raw)?;
        desc.check(group, &geometry)?;
        let mut copy = raw.clone();
        desc.store(&mut copy)?;
        assert_eq!(copy, raw, "descriptor round trip");
        self.keep(Kind::GroupDesc, &raw);
        self.block_bitmap(group, &desc, &raw)?;
        self.inodes(group, &desc, &raw)
    }

    fn block_bitmap(&mut self, group: Group, desc: &GroupDesc, raw: &[u8]) -> Result<(), Failure> {
        let geometry = self.geometry();
        let len = geometry.group_len(group);
        let mut fresh = vec![0; geometry.block_size() as usize];
        desc.fresh_block_bitmap(group, geometry, &mut fresh)?;
        let mut bits = fresh.clone();
        if !desc.flags.has(GroupFlags::BLOCK_UNINIT) {
            bits = self.block(desc.block_bitmap);
            let summed = &bits[..geometry.block_bitmap_bytes()];
            self.sums.verify_block_bitmap(raw, summed)?;
            self.reseal(raw, |sums, desc| sums.seal_block_bitmap(desc, summed))?;
            for bit in 0..(bits.len() * 8) as u32 {
                if bitmap::is_set(&fresh, bit) && !bitmap::is_set(&bits, bit) {
                    return Err(format!("metadata bit {bit} is clear").into());
                }
            }
        }
        assert_eq!(bitmap::count_clear(&bits, 0..len), desc.free_blocks);
        Ok(())
    }

    fn inodes(&mut self, group: Group, desc: &GroupDesc, raw: &[u8]) -> Result<(), Failure> {
        let geometry = self.geometry().clone();
        let per = geometry.inodes_per_group().get();
        if desc.flags.has(GroupFlags::INODE_UNINIT) {
            assert_eq!(desc.free_inodes, per);
            return Ok(());
        }
        let bits = self.block(desc.inode_bitmap);
        let summed = &bits[..geometry.inode_bitmap_bytes()];
        self.sums.verify_inode_bitmap(raw, summed)?;
        self.reseal(raw, |sums, desc| sums.seal_inode_bitmap(desc, summed))?;
        assert_eq!(bitmap::count_clear(&bits, 0..per), desc.free_inodes);
        for bit in (0..per).filter(|bit| bitmap::is_set(&bits, *bit)) {
            let ino = geometry.ino_at(group, bit).ok_or("inode")?;
            let place = geometry.inode_place(ino)?;
            assert_eq!((place.group, place.index), (group, bit));
            let table = desc.inode_table.checked_add(place.table_block.into());
            let block = self.block(table.ok_or("table")?);
            let size = usize::from(geometry.inode_size());
            let raw = block[place.offset..place.offset + size].to_vec();
            self.inode(ino, &raw)
                .map_err(|e| format!("inode {ino}: {e}"))?;
        }
        Ok(())
    }

    fn inode(&mut self, ino: Ino, raw: &[u8]) -> Result<(), Failure> {
        let geometry = self.geometry().clone();
        let fields = InodeFields::decode(raw, &geometry)?;
        let unused = fields.is_free() && ino < geometry.first_ino();
        if unused && raw.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        self.sums.verify_inode(ino, raw)?;
        self.reseal(raw, |sums, bytes| sums.seal_inode(ino, bytes))?;
        let mut copy = raw.to_vec();
        fields.encode(&mut copy, &geometry)?;
        assert_eq!(copy, raw, "inode {ino} round trip");
        self.keep(Kind::Inode, raw);
        if let Some(attrs) = Attrs::in_body(raw, fields.extra_isize)? {
            assert!(attrs.iter().count() > 0);
        }
        if fields.file_acl.get() != 0 {
            self.xattr_block(fields.file_acl)?;
        }
        if fields.is_free() {
            return Ok(());
        }
        let blocks = self.map(ino, &fields)?;
        match fields.kind()? {
            InodeKind::Directory => self.directory(ino, &fields, &blocks),
            InodeKind::Regular if self.sb.journal == JournalPlace::Inode(ino) => {
                self.journal(&blocks)
            }
            InodeKind::Regular if self.sb.orphan_file == Some(ino) => {
                self.orphans(ino, &fields, &blocks)
            }
            InodeKind::CharDevice => {
                assert_eq!(fields.device(), (5, 1));
                Ok(())
            }
            InodeKind::Symlink => {
                assert_eq!(fields.is_fast_symlink(&geometry), fields.size < 60);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn xattr_block(&mut self, at: DiskBlock) -> Result<(), Failure> {
        let block = self.block(at);
        self.sums.verify_xattr_block(at, &block)?;
        self.reseal(&block, |sums, bytes| sums.seal_xattr_block(at, bytes))?;
        let attrs = Attrs::in_block(&block)?;
        for attr in attrs.iter() {
            attr.check_hash()?;
        }
        assert!(attrs
            .find(1, b"large")
            .is_some_and(|attr| attr.value.len() == 300));
        self.keep(Kind::Xattr, &block);
        Ok(())
    }

    /// All blocks of an inode, by logical block.
    fn map(&mut self, ino: Ino, fields: &InodeFields) -> Result<BTreeMap<u32, DiskBlock>, Failure> {
        let mut blocks = BTreeMap::new();
        let has_map = matches!(fields.kind()?, InodeKind::Regular | InodeKind::Directory)
            || (fields.kind()? == InodeKind::Symlink && !fields.is_fast_symlink(self.geometry()));
        if fields.flags.has(InodeFlags::EXTENTS) {
            let root = extent::Expect::ROOT;
            self.extent_node(ino, fields, &fields.i_block, &root, &mut blocks)?;
        } else if has_map && ino != special::RESIZE {
            let size = u64::from(self.geometry().block_size());
            for lblk in 0..fields.size.div_ceil(size) as u32 {
                if let Some(block) = self.indirect(fields, FileBlock(lblk))? {
                    blocks.insert(lblk, block);
                }
            }
        }
        Ok(blocks)
    }

    fn extent_node(
        &mut self,
        ino: Ino,
        fields: &InodeFields,
        bytes: &[u8],
        expect: &extent::Expect,
        blocks: &mut BTreeMap<u32, DiskBlock>,
    ) -> Result<(), Failure> {
        let geometry = self.geometry().clone();
        extent::check(bytes, expect, |start, len| geometry.has_blocks(start, len))?;
        let node = extent::Node::new(bytes)?;
        for extent in node.extents() {
            for at in 0..u32::from(extent.len) {
                let lblk = extent.lblk.checked_add(at).ok_or("wraps")?;
                assert_eq!(node.find(lblk).map(|n| node.extent(n)), Some(Ok(extent)));
                blocks.insert(lblk.get(), extent.map(lblk).ok_or("map")?);
            }
        }
        for index in node.indices() {
            let (_, child, expect) = node.child_of(index.lblk)?;
            let block = self.block(child.child);
            let seed = self.sums.inode_seed(ino, fields.generation);
            self.sums.verify_extent_block(seed, &block)?;
            self.reseal(&block, |sums, bytes| sums.seal_extent_block(seed, bytes))?;
            self.extent_node(ino, fields, &block, &expect, blocks)?;
            self.keep(Kind::Extent, &block);
        }
        Ok(())
    }

    fn indirect(
        &mut self,
        fields: &InodeFields,
        lblk: FileBlock,
    ) -> Result<Option<DiskBlock>, Failure> {
        let geometry = self.geometry().clone();
        let valid = |start, len| geometry.has_blocks(start, len);
        let path = indirect::Path::to(lblk, geometry.block_bits())?;
        let mut bytes = fields.i_block.to_vec();
        let mut block = None;
        for (depth, step) in path.steps().iter().enumerate() {
            block = indirect::entry(&bytes, *step, valid)?;
            let Some(next) = block else {
                return Ok(None);
            };
            if depth + 1 < path.steps().len() {
                bytes = self.block(next);
                indirect::check(&bytes, valid)?;
                self.keep(Kind::Indirect, &bytes);
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
        let seed = self.sums.inode_seed(ino, fields.generation);
        let dir = DirFormat::new(self.geometry(), self.sums.enabled());
        let format = IndexFormat {
            dir,
            blocks: blocks.len() as u32,
        };
        let mut places: BTreeMap<u32, Place> = BTreeMap::new();
        if fields.flags.has(InodeFlags::INDEX) {
            places.insert(0, Place::Root);
            let root = self.block(blocks[&0]);
            let (info, index) = format.root(&root)?;
            if info.levels > 0 {
                places.extend(index.entries().map(|e| (e.block.get(), Place::Node)));
            }
        }
        for (lblk, at) in blocks {
            let block = self.block(*at);
            let Some(place) = places.get(lblk) else {
                self.sums.verify_dir_block(seed, &block)?;
                self.reseal(&block, |sums, bytes| sums.seal_dir_block(seed, bytes))?;
                dir.check(&block)?;
                if *lblk == 0 {
                    assert_eq!(dir.dots(&block)?.0.ino, Some(ino));
                }
                self.keep(Kind::Dir, &block);
                continue;
            };
            let at = place.entries_at();
            self.sums.verify_htree(seed, &block, at)?;
            self.reseal(&block, |sums, bytes| sums.seal_htree(seed, bytes, at))?;
            match place {
                Place::Root => self.keep(Kind::IndexRoot, &block),
                Place::Node => {
                    format.node(&block)?;
                    self.keep(Kind::IndexNode, &block);
                }
            }
        }
        if fields.flags.has(InodeFlags::INDEX) {
            self.index(&format, blocks)?;
        }
        Ok(())
    }

    /// Every name of an indexed directory must be where its hash leads.
    fn index(
        &self,
        format: &IndexFormat,
        blocks: &BTreeMap<u32, DiskBlock>,
    ) -> Result<(), Failure> {
        let root = self.block(blocks[&0]);
        let (info, top) = format.root(&root)?;
        let hasher = host_core::format::hash::Hasher {
            version: info.version,
            signedness: info.signedness.or(self.sb.hash_signedness).ok_or("sign")?,
            seed: self.sb.hash_seed,
        };
        let mut leaves = Vec::new();
        for entry in top.entries() {
            if info.levels == 0 {
                leaves.push(entry);
                continue;
            }
            let node = self.block(blocks[&entry.block.get()]);
            for (n, mut leaf) in format.node(&node)?.entries().enumerate() {
                if n == 0 {
                    leaf.hash = entry.hash;
                }
                leaves.push(leaf);
            }
        }
        for (n, leaf) in leaves.iter().enumerate() {
            let end = leaves.get(n + 1).map_or(u32::MAX, |next| next.hash);
            let block = self.block(blocks[&leaf.block.get()]);
            for entry in format.dir.entries(&block) {
                let entry = entry?;
                let hash = hasher.hash(entry.name).major;
                if entry.ino.is_some() && (hash < leaf.hash & !1 || hash >= end) {
                    return Err(
                        format!("hash {hash:#x} is not in {:#x}..{end:#x}", leaf.hash).into(),
                    );
                }
            }
        }
        Ok(())
    }

    fn journal(&mut self, blocks: &BTreeMap<u32, DiskBlock>) -> Result<(), Failure> {
        let first = self.block(blocks[&0]);
        let size = self.geometry().block_size();
        let layout = jbd2::Layout::parse(&first, &FUNCTIONS, size, blocks.len() as u32)?;
        assert_eq!(layout.start, None);
        self.keep(Kind::Journal, &first);
        Ok(())
    }

    /// Reads the log from its start to its end, and checks every sum in it.
    pub fn log(&mut self) -> Result<Log, Failure> {
        let JournalPlace::Inode(ino) = self.sb.journal else {
            return Err("no journal".into());
        };
        let place = self.geometry().inode_place(ino)?;
        let (block, at) = self.geometry().descriptor_place(place.group)?;
        let table = GroupDesc::parse(&self.block(block)[at..at + 64])?.inode_table;
        let table = table.checked_add(place.table_block.into()).ok_or("table")?;
        let raw = &self.block(table)[place.offset..place.offset + 256];
        let fields = InodeFields::decode(raw, self.geometry())?;
        let blocks = self.map(ino, &fields)?;
        let size = self.geometry().block_size();
        let first = self.block(blocks[&0]);
        let layout = jbd2::Layout::parse(&first, &FUNCTIONS, size, blocks.len() as u32)?;
        let mut log = Log {
            version: layout.version,
            logged: Vec::new(),
            revoked: Vec::new(),
            commits: 0,
        };
        let mut at = layout.start.ok_or("the log is empty")?.get();
        let mut tid = Tid(layout.sequence);
        loop {
            let block = self.block(blocks[&at]);
            at += 1;
            match jbd2::header(&block) {
                Some((kind, found)) if found == tid => match kind {
                    jbd2::BlockType::Descriptor => {
                        layout.verify_tail(Record::JournalDescriptor, &block)?;
                        for tag in layout.tags(&block) {
                            let tag = tag?;
                            layout.verify_data(&tag, tid, &self.block(blocks[&at]))?;
                            log.logged.push(tag.block);
                            at += 1;
                        }
                    }
                    jbd2::BlockType::Revoke => {
                        layout.verify_tail(Record::JournalRevoke, &block)?;
                        log.revoked.extend(layout.revokes(&block)?);
                    }
                    jbd2::BlockType::Commit => {
                        layout.verify_commit(&block, 0)?;
                        log.commits += 1;
                        tid = tid.next();
                    }
                },
                _ => return Ok(log),
            }
        }
    }

    fn orphans(
        &mut self,
        ino: Ino,
        fields: &InodeFields,
        blocks: &BTreeMap<u32, DiskBlock>,
    ) -> Result<(), Failure> {
        let seed = self.sums.inode_seed(ino, fields.generation);
        for at in blocks.values() {
            let block = self.block(*at);
            self.sums.verify_orphan_block(seed, *at, &block)?;
            self.reseal(&block, |sums, b| sums.seal_orphan_block(seed, *at, b))?;
            let geometry = self.geometry();
            orphan_file::check(&block)?;
            for (n, ino) in orphan_file::orphans(&block) {
                orphan_file::check_slot(n, ino, geometry.first_ino(), geometry.inode_count())?;
            }
            self.keep(Kind::Orphan, &block);
        }
        Ok(())
    }
}

/// The superblock's place, for who changes it.
pub const SUPERBLOCK: std::ops::Range<usize> =
    superblock::OFFSET as usize..superblock::OFFSET as usize + superblock::LEN;
