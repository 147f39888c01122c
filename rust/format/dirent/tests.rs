// SPDX-License-Identifier: GPL-2.0

use super::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, vec::Vec};

const FORMAT: DirFormat = DirFormat {
    block_size: 1024,
    has_tail: true,
    has_type: true,
    inode_count: 1000,
};
const FILE: FileType = FileType(1);

#[test]
fn first_block() {
    let mut block = [0xee; 1024];
    FORMAT.init_first(&mut block, Ino(12), Ino(2)).unwrap();
    FORMAT.check(&block).unwrap();
    let (dot, dotdot) = FORMAT.dots(&block).unwrap();
    assert_eq!((dot.ino, dotdot.ino), (Some(Ino(12)), Some(Ino(2))));
    assert_eq!(dotdot.file_type.kind(), Some(InodeKind::Directory));
    assert_eq!((dot.len, dotdot.len), (12, 1024 - 24));
    assert!(FORMAT.is_empty(&block).unwrap());
    let at = dotdot.at;
    FORMAT
        .set_inode(&mut block, at, Ino(5), FileType(2))
        .unwrap();
    assert_eq!(FORMAT.dots(&block).unwrap().1.ino, Some(Ino(5)));
    assert_eq!(FORMAT.insert(&mut block, Ino(13), FILE, b"x"), Ok(Some(24)));
    assert!(!FORMAT.is_empty(&block).unwrap());
    assert!(FORMAT.remove(&mut block, 28).is_err());
    FORMAT.remove(&mut block, 24).unwrap();
    assert!(FORMAT.remove(&mut block, 24).is_err());
    assert!(FORMAT.is_empty(&block).unwrap());
}

#[test]
fn rules_of_an_entry() {
    let mut good = [0; 1024];
    FORMAT.init(&mut good).unwrap();
    FORMAT.insert(&mut good, Ino(13), FILE, b"name").unwrap();
    FORMAT.insert(&mut good, Ino(14), FILE, b"other").unwrap();
    FORMAT.check(&good).unwrap();
    for (at, byte, why) in [
        (4, 8, "too short"),
        (4, 18, "unaligned"),
        (6, 5, "too short for the name"),
        (5, 255, "past the end"),
        (6, 0, "no name"),
        (8, b'/', "a slash"),
        (9, 0, "a zero"),
        (2, 1, "inode out of range"),
        (12 + 5, 4, "past the end of the entries"),
        (1023 - 4, 0, "no tail"),
        (1023 - 7, 0, "tail of another length"),
    ] {
        let mut block = good;
        block[at] = byte;
        assert!(FORMAT.check(&block).is_err(), "{why}");
    }
    assert!(FORMAT.check(&good[..1020]).is_err());
    for name in [&b""[..], b"a/b", b"a\0", &[b'x'; 256]] {
        assert!(FORMAT.insert(&mut good, Ino(1), FILE, name).is_err());
    }
}

#[test]
fn blocks_of_64k() {
    let format = DirFormat {
        block_size: 65536,
        has_tail: false,
        ..FORMAT
    };
    let mut block = std::vec![0; 65536];
    format.init(&mut block).unwrap();
    assert_eq!(format.entry(&block, 0).unwrap().len, 65536);
    block[4..6].fill(0);
    assert_eq!(format.entry(&block, 0).unwrap().len, 65536);
    format.insert(&mut block, Ino(3), FILE, b"a").unwrap();
    format.check(&block).unwrap();
    for len in [12, 65532, 65536] {
        assert_eq!(format.decode_len(format.encode_len(len)), len);
    }
}

#[test]
fn without_types() {
    let format = DirFormat {
        has_type: false,
        ..FORMAT
    };
    let mut block = [0; 1024];
    format.init(&mut block).unwrap();
    format.insert(&mut block, Ino(3), FILE, b"a").unwrap();
    let entry = format.find(&block, b"a").unwrap().unwrap();
    assert_eq!(entry.file_type, FileType::UNKNOWN);
    let at = entry.at;
    format.set_inode(&mut block, at, Ino(4), FILE).unwrap();
    assert_eq!(block[at + 7], 0);
}

#[test]
fn filling_from_the_start() {
    let mut source = [0; 1024];
    FORMAT.init(&mut source).unwrap();
    for n in 10..40u32 {
        FORMAT
            .insert(
                &mut source,
                Ino(n),
                FILE,
                std::format!("name{n}").as_bytes(),
            )
            .unwrap();
    }
    let mut block = [0xee; 1024];
    let (mut at, mut last) = (0, None);
    for entry in FORMAT
        .entries(&source)
        .map(Result::unwrap)
        .filter(|e| e.at % 8 == 0)
    {
        last = Some(at);
        at = FORMAT.append(&mut block, at, &entry).unwrap();
    }
    FORMAT.finish(&mut block, last).unwrap();
    FORMAT.check(&block).unwrap();
    assert!(block[at..1012].iter().all(|byte| *byte == 0));
    FORMAT.finish(&mut block, None).unwrap();
    FORMAT.check(&block).unwrap();
    assert_eq!(FORMAT.find_room(&block, 255), Ok(Some(0)));
}

proptest! {
    #[test]
    fn as_a_map(
        steps in prop::collection::vec((0u8..25, any::<bool>(), 1usize..60), 0..120),
        has_tail: bool,
    ) {
        let format = DirFormat { has_tail, ..FORMAT };
        let mut block = [0u8; 1024];
        format.init(&mut block)?;
        let mut map: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for (n, (key, add, len)) in steps.into_iter().enumerate() {
            let name = [&[b'a' + key][..], &std::vec![b'x'; len * usize::from(key % 3)]].concat();
            let found = format.find(&block, &name)?.map(|e| (e.ino, e.at));
            prop_assert_eq!(found.and_then(|(ino, _)| ino).map(Ino::get), map.get(&name).copied());
            match (add, found) {
                (true, None) => {
                    let ino = n as u32 + 1;
                    if format.insert(&mut block, Ino(ino), FILE, &name)?.is_some() {
                        map.insert(name, ino);
                    }
                }
                (false, Some((_, at))) => {
                    format.remove(&mut block, at)?;
                    map.remove(&name);
                }
                _ => {}
            }
            format.check(&block)?;
            let entries: Result<Vec<_>, _> = format.entries(&block).collect();
            let live = entries?.iter().filter(|e| e.ino.is_some()).count();
            prop_assert_eq!(live, map.len());
        }
    }

    #[test]
    fn any_bytes(mut block in prop::collection::vec(any::<u8>(), 1024), lens in prop::collection::vec(0u16..60, 20), at in 0usize..1100) {
        // Small multiples of 4 as lengths, so that more than the first entry is looked at.
        let mut place = 0usize;
        for len in lens {
            let len = len * 4;
            if place + 8 > 1000 { break; }
            block[place + 4..place + 6].copy_from_slice(&len.to_le_bytes());
            block[place + 6] %= 16;
            block[place + 1] &= 1;
            block[place + 2..place + 4].fill(0);
            place += usize::from(len);
        }
        let _ = FORMAT.check(&block);
        prop_assert!(FORMAT.entries(&block).count() <= 86);
        let _ = FORMAT.find(&block, b"a");
        let _ = FORMAT.dots(&block);
        let _ = FORMAT.entry(&block, at);
        let _ = FORMAT.remove(&mut block, at);
        let _ = FORMAT.set_inode(&mut block, at, Ino(1), FILE);
        let _ = FORMAT.insert(&mut block, Ino(1), FILE, b"abc");
        let _ = FORMAT.finish(&mut block, Some(at));
    }
}
