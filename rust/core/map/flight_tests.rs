// SPDX-License-Identifier: GPL-2.0

//! Blocks in flight: who else may touch them, and what is left when something fails.

use super::tests::{compare, fresh_map, image, Is, Model, World};
use super::{BlockRange, Ordered, State};
use crate::core::alloc::Window;
use crate::core::platform::Vec;
use crate::format::units::{DiskBlock, FileBlock};
use crate::host::shortage::Shortage;

fn state(world: &World, at: u32) -> State {
    let found = world.map.lookup(&world.volume, FileBlock(at), 1);
    found.unwrap().state
}

/// A writer gives back what it did not write; a mapping of the file has made the flusher place all of
/// it meanwhile, and some is on its way.
#[test]
fn the_punch_leaves_what_is_in_flight() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    world.reserve(0, 64).unwrap();
    let sent = world.write_back(32, 8).unwrap();
    world.reserve(64, 16).unwrap();
    let before = volume.allocator.statistics();
    map.release_delayed(volume, BlockRange::new(FileBlock(4), 76))
        .unwrap();
    assert!(matches!(state(&world, 32), State::InFlight(_)));
    assert_eq!(state(&world, 64), State::Hole);
    assert_eq!(
        volume.allocator.statistics().free_blocks,
        before.free_blocks
    );
    world.finish(&[sent]);
    let model: Model = (32..40).map(|at| (at, Is::Written)).collect();
    compare(volume, &fresh_map(volume), &model, 100, true);
    world.check();
}

/// Nobody gives blocks back while their end is entered in the tree.
#[test]
fn completion_and_release_do_not_mix() {
    let world = World::new(image(16, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    let end = std::sync::atomic::AtomicBool::new(false);
    let mut model = Model::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(std::sync::atomic::Ordering::Relaxed) {
                map.release_pending(volume, BlockRange::from(FileBlock(0)))
                    .unwrap();
            }
        });
        for at in (0..8000).step_by(8) {
            world.reserve(at, 4).unwrap();
            if let Some(ordered) = world.write_back(at, 4) {
                world.finish(&[ordered]);
            }
        }
        end.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    map.release_pending(volume, BlockRange::from(FileBlock(0)))
        .unwrap();
    for at in 0..8000 {
        if matches!(state(&world, at), State::Written(_)) {
            model.insert(at, Is::Written);
        }
    }
    assert!(!model.is_empty());
    compare(volume, &fresh_map(volume), &model, 8000, true);
    map.release_window(volume);
    let counts = volume.allocator.statistics();
    assert_eq!(counts.free_blocks, counts.settled_free_blocks);
    assert_eq!(counts.reserved_blocks, 0);
    world.check();
}

/// Of a closed file that is written back in two passes, the second one goes on where the first has ended.
#[test]
fn delayed_blocks_keep_the_window() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    let given_up = || map.inner.lock().window == Window::new();
    world.reserve(8, 8).unwrap();
    world.reserve(24, 8).unwrap();
    let first = world.write_back(8, 8).unwrap();
    map.release_window(volume);
    assert!(!given_up());
    let second = world.write_back(24, 8).unwrap();
    map.release_window(volume);
    assert!(given_up());
    world.finish(&[first, second]);
    world.check();
}

/// What was written elsewhere than the block is now is not taken for its data.
#[test]
fn only_what_was_written_is_ordered() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    world.reserve(0, 8).unwrap();
    let sent = world.write_back(0, 8).unwrap();
    world.allocate_unwritten(8, 8);
    let State::Unwritten(unwritten) = state(&world, 8) else {
        panic!("{:?}", state(&world, 8));
    };
    let ordered = |at: u32, len: u32, place: Option<u64>| {
        let mut found = Vec::new();
        let range = BlockRange::new(FileBlock(at), len);
        map.ordered_in(volume, range, place.map(DiskBlock), &mut found)
            .unwrap();
        found.to_vec()
    };
    assert_eq!(ordered(0, 8, None), [sent]);
    assert_eq!(ordered(0, 8, Some(sent.block.0)), [sent]);
    let part = ordered(2, 4, Some(sent.block.0 + 2));
    assert_eq!((part[0].start, part[0].len), (FileBlock(2), 4));
    assert_eq!(ordered(0, 16, Some(sent.block.0 + 1)), []);
    assert_eq!(ordered(8, 8, Some(unwritten.0)).len(), 1);
    assert_eq!(ordered(0, 16, None).len(), 2);
    assert_eq!(ordered(16, 8, None), []);
    let mut wrong = ordered(8, 8, None);
    wrong[0].block.0 += 1;
    world.finish(&wrong);
    assert_eq!(state(&world, 8), State::Unwritten(unwritten));
    let wrong = Ordered {
        block: DiskBlock(sent.block.0 + 1),
        ..sent
    };
    world.finish(&[wrong]);
    assert_eq!(state(&world, 0), State::InFlight(sent.block));
}

/// Memory that is short while blocks are chosen does not cost the delayed ones their promise.
#[test]
fn no_memory_takes_no_promise() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    let mut failed = 0;
    for at in (0..700).step_by(10) {
        world.reserve(at, 4).unwrap();
        for first in 0.. {
            let shortage = Shortage::begin(first, 1);
            let placed = map.begin_writeback(volume, FileBlock(at + 1), 0);
            Shortage::end();
            let status = map.status.lock();
            assert!(status.has() >= status.wanted(), "{at} {first}");
            drop(status);
            if shortage.count() <= first {
                assert!(matches!(placed.unwrap().state, State::InFlight(_)));
                break;
            }
            failed += 1;
            if placed.is_ok() {
                map.release_pending(volume, BlockRange::new(FileBlock(at), 4))
                    .unwrap();
                world.reserve(at, 4).unwrap();
            } else {
                assert_eq!(state(&world, at), State::Delayed);
            }
        }
    }
    assert!(failed > 100, "{failed}");
    map.release_pending(volume, BlockRange::from(FileBlock(0)))
        .unwrap();
    map.release_window(volume);
    let counts = volume.allocator.statistics();
    assert_eq!(counts.free_blocks, counts.settled_free_blocks);
    assert_eq!(counts.reserved_blocks, 0);
}

/// Tree nodes that a completion has used are not taken off the promise twice.
#[test]
fn used_nodes_count_once() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let write = |at: u32| {
        let ordered = world.write_back(at, 1).unwrap();
        world.finish(&[ordered]);
    };
    // The tree has a level below the root now.
    for at in (0..40).step_by(2) {
        world.reserve(at, 1).unwrap();
        write(at);
    }
    for at in (40..440).step_by(2) {
        world.reserve(at, 1).unwrap();
    }
    for at in (40..440).step_by(2) {
        write(at);
        let status = world.map.status.lock();
        assert_eq!(status.root.depth, 1);
        assert!(status.has() >= status.wanted(), "{at}");
    }
    assert_eq!(world.volume.allocator.statistics().reserved_blocks, 0);
    world.check();
}
