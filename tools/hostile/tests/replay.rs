// SPDX-License-Identifier: GPL-2.0

//! What the fuzzers have found interesting so far, and some damage by chance, without a fuzzer.

use host_core::testing::Random;
use hostile::{edits, parsers, visit};
use std::path::PathBuf;

/// The files of a target's corpus.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|fault| panic!("{folder:?}: {fault}"));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} is empty");
    paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// A panic of the commit thread is a failure too.
fn panics_end_the_process() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        if std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("rext4"))
        {
            std::process::abort();
        }
    }));
}

#[test]
fn corpus_of_parsers() {
    for (name, parser) in parsers::PARSERS {
        for (path, bytes) in corpus(name) {
            println!("{}", path.display());
            parser(&bytes);
        }
    }
}

#[test]
fn corpus_of_mounts() {
    panics_end_the_process();
    for (path, bytes) in corpus("mount") {
        println!("{}", path.display());
        if let Some(damaged) = edits::apply(&bytes) {
            visit::visit(&damaged);
        }
    }
}

#[test]
fn undamaged_seeds_can_be_mounted_and_changed() {
    for seed in 0..hostile::seeds::COUNT {
        let damaged = edits::apply(&[seed as u8, 0]).unwrap();
        let cost = visit::visit(&damaged);
        println!("{}: {cost:?}", damaged.seed.name);
        assert!(cost.mounted && cost.names > 100, "{}", damaged.seed.name);
        let image = damaged.device.bytes(0, damaged.seed.image.len());
        host_core::testing::assert_clean(&image);
    }
}

#[test]
fn sealing_changes_no_undamaged_seed() {
    for number in 0..hostile::seeds::COUNT {
        let seed = hostile::seeds::seed(number);
        let device = hostile::overlay::Overlay::new(seed.image.clone());
        hostile::seal::seal(&device, &seed.places, &seed.places.all);
        for (at, bytes) in device.changes() {
            let was = &seed.image[at as usize..at as usize + bytes.len()];
            let place = seed
                .places
                .all
                .iter()
                .find(|place| place.at <= at && at < place.at + place.len as u64);
            assert!(bytes == was, "{}: block at {at}, {place:?}", seed.name);
        }
    }
}

#[test]
fn damage_by_chance() {
    panics_end_the_process();
    let count = std::env::var("REXT4_SEQUENCES").ok();
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(300);
    let mut mounted = 0;
    for number in 0..count {
        println!("number {number}");
        let list = edits::random_list(&mut Random::new(number));
        let damaged = edits::apply(&list).unwrap();
        mounted += u64::from(visit::visit(&damaged).mounted);
    }
    assert!(mounted > count / 3, "{mounted} of {count} could be mounted");
}
