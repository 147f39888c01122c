// SPDX-License-Identifier: GPL-2.0

//! What a user of the journal relies on: whatever moment power fails, the blocks of a transaction are
//! all there or none, in order, and every transaction that was waited for is there.

use super::{Journal, LogExtent, OpenJournal, Run, Settings, Start};
use crate::core::cache::{Buffer, Cache, Kind, Sealer, FUNCTIONS};
use crate::core::error::{Error, Place};
use crate::core::platform::{Arc, Block, Device, Vec, WriteClass, GFP};
use crate::format::fault::{Fault, JournalFault};
use crate::format::jbd2::{self, BlockType, Layout, MAGIC};
use crate::format::superblock::Superblock;
use crate::format::units::{DiskBlock, Ino, LogBlock, Tid};
use crate::host::device::{Backend, Memory};
use crate::host::recording::{Event, Recording};
use crate::testing::{self, Random};

mod space;

const BLOCKS: u64 = 8192;
const KIND: Kind = Kind::SymlinkTarget(Ino(99));

struct Image {
    bytes: std::vec::Vec<u8>,
    log: std::vec::Vec<u64>,
}

/// A file system of 1 KiB blocks with the smallest journal there can be.
fn image() -> Image {
    image_with_log("size=1")
}

/// The same with another journal.
fn image_with_log(options: &str) -> Image {
    let bytes = testing::mkfs(BLOCKS * 1024, &["-b", "1024", "-J", options]);
    let text = testing::debugfs(&bytes, "blocks <8>");
    let log = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    Image { bytes, log }
}

fn extents(log: &[u64]) -> Vec<LogExtent> {
    let mut extents = Vec::new();
    for (n, block) in log.iter().enumerate() {
        let run = Run::one(DiskBlock(*block));
        extents
            .push(
                LogExtent {
                    first: LogBlock(n as u32),
                    run,
                },
                GFP,
            )
            .unwrap();
    }
    extents
}

fn sealer(bytes: &[u8]) -> Sealer {
    let record = &bytes[1024..2048];
    let superblock = Superblock::parse(record, &FUNCTIONS, None).unwrap();
    Sealer::new(
        Superblock::checksums(record, FUNCTIONS).unwrap(),
        superblock.geometry,
    )
}

fn open(backend: impl Backend + 'static, image: &Image) -> OpenJournal {
    let device = Arc::new(Device::new(backend, false, "test"), GFP).unwrap();
    let mut start = Start::read(&device, extents(&image.log), true, true).unwrap();
    if start.dirty {
        start
            .recover(&device, sealer(&image.bytes).geometry())
            .unwrap();
    }
    let cache = Arc::new(Cache::new(sealer(&image.bytes)).unwrap(), GFP).unwrap();
    Journal::open(device, cache, start, SETTINGS).unwrap()
}

/// What the device holds when the log in `bytes`, which is dirty, was recovered.
fn recovered(bytes: std::vec::Vec<u8>, image: &Image) -> Device {
    let device = Device::new(Memory::new(bytes), false, "test");
    let mut start = Start::read(&device, extents(&image.log), true, true).unwrap();
    assert!(start.dirty);
    start
        .recover(&device, sealer(&image.bytes).geometry())
        .unwrap();
    device
}

/// One of the test blocks.
fn buffer(journal: &Journal, n: u64) -> Buffer {
    let cache = journal.cache();
    cache.read(journal.device(), block(n), KIND).unwrap()
}

const SETTINGS: Settings = Settings {
    interval: 60_000,
    barrier: true,
    lenient: false,
    verify: true,
};

/// The contents that transaction `n` gives block `at`: some begin with the journal's magic number.
fn contents(n: u64, at: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    bytes[8..].copy_from_slice(&at.to_le_bytes());
    if (n + at) % 5 == 0 {
        bytes[..4].copy_from_slice(&MAGIC.to_be_bytes());
    }
    bytes
}

/// The blocks the test writes: the last ones of the device, which the file system does not use.
const TEST_BLOCKS: u64 = 48;

fn block(n: u64) -> DiskBlock {
    DiskBlock(BLOCKS - TEST_BLOCKS + n)
}

type Model = std::vec::Vec<[u8; 16]>;

fn state(bytes: &[u8]) -> Model {
    (0..TEST_BLOCKS)
        .map(|n| {
            bytes[block(n).get() as usize * 1024..][..16]
                .try_into()
                .unwrap()
        })
        .collect()
}

/// Runs `count` transactions; returns the states after each, and how many events had happened when
/// each was durable.
fn run(
    journal: &Journal,
    recording: &Recording,
    count: u64,
) -> (std::vec::Vec<Model>, std::vec::Vec<usize>) {
    let mut numbers = Random::new(7);
    let mut model = state(&recording.contents());
    let (mut states, mut durable) = (std::vec![model.clone()], std::vec![0]);
    for n in 1..=count {
        let mut handle = journal.start(40).unwrap();
        for _ in 0..=numbers.below(30) {
            let at = numbers.below(TEST_BLOCKS);
            let buffer = buffer(journal, at);
            let bytes = contents(n, at);
            handle.write(&buffer).unwrap()[..16].copy_from_slice(&bytes);
            model[at as usize] = bytes;
        }
        let tid = handle.tid();
        drop(handle);
        journal.commit(tid).unwrap();
        states.push(model.clone());
        durable.push(recording.events().len());
    }
    (states, durable)
}

#[test]
fn every_power_cut_leaves_whole_transactions() {
    let image = image();
    let recording = Recording::new(image.bytes.clone());
    let journal = open(recording.clone(), &image);
    let (states, durable) = run(&journal, &recording, 120);
    journal.close().unwrap();
    assert_eq!(
        state(&recording.contents()),
        *states.last().unwrap(),
        "closing brings everything home"
    );

    let events = recording.events();
    assert!(
        events
            .iter()
            .filter(|event| matches!(event, Event::Flush | Event::Durable(_)))
            .count()
            > 240
    );
    for cut in 0..=events.len() {
        let memory = Memory::new(recording.contents_after(cut));
        let device = Device::new(memory, false, "test");
        let mut start = Start::read(&device, extents(&image.log), true, true).unwrap();
        if start.dirty {
            start
                .recover(&device, sealer(&image.bytes).geometry())
                .unwrap();
        }
        let mut bytes = std::vec![0; BLOCKS as usize * 1024];
        device.read_bytes(0, &mut bytes).unwrap();
        let found = state(&bytes);
        let waited_for = durable.iter().rposition(|at| *at <= cut).unwrap();
        let allowed = &states[waited_for..(waited_for + 2).min(states.len())];
        assert!(
            allowed.contains(&found),
            "after {cut} events: not the state of transaction {waited_for} or the next"
        );
    }
}

/// Old features stay as long as something in the log depends on them.
#[test]
fn a_log_that_is_emptied_gets_the_features_of_its_file_system() {
    const REVOKE_64BIT_CSUM_V3: u32 = 1 | 2 | 16;
    let image = image();
    for wiped in [false, true] {
        let mut bytes = image.bytes.clone();
        let at = image.log[0] as usize * 1024;
        // It begins at its first block.
        bytes[at + 28..at + 32].copy_from_slice(&1u32.to_be_bytes());
        let device = Device::new(Memory::new(bytes), false, "test");
        let mut start = Start::read(&device, extents(&image.log), true, true).unwrap();
        assert!(start.dirty);
        if wiped {
            start.wipe(&device).unwrap();
        } else {
            start
                .recover(&device, sealer(&image.bytes).geometry())
                .unwrap();
        }
        let superblock = device.read_block(image.log[0]).unwrap();
        assert_eq!(superblock[40..44], REVOKE_64BIT_CSUM_V3.to_be_bytes());
        let again = Start::read(&device, extents(&image.log), true, true).unwrap();
        assert!(!again.dirty);
    }
}

#[test]
fn e2fsck_replays_what_we_replay() {
    let image = image();
    let recording = Recording::new(image.bytes.clone());
    let journal = open(recording.clone(), &image);
    let (states, _) = run(&journal, &recording, 9);
    let mut bytes = recording.contents();
    // needs_recovery, which the mount sets before the first commit.
    let record = &mut bytes[1024..2048];
    record[0x60] |= 4;
    let sum = crate::format::checksum::superblock_sum(&FUNCTIONS, record).unwrap();
    record[0x3fc..].copy_from_slice(&sum.to_le_bytes());
    let file = testing::TempFile::with(&bytes);
    let (code, text) = testing::run("e2fsck", &["-fy"], &file.0);
    assert!(code <= 1, "e2fsck -fy: {text}");
    assert_eq!(
        state(&std::fs::read(&file.0).unwrap()),
        *states.last().unwrap()
    );
    journal.close().unwrap();
}

/// A log of six transactions, all of which the tail has. Those after the third get commit blocks of this
/// time; wrong are the checksums of these, or those of the descriptors.
fn log_with_others_behind(seconds: i64, wrong: BlockType) -> (Image, Recording, Model) {
    let image = image();
    let recording = Recording::new(image.bytes.clone());
    let journal = open(recording.clone(), &image);
    let (states, _) = run(&journal, &recording, 6);
    let last = Tid(journal.committed().0 - 3);
    journal.abort(Error::Shutdown);
    let mut bytes = recording.contents();
    let log = image.log.iter().map(|block| *block as usize * 1024);
    let superblock = &bytes[log.clone().next().unwrap()..][..1024];
    let blocks = image.log.len() as u32;
    let layout = Layout::parse(superblock, &FUNCTIONS, 1024, blocks).unwrap();
    for at in log {
        let block = &mut bytes[at..at + 1024];
        match jbd2::header(block) {
            Some((kind, tid)) if last.is_before(tid) => {
                if kind == BlockType::Commit {
                    block.fill(0);
                    layout.write_commit(block, tid, (seconds, 0)).unwrap();
                }
                // In bytes that only the checksum knows of.
                block[1020] ^= u8::from(kind == wrong);
            }
            _ => {}
        }
    }
    (image, Recording::new(bytes), states[3].clone())
}

/// What another file system has left behind the log has older times: the log ends before it. Later
/// ones are of this file system, and damaged.
#[test]
fn the_log_ends_where_time_goes_back() {
    let recover = |seconds, wrong| {
        let (image, recording, expected) = log_with_others_behind(seconds, wrong);
        let device = Device::new(recording.clone(), false, "test");
        let mut start = Start::read(&device, extents(&image.log), true, true).unwrap();
        let recovered = start.recover(&device, sealer(&image.bytes).geometry());
        (recovered, state(&recording.contents()) == expected)
    };
    for wrong in [BlockType::Commit, BlockType::Descriptor] {
        let (recovered, expected) = recover(1_000_000_000, wrong);
        assert_eq!(recovered.map(|done| done.transactions), Ok(3), "{wrong:?}");
        assert!(expected, "{wrong:?}");
        let (recovered, _) = recover(i64::from(u32::MAX), wrong);
        assert!(matches!(recovered, Err(Error::Corrupt(..))), "{wrong:?}");
    }
}

#[test]
fn a_freed_block_is_not_replayed_over_its_new_owner() {
    let image = image();
    let recording = Recording::new(image.bytes.clone());
    let journal = open(recording.clone(), &image);
    let write = |n: u64| {
        let mut handle = journal.start(4).unwrap();
        let buffer = buffer(&journal, n);
        handle.write(&buffer).unwrap()[..16].copy_from_slice(&contents(1, n));
        handle.tid()
    };
    journal.commit(write(0)).unwrap();
    let mut handle = journal.start(4).unwrap();
    handle.forget(block(0)).unwrap();
    handle.freed(Run::one(block(0))).unwrap();
    let tid = handle.tid();
    drop(handle);
    let mut released = 0;
    journal.take_released(|_| released += 1);
    assert_eq!(released, 0, "not before the commit");
    journal.commit(tid).unwrap();
    journal.take_released(|run| {
        assert_eq!(run, Run::one(block(0)));
        released += 1;
    });
    assert_eq!(released, 1);

    // The block has a new owner, which writes it directly; then power fails.
    let mut new = Block::zeroed(1024).unwrap();
    new.get_mut().unwrap().fill(0xda);
    let new = [(block(0).get(), new)];
    let written = journal.device().write_blocks(&new, WriteClass::Background);
    written.unwrap();
    journal.commit(write(1)).unwrap();
    let after = recovered(recording.contents(), &image);
    assert!(after
        .read_block(block(0).get())
        .unwrap()
        .iter()
        .all(|byte| *byte == 0xda));
    assert_eq!(
        after.read_block(block(1).get()).unwrap()[..16],
        contents(1, 1)
    );
    journal.close().unwrap();
}

#[test]
fn a_handle_cannot_change_more_than_it_announced() {
    let image = image();
    let journal = open(Memory::new(image.bytes.clone()), &image);
    let mut handle = journal.start(1).unwrap();
    let first = buffer(&journal, 0);
    let second = buffer(&journal, 1);
    handle.write(&first).unwrap()[0] = 1;
    handle.write(&first).unwrap()[0] = 2;
    assert_eq!(handle.write(&second).err(), Some(Error::CreditsExhausted));
    assert!(handle.reach(1, 0).unwrap());
    handle.write(&second).unwrap()[0] = 1;
    drop(handle);
    journal.close().unwrap();
}

#[test]
fn a_commit_somebody_waits_for_says_so() {
    let image = image();
    let journal = open(Memory::new(image.bytes.clone()), &image);
    let change = || {
        let mut handle = journal.start(1).unwrap();
        let buffer = buffer(&journal, 0);
        handle.write(&buffer).unwrap()[0] ^= 1;
        handle.tid()
    };
    let first = change();
    assert!(journal.commit(first).unwrap());
    let second = change();
    journal.request_commit(second);
    while journal.committed().is_before(second) {
        std::thread::yield_now();
    }
    // Committed already: nobody waits.
    assert!(!journal.commit(second).unwrap());
    let sync = |tid| {
        let checkpoints = journal.checkpoints.lock();
        checkpoints.iter().find(|one| one.tid == tid).unwrap().sync
    };
    assert_eq!((sync(first), sync(second)), (true, false));
    journal.close().unwrap();
}

/// Sequence numbers wrap: those of long ago are no promise for the future.
#[test]
fn what_is_long_durable_is_not_waited_for() {
    let image = image();
    let journal = open(Memory::new(image.bytes.clone()), &image);
    let (old, committed) = (Tid(7), Tid(0x9000_0000));
    let mut state = journal.state.lock();
    (state.next, state.committed, state.requested) = (committed.next(), committed, committed);
    drop(state);
    for tid in [old, committed, Tid(0x1000_0000), Tid(0x0fff_ffff)] {
        assert!(!journal.is_pending(tid), "{tid}");
        assert_eq!(journal.commit(tid), Ok(false));
        journal.request_commit(tid);
    }
    let handle = journal.start(1).unwrap();
    assert!(journal.is_pending(handle.tid()) && !journal.is_pending(old));
    assert_eq!(journal.state.lock().requested, committed);
    drop(handle);
    journal.close().unwrap();
}

/// Recovery would drop what this transaction says of the block: it does not commit.
#[test]
fn a_block_is_not_written_and_revoked_at_once() {
    let image = image();
    let recording = Recording::new(image.bytes.clone());
    let journal = open(recording.clone(), &image);
    let mut handle = journal.start(4).unwrap();
    handle.forget(block(0)).unwrap();
    handle.write(&buffer(&journal, 0)).unwrap()[0] = 1;
    let tid = handle.tid();
    drop(handle);
    let fault = Fault::Journal(JournalFault::NotCommitted, block(0).get(), 0);
    let expected = Error::Corrupt(Place::block(block(0)), fault);
    assert_eq!(journal.commit(tid), Err(expected));
    let after = recovered(recording.contents(), &image);
    let untouched = &image.bytes[block(0).get() as usize * 1024..][..1024];
    assert_eq!(after.read_block(block(0).get()).unwrap()[..], *untouched);
}

#[test]
fn freed_neighbours_are_one_run() {
    let image = image();
    let journal = open(Memory::new(image.bytes.clone()), &image);
    let run = |start, len| Run {
        start: block(start),
        len,
    };
    let mut handle = journal.start(4).unwrap();
    for freed in [run(20, 5), run(15, 5), run(25, 1), run(27, 1), run(28, 2)] {
        handle.freed(freed).unwrap();
    }
    let tid = handle.tid();
    drop(handle);
    journal.commit(tid).unwrap();
    let mut released = std::vec::Vec::new();
    journal.take_released(|run| released.push(run));
    assert_eq!(released, [run(15, 11), run(27, 3)]);
    journal.close().unwrap();
}
