// SPDX-License-Identifier: GPL-2.0

//! Positions: they grow, they can be gone back to, they survive changes.

use super::model::filled;
use super::*;
use crate::core::dir::Width;

/// Reads `count` names from a position; gives them and the position after them.
fn some(dir: &Directory<Memory>, from: u64, width: Width, count: usize) -> (Vec<Vec<u8>>, u64) {
    let mut names = Vec::new();
    let next = dir
        .read(from, width, |entry, next| {
            assert!(next > from);
            let room = names.len() < count;
            if room {
                names.push(entry.name.to_vec());
            }
            room
        })
        .unwrap();
    (names, next)
}

#[test]
fn in_small_steps_every_name_once() {
    for (indexes, count) in [(true, 30), (true, 3000), (false, 300)] {
        for width in [Width::Wide, Width::Narrow] {
            let (_, dir, model) = filled(Rules { indexes, ..rules() }, count);
            for step in [1, 7, 100] {
                let (mut at, mut names) = (0, Vec::new());
                loop {
                    let (more, next) = some(&dir, at, width, step);
                    if more.is_empty() {
                        break;
                    }
                    assert!(next > at && next <= width.end());
                    names.extend(more);
                    at = next;
                }
                assert_eq!(names.len(), model.len() + 2);
                assert_eq!(&names[..2], [b".".to_vec(), b"..".to_vec()]);
                names.sort();
                names.dedup();
                assert_eq!(names.len(), model.len() + 2);
            }
        }
    }
}

#[test]
fn names_that_stay_are_read_once_while_blocks_split() {
    for start in [5, 40, 400] {
        let (_, mut dir, model) = filled(rules(), start);
        let (mut at, mut names, mut n) = (0, Vec::new(), 10_000);
        loop {
            let (more, next) = some(&dir, at, Width::Wide, 3);
            if more.is_empty() {
                break;
            }
            names.extend(more);
            at = next;
            // From no index to one, and through splits, in the middle of reading.
            for _ in 0..20 {
                if n < 14_000 {
                    insert(&mut dir, name(n).as_bytes(), Ino(n)).unwrap();
                }
                n += 1;
            }
        }
        assert!(dir.is_indexed());
        for name in model.keys() {
            assert_eq!(names.iter().filter(|seen| *seen == name).count(), 1);
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

#[test]
fn everything_can_be_removed_while_reading() {
    for width in [Width::Wide, Width::Narrow] {
        for indexes in [true, false] {
            let (_, mut dir, model) = filled(Rules { indexes, ..rules() }, 500);
            let (mut at, mut gone) = (0, 0);
            loop {
                let (more, next) = some(&dir, at, width, 9);
                if more.is_empty() {
                    break;
                }
                at = next;
                for name in more
                    .iter()
                    .filter(|name| !matches!(&name[..], b"." | b".."))
                {
                    remove(&mut dir, name).unwrap();
                    gone += 1;
                }
            }
            assert_eq!(gone, model.len());
            assert!(dir.is_empty().unwrap());
        }
    }
}

#[test]
fn positions_are_hashes() {
    let (_, dir, _) = filled(rules(), 300);
    let hasher = rules().hasher;
    let mut at = 0;
    dir.read(0, Width::Wide, |entry, next| {
        if !matches!(entry.name, b"." | b"..") {
            let hash = hasher.hash(entry.name);
            let position = (u64::from(hash.major >> 1) << 32) | u64::from(hash.minor);
            assert_eq!(next, position + 1);
            assert!(position >= at);
        }
        at = next;
        true
    })
    .unwrap();
    for past in [Width::Wide.end(), u64::MAX] {
        assert_eq!(
            dir.read(past, Width::Wide, |_, _| panic!("a name"))
                .unwrap(),
            Width::Wide.end()
        );
    }
}
