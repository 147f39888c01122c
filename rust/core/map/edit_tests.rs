// SPDX-License-Identifier: GPL-2.0

//! What a change makes of a leaf: cases at the edges.

use super::edit::{decide, Change};
use super::BlockRange;
use crate::format::extent::{Extent, NodeMut};
use crate::format::units::{DiskBlock, FileBlock};

/// First logical block, length, first disk block, unwritten.
type Short = (u32, u16, u64, bool);

fn extent((lblk, len, pblk, unwritten): Short) -> Extent {
    Extent {
        lblk: FileBlock(lblk),
        len,
        pblk: DiskBlock(pblk),
        unwritten,
    }
}

/// The leaf after the change, or `None` when it is refused.
fn changed(before: &[Short], change: Change) -> Option<std::vec::Vec<Short>> {
    let mut bytes = [0; 1024];
    let mut leaf = NodeMut::init(&mut bytes, 0).unwrap();
    for (at, entry) in (0..).zip(before) {
        leaf.insert_extent(at, &extent(*entry)).unwrap();
    }
    let edit = decide(&leaf.view(), &change).ok()?;
    leaf.remove(edit.at, edit.old).unwrap();
    for (at, entry) in (edit.at..).zip(edit.new.as_slice()) {
        leaf.insert_extent(at, entry).unwrap();
    }
    Some(
        leaf.view()
            .extents()
            .map(|e| (e.lblk.0, e.len, e.pblk.0, e.unwritten))
            .collect(),
    )
}

fn range(start: u32, end: u32) -> BlockRange {
    BlockRange {
        start: FileBlock(start),
        end: FileBlock(end),
    }
}

/// A leaf, what is inserted, the leaf after it.
type Insertion<'a> = (&'a [Short], Short, Option<&'a [Short]>);

#[test]
fn insert() {
    let new = |entry| Change::Insert(extent(entry));
    let cases: &[Insertion<'_>] = &[
        (&[], (5, 2, 100, false), Some(&[(5, 2, 100, false)])),
        // Before, behind and between, touching only in the file.
        (
            &[(10, 2, 100, false)],
            (5, 5, 200, false),
            Some(&[(5, 5, 200, false), (10, 2, 100, false)]),
        ),
        (
            &[(10, 2, 100, false)],
            (12, 1, 200, false),
            Some(&[(10, 2, 100, false), (12, 1, 200, false)]),
        ),
        // Touching on the disk as well: left, right, both.
        (
            &[(10, 2, 100, false)],
            (12, 1, 102, false),
            Some(&[(10, 3, 100, false)]),
        ),
        (
            &[(10, 2, 100, false)],
            (9, 1, 99, false),
            Some(&[(9, 3, 99, false)]),
        ),
        (
            &[(0, 2, 50, false), (5, 2, 55, false)],
            (2, 3, 52, false),
            Some(&[(0, 7, 50, false)]),
        ),
        // Not of one kind; too long together.
        (
            &[(10, 2, 100, true)],
            (12, 1, 102, false),
            Some(&[(10, 2, 100, true), (12, 1, 102, false)]),
        ),
        (
            &[(0, 32767, 50, false)],
            (32767, 2, 32817, false),
            Some(&[(0, 32768, 50, false), (32768, 1, 32818, false)]),
        ),
        (
            &[(0, 32767, 50, false)],
            (32767, 1, 32817, false),
            Some(&[(0, 32768, 50, false)]),
        ),
        (
            &[(0, 32766, 50, true)],
            (32766, 1, 32816, true),
            Some(&[(0, 32767, 50, true)]),
        ),
        (
            &[(0, 32767, 50, true)],
            (32767, 1, 32817, true),
            Some(&[(0, 32767, 50, true), (32767, 1, 32817, true)]),
        ),
        // Something is there.
        (&[(10, 2, 100, false)], (11, 1, 200, false), None),
        (&[(10, 2, 100, false)], (8, 3, 200, false), None),
        (&[(10, 2, 100, false)], (10, 1, 200, false), None),
    ];
    for (before, entry, after) in cases {
        assert_eq!(
            changed(before, new(*entry)).as_deref(),
            *after,
            "{before:?} + {entry:?}"
        );
    }
}

#[test]
fn remove() {
    let before = &[(0, 2, 50, false), (10, 10, 100, true), (30, 1, 300, false)];
    let [first, old, last] = *before;
    for (from, to, left) in [
        (10, 20, std::vec![first, last]),
        (10, 13, std::vec![first, (13, 7, 103, true), last]),
        (13, 20, std::vec![first, (10, 3, 100, true), last]),
        (
            13,
            14,
            std::vec![first, (10, 3, 100, true), (14, 6, 104, true), last],
        ),
        (0, 2, std::vec![old, last]),
        (30, 31, std::vec![first, old]),
    ] {
        assert_eq!(
            changed(before, Change::Remove(range(from, to))),
            Some(left),
            "{from}..{to}"
        );
    }
    for (from, to) in [(5, 6), (19, 21), (31, 32)] {
        assert_eq!(
            changed(before, Change::Remove(range(from, to))),
            None,
            "{from}..{to}"
        );
    }
}

#[test]
fn convert() {
    let alone = &[(10, 10, 100, true)];
    let between = &[(8, 2, 98, false), (10, 10, 100, true), (20, 5, 110, false)];
    for (before, from, to, after) in [
        (&alone[..], 10, 20, std::vec![(10, 10, 100, false)]),
        (
            alone,
            10,
            12,
            std::vec![(10, 2, 100, false), (12, 8, 102, true)],
        ),
        (
            alone,
            18,
            20,
            std::vec![(10, 8, 100, true), (18, 2, 108, false)],
        ),
        (
            alone,
            12,
            13,
            std::vec![(10, 2, 100, true), (12, 1, 102, false), (13, 7, 103, true)],
        ),
        (between, 10, 20, std::vec![(8, 17, 98, false)]),
        (
            between,
            10,
            12,
            std::vec![(8, 4, 98, false), (12, 8, 102, true), (20, 5, 110, false)],
        ),
        (
            between,
            18,
            20,
            std::vec![(8, 2, 98, false), (10, 8, 100, true), (18, 7, 108, false)],
        ),
    ] {
        assert_eq!(
            changed(before, Change::Convert(range(from, to))),
            Some(after),
            "{before:?} {from}..{to}"
        );
    }
    assert_eq!(changed(between, Change::Convert(range(8, 9))), None);
}
