// SPDX-License-Identifier: GPL-2.0

//! Taking blocks away that are metadata: each is a revocation, which takes room in the log.

use super::super::tests::{fresh_map, image, World};
use super::*;
use crate::core::journal::Journal;
use crate::format::units::FileBlock;

/// Transactions since `before`.
fn since(journal: &Journal, before: u32) -> u32 {
    journal.newest().0.wrapping_sub(before)
}

#[test]
fn large_metadata_takes_many_transactions() {
    let mut world = World::new(image(64, &["-b", "1024", "-J", "size=1"]));
    let mut at = 0;
    while at < 32_000 {
        let found = world.map.lookup(&world.volume, FileBlock(at), 8000);
        match found.unwrap() {
            hole if hole.state == State::Hole => world.allocate_unwritten(at, hole.len),
            there => at += there.len,
        }
    }
    let journal = world.volume.journal().unwrap();
    journal.flush().unwrap();
    let before = journal.newest().0;
    world.map = fresh_map(&world.volume);
    world.map.contents = Contents::Metadata;
    world.remove(BlockRange::from(FileBlock(0)));
    // A quarter of the log has 255 blocks; the revocations take 258.
    let journal = world.volume.journal().unwrap();
    assert!(since(journal, before) > 1);
    journal.flush().unwrap();
    assert_eq!(world.map.blocks(), 0);
    world.check();
}

/// Who only deletes gives back what earlier transactions freed.
#[test]
fn deleting_gives_back_what_was_deleted_before() {
    let world = World::new(image(16, &["-b", "1024", "-J", "size=1"]));
    world.allocate_unwritten(0, 30);
    let journal = world.volume.journal().unwrap();
    journal.flush().unwrap();
    world.remove(BlockRange::from(FileBlock(20)));
    journal.flush().unwrap();
    world.remove(BlockRange::from(FileBlock(10)));
    let mut waiting = 0;
    journal.take_released(|run| waiting += run.len);
    assert_eq!(waiting, 0);
    journal.flush().unwrap();
    journal.take_released(|run| waiting += run.len);
    assert_eq!(waiting, 10);
}
