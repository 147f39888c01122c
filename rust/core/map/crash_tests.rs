// SPDX-License-Identifier: GPL-2.0

//! Power cuts in the life of one file: after recovery no block is lost, none is used twice, and what
//! was committed is there.

use super::status_tests::Random;
use super::tests::{compare, image, live, settle, write, Is, Model, World};
use super::{BlockRange, Ordered};
use crate::format::units::FileBlock;

/// The blocks that a disk knows of.
fn on_disk(model: &Model) -> Model {
    let known = |is: &Is| matches!(is, Is::Written | Is::Unwritten);
    model
        .iter()
        .filter(|(_, is)| known(is))
        .map(|(at, is)| (*at, *is))
        .collect()
}

#[test]
fn a_life_cut_short() {
    const BLOCKS: u32 = 3000;
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let mut random = Random(0xdead_beef_cafe_f00d);
    let mut model = Model::new();
    let mut commits = std::vec::Vec::new();
    for round in 0..12 {
        live(&world, &mut random, &mut model, 60, BLOCKS, 3);
        if round % 4 == 3 {
            settle(&world, &mut model, BLOCKS);
        }
        world.volume.journal().unwrap().commit_all().unwrap();
        commits.push((world.image.events().len(), on_disk(&model)));
    }
    let events = world.image.events().len();
    for (count, known) in &commits {
        let after = world.cut_after(*count);
        compare(&after.volume, &after.map, known, BLOCKS, true);
    }
    for _ in 0..15 {
        let cut = random.below(events as u32) as usize;
        let after = world.cut_after(cut);
        after.check();
        // And life goes on.
        let mut found = Model::new();
        for at in 0..BLOCKS {
            let state = after
                .map
                .lookup(&after.volume, FileBlock(at), 1)
                .unwrap()
                .state;
            if let Some(is) = super::tests::is(state) {
                found.insert(at, is);
            }
        }
        live(&after, &mut random, &mut found, 40, BLOCKS, 3);
        after.agrees(&found, BLOCKS);
    }
}

/// Removing what is too much for one transaction: each of them leaves a whole file.
#[test]
fn a_removal_cut_short() {
    let world = World::new(image(32, &["-b", "1024", "-J", "size=1"]));
    let mut model = Model::new();
    // In no order: nodes are half full, and more than a transaction can hold.
    let mut random = Random(0x0bad_5eed);
    let mut blocks: std::vec::Vec<u32> = (0..14_000).map(|n| 3 * n).collect();
    for at in (1..blocks.len()).rev() {
        blocks.swap(at, random.below(at as u32 + 1) as usize);
    }
    for batch in blocks.chunks(16) {
        batch
            .iter()
            .for_each(|at| write(&world, &mut model, *at, 1));
        let finished: std::vec::Vec<Ordered> = batch
            .iter()
            .filter_map(|at| world.write_back(*at, 1))
            .collect();
        world.finish(&finished);
    }
    world.volume.journal().unwrap().flush().unwrap();
    let before = world.image.events().len();
    let tid = world.volume.journal().unwrap().newest();
    world.remove(BlockRange::from(FileBlock(5)));
    world.volume.journal().unwrap().flush().unwrap();
    let transactions = world.volume.journal().unwrap().newest().0 - tid.0;
    assert!(transactions > 1, "{transactions}");
    let events = world.image.events().len();
    let mut last = u32::MAX;
    for cut in (before..=events).step_by(((events - before) / 7).max(1)) {
        let after = world.cut_after(cut);
        after.check();
        // Less and less is left, from the end.
        let mut at = FileBlock(0);
        let mut end = 0;
        while at < BlockRange::MAX_END {
            let found = after.map.lookup(&after.volume, at, u32::MAX).unwrap();
            at = FileBlock(at.0 + found.len);
            if found.state.block().is_some() {
                end = at.0;
            }
        }
        assert!(end <= last, "{end} after {last}");
        last = end;
        after.remove(BlockRange::from(FileBlock(0)));
        after.check();
    }
    assert_eq!(last, 4);
}
