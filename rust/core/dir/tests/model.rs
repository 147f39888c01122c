// SPDX-License-Identifier: GPL-2.0

//! Names come and go as in a map.

use super::*;
use crate::core::dir::Width;
use proptest::prelude::*;
use std::collections::btree_map::Entry;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, u32>;

/// Checks the whole directory against the model: every lookup, the reading order, emptiness.
pub(super) fn check(dir: &Directory<Memory>, model: &Model) {
    for (name, ino) in model {
        let found = dir
            .lookup(name)
            .unwrap()
            .unwrap_or_else(|| panic!("{} is lost", String::from_utf8_lossy(name)));
        assert_eq!((found.ino, found.file_type), (Ino(*ino), REGULAR));
    }
    for n in 0..50 {
        assert_eq!(
            dir.lookup(std::format!("no such {n}").as_bytes()).unwrap(),
            None
        );
    }
    let mut seen = Vec::new();
    let end = dir
        .read(0, Width::Wide, |entry, _| {
            seen.push((entry.name.to_vec(), entry.ino));
            true
        })
        .unwrap();
    assert_eq!(seen[0], (b".".to_vec(), OWN));
    assert_eq!(seen[1], (b"..".to_vec(), PARENT));
    let mut rest: Vec<_> = seen
        .drain(2..)
        .map(|(name, ino)| (name, ino.get()))
        .collect();
    rest.sort();
    assert_eq!(
        rest,
        model
            .iter()
            .map(|(name, ino)| (name.clone(), *ino))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        dir.read(end, Width::Wide, |_, _| panic!("names after the end"))
            .unwrap(),
        end
    );
    assert_eq!(dir.is_empty().unwrap(), model.is_empty());
    assert_eq!(dir.parent().unwrap(), PARENT);
}

/// Fills a directory with `count` names.
pub(super) fn filled(rules: Rules, count: u32) -> (Memory, Directory<Memory>, Model) {
    let (memory, mut dir) = make(rules);
    let mut model = Model::new();
    for n in 0..count {
        let name = name(n).into_bytes();
        insert(&mut dir, &name, Ino(n + 11)).unwrap();
        model.insert(name, n + 11);
    }
    (memory, dir, model)
}

#[test]
fn small_and_empty() {
    let (memory, mut dir) = make(rules());
    check(&dir, &Model::new());
    insert(&mut dir, b"a", Ino(12)).unwrap();
    assert_eq!(insert(&mut dir, b"a", Ino(13)), Err(Error::Exists));
    assert_eq!(insert(&mut dir, b"", Ino(13)), Err(Error::Invalid));
    assert_eq!(
        insert(&mut dir, &[b'x'; 256], Ino(13)),
        Err(Error::NameTooLong)
    );
    insert(&mut dir, &[b'x'; 255], Ino(13)).unwrap();
    remove(&mut dir, b"a").unwrap();
    assert_eq!(remove(&mut dir, b"a"), Err(Error::NotFound));
    check(&dir, &Model::from([([b'x'; 255].to_vec(), 13)]));
    assert_eq!(
        (memory.len(), dir.size(), dir.is_indexed()),
        (1, 1024, false)
    );
    dir.set_parent(&mut Handle::default(), Ino(99)).unwrap();
    assert_eq!(dir.parent().unwrap(), Ino(99));
}

#[test]
fn grows_through_every_form() {
    for (block_size, count) in [(1024, 5000), (2048, 1500), (4096, 1500)] {
        for has_tail in [true, false] {
            let format = DirFormat {
                block_size,
                has_tail,
                ..rules().format
            };
            let (memory, mut dir, mut model) = filled(Rules { format, ..rules() }, count);
            assert!(dir.is_indexed());
            assert_eq!(dir.size(), memory.len() as u64 * u64::from(block_size));
            assert_eq!(dir.probe(0).unwrap().node.is_some(), block_size == 1024);
            check(&dir, &model);
            dir.set_parent(&mut Handle::default(), Ino(99)).unwrap();
            assert_eq!(dir.parent().unwrap(), Ino(99));
            dir.set_parent(&mut Handle::default(), PARENT).unwrap();
            for n in (0..count).filter(|n| n % 3 != 0) {
                remove(&mut dir, name(n).as_bytes()).unwrap();
                model.remove(name(n).as_bytes());
            }
            check(&dir, &model);
            for n in (0..count).filter(|n| n % 3 != 0).take(900) {
                insert(&mut dir, name(n).as_bytes(), Ino(n + 11)).unwrap();
                model.insert(name(n).into_bytes(), n + 11);
            }
            check(&dir, &model);
            for name in std::mem::take(&mut model).keys() {
                remove(&mut dir, name).unwrap();
            }
            check(&dir, &model);
        }
    }
}

#[test]
fn without_the_feature_it_stays_linear() {
    let (memory, mut dir, model) = filled(
        Rules {
            indexes: false,
            ..rules()
        },
        300,
    );
    assert!(!dir.is_indexed() && memory.len() > 10);
    check_linear(&dir, &model);
    remove(&mut dir, name(7).as_bytes()).unwrap();
    assert_eq!(dir.lookup(name(7).as_bytes()).unwrap(), None);
    // The freed space is used again.
    let size = dir.size();
    insert(&mut dir, name(7).as_bytes(), Ino(5)).unwrap();
    assert_eq!(dir.size(), size);
}

/// As `check`, for a directory that is read by blocks.
fn check_linear(dir: &Directory<Memory>, model: &Model) {
    check(dir, model);
}

#[test]
fn an_index_without_the_feature_is_dropped() {
    let plain = rules().format.without_tail();
    let with = Rules {
        format: plain,
        ..rules()
    };
    let (memory, dir, mut model) = filled(with, 500);
    let without = Rules {
        indexes: false,
        ..with
    };
    let mut dir =
        Directory::new(memory.clone(), without, OWN, dir.size(), dir.is_indexed()).unwrap();
    check(&dir, &model);
    assert!(dir.is_indexed());
    insert(&mut dir, b"new", Ino(5000)).unwrap();
    model.insert(b"new".to_vec(), 5000);
    assert!(!dir.is_indexed());
    check(&dir, &model);
    // With checksums such a directory cannot be.
    let summed = Rules {
        indexes: false,
        ..rules()
    };
    assert!(Directory::new(memory, summed, OWN, dir.size(), true).is_err());
}

#[test]
fn names_of_one_hash_cross_blocks() {
    // The legacy hash takes few bits: many names of one hash are easy to find.
    let hasher = Hasher {
        version: HashVersion::Legacy,
        ..rules().hasher
    };
    let mut by_hash: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for n in 0..400_000u32 {
        let name = std::format!("{n:x}");
        by_hash
            .entry(hasher.hash(name.as_bytes()).major)
            .or_default()
            .push(name);
        if by_hash.len() > 200_000 {
            break;
        }
    }
    let mut groups: Vec<_> = by_hash.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let rules = Rules { hasher, ..rules() };
    let (_, mut dir) = make(rules);
    let mut model = Model::new();
    for name in groups.into_iter().flatten().take(2000) {
        insert(&mut dir, name.as_bytes(), Ino(20)).unwrap();
        model.insert(name.into_bytes(), 20);
    }
    check(&dir, &model);
}

#[test]
fn a_full_disk_leaves_a_good_directory() {
    let (memory, mut dir, mut model) = filled(rules(), 10);
    let mut n = 10;
    for limit in 1..200 {
        memory.0.limit.set(limit);
        loop {
            let name = name(n).into_bytes();
            n += 1;
            match insert(&mut dir, &name, Ino(n)) {
                Ok(()) => _ = model.insert(name, n),
                Err(error) => break assert_eq!(error, Error::NoSpace),
            }
        }
        assert_eq!(dir.size(), memory.len() as u64 * 1024);
        if limit % 10 < 3 {
            check(&dir, &model);
        }
    }
}

#[test]
fn a_stale_place_is_looked_up_again() {
    let (_, mut dir, mut model) = filled(rules(), 200);
    let places: Vec<_> = model
        .keys()
        .map(|name| (name.clone(), dir.lookup(name).unwrap().unwrap()))
        .collect();
    for n in 200..1200 {
        insert(&mut dir, name(n).as_bytes(), Ino(n)).unwrap();
        model.insert(name(n).into_bytes(), n);
    }
    for (n, (name, found)) in places.iter().enumerate() {
        if n % 2 == 0 {
            dir.remove(&mut Handle::default(), name, found).unwrap();
            model.remove(name);
            assert_eq!(
                dir.remove(&mut Handle::default(), name, found),
                Err(Error::NotFound)
            );
        } else {
            dir.replace(&mut Handle::default(), name, found, Ino(77), REGULAR)
                .unwrap();
            model.insert(name.clone(), 77);
        }
    }
    check(&dir, &model);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, usize),
    Remove(usize),
    Replace(usize, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<u16>(), 1usize..80).prop_map(|(n, len)| Step::Insert(n, len)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => (any::<usize>(), 1u32..9999).prop_map(|(n, ino)| Step::Replace(n, ino)),
    ];
    proptest::collection::vec(step, 1..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn like_a_map(steps in steps(), has_tail: bool, has_type: bool, version in 0u8..6, indexes: bool) {
        let (version, signedness) = HashVersion::from_root(version).unwrap();
        let hasher = Hasher { version, signedness: signedness.unwrap_or(Signedness::Signed), ..rules().hasher };
        let format = DirFormat { has_tail, ..rules().format };
        let rules = Rules { format, hasher, indexes };
        let _ = has_type;
        let (_, mut dir) = make(rules);
        let mut model = Model::new();
        for step in steps {
            let pick = |n: usize| (!model.is_empty()).then(|| model.keys().nth(n % model.len()).unwrap().clone());
            match step {
                Step::Insert(n, len) => {
                    let mut name = std::format!("{n}-").into_bytes();
                    name.resize(len.max(name.len()), 0x80 | (n as u8));
                    let ino = u32::from(n) + 11;
                    if let Entry::Vacant(vacant) = model.entry(name) {
                        insert(&mut dir, vacant.key(), Ino(ino)).unwrap();
                        vacant.insert(ino);
                    }
                }
                Step::Remove(n) => if let Some(name) = pick(n) {
                    remove(&mut dir, &name).unwrap();
                    model.remove(&name);
                },
                Step::Replace(n, ino) => if let Some(name) = pick(n) {
                    let found = dir.lookup(&name).unwrap().unwrap();
                    dir.replace(&mut Handle::default(), &name, &found, Ino(ino), REGULAR).unwrap();
                    model.insert(name, ino);
                },
            }
        }
        check(&dir, &model);
    }
}
