// SPDX-License-Identifier: GPL-2.0

//! Each parser of `format` on any bytes: no panic, and what was accepted keeps its promises.

use host_core::core::cache::FUNCTIONS;
use host_core::format::bytes::le16;
use host_core::format::checksum::{Checksums, Mode, Seed};
use host_core::format::dirent::{DirFormat, FileType};
use host_core::format::extent::{self, Expect, Extent, Node, NodeMut};
use host_core::format::group_desc::GroupDesc;
use host_core::format::hash::{HashSeed, HashVersion, Hasher, Signedness};
use host_core::format::htree::{self, IndexEntry, IndexFormat, Place};
use host_core::format::inode::{InodeFields, InodeKind};
use host_core::format::superblock::{RawSuperblock, Superblock};
use host_core::format::units::{DiskBlock, FileBlock, Group, Ino, Tid};
use host_core::format::xattr::Attrs;
use host_core::format::{acl, bitmap, indirect, jbd2, orphan_file};

/// A parser's name and what to do with bytes.
pub type Parser = (&'static str, fn(&[u8]));

/// All of them.
pub const PARSERS: &[Parser] = &[
    ("superblock", superblock),
    ("group_desc", group_desc),
    ("inode", inode),
    ("extent", extent_node),
    ("indirect", indirect_block),
    ("dirent", dir_block),
    ("htree", index_block),
    ("hash", hash),
    ("xattr", attributes),
    ("acl", access_list),
    ("bitmap", bits),
    ("orphan_file", orphan_block),
    ("jbd2", journal),
];

const SIZES: [usize; 3] = [1024, 2048, 4096];

/// The block size that a byte picks, and a block of it: the bytes given, then zeroes.
fn block(data: &[u8]) -> (&[u8], Vec<u8>) {
    let (first, rest) = data.split_first().unwrap_or((&0, data));
    let mut block = vec![0; SIZES[usize::from(*first) % SIZES.len()]];
    let len = rest.len().min(block.len());
    block[..len].copy_from_slice(&rest[..len]);
    (&rest[len..], block)
}

/// A file system of moderate size, for what needs a geometry.
fn geometry() -> Superblock {
    let seed = crate::seeds::seed(0);
    Superblock::parse(&seed.image[1024..2048], &FUNCTIONS, None).unwrap()
}

fn sums() -> Checksums {
    Checksums::new(FUNCTIONS, Mode::Metadata, Seed(1), [0; 16])
}

/// Groups, places and inodes of an accepted superblock are consistent.
pub fn superblock(data: &[u8]) {
    let mut bytes = vec![0; 1024];
    let len = data.len().min(1024);
    bytes[..len].copy_from_slice(&data[..len]);
    let Ok(sums) = Superblock::checksums(&bytes, FUNCTIONS) else {
        return;
    };
    let _ = sums.seal_superblock(&mut bytes);
    let Ok(sb) = Superblock::parse(&bytes, &FUNCTIONS, Some(&|_| u64::MAX)) else {
        return;
    };
    let geometry = &sb.geometry;
    let last = Group(geometry.group_count().get() - 1);
    for group in [Group(0), Group(1), Group(last.get() / 2), last] {
        if !geometry.has_group(group) {
            continue;
        }
        let len = geometry.group_len(group);
        assert!(len > 0 && len <= geometry.blocks_per_group().get());
        assert!(geometry.block_at(group, len).is_none());
        let end = geometry.block_at(group, len - 1).unwrap();
        assert_eq!(geometry.group_of(end), Some((group, len - 1)));
        assert!(geometry.has_blocks(end, 1));
        let _ = geometry.descriptor_place(group);
        let _ = (geometry.has_super(group), geometry.base_meta_blocks(group));
    }
    let inodes = geometry.inode_count();
    for ino in [1, 2, 11, inodes / 2, inodes] {
        if let Ok(place) = geometry.inode_place(Ino(ino)) {
            assert!(
                place.offset + usize::from(geometry.inode_size()) <= geometry.block_size() as usize
            );
            assert_eq!(geometry.ino_at(place.group, place.index), Some(Ino(ino)));
        }
    }
    assert!(geometry.inode_place(Ino(0)).is_err());
    let _ = geometry.descriptor_block(geometry.descriptor_blocks());
    let mut copy = bytes.clone();
    if let Ok(raw) = RawSuperblock::view_mut(&mut copy) {
        raw.set_free_blocks(raw.free_blocks());
        raw.note_mount(1);
    }
}

/// A descriptor that passes gives bitmaps with room for what it says.
pub fn group_desc(data: &[u8]) {
    let (which, bytes) = data.split_first().unwrap_or((&0, data));
    let Ok(desc) = GroupDesc::parse(&bytes[..bytes.len().min(64)]) else {
        return;
    };
    let sb = geometry();
    let group = Group(u32::from(*which) % sb.geometry.group_count().get());
    if desc.check(group, &sb.geometry).is_err() {
        return;
    }
    let mut bits = vec![0; sb.geometry.block_size() as usize];
    desc.fresh_block_bitmap(group, &sb.geometry, &mut bits)
        .unwrap();
    GroupDesc::fresh_inode_bitmap(&sb.geometry, &mut bits).unwrap();
    let mut back = bytes[..bytes.len().min(64)].to_vec();
    desc.store(&mut back).unwrap();
    assert_eq!(GroupDesc::parse(&back), Ok(desc));
}

/// What was decoded encodes to what decodes to the same.
pub fn inode(data: &[u8]) {
    let sb = geometry();
    let mut raw = vec![0; usize::from(sb.geometry.inode_size())];
    let len = data.len().min(raw.len());
    raw[..len].copy_from_slice(&data[..len]);
    let _ = sums().seal_inode(Ino(12), &mut raw);
    let Ok(fields) = InodeFields::decode(&raw, &sb.geometry) else {
        return;
    };
    let _ = (fields.kind(), fields.is_fast_symlink(&sb.geometry));
    if fields.kind() == Ok(InodeKind::BlockDevice) {
        let _ = fields.device();
    }
    let _ = Attrs::in_body(&raw, fields.extra_isize);
    let mut copy = raw.clone();
    if fields.encode(&mut copy, &sb.geometry).is_ok() {
        assert_eq!(InodeFields::decode(&copy, &sb.geometry), Ok(fields));
    }
}

/// A node that passes its check stays one through edits.
pub fn extent_node(data: &[u8]) {
    let (rest, mut bytes) = block(data);
    let expect = Expect {
        depth: rest.first().filter(|n| **n < 8).map(|n| u16::from(*n)),
        first: rest
            .get(1)
            .filter(|n| **n < 200)
            .map(|n| FileBlock(u32::from(*n))),
        end: rest
            .get(2)
            .filter(|n| **n > 9)
            .map(|n| FileBlock(u32::from(*n) << 8)),
    };
    let valid = |start: DiskBlock, len: u32| start.get() + u64::from(len) < 1 << 20;
    let _ = sums().seal_extent_block(Seed(1), &mut bytes);
    if extent::check(&bytes, &expect, valid).is_err() {
        let _ = Node::new(&bytes).map(|node| (node.extents().count(), node.indices().count()));
        return;
    }
    let node = Node::new(&bytes).unwrap();
    for extent in node.extents() {
        assert_eq!(
            node.find(extent.lblk).map(|at| node.extent(at)),
            Some(Ok(extent))
        );
        assert_eq!(extent.slice(extent.lblk, u32::MAX), Some(extent));
    }
    for index in node.indices() {
        let _ = node.child_of(index.lblk).unwrap();
    }
    let words: Vec<u32> = rest
        .chunks_exact(4)
        .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
        .collect();
    edit_extents(&mut bytes, &words);
}

fn edit_extents(bytes: &mut [u8], words: &[u32]) {
    let mut other = vec![0; 1024];
    for word in words.iter().take(50) {
        let (at, lblk) = (((word >> 8) & 0x3ff) as u16, FileBlock(word >> 12));
        let Ok(mut node) = NodeMut::new(bytes) else {
            return;
        };
        let extent = Extent {
            lblk,
            len: (word & 0xffff) as u16,
            pblk: DiskBlock(u64::from(*word)),
            unwritten: word & 1 == 1,
        };
        let _ = match word % 8 {
            0 => node.insert_extent(at, &extent),
            1 => node.set_extent(at, &extent),
            2 => node.remove(at, ((word >> 18) & 0xff) as u16),
            3 => node.set_key(at, lblk),
            4 => NodeMut::init(&mut other, node.view().header().depth)
                .and_then(|mut other| node.move_tail(at, &mut other)),
            5 => node.grow(&mut other, DiskBlock(5)),
            6 => node.shrink(&mut other),
            _ => node.make_empty_leaf(),
        };
        assert!(node.view().header().entries <= node.view().header().max);
    }
}

/// Paths stay inside blocks, entries inside the device.
pub fn indirect_block(data: &[u8]) {
    let (rest, mut bytes) = block(data);
    let bits = bytes.len().ilog2();
    let valid = |start: DiskBlock, len: u32| start.get() + u64::from(len) <= 1 << 20;
    let mut checked = indirect::check(&bytes, valid).is_ok();
    for word in rest.chunks_exact(4).take(50) {
        let lblk = FileBlock(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let Ok(path) = indirect::Path::to(lblk, bits) else {
            continue;
        };
        for step in path.steps() {
            let entry = indirect::entry(&bytes, *step, valid);
            assert!(entry.is_ok() || !checked);
            let block = DiskBlock(lblk.get().into());
            checked &= valid(block, 1);
            let _ = indirect::set_entry(&mut bytes, *step, Some(block));
        }
    }
}

/// A block that passes its check lists its names once each, and stays one through edits.
pub fn dir_block(data: &[u8]) {
    let (rest, mut bytes) = block(data);
    let flags = rest.first().copied().unwrap_or(0);
    let format = DirFormat {
        block_size: bytes.len() as u32,
        has_tail: flags & 1 == 0,
        has_type: flags & 2 == 0,
        inode_count: 5000,
    };
    if flags & 4 == 0 && format.has_tail {
        let _ = format.init_tail(&mut bytes);
    }
    let listed = format.entries(&bytes).filter(Result::is_ok).count();
    assert!(listed <= bytes.len() / 12);
    let good = format.check(&bytes).is_ok();
    let _ = (format.dots(&bytes), format.is_empty(&bytes));
    for word in rest.chunks_exact(4).take(50) {
        let name = vec![word[1] | 1; usize::from(word[0])];
        let at = usize::from(u16::from_le_bytes([word[2], word[3]]));
        // A good block is edited where a search has found an entry.
        let places: Vec<_> = format.entries(&bytes).flatten().map(|one| one.at).collect();
        let at = match places.len() {
            count if good && count > 0 => places[at % count],
            _ => at,
        };
        let ino = Ino(u32::from(word[3]) + 1);
        let _ = match word[1] % 6 {
            0 | 1 => format.insert(&mut bytes, ino, FileType(1), &name).map(drop),
            2 => format
                .insert_at(&mut bytes, at, ino, FileType(1), &name)
                .map(drop),
            3 => match format.find(&bytes, &name) {
                Ok(Some(found)) => {
                    let at = found.at;
                    format.remove(&mut bytes, at)
                }
                _ => Ok(()),
            },
            4 => format.remove(&mut bytes, at),
            _ => format.set_inode(&mut bytes, at, ino, FileType(2)),
        };
        if good {
            format.check(&bytes).expect("an edit broke the block");
        }
    }
}

/// An index that passes finds for each hash the entry before it, and splits into two.
pub fn index_block(data: &[u8]) {
    let (rest, mut bytes) = block(data);
    let flags = rest.first().copied().unwrap_or(0);
    let format = IndexFormat {
        dir: DirFormat {
            block_size: bytes.len() as u32,
            has_tail: flags & 1 == 0,
            has_type: true,
            inode_count: 5000,
        },
        blocks: 1000,
    };
    let place = if flags & 2 == 0 {
        Place::Root
    } else {
        Place::Node
    };
    let _ = htree::count_limit_offset(&bytes);
    let _ = sums().seal_htree(Seed(1), &mut bytes, place.entries_at());
    let good = match place {
        Place::Root => format.root(&bytes).map(|(_, index)| index),
        Place::Node => format.node(&bytes),
    };
    if let Ok(index) = good {
        for (n, entry) in index.entries().enumerate() {
            assert!(entry.block.get() > 0 && entry.block.get() < format.blocks);
            let found = index.entry(index.find(entry.hash)).unwrap();
            assert!(found.hash == entry.hash || n == 0);
        }
    }
    for word in rest.chunks_exact(4).take(50) {
        let hash = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let mut other = vec![0; bytes.len()];
        if hash & 7 == 0 {
            let _ = format.grow(&mut bytes, &mut other, FileBlock(hash >> 8));
            continue;
        }
        let Ok(mut index) = format.view_mut(&mut bytes, place) else {
            return;
        };
        if hash & 7 == 1 && format.init_node(&mut other, FileBlock(1)).is_ok() {
            let count = index.view().count();
            if let Ok(mut to) = format.view_mut(&mut other, Place::Node) {
                if index.split(&mut to).is_ok() {
                    assert_eq!(index.view().count() + to.view().count(), count);
                }
            }
        }
        let entry = IndexEntry {
            hash,
            block: FileBlock(hash & 0xff),
        };
        let _ = index.insert_after(index.view().find(hash), entry);
        assert!(index.view().count() <= index.view().limit());
    }
}

/// Any name has a hash.
pub fn hash(data: &[u8]) {
    let (first, name) = data.split_first().unwrap_or((&0, data));
    for version in (0..8).filter_map(HashVersion::from_default) {
        let hasher = Hasher {
            version,
            signedness: if first & 1 == 0 {
                Signedness::Signed
            } else {
                Signedness::Unsigned
            },
            seed: HashSeed([u32::from(*first); 4]),
        };
        assert_eq!(hasher.hash(name).major & 1, 0);
    }
}

/// Values of accepted lists are inside.
pub fn attributes(data: &[u8]) {
    let (rest, mut bytes) = block(data);
    let at = DiskBlock(7);
    let _ = sums().seal_xattr_block(at, &mut bytes);
    for attrs in [
        Attrs::in_block(&bytes).ok(),
        Attrs::in_body(&bytes[..256], le16(rest, 0).unwrap_or(32))
            .ok()
            .flatten(),
    ] {
        for attr in attrs.iter().flat_map(Attrs::iter) {
            assert!(attr.value.len() <= bytes.len());
            let _ = attr.check_hash();
            let found = attrs.and_then(|attrs| attrs.find(attr.index, attr.name));
            assert_eq!(found.map(|found| found.name), Some(attr.name));
            let _ = acl::to_xattr(attr.value, None);
        }
    }
}

/// Both forms of a list, into buffers that are too small as well.
pub fn access_list(data: &[u8]) {
    let mut out = [0; 512];
    for room in [0, 3, 20, 512] {
        let _ = acl::to_xattr(data, Some(&mut out[..room]));
        let _ = acl::from_xattr(data, Some(&mut out[..room]));
    }
    let Ok(len) = acl::to_xattr(data, None) else {
        return;
    };
    let mut xattr = vec![0; len];
    acl::to_xattr(data, Some(&mut xattr)).unwrap();
    let mut back = vec![0; data.len()];
    assert_eq!(acl::from_xattr(&xattr, Some(&mut back)), Ok(data.len()));
    let entries = acl::disk_entries(data).unwrap().filter(Result::is_ok);
    assert_eq!(entries.count() * 8 + 4, len);
}

/// Runs of free bits are free, whole and in order.
pub fn bits(data: &[u8]) {
    let (head, mut bits) = match data.split_first_chunk::<8>() {
        Some((head, rest)) => (*head, rest.to_vec()),
        None => return,
    };
    let word = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (start, end, goal, want) = (word(0), word(2), word(4), word(6));
    let mut before = start;
    let mut free = 0;
    for run in bitmap::free_runs(&bits, start..end) {
        assert!(run.start >= before && run.end > run.start && run.end <= end);
        assert!(run.clone().all(|bit| !bitmap::is_set(&bits, bit)));
        free += run.end - run.start;
        before = run.end;
    }
    let inside = start..end.min(bits.len() as u32 * 8);
    if !inside.is_empty() {
        assert_eq!(free, bitmap::count_clear(&bits, inside.clone()));
    }
    if bitmap::set(&mut bits, start, want).is_ok() {
        bitmap::clear(&mut bits, start, want).unwrap();
    }
    let _ = bitmap::fill(&mut bits, goal, want);
}

/// Slots of an accepted block are inodes.
pub fn orphan_block(data: &[u8]) {
    let (_, mut bytes) = block(data);
    let _ = sums().seal_orphan_block(Seed(1), DiskBlock(3), &mut bytes);
    if orphan_file::check(&bytes).is_ok() {
        for (n, ino) in orphan_file::orphans(&bytes) {
            let is_possible = orphan_file::check_slot(n, ino, Ino(11), 5000).is_ok();
            assert_eq!(is_possible, (11..=5000).contains(&ino.get()));
            assert_eq!(orphan_file::slot(&bytes, n), Ok(Some(ino)));
        }
    }
    for n in [0, 100, 253, 254, u32::MAX] {
        let _ = orphan_file::set_slot(&mut bytes, n, Some(Ino(12)));
    }
}

/// A journal's superblock, then a block of its log in each role.
pub fn journal(data: &[u8]) {
    let len = data.len().min(1024);
    let mut first = vec![0; 1024];
    first[..len].copy_from_slice(&data[..len]);
    first[252..256].fill(0);
    let sum = (FUNCTIONS.crc32c)(!0, &first);
    first[252..256].copy_from_slice(&sum.to_be_bytes());
    let (_, bytes) = block(&data[len..]);
    let size = bytes.len() as u32;
    let Ok(mut layout) = jbd2::Layout::parse(&first, &FUNCTIONS, size, 1 << 16) else {
        return;
    };
    let _ = jbd2::header(&bytes);
    let mut tags = 0;
    for tag in layout.tags(&bytes).map_while(Result::ok) {
        let _ = layout.verify_data(&tag, Tid(1), &bytes);
        tags += 1;
    }
    assert!(tags <= layout.tags_per_block() + 2, "{tags} tags");
    if let Ok(revoked) = layout.revokes(&bytes) {
        let revoked: Vec<DiskBlock> = revoked.collect();
        assert!(revoked.len() <= layout.revokes_per_block());
        let mut copy = vec![0; bytes.len()];
        layout.write_revoke(&mut copy, Tid(1), &revoked).unwrap();
        assert!(layout.revokes(&copy).unwrap().eq(revoked));
    }
    let _ = layout.verify_commit(&bytes, 0);
    let _ = layout.choose_features(&mut first, true, true);
    let _ = layout.set_start(&mut first, None, Tid(3), 0);
}
