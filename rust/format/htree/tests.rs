// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::format::dirent::FileType;
use crate::format::inode::InodeKind;
use proptest::prelude::*;
use std::vec::Vec;

fn format(has_tail: bool) -> IndexFormat {
    IndexFormat {
        dir: DirFormat {
            block_size: 1024,
            has_tail,
            has_type: true,
            inode_count: 1000,
        },
        blocks: 5000,
    }
}

fn root(format: &IndexFormat) -> [u8; 1024] {
    let mut block = [0xee; 1024];
    format
        .init_root(&mut block, Ino(12), Ino(2), HashVersion::Tea, FileBlock(1))
        .unwrap();
    block
}

#[test]
fn room() {
    for (has_tail, in_root, in_node) in [(false, 124, 127), (true, 123, 126)] {
        let format = format(has_tail);
        assert_eq!(format.limit(Place::Root), in_root);
        assert_eq!(format.limit(Place::Node), in_node);
    }
}

#[test]
fn rules_of_a_root() {
    let format = format(true);
    let good = root(&format);
    let (info, index) = format.root(&good).unwrap();
    assert_eq!(
        (info.version, info.signedness, info.levels),
        (HashVersion::Tea, None, 0)
    );
    assert_eq!(
        (index.count(), index.entry(0).unwrap().block),
        (1, FileBlock(1))
    );
    assert_eq!(count_limit_offset(&good), Some(32));
    for (at, byte) in [
        (0, 0),   // no dot
        (4, 16),  // dot too long
        (20, 3),  // no dot-dot
        (24, 1),  // reserved
        (28, 6),  // siphash
        (29, 16), // length
        (30, 2),  // levels
        (31, 1),  // flags
        (32, 5),  // room
        (34, 0),  // no entries
        (34, 200),
        (36, 0), // block 0 is the root
    ] {
        let mut block = good;
        block[at] = byte;
        assert!(format.root(&block).is_err(), "{at}");
    }
    let mut unsigned = good;
    unsigned[28] = 4;
    let (info, _) = format.root(&unsigned).unwrap();
    assert_eq!(info.signedness, Some(Signedness::Unsigned));
    assert_eq!(info.version, HashVersion::HalfMd4);
}

#[test]
fn parent_can_change() {
    let format = format(true);
    let mut block = root(&format);
    let linear = format.dir.without_tail();
    let dir = FileType::of(InodeKind::Directory);
    linear.set_inode(&mut block, DOT, Ino(77), dir).unwrap();
    let (_, dotdot) = linear.dots(&block).unwrap();
    assert_eq!(dotdot.ino, Some(Ino(77)));
    format.root(&block).unwrap();
}

#[test]
fn growing_and_splitting() {
    let format = format(true);
    let mut top = root(&format);
    let mut index = format.view_mut(&mut top, Place::Root).unwrap();
    for n in 1..123u32 {
        let entry = IndexEntry {
            hash: n * 10,
            block: FileBlock(n + 1),
        };
        index.insert_after(n as u16 - 1, entry).unwrap();
    }
    let full = index.view();
    assert_eq!(full.count(), full.limit());
    let extra = IndexEntry {
        hash: 5000,
        block: FileBlock(9),
    };
    assert!(index.insert_after(122, extra).is_err());
    let all: Vec<_> = index.view().entries().collect();
    let mut node = [0xee; 1024];
    format.grow(&mut top, &mut node, FileBlock(200)).unwrap();
    let (info, index) = format.root(&top).unwrap();
    assert_eq!((info.levels, index.count()), (1, 1));
    assert_eq!(index.entry(0).unwrap().block, FileBlock(200));
    assert!(format
        .node(&node)
        .unwrap()
        .entries()
        .eq(all.iter().copied()));
    assert_eq!(count_limit_offset(&node), Some(8));
    assert!(format
        .grow(&mut top, &mut [0; 1024], FileBlock(201))
        .is_err());

    let mut second = [0xee; 1024];
    format.init_node(&mut second, FileBlock(1)).unwrap();
    let mut left = format.view_mut(&mut node, Place::Node).unwrap();
    let mut right = format.view_mut(&mut second, Place::Node).unwrap();
    let (hash, stay) = left.split(&mut right).unwrap();
    assert_eq!((hash, stay), (610, 61));
    let mut joined: Vec<_> = format.node(&node).unwrap().entries().collect();
    let moved = format.node(&second).unwrap();
    // The first entry has no hash of its own any more: the parent has it.
    joined.extend(moved.entries().enumerate().map(|(n, mut entry)| {
        if n == 0 {
            entry.hash = hash;
        }
        entry
    }));
    assert_eq!(joined, all);
}

proptest! {
    #[test]
    fn searching(mut hashes in prop::collection::vec(0u32..200, 0..100), ask in 0u32..200) {
        hashes.sort_unstable();
        let format = format(false);
        let mut block = root(&format);
        let mut index = format.view_mut(&mut block, Place::Root)?;
        for (n, hash) in hashes.iter().enumerate() {
            let entry = IndexEntry { hash: *hash, block: FileBlock(n as u32 + 2) };
            index.insert_after(n as u16, entry)?;
        }
        let want = hashes.iter().filter(|hash| **hash <= ask).count();
        prop_assert_eq!(usize::from(index.view().find(ask)), want);
        format.root(&block)?;
    }

    #[test]
    fn any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        count in 0u16..140, hash: u32, node: bool,
    ) {
        let format = format(true);
        let mut block = root(&format);
        let place = if node { Place::Node } else { Place::Root };
        let at = place.entries_at();
        block[at + 4..at + 4 + bytes.len()].copy_from_slice(&bytes);
        block[at..at + 2].copy_from_slice(&format.limit(place).to_le_bytes());
        block[at + 2..at + 4].copy_from_slice(&count.to_le_bytes());
        let _ = format.root(&block);
        let _ = format.node(&block);
        let _ = count_limit_offset(&block[..bytes.len()]);
        if let Ok(mut index) = format.view_mut(&mut block, place) {
            let found = index.view().find(hash);
            let _ = index.insert_after(found, IndexEntry { hash, block: FileBlock(1) });
            let mut other = [0; 1024];
            format.init_node(&mut other, FileBlock(1))?;
            let mut other = format.view_mut(&mut other, Place::Node)?;
            let _ = index.split(&mut other);
        }
    }
}
