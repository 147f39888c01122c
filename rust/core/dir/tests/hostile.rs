// SPDX-License-Identifier: GPL-2.0

//! Broken and hostile directories: errors with a place, bounded work, no lost names.

use super::model::filled;
use super::*;
use crate::core::dir::{Found, Width};
use crate::core::platform::caller;
use proptest::prelude::*;

fn read_all(dir: &Directory<Memory>) -> Result<usize> {
    let mut count = 0;
    dir.read(0, Width::Wide, |_, _| {
        count += 1;
        count < 1_000_000
    })?;
    Ok(count)
}

#[test]
fn a_broken_root_hides_no_name() {
    for (at, byte) in [
        (28, 9),
        (29, 7),
        (30, 2),
        (31, 1),
        (32, 3),
        (34, 0),
        (35, 9),
    ] {
        let (memory, mut dir, model) = filled(rules(), 500);
        memory.scribble(0, |bytes| bytes[at] = byte);
        for name in model.keys() {
            assert!(dir.lookup(name).unwrap().is_some());
        }
        assert!(memory.0.warnings.get() >= model.len());
        assert_eq!(dir.lookup(b"no").unwrap(), None);
        assert_eq!(read_all(&dir).unwrap(), model.len() + 2);
        let size = dir.size();
        assert!(matches!(
            insert(&mut dir, b"new", Ino(5)),
            Err(Error::Corrupt(..))
        ));
        assert_eq!(dir.size(), size);
        // Taking a name away needs no index.
        remove(&mut dir, model.keys().next().unwrap()).unwrap();
    }
}

#[test]
fn names_under_an_index_flag_are_found() {
    for has_tail in [true, false] {
        let format = DirFormat {
            has_tail,
            ..rules().format
        };
        let rules = Rules { format, ..rules() };
        let (memory, dir, model) = filled(
            Rules {
                indexes: false,
                ..rules
            },
            100,
        );
        let wrong = Directory::new(memory, rules, OWN, dir.size(), true).unwrap();
        for name in model.keys() {
            assert!(wrong.lookup(name).unwrap().is_some());
        }
        assert_eq!(read_all(&wrong).unwrap(), model.len() + 2);
        assert!(!wrong.is_empty().unwrap());
    }
}

#[test]
fn entries_that_lead_nowhere() {
    for target in [0u32, 0x0fff_ffff, 100_000] {
        let (memory, mut dir, model) = filled(rules(), 500);
        memory.scribble(0, |bytes| {
            for entry in 0..5 {
                bytes[36 + entry * 8..40 + entry * 8].copy_from_slice(&target.to_le_bytes());
            }
        });
        for name in model.keys() {
            assert!(dir.lookup(name).unwrap().is_some());
        }
        // An insertion goes wrong only where the way leads through the damage.
        match insert(&mut dir, b"new", Ino(5)) {
            Ok(()) => assert!(dir.lookup(b"new").unwrap().is_some()),
            Err(error) => assert!(matches!(error, Error::Corrupt(_, Fault::Htree(..)))),
        }
    }
}

#[test]
fn a_hole_is_an_error() {
    let (memory, dir, _) = filled(rules(), 500);
    let mut longer = Directory::new(memory.clone(), rules(), OWN, dir.size() + 1024, true).unwrap();
    assert!(longer.is_empty().is_ok_and(|empty| !empty));
    let linear = Rules {
        indexes: false,
        ..rules()
    };
    let (memory, dir, _) = filled(linear, 100);
    longer = Directory::new(memory, linear, OWN, dir.size() + 1024, false).unwrap();
    assert!(matches!(longer.lookup(b"no"), Err(Error::Corrupt(..))));
    assert!(matches!(
        insert(&mut longer, &[b'y'; 250], Ino(5)),
        Err(Error::Corrupt(..)) | Ok(())
    ));
}

#[test]
fn sizes_that_cannot_be() {
    for size in [1, 1023, 1025, (1 << 31) | 1024, u64::MAX, 1 << 40] {
        let made = Directory::new(Memory::new(1024), rules(), OWN, size, false);
        assert!(
            matches!(made, Err(Error::Corrupt(Place { ino: OWN, .. }, _))),
            "{size}"
        );
    }
    let mut empty = Directory::new(Memory::new(1024), rules(), OWN, 0, false).unwrap();
    assert!(matches!(
        insert(&mut empty, b"a", Ino(5)),
        Err(Error::Corrupt(..))
    ));
    assert_eq!(empty.lookup(b"a").unwrap(), None);
    assert!(empty.is_empty().is_err() && empty.parent().is_err());
}

/// A leaf in the form of an index root, which only a node may have: its names are there.
#[test]
fn a_leaf_that_looks_like_a_root_is_searched() {
    let format = rules().format.without_tail();
    let rules = Rules { format, ..rules() };
    let (memory, mut dir, model) = filled(rules, 500);
    for name in model.keys() {
        remove(&mut dir, name).unwrap();
    }
    assert!(dir.is_empty().unwrap());
    let leaf = dir.probe(0).unwrap().leaf().get() as usize;
    memory.scribble(leaf, |bytes| {
        bytes.fill(0);
        bytes[..12].copy_from_slice(b"\x0c\0\0\0\x0c\0\x04\x01abcd");
        bytes[12..24].copy_from_slice(b"\x0d\0\0\0\xf4\x03\x04\x01efgh");
        bytes[29] = 8;
    });
    assert!(!dir.is_empty().unwrap());
    memory.scribble(0, |bytes| bytes[28] = 9);
    assert!(dir.lookup(b"efgh").unwrap().is_some());
}

/// No walk that changes nothing goes on for somebody who was killed; one under a handle does.
#[test]
fn walks_end_with_the_caller() {
    let linear = Rules {
        indexes: false,
        ..rules()
    };
    for rules in [linear, rules()] {
        let (memory, mut dir, model) = filled(rules, 500);
        let name = model.keys().next_back().unwrap();
        let found = dir.lookup(name).unwrap().unwrap();
        let reads = memory.0.reads.get();
        caller::set_dying(true);
        assert_eq!(dir.lookup_killable(name), Err(Error::Interrupted));
        assert_eq!(read_all(&dir), Err(Error::Interrupted));
        assert_eq!(dir.is_empty(), Err(Error::Interrupted));
        assert!(memory.0.reads.get() - reads < 12);
        assert_eq!(dir.lookup(name), Ok(Some(found)));
        let moved = Found {
            offset: found.offset + 4,
            ..found
        };
        dir.remove(&mut Handle::default(), name, &moved).unwrap();
        insert(&mut dir, name, Ino(5)).unwrap();
        caller::set_dying(false);
        assert!(dir.lookup_killable(name).unwrap().is_some());
    }
}

#[test]
fn circles_end() {
    let (memory, dir, _) = filled(rules(), 6000);
    // All nodes and leaves become one.
    memory.scribble(0, |bytes| {
        let count = usize::from(bytes[34]) | (usize::from(bytes[35]) << 8);
        let first: [u8; 4] = bytes[36..40].try_into().unwrap();
        for entry in 0..count {
            bytes[36 + entry * 8..40 + entry * 8].copy_from_slice(&first);
        }
    });
    let node = dir.probe(0).unwrap().node.unwrap().block.get() as usize;
    memory.scribble(node, |bytes| {
        let count = usize::from(bytes[10]) | (usize::from(bytes[11]) << 8);
        let first: [u8; 4] = bytes[12..16].try_into().unwrap();
        for entry in 0..count {
            bytes[12 + entry * 8..16 + entry * 8].copy_from_slice(&first);
            // All continue each other.
            if entry > 0 {
                bytes[8 + entry * 8] |= 1;
            }
        }
    });
    let before = memory.0.reads.get();
    let _ = read_all(&dir);
    let _ = dir.lookup(b"a");
    assert!(memory.0.reads.get() - before < 3 * memory.len() + 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn scribbles_do_no_harm(
        count in prop_oneof![Just(5u32), Just(60), Just(1500)],
        scribbles in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..20),
        has_tail: bool,
    ) {
        let format = DirFormat { has_tail, ..rules().format };
        let rules = Rules { format, ..rules() };
        let (memory, mut dir, _) = filled(rules, count);
        for (block, at, byte) in scribbles {
            // Block 0 and the beginnings of blocks are the interesting ones.
            let block = if block % 3 == 0 { 0 } else { block % memory.len() };
            memory.scribble(block, |bytes| bytes[if at % 2 == 0 { at % 64 } else { at % 1024 }] = byte);
        }
        let before = memory.0.reads.get();
        let _ = read_all(&dir);
        let _ = dir.is_empty();
        prop_assert!(memory.0.reads.get() - before < 10 * memory.len() + 100);
        for n in 0..20 {
            let _ = dir.lookup(name(n).as_bytes());
            let _ = dir.insert(&mut Handle::default(), std::format!("new {n}").as_bytes(), Ino(5), REGULAR);
            let _ = remove(&mut dir, name(n).as_bytes());
        }
    }
}
