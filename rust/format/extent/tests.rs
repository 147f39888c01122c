// SPDX-License-Identifier: GPL-2.0

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn extent(lblk: u32, len: u16, pblk: u64, unwritten: bool) -> Extent {
    Extent {
        lblk: FileBlock(lblk),
        len,
        pblk: DiskBlock(pblk),
        unwritten,
    }
}

fn anywhere(_: DiskBlock, _: u32) -> bool {
    true
}

/// A root with extents as given, whatever they are.
fn root(extents: &[Extent]) -> [u8; 60] {
    let mut bytes = [0; 60];
    let mut node = NodeMut::init(&mut bytes, 0).unwrap();
    for (at, extent) in extents.iter().enumerate() {
        node.insert_extent(at as u16, extent).unwrap();
    }
    bytes
}

#[test]
fn rules_of_a_leaf() {
    let last = u32::MAX;
    for (extents, ok) in [
        (&[][..], true),
        (&[extent(0, 1, 9, false), extent(1, 1, 9, false)], true),
        (&[extent(0, 2, 9, false), extent(1, 1, 9, false)], false),
        (&[extent(5, 1, 9, false), extent(1, 1, 9, false)], false),
        (
            &[extent(0, 32768, 9, false), extent(32768, 32767, 9, true)],
            true,
        ),
        (&[extent(last - 1, 1, 9, false)], true),
        (&[extent(last - 1, 2, 9, false)], false),
        (&[extent(last, 1, 9, false)], false),
    ] {
        let bytes = root(extents);
        assert_eq!(
            check(&bytes, &Expect::ROOT, anywhere).is_ok(),
            ok,
            "{extents:?}"
        );
    }
}

#[test]
fn lengths_that_cannot_be_stored() {
    let mut bytes = root(&[]);
    let mut node = NodeMut::new(&mut bytes).unwrap();
    for bad in [
        extent(0, 0, 9, false),
        extent(0, 32769, 9, false),
        extent(0, 32768, 9, true),
        extent(0, 1, 1 << 48, false),
    ] {
        assert!(node.insert_extent(0, &bad).is_err(), "{bad:?}");
    }
    assert_eq!(node.view().header().entries, 0);
}

#[test]
fn headers() {
    let good = root(&[extent(0, 1, 9, false)]);
    for (at, byte) in [(0, 0), (2, 5), (4, 5), (4, 0), (6, 6), (7, 1)] {
        let mut bytes = good;
        bytes[at] = byte;
        assert!(Header::parse(&bytes).is_err(), "{at} {byte}");
    }
    let mut empty_index = root(&[]);
    empty_index[6] = 1;
    assert!(Header::parse(&empty_index).is_err());
    for (size, want) in [(60, 4), (1024, 84), (2048, 169), (4096, 340), (65536, 5460)] {
        assert_eq!(capacity(size), want);
        // The checksum must fit behind a full block.
        assert!(size == 60 || place(want) + 4 <= size);
    }
}

#[test]
fn children_stay_inside_their_parents() {
    let leaf = root(&[extent(10, 5, 9, false), extent(20, 5, 9, false)]);
    for (first, end, ok) in [
        (Some(10), None, true),
        (Some(9), None, false),
        (Some(10), Some(25), true),
        (Some(10), Some(24), false),
    ] {
        let expect = Expect {
            depth: Some(0),
            first: first.map(FileBlock),
            end: end.map(FileBlock),
        };
        assert_eq!(check(&leaf, &expect, anywhere).is_ok(), ok, "{expect:?}");
    }
    let deeper = Expect {
        depth: Some(1),
        ..Expect::ROOT
    };
    assert!(check(&leaf, &deeper, anywhere).is_err());
    let outside = |start: DiskBlock, len: u32| start.get() + u64::from(len) <= 13;
    assert!(check(&leaf, &Expect::ROOT, outside).is_err());
}

#[test]
fn merging() {
    let a = extent(0, 10, 100, false);
    for (next, ok) in [
        (extent(10, 5, 110, false), true),
        (extent(10, 5, 111, false), false),
        (extent(11, 5, 110, false), false),
        (extent(10, 5, 110, true), false),
        (extent(10, 32758, 110, false), true),
        (extent(10, 32759, 110, false), false),
    ] {
        assert_eq!(a.merged(&next).is_some(), ok, "{next:?}");
    }
    let u = extent(0, 32766, 100, true);
    assert!(u.merged(&extent(32766, 1, 32866, true)).is_some());
    assert!(u.merged(&extent(32766, 2, 32866, true)).is_none());
    assert_eq!(a.slice(FileBlock(3), 4), Some(extent(3, 4, 103, false)));
    assert_eq!(a.slice(FileBlock(10), 4), None);
}

#[test]
fn growing_and_shrinking() {
    let extents = [extent(5, 1, 9, false), extent(8, 1, 20, true)];
    let mut bytes = root(&extents);
    let before = bytes;
    let mut block = [0xaa; 1024];
    NodeMut::new(&mut bytes)
        .unwrap()
        .grow(&mut block, DiskBlock(77))
        .unwrap();
    let node = Node::new(&bytes).unwrap();
    let (at, child, expect) = node.child_of(FileBlock(2)).unwrap();
    assert_eq!(
        (at, child.lblk, child.child),
        (0, FileBlock(5), DiskBlock(77))
    );
    check(&block, &expect, anywhere).unwrap();
    assert!(Node::new(&block).unwrap().extents().eq(extents));
    assert_eq!(tail_offset(&block), Some(1020));
    let mut root = NodeMut::new(&mut bytes).unwrap();
    root.shrink(&mut block).unwrap();
    assert_eq!(bytes, before);
}

/// One change of a node and of a list.
#[derive(Clone, Debug)]
enum Change {
    Insert(usize, Extent),
    Set(usize, Extent),
    Remove(usize, usize),
    Split(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let any_extent = (any::<u32>(), 1u16..32768, 0u64..1 << 48, any::<bool>())
        .prop_map(|(lblk, len, pblk, unwritten)| extent(lblk, len, pblk, unwritten));
    prop_oneof![
        6 => (0usize..20, any_extent.clone()).prop_map(|(at, e)| Change::Insert(at, e)),
        2 => (0usize..20, any_extent).prop_map(|(at, e)| Change::Set(at, e)),
        1 => (0usize..20, 0usize..4).prop_map(|(at, n)| Change::Remove(at, n)),
        1 => (0usize..20).prop_map(Change::Split),
    ]
}

proptest! {
    #[test]
    fn as_a_list(changes in prop::collection::vec(change(), 0..60)) {
        let mut bytes = [0u8; 160];
        let mut node = NodeMut::init(&mut bytes, 0)?;
        let mut list: Vec<Extent> = Vec::new();
        let max = usize::from(node.view().header().max);
        for change in changes {
            match change {
                Change::Insert(at, e) => {
                    let fits = at <= list.len() && list.len() < max;
                    prop_assert_eq!(node.insert_extent(at as u16, &e).is_ok(), fits);
                    if fits { list.insert(at, e); }
                }
                Change::Set(at, e) => {
                    prop_assert_eq!(node.set_extent(at as u16, &e).is_ok(), at < list.len());
                    if at < list.len() { list[at] = e; }
                }
                Change::Remove(at, n) => {
                    let fits = at + n <= list.len();
                    prop_assert_eq!(node.remove(at as u16, n as u16).is_ok(), fits);
                    if fits { list.drain(at..at + n); }
                }
                Change::Split(at) => {
                    let mut other = [0u8; 160];
                    let mut other = NodeMut::init(&mut other, 0)?;
                    let fits = at <= list.len();
                    prop_assert_eq!(node.move_tail(at as u16, &mut other).is_ok(), fits);
                    if fits {
                        let tail = list.split_off(at);
                        prop_assert!(other.view().extents().eq(tail));
                    }
                }
            }
            prop_assert!(node.view().extents().eq(list.iter().copied()));
        }
    }

    #[test]
    fn searching(keys in prop::collection::btree_set(0u32..100, 0..10), ask in 0u32..100) {
        let mut bytes = [0u8; 160];
        let mut node = NodeMut::init(&mut bytes, 1)?;
        for (at, key) in keys.iter().enumerate() {
            node.insert_index(at as u16, &Index { lblk: FileBlock(*key), child: DiskBlock(5) })?;
        }
        let want = keys.iter().filter(|key| **key <= ask).count().checked_sub(1);
        prop_assert_eq!(node.view().find(FileBlock(ask)).map(usize::from), want);
    }

    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..120), depth in 0u16..7, lblk: u32) {
        if bytes.len() > 8 {
            bytes[..2].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[3] = 0;
            bytes[5] = 0;
            bytes[6..8].copy_from_slice(&depth.to_le_bytes());
        }
        let _ = check(&bytes, &Expect::ROOT, anywhere);
        let _ = tail_offset(&bytes);
        if let Ok(node) = Node::new(&bytes) {
            let _ = node.find(FileBlock(lblk));
            let _ = node.child_of(FileBlock(lblk));
            for extent in node.extents() {
                let _ = extent.map(FileBlock(lblk));
            }
            let _ = node.indices().count();
        }
        let mut other = [0; 1024];
        if let Ok(mut node) = NodeMut::new(&mut bytes) {
            let _ = node.grow(&mut other, DiskBlock(1));
            let _ = node.shrink(&mut other);
            let _ = node.remove(0, 1);
        }
    }
}
