// SPDX-License-Identifier: GPL-2.0

//! File maps at their limits: a full disk, many tasks, a hostile disk, the last block.

use super::status_tests::Random;
use super::tests::{fresh_map, image, settle, Is, Model, World, INO};
use super::{BlockRange, FileMap, Mapping, Ordered, State};
use crate::core::cache::Kind;
use crate::core::error::Error;
use crate::core::journal::Handle;
use crate::core::platform::caller;
use crate::format::extent::{Node, NodeMut};
use crate::format::inode::InodeFields;
use crate::format::units::{DiskBlock, FileBlock};
use crate::testing;

/// Writes scattered blocks until there is no space: all that were taken can be written back.
#[test]
fn promises_are_kept_on_a_full_disk() {
    for step in [1, 2, 7] {
        let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
        let mut model = Model::new();
        let mut at = 0;
        let error = loop {
            match world.map.reserve_delayed(&world.volume, FileBlock(at), 1) {
                Ok((mapping, new)) => assert!(new && mapping.state == State::Delayed),
                Err(error) => break error,
            }
            model.insert(at, Is::Delayed);
            at += step;
            if model.len() % 500 == 499 {
                // Half way the promises of some are kept, so that nodes take their share.
                let ordered = world.write_back(at - step, 1).unwrap();
                world.finish(&[ordered]);
                model.insert(at - step, Is::Written);
            }
        };
        assert_eq!(error, Error::NoSpace);
        assert!(model.len() > 1000, "{}", model.len());
        settle(&world, &mut model, at + 1);
        world.agrees(&model, at + 1);
        world.check();
        // A write that asks for much gets what there is; root's share for root only.
        caller::set_privileged(true);
        let (given, _) = world
            .map
            .reserve_delayed(&world.volume, FileBlock(1 << 20), 10_000)
            .unwrap();
        caller::set_privileged(false);
        assert!(given.len < 10_000);
        world
            .map
            .release_pending(&world.volume, BlockRange::from(FileBlock(0)))
            .unwrap();
        // What is freed can be had again, though only a commit makes it free.
        world.remove(BlockRange::from(FileBlock(0)));
        world
            .map
            .reserve_delayed(&world.volume, FileBlock(0), 1000)
            .unwrap();
        world
            .map
            .release_pending(&world.volume, BlockRange::from(FileBlock(0)))
            .unwrap();
        assert_eq!(world.volume.allocator.statistics().reserved_blocks, 0);
        world.check();
    }
}

/// What a direct write asks for and does not get in one run is no promise that nobody keeps.
#[test]
fn direct_writes_leave_nothing_behind() {
    let world = World::new(image(64, &["-b", "1024"]));
    let (map, volume) = (&world.map, &world.volume);
    let free = volume.allocator.statistics();
    // More than a group has.
    let got = map
        .allocate_direct(volume, FileBlock(5), 20_000, 20_005)
        .unwrap();
    assert!(matches!(got.state, State::InFlight(_)), "{got:?}");
    assert!(got.start == FileBlock(5) && (1..20_000).contains(&got.len));
    assert_eq!(map.status.lock().pieces.delayed(), 0);
    // It does not reach the disk.
    map.release_pending(volume, BlockRange::new(got.start, got.len))
        .unwrap();
    map.release_window(volume);
    assert_eq!(volume.allocator.statistics(), free);
    // The page cache has data for it.
    map.reserve_delayed(volume, FileBlock(7), 1).unwrap();
    let pending = map.allocate_direct(volume, FileBlock(7), 1, 8);
    assert_eq!(pending.err(), Some(Error::Again));
    let before = map.allocate_direct(volume, FileBlock(5), 4, 9).unwrap();
    assert_eq!((before.start, before.len), (FileBlock(5), 2));
    map.release_pending(volume, BlockRange::from(FileBlock(0)))
        .unwrap();
    map.release_window(volume);
    assert_eq!(volume.allocator.statistics(), free);
}

/// Writers, writeback, completion and truncation of one file by many tasks.
#[test]
fn many_tasks() {
    const TASKS: u32 = 6;
    const AREA: u32 = 400;
    let world = World::new(image(32, &["-b", "1024"]));
    let shared = std::sync::Mutex::new(());
    std::thread::scope(|scope| {
        for task in 0..TASKS {
            let (world, shared) = (&world, &shared);
            scope.spawn(move || work(world, shared, task * AREA, AREA));
        }
    });
    let blocks = TASKS * AREA;
    let mut model = Model::new();
    for at in 0..blocks {
        match world
            .map
            .lookup(&world.volume, FileBlock(at), 1)
            .unwrap()
            .state
        {
            State::Hole => None,
            State::Delayed => model.insert(at, Is::Delayed),
            State::InFlight(_) => model.insert(at, Is::InFlight),
            State::Unwritten(_) => model.insert(at, Is::Unwritten),
            State::Written(_) => model.insert(at, Is::Written),
        };
    }
    world.agrees(&model, blocks);
    settle(&world, &mut model, blocks);
    world.agrees(&model, blocks);
    world.check();
}

/// One task: its own area of the file, but runs reach over its ends. The inode's record is written
/// under a lock, as the layer above does.
fn work(world: &World, record: &std::sync::Mutex<()>, first: u32, area: u32) {
    let mut random = Random(0x1234_5678_9abc_def1 ^ u64::from(first));
    for _ in 0..300 {
        let at = first + random.below(area);
        let len = (1 + random.below(5)).min(first + area - at);
        let range = BlockRange::new(FileBlock(at), len);
        if random.below(5) == 0 {
            world.map.release_pending(&world.volume, range).unwrap();
            let credits = 1 + world.map.credits_for_remove();
            let mut handle = world.volume.start(credits).unwrap();
            let save = |handle: &mut Handle<'_>, _| {
                let _held = record.lock().unwrap();
                world.save(&world.map, handle);
                Ok(())
            };
            world
                .map
                .remove(&world.volume, &mut handle, range, 1, save)
                .unwrap();
            continue;
        }
        world
            .map
            .reserve_delayed(&world.volume, FileBlock(at), len)
            .unwrap();
        // Of what was in flight already, only the own part is written.
        let Some(ordered) = world.write_back(at, len) else {
            continue;
        };
        loop {
            let credits = 1 + world.map.credits_for_finish(&world.volume, &[ordered]);
            let mut handle = world.volume.start(credits).unwrap();
            match world
                .map
                .finish(&world.volume, &mut handle, &[ordered], &mut FileBlock(0))
            {
                Ok(()) => {
                    let _held = record.lock().unwrap();
                    world.save(&world.map, &mut handle);
                    break;
                }
                Err(Error::Again) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A tree of three levels on a disk without checksums.
fn deep_world() -> World {
    let world = World::new(image(
        16,
        &["-b", "1024", "-J", "size=1", "-O", "^metadata_csum,^64bit"],
    ));
    let mut random = Random(5);
    for _ in 0..700 {
        let at = 3 * random.below(4000);
        world
            .map
            .reserve_delayed(&world.volume, FileBlock(at), 1)
            .unwrap();
        if let Some(ordered) = world.write_back(at, 1) {
            world.finish(&[ordered]);
        }
    }
    world.volume.journal().unwrap().flush().unwrap();
    world
}

/// The blocks of the tree below the root.
fn nodes(world: &World, bytes: &[u8]) -> std::vec::Vec<u64> {
    let root = world.map.root();
    let mut found = std::vec::Vec::new();
    let mut todo = std::vec![root.to_vec()];
    while let Some(node) = todo.pop() {
        for index in Node::new(&node).unwrap().indices() {
            found.push(index.child.0);
            let at = index.child.0 as usize * 1024;
            todo.push(bytes[at..at + 1024].to_vec());
        }
    }
    found
}

/// Whatever a node says: no panic, no endless walk, and what is written or read is a data block.
#[test]
fn hostile_nodes() {
    let world = deep_world();
    world.volume.journal().unwrap().close().unwrap();
    let good = world.image.contents();
    let nodes = nodes(&world, &good);
    assert!(nodes.len() > 8);
    let mut random = Random(99);
    let (mut refused, mut passed) = (0, 0);
    for _ in 0..60 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let node = nodes[random.below(nodes.len() as u32) as usize] as usize * 1024;
            // Mostly the header and the first entries: there is most to break.
            let reach = [40, 1024][random.below(2) as usize];
            let at = node + random.below(reach) as usize;
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes.copy_within(at..(at + 12).min(node + 1024), node + 12),
                // A node that is its own child, or another's.
                _ => bytes.copy_within(
                    nodes[0] as usize * 1024..nodes[0] as usize * 1024 + 1024,
                    node,
                ),
            }
        }
        let hostile = World::new(bytes);
        for at in (0..12_000).step_by(29) {
            match hostile.map.lookup(&hostile.volume, FileBlock(at), 100) {
                Ok(Mapping { len, state, .. }) => {
                    assert!(len >= 1);
                    if let Some(start) = state.block() {
                        let run = crate::core::journal::Run { start, len };
                        assert!(hostile.volume.allocator.is_data(run));
                    }
                    passed += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Corrupt(..)), "{error:?}");
                    refused += 1;
                }
            }
        }
        let _ = change_hostile(&hostile, &mut random);
        let _ = hostile.volume.journal().unwrap().close();
    }
    assert!(refused > 100 && passed > 100, "{refused} {passed}");
}

/// Changes a file whose tree is broken; may fail, nothing else.
fn change_hostile(world: &World, random: &mut Random) -> Result<(), Error> {
    for _ in 0..30 {
        let at = random.below(12_000);
        world.map.reserve_delayed(&world.volume, FileBlock(at), 3)?;
        let mapping = world.map.begin_writeback(&world.volume, FileBlock(at), 0)?;
        if let State::InFlight(block) = mapping.state {
            let kind = super::Completion::Fresh;
            let ordered = Ordered {
                start: mapping.start,
                len: mapping.len,
                block,
                kind,
            };
            let credits = 1 + world.map.credits_for_finish(&world.volume, &[ordered]);
            let mut handle = world.volume.start(credits)?;
            world
                .map
                .finish(&world.volume, &mut handle, &[ordered], &mut FileBlock(0))?;
        }
    }
    let mut handle = world.volume.start(1 + world.map.credits_for_remove())?;
    let range = BlockRange::from(FileBlock(random.below(6000)));
    world.map.release_pending(&world.volume, range)?;
    world
        .map
        .remove(&world.volume, &mut handle, range, 1, |_, _| Ok(()))
}

/// Roots that cannot be are refused; one that points at metadata or past the end gives nothing.
#[test]
fn hostile_roots() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let volume = &world.volume;
    let place = volume.allocator.inode_place(INO).unwrap();
    let buffer = volume
        .read(place.block, Kind::InodeTable(place.first))
        .unwrap();
    let record = buffer.data().unwrap();
    let fields = InodeFields::decode(&record[place.offset..], &volume.superblock.geometry).unwrap();
    let map_of = |root| {
        let owner = world.map.owner;
        FileMap::new(owner, super::Contents::Data, fields.flags, root, 0)
    };
    for (at, byte) in [(0, 0), (2, 5), (4, 200), (6, 6), (6, 1)] {
        let mut root = FileMap::empty_root();
        root[at] = byte;
        assert!(
            matches!(map_of(root), Err(Error::Corrupt(..))),
            "{at} {byte}"
        );
    }
    for start in [0, 1, 2, place.block.0, 8191, 8192, 1 << 40] {
        for depth in [0, 1, 5] {
            let mut root = FileMap::empty_root();
            let mut node = NodeMut::init(&mut root, depth).unwrap();
            let (lblk, pblk) = (FileBlock(0), DiskBlock(start));
            if depth == 0 {
                let extent = crate::format::extent::Extent {
                    lblk,
                    len: 2,
                    pblk,
                    unwritten: false,
                };
                node.insert_extent(0, &extent).unwrap();
            } else {
                node.insert_index(0, &crate::format::extent::Index { lblk, child: pblk })
                    .unwrap();
            }
            let found = map_of(root).unwrap().lookup(volume, FileBlock(1), 1);
            assert!(
                matches!(found, Err(Error::Corrupt(..))),
                "{start} {depth}: {found:?}"
            );
        }
    }
}

#[test]
fn the_last_block() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let last = u32::MAX - 1;
    let (mapping, new) = world
        .map
        .reserve_delayed(&world.volume, FileBlock(last), 100)
        .unwrap();
    assert!(new && mapping.len == 1);
    let ordered = world.write_back(last, 1).unwrap();
    world.finish(&[ordered]);
    let map = fresh_map(&world.volume);
    assert!(matches!(
        map.lookup(&world.volume, FileBlock(last), 9).unwrap().state,
        State::Written(_)
    ));
    let hole = map.lookup(&world.volume, FileBlock(0), u32::MAX).unwrap();
    assert_eq!((hole.state, hole.len), (State::Hole, last));
    for at in [0, last] {
        let past = world.map.lookup(&world.volume, FileBlock(u32::MAX), 1);
        assert_eq!(past, Err(Error::FileTooBig), "{at}");
    }
    world.remove(BlockRange::from(FileBlock(1)));
    assert_eq!(world.map.blocks(), 0);
    let text = testing::debugfs(&world.image.contents(), "stat <12>");
    assert!(text.contains("Inode: 12"), "{text}");
}

/// Every change of a block's state changes the sequence; looking does not.
#[test]
fn sequence() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    let at = FileBlock(10);
    let mut last = map.sequence();
    let mut moved = |want: bool, what: &str| {
        let now = map.sequence();
        assert_eq!(now != last, want, "{what}");
        last = now;
    };
    map.lookup(volume, at, 5).unwrap();
    moved(false, "first lookup");
    let (mapping, _) = map.reserve_delayed(volume, at, 5).unwrap();
    assert_eq!(mapping.sequence, map.sequence());
    moved(true, "delayed");
    assert!(!map.reserve_delayed(volume, at, 5).unwrap().1);
    moved(false, "delayed before");
    let ordered = world.write_back(10, 3).unwrap();
    moved(true, "in flight");
    world.finish(&[ordered]);
    moved(true, "written");
    map.release_delayed(volume, BlockRange::new(FileBlock(13), 2))
        .unwrap();
    moved(false, "in flight all the same");
    map.release_pending(volume, BlockRange::new(FileBlock(13), 2))
        .unwrap();
    moved(true, "given up");
    world.remove(BlockRange::new(at, 1));
    moved(true, "removed");
    world.remove(BlockRange::new(at, 1));
    moved(false, "removed nothing");
}

/// A long run, finished in pieces, makes extents as long as the format allows.
#[test]
fn long_extents() {
    let world = World::new(image(200, &["-b", "1024", "-J", "size=4"]));
    let (map, volume) = (&world.map, &world.volume);
    let blocks = 120_000;
    world.reserve_all(blocks);
    let mut at = 0;
    while at < blocks {
        let ordered = world.write_back(at, 2040).unwrap();
        at += ordered.len;
        world.finish(&[ordered]);
    }
    assert_eq!(map.inner.lock().tree.header().unwrap().depth, 1);
    let (mut at, mut count, mut longest) = (FileBlock(0), 0, 0);
    while at.0 < blocks {
        let inner = map.inner.lock();
        let piece = inner.tree.lookup(volume, at).unwrap();
        assert!(matches!(piece.state, State::Written(_)));
        (count, longest) = (count + 1, longest.max(piece.range.len()));
        at = piece.range.end;
    }
    // Four are the least there can be; each gap of group metadata costs one more.
    assert!(count <= 30 && longest == 32768, "{count} {longest}");
    world.check();
}

/// What a large direct write leaves to be finished comes in pieces, each of which a transaction of the
/// smallest journal has room for.
#[test]
fn long_runs_come_in_pieces() {
    let world = World::new(image(200, &["-b", "1024", "-J", "size=1"]));
    let (map, volume) = (&world.map, &world.volume);
    let blocks = 120_000;
    world.reserve_all(blocks);
    let mut at = 0;
    while at < blocks {
        at += world.write_back(at, 8000).unwrap().len;
    }
    let mut ordered = crate::core::platform::Vec::new();
    let all = BlockRange::new(FileBlock(0), blocks);
    map.ordered_in(volume, all, None, &mut ordered).unwrap();
    let lengths = || ordered.iter().map(|piece| piece.len);
    assert_eq!(
        (lengths().sum::<u32>(), lengths().max()),
        (blocks, Some(32767))
    );
    for piece in &ordered {
        assert!(map.credits_for_finish(volume, &[*piece]) < 96);
        world.finish(&[*piece]);
    }
    world.check();
}

/// A sparse file that is written at random: what is known of it takes a bounded part of memory, though nobody
/// ever asks for what is not known.
#[test]
fn scattered_writes_are_forgotten() {
    let world = World::new(image(8, &["-b", "1024", "-J", "size=1"]));
    let map = &world.map;
    map.lookup(&world.volume, FileBlock(0), 1).unwrap();
    let known = |n: u32| map.status.lock().pieces.find(FileBlock(2 * n)).is_some();
    let _tree = map.inner.lock();
    for n in 0..100_000 {
        let range = BlockRange::new(FileBlock(2 * n), 1);
        map.put(range, State::Written(DiskBlock(5000))).unwrap();
        assert!(known(n));
    }
    assert!((0..100_000).filter(|n| known(*n)).count() < 20_000);
}
