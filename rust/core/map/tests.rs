// SPDX-License-Identifier: GPL-2.0

//! Whole file maps on images of `mkfs.ext4`, against a map with an entry per block, judged by e2fsck.

use super::status_tests::Random;
use super::{BlockRange, Completion, Contents, FileMap, Ordered, State};
use crate::core::alloc::Allocator;
use crate::core::cache::{Cache, Kind, Owner, Sealer, FUNCTIONS};
use crate::core::error::Error;
use crate::core::journal::{Handle, Journal, LogExtent, Run, Settings, Start};
use crate::core::platform::{crc, Arc, Device, Vec, GFP};
use crate::core::volume::Volume;
use crate::format::inode::InodeFields;
use crate::format::superblock::Superblock;
use crate::format::units::{DiskBlock, FileBlock, Ino, LogBlock};
use crate::host::recording::Recording;
use crate::testing;
use std::collections::BTreeMap;

pub(super) const INO: Ino = Ino(12);

/// A mounted image with one file.
pub(super) struct World {
    pub(super) image: Recording,
    pub(super) volume: Volume,
    pub(super) map: FileMap,
    log: std::vec::Vec<LogExtent>,
}

/// An image with one empty file, inode 12, besides the directories. Newer mkfs would give that
/// number to the orphan file.
pub(super) fn image(mib: u64, args: &[&str]) -> std::vec::Vec<u8> {
    let dir = std::env::temp_dir().join(format!(
        "rext4-map-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("file"), b"").unwrap();
    let mut features = std::string::String::from("^orphan_file");
    let mut all = std::vec::Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if *arg == "-O" {
            features = std::format!("{},{features}", rest.next().unwrap());
        } else {
            all.push(*arg);
        }
    }
    all.extend(["-O", &features, "-d", dir.to_str().unwrap()]);
    let args = all;
    let bytes = testing::mkfs(mib << 20, &args);
    std::fs::remove_dir_all(&dir).unwrap();
    bytes
}

/// Where the journal of an image lies.
fn journal_of(bytes: &[u8]) -> std::vec::Vec<LogExtent> {
    let mut log: std::vec::Vec<LogExtent> = std::vec::Vec::new();
    let text = testing::debugfs(bytes, "blocks <8>");
    let blocks = text.split_whitespace().filter_map(|word| word.parse().ok());
    for (n, block) in (0..).zip(blocks) {
        match log.last_mut() {
            Some(last) if last.run.start.0 + u64::from(last.run.len) == block => last.run.len += 1,
            _ => {
                let run = Run::one(DiskBlock(block));
                log.push(LogExtent {
                    first: LogBlock(n),
                    run,
                });
            }
        }
    }
    log
}

fn open(bytes: std::vec::Vec<u8>, log: &[LogExtent]) -> (Recording, Volume) {
    let record = &bytes[1024..2048];
    let superblock = Superblock::parse(record, &FUNCTIONS, None).unwrap();
    let checksums = Superblock::checksums(record, FUNCTIONS).unwrap();
    let image = Recording::new(bytes);
    let device = Device::new(image.clone(), false, "image");
    device
        .set_block_size(superblock.geometry.block_size())
        .unwrap();
    let device = Arc::new(device, GFP).unwrap();
    let mut extents = Vec::new();
    for extent in log {
        extents.push(*extent, GFP).unwrap();
    }
    let mut start = Start::read(&device, extents, true, true).unwrap();
    if start.dirty {
        start.recover(&device, &superblock.geometry).unwrap();
    }
    let sealer = Sealer::new(checksums, superblock.geometry.clone());
    let cache = Arc::new(Cache::new(sealer).unwrap(), GFP).unwrap();
    let mut allocator = Allocator::open(&device, &cache, &superblock).unwrap();
    let runs = log.iter().map(|extent| extent.run);
    allocator.add_system_zones(runs).unwrap();
    let settings = Settings {
        lenient: false,
        interval: 60_000,
        barrier: false,
        verify: true,
    };
    let journal = Journal::open(device.clone(), cache.clone(), start, settings).unwrap();
    (
        image,
        Volume {
            journal: Some(journal),
            allocator,
            cache,
            superblock,
            device,
        },
    )
}

impl World {
    pub(super) fn new(bytes: std::vec::Vec<u8>) -> Self {
        let log = journal_of(&bytes);
        Self::with_log(bytes, log)
    }

    fn with_log(bytes: std::vec::Vec<u8>, log: std::vec::Vec<LogExtent>) -> Self {
        let (image, volume) = open(bytes, &log);
        let map = fresh_map(&volume);
        Self {
            image,
            volume,
            map,
            log,
        }
    }

    /// What a mount finds when power failed after so many events of the device.
    pub(super) fn cut_after(&self, events: usize) -> Self {
        // An image like that is for recovery first: nobody else may read it.
        Self::with_log(self.image.contents_after(events), self.log.clone())
    }

    pub(super) fn block_size(&self) -> u64 {
        u64::from(self.volume.superblock.geometry.block_size())
    }

    /// Writes the inode's record as the map has it.
    pub(super) fn save(&self, map: &FileMap, handle: &mut Handle<'_>) {
        let volume = &self.volume;
        let place = volume.allocator.inode_place(INO).unwrap();
        let buffer = volume
            .read(place.block, Kind::InodeTable(place.first))
            .unwrap();
        let size = usize::from(volume.superblock.geometry.inode_size());
        // The map's lock comes before a block's.
        let (root, blocks) = (map.root(), map.blocks());
        let mut bytes = handle.write(&buffer).unwrap();
        let record = &mut bytes[place.offset..place.offset + size];
        let mut fields = InodeFields::decode(record, &volume.superblock.geometry).unwrap();
        fields.i_block = root;
        fields.blocks = blocks * (self.block_size() / 512);
        // Sparse, and larger than any block in use.
        fields.size = 0x7fff_ffff * self.block_size().min(1024);
        fields.encode(record, &volume.superblock.geometry).unwrap();
        bytes.changed_inode(u32::try_from(place.offset / size).unwrap());
    }

    pub(super) fn reserve(&self, at: u32, len: u32) -> Result<u32, Error> {
        let (mapping, _) = self.map.reserve_delayed(&self.volume, FileBlock(at), len)?;
        Ok(mapping.len)
    }

    /// Promises the first `blocks` blocks, piece by piece.
    pub(super) fn reserve_all(&self, blocks: u32) {
        let mut at = 0;
        while at < blocks {
            at += self.reserve(at, blocks - at).unwrap();
        }
    }

    /// Writes `at` and what of its run follows back, as far as `len`; what has to be finished.
    pub(super) fn write_back(&self, at: u32, len: u32) -> Option<Ordered> {
        let mapping = self
            .map
            .begin_writeback(&self.volume, FileBlock(at), 0)
            .unwrap();
        let kind = match mapping.state {
            State::InFlight(_) => Completion::Fresh,
            State::Unwritten(_) => Completion::Convert,
            State::Written(_) | State::Hole => return None,
            State::Delayed => panic!("writeback leaves {mapping:?}"),
        };
        Some(Ordered {
            start: mapping.start,
            len: mapping.len.min(len),
            block: mapping.state.block().unwrap(),
            kind,
        })
    }

    pub(super) fn finish(&self, mut finished: &[Ordered]) {
        while !finished.is_empty() {
            let count = self.map.batch(&self.volume, finished);
            let (batch, rest) = finished.split_at(count);
            let credits = 1 + self.map.credits_for_finish(&self.volume, batch);
            let mut handle = self.volume.start(credits).unwrap();
            self.map
                .finish(&self.volume, &mut handle, batch, &mut FileBlock(0))
                .unwrap();
            self.save(&self.map, &mut handle);
            finished = rest;
        }
    }

    pub(super) fn remove(&self, range: BlockRange) {
        self.map.release_pending(&self.volume, range).unwrap();
        let mut handle = self
            .volume
            .start(1 + self.map.credits_for_remove())
            .unwrap();
        let save = |handle: &mut Handle<'_>, _| {
            self.save(&self.map, handle);
            Ok(())
        };
        self.map
            .remove(&self.volume, &mut handle, range, 1, save)
            .unwrap();
    }

    /// Allocates blocks as `fallocate` does.
    pub(super) fn allocate_unwritten(&self, at: u32, len: u32) {
        let found = self.map.lookup(&self.volume, FileBlock(at), len).unwrap();
        if found.state != State::Hole {
            return;
        }
        let mut handle = self
            .volume
            .start(1 + self.map.credits_for_allocate())
            .unwrap();
        let filled =
            self.map
                .allocate_unwritten(&self.volume, &mut handle, FileBlock(at), found.len);
        assert!(matches!(filled.unwrap().state, State::Unwritten(_)));
        self.save(&self.map, &mut handle);
    }

    /// Commits, writes everything home and asks e2fsck.
    pub(super) fn check(&self) {
        self.volume.journal().unwrap().flush().unwrap();
        let mut bytes = self.image.contents();
        // The counts in the superblock are brought up to date by an unmount.
        let free = self.volume.allocator.statistics().settled_free_blocks;
        bytes[1024 + 0xc..][..4].copy_from_slice(&u32::try_from(free).unwrap().to_le_bytes());
        let sum = crc::crc32c(!0, &bytes[1024..2044]);
        bytes[2044..2048].copy_from_slice(&sum.to_le_bytes());
        testing::assert_clean(&bytes);
    }
}

/// A map of what the disk (or a committing transaction) says of the file.
pub(super) fn fresh_map(volume: &Volume) -> FileMap {
    let place = volume.allocator.inode_place(INO).unwrap();
    let buffer = volume
        .read(place.block, Kind::InodeTable(place.first))
        .unwrap();
    let data = buffer.data().unwrap();
    let size = usize::from(volume.superblock.geometry.inode_size());
    let geometry = &volume.superblock.geometry;
    let fields = InodeFields::decode(&data[place.offset..place.offset + size], geometry).unwrap();
    let seed = volume
        .cache
        .sealer()
        .checksums()
        .inode_seed(INO, fields.generation);
    let blocks = fields.blocks / u64::from(geometry.block_size() / 512);
    FileMap::new(
        Owner { ino: INO, seed },
        Contents::Data,
        fields.flags,
        fields.i_block,
        blocks,
    )
    .unwrap()
}

/// What the model knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Delayed,
    InFlight,
    Unwritten,
    Written,
}

pub(super) fn is(state: State) -> Option<Is> {
    match state {
        State::Hole => None,
        State::Delayed => Some(Is::Delayed),
        State::InFlight(_) => Some(Is::InFlight),
        State::Unwritten(_) => Some(Is::Unwritten),
        State::Written(_) => Some(Is::Written),
    }
}

pub(super) type Model = BTreeMap<u32, Is>;

/// Compares every block of a map with the model; with `on_disk` only what a disk can know of.
pub(super) fn compare(volume: &Volume, map: &FileMap, model: &Model, blocks: u32, on_disk: bool) {
    let mut used = std::collections::BTreeSet::new();
    let mut at = 0;
    while at < blocks {
        let mapping = map.lookup(volume, FileBlock(at), blocks - at).unwrap();
        assert!(mapping.len >= 1 && mapping.len <= blocks - at && mapping.start.0 == at);
        for by in 0..mapping.len {
            let want = model.get(&(at + by)).copied();
            let want = want.filter(|is| !on_disk || matches!(is, Is::Unwritten | Is::Written));
            assert_eq!(is(mapping.state), want, "block {}", at + by);
            if let Some(block) = mapping.state.advanced(by).block() {
                assert!(used.insert(block), "block {} twice", block.0);
            }
        }
        at += mapping.len;
    }
}

/// Random life of one file; I/O that is under way is in `flying`.
pub(super) fn live(
    world: &World,
    random: &mut Random,
    model: &mut Model,
    steps: u32,
    blocks: u32,
    longest: u32,
) {
    let mut flying: std::vec::Vec<Ordered> = std::vec::Vec::new();
    for _ in 0..steps {
        let at = random.below(blocks);
        let len = (1 + random.below(longest)).min(blocks - at);
        let range = BlockRange::new(FileBlock(at), len);
        match random.below(16) {
            0..=5 => write(world, model, at, len),
            6..=9 => {
                // What is under way is not sent again: its page waits.
                let busy = flying
                    .iter()
                    .any(|o| o.range().intersection(range).is_some());
                let ordered = if busy {
                    None
                } else {
                    world.write_back(at, len)
                };
                sync_run(world, model, at, blocks);
                flying.extend(ordered);
            }
            10..=12 => {
                let count = flying.len().min(1 + random.below(6) as usize);
                let finished: std::vec::Vec<Ordered> = (0..count)
                    .map(|_| flying.swap_remove(random.below(flying.len() as u32) as usize))
                    .collect();
                world.finish(&finished);
                for block in finished
                    .iter()
                    .flat_map(|o| o.range().start.0..o.range().end.0)
                {
                    model.insert(block, Is::Written);
                }
            }
            13 => {
                // A write that fails, or is given up altogether.
                if let Some(failed) = flying.pop().filter(|_| random.below(2) == 0) {
                    let range = failed.range();
                    world.map.release_pending(&world.volume, range).unwrap();
                    if failed.kind == Completion::Fresh {
                        (range.start.0..range.end.0).for_each(|at| {
                            model.remove(&at);
                        });
                    }
                }
            }
            14 => world.allocate_now_unwritten(model, at, len),
            _ => {
                if flying
                    .iter()
                    .all(|o| o.range().intersection(range).is_none())
                {
                    world.remove(range);
                    (at..at + len).for_each(|at| {
                        model.remove(&at);
                    });
                }
            }
        }
    }
    for rest in flying.chunks(4) {
        world.finish(rest);
        for block in rest.iter().flat_map(|o| o.range().start.0..o.range().end.0) {
            model.insert(block, Is::Written);
        }
    }
}

impl World {
    /// The disk has what a disk can know of the model, whose blocks are below `blocks`.
    pub(super) fn agrees(&self, model: &Model, blocks: u32) {
        compare(&self.volume, &fresh_map(&self.volume), model, blocks, true);
    }

    fn allocate_now_unwritten(&self, model: &mut Model, at: u32, len: u32) {
        self.allocate_unwritten(at, len);
        let filled = self.map.lookup(&self.volume, FileBlock(at), len).unwrap();
        if matches!(filled.state, State::Unwritten(_)) {
            for at in at..at + filled.len {
                model.insert(at, Is::Unwritten);
            }
        }
    }
}

pub(super) fn write(world: &World, model: &mut Model, at: u32, len: u32) {
    let (mut from, end) = (at, at + len);
    while from < end {
        let done = world.reserve(from, end - from).unwrap();
        for at in from..from + done {
            model.entry(at).or_insert(Is::Delayed);
        }
        from += done;
    }
}

/// Writeback gave a run around `at` its place: as much of it as the allocator found.
fn sync_run(world: &World, model: &mut Model, at: u32, blocks: u32) {
    for (at, is_now) in
        model.range_mut(at.saturating_sub(40_000)..at.saturating_add(40_000).min(blocks))
    {
        if *is_now == Is::Delayed {
            let state = world
                .map
                .lookup(&world.volume, FileBlock(*at), 1)
                .unwrap()
                .state;
            assert!(
                matches!(state, State::Delayed | State::InFlight(_)),
                "{at}: {state:?}"
            );
            *is_now = is(state).unwrap();
        }
    }
}

/// Everything written back: no promise is left, the disk has it all.
pub(super) fn settle(world: &World, model: &mut Model, blocks: u32) {
    let pending: std::vec::Vec<u32> = model
        .iter()
        .filter(|(_, is)| matches!(is, Is::Delayed | Is::InFlight))
        .map(|(at, _)| *at)
        .collect();
    for at in pending {
        if let Some(ordered) = world.write_back(at, blocks) {
            world.finish(&[ordered]);
        }
        model.insert(at, Is::Written);
    }
    assert_eq!(world.map.status.lock().pieces.delayed(), 0);
    assert_eq!(world.volume.allocator.statistics().reserved_blocks, 0);
}

#[test]
fn random_life() {
    for (seed, args, blocks, longest, steps) in [
        (1, &["-b", "1024"][..], 400, 4, 1000),
        (2, &["-b", "1024"], 6000, 2, 4000),
        (3, &["-b", "1024", "-O", "^metadata_csum"], 3000, 3, 2000),
        (4, &["-b", "4096"], 4000, 60, 1200),
        (5, &["-b", "2048"], 2500, 2, 2000),
    ] {
        let world = World::new(image(32, args));
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut model = Model::new();
        for round in 0..2 {
            live(&world, &mut random, &mut model, steps, blocks, longest);
            compare(&world.volume, &world.map, &model, blocks, false);
            world.agrees(&model, blocks);
            if round == 0 {
                settle(&world, &mut model, blocks);
                world.agrees(&model, blocks);
                world.check();
            }
        }
        world
            .map
            .release_pending(&world.volume, BlockRange::from(FileBlock(0)))
            .unwrap();
        assert_eq!(world.volume.allocator.statistics().reserved_blocks, 0);
        world.check();
        world.remove(BlockRange::from(FileBlock(0)));
        assert_eq!(
            (world.map.blocks(), world.map.root()),
            (0, FileMap::empty_root())
        );
        world.check();
        world.volume.journal().unwrap().close().unwrap();
    }
}

/// Every second block, in no order, until the tree has `depth` levels; half of it goes again.
#[test]
fn deep_trees() {
    let world = World::new(image(64, &["-b", "1024"]));
    let mut random = Random(77);
    let mut model = Model::new();
    let mut order: std::vec::Vec<u32> = (0..24_000).map(|n| 2 * n).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u32 + 1) as usize);
    }
    let blocks = 48_000;
    for batch in order.chunks(16) {
        for at in batch {
            write(&world, &mut model, *at, 1);
        }
        let finished: std::vec::Vec<Ordered> = batch
            .iter()
            .filter_map(|at| world.write_back(*at, 1))
            .collect();
        assert_eq!(finished.len(), batch.len());
        world.finish(&finished);
        for at in batch {
            model.insert(*at, Is::Written);
        }
    }
    let depth = world.map.inner.lock().tree.header().unwrap().depth;
    assert!(depth >= 3, "depth {depth}");
    world.agrees(&model, blocks);
    world.check();
    // Holes of random sizes, then all of it from the end.
    for _ in 0..400 {
        let (at, len) = (random.below(blocks), 1 + random.below(120));
        world.remove(BlockRange::new(FileBlock(at), len));
        model.retain(|block, _| *block < at || *block >= at + len);
    }
    world.agrees(&model, blocks);
    compare(&world.volume, &world.map, &model, blocks, false);
    world.check();
    for size in [30_000, 9000, 100, 3, 0] {
        world.remove(BlockRange::from(FileBlock(size)));
        model.retain(|block, _| *block < size);
        world.agrees(&model, blocks);
    }
    assert_eq!(
        (world.map.blocks(), world.map.root()),
        (0, FileMap::empty_root())
    );
    world.check();
}

/// Who shows or writes the inode does not wait for those who have its tree.
#[test]
fn the_record_is_there_while_the_tree_is_locked() {
    let world = World::new(image(64, &["-b", "1024"]));
    world.reserve(0, 1).unwrap();
    let written = world.write_back(0, 1).unwrap();
    world.finish(&[written]);
    let held = world.map.inner.lock();
    assert_eq!(world.map.blocks(), 1);
    assert_eq!(world.map.root(), held.tree.root);
}
