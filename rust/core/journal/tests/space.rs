// SPDX-License-Identifier: GPL-2.0

//! Log space: who waits for it gets it, and nobody writes over what is still needed.

use super::*;
use crate::core::locks;
use crate::core::platform::clock;
use crate::host::device::Backend;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{channel, Receiver};
use std::time::Duration;

/// How long a thread may take that shall not hang.
const SOON: Duration = Duration::from_secs(20);

/// A journal of 1023 blocks: a transaction takes up to 255, a descriptor lists 62.
fn smallest() -> std::sync::Arc<OpenJournal> {
    locks::teach();
    let image = image();
    let memory = Memory::new(image.bytes.clone());
    let journal = open(memory, &image);
    assert_eq!((journal.max_transaction, journal.tags_per_block), (255, 62));
    std::sync::Arc::new(journal)
}

/// Changes the first `count` test blocks under a handle.
fn change(journal: &Journal, handle: &mut super::super::Handle<'_>, count: u64) {
    for n in 0..count {
        let buffer = buffer(journal, n);
        handle.write(&buffer).unwrap()[0] ^= 1;
    }
}

/// Commits transactions until so many log blocks are free.
fn fill(journal: &Journal, free: u32) {
    loop {
        let more = journal.state.lock().free - free;
        if more == 0 {
            return;
        }
        // With its descriptor and its commit block; the last but one leaves enough for one more.
        let blocks = match more {
            0..=50 => more - 2,
            51..=53 => 40,
            _ => 48,
        };
        let mut handle = journal.start(blocks).unwrap();
        change(journal, &mut handle, u64::from(blocks));
        let tid = handle.tid();
        drop(handle);
        journal.commit(tid).unwrap();
    }
}

/// Runs something on a thread of its own, which may hang; its result comes through the channel.
fn aside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(run()));
    receiver
}

#[test]
fn revocations_are_paid_for() {
    let journal = smallest();
    let per_block = journal.revokes_per_block;
    let forget = |handle: &mut super::super::Handle<'_>, count: u32| {
        (0..u64::from(count)).try_for_each(|n| handle.forget(block(n % TEST_BLOCKS)))
    };
    let mut handle = journal.start(4).unwrap();
    assert_eq!(forget(&mut handle, 4), Ok(()));
    assert_eq!(forget(&mut handle, 1), Err(Error::CreditsExhausted));
    // A quarter of the log holds these, and the other credits.
    assert_eq!(handle.reach(4, 250 * per_block), Ok(true));
    assert!(handle.has(4, 250 * per_block));
    assert_eq!(handle.reach(4, 252 * per_block), Ok(false));
    assert_eq!(forget(&mut handle, 3), Ok(()));
    handle.restart(2, 9).unwrap();
    assert!(handle.has(2, 9) && !handle.has(2, 10));
    drop(handle);
    // What was not used is there for others.
    drop(journal.start(255).unwrap());
    journal.close().unwrap();
}

/// A transaction that is being closed grows no more: everybody else waits for that.
#[test]
fn who_wants_more_of_a_closing_transaction_restarts() {
    let journal = smallest();
    let mut handle = journal.start(4).unwrap();
    change(&journal, &mut handle, 1);
    let closed = handle.tid();
    journal.request_commit(closed);
    while !journal.state.lock().closing {
        std::thread::yield_now();
    }
    assert_eq!(handle.reach(4, 5), Ok(false));
    assert_eq!(handle.reach(5, 4), Ok(false));
    assert!(handle.has(3, 4) && !handle.has(3, 5));
    handle.restart(5, 5).unwrap();
    assert_ne!(handle.tid(), closed);
    assert_eq!(handle.reach(6, 6), Ok(true));
    drop(handle);
    journal.close().unwrap();
}

/// What was committed goes home after a while, and sooner when memory is short; then all is quiet.
#[test]
fn what_is_old_goes_home() {
    let journal = smallest();
    journal.set_interval(5_000);
    // So long ago the oldest transaction was committed; returns how long it may stay.
    let age = |seconds: u64| {
        let mut state = journal.state.lock();
        state.oldest = Some(clock::monotonic_ns() - seconds * 1_000_000_000);
        let left = journal.home_in(&state).unwrap();
        drop(state);
        journal.work.notify_all();
        left / 1000
    };
    let commit = |blocks: u64| {
        let mut handle = journal.start(40).unwrap();
        change(&journal, &mut handle, blocks);
        let tid = handle.tid();
        drop(handle);
        journal.commit(tid).unwrap();
    };
    let waiting = || (journal.checkpoints.lock().len(), journal.pinned());
    let all_home = || {
        while journal.state.lock().oldest.is_some() {
            std::thread::yield_now();
        }
        waiting() == (0, 0)
    };
    commit(7);
    commit(5);
    assert!((9..=10).contains(&age(20)));
    assert_eq!(waiting(), (2, 7));
    assert_eq!(age(31), 0);
    assert!(all_home());
    commit(3);
    journal.set_interval(40_000);
    assert!((8..=9).contains(&age(31)));
    journal.set_interval(5_000);
    assert!((23..=24).contains(&age(6)));
    journal.relieve();
    assert!(all_home());
    // Nothing waits, so nobody has to hurry the next time.
    journal.relieve();
    commit(1);
    assert!((23..=24).contains(&age(6)));
    assert_eq!(waiting(), (1, 1));
    journal.close().unwrap();
}

/// A device that stops before a write behind `gate`, until it is opened.
#[derive(Clone)]
struct Gated {
    device: Recording,
    gate: std::sync::Arc<(AtomicU64, AtomicBool)>,
}

impl Gated {
    fn close(&self, behind: DiskBlock) {
        self.gate.1.store(false, Ordering::Release);
        self.gate.0.store(behind.get() * 1024, Ordering::Release);
    }

    /// Waits until somebody stands before it.
    fn wait(&self) {
        while !self.gate.1.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    fn open(&self) {
        self.gate.0.store(u64::MAX, Ordering::Release);
    }
}

impl Backend for Gated {
    fn size(&self) -> u64 {
        self.device.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.device.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        while offset >= self.gate.0.load(Ordering::Acquire) {
            self.gate.1.store(true, Ordering::Release);
            std::thread::yield_now();
        }
        self.device.write_at(offset, from)
    }

    fn write_through(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.device.write_through(offset, from)
    }

    fn flush(&self) -> std::io::Result<()> {
        self.device.flush()
    }
}

/// What goes home in the background gets out of the way of a commit, and goes on where it was.
#[test]
fn a_commit_overtakes_what_goes_home() {
    const MANY: u64 = 700;
    let image = image_with_log("size=3");
    let home = |n: u64| DiskBlock(BLOCKS - MANY + n);
    assert!(image.log.iter().all(|block| *block < home(0).get()));
    let gated = Gated {
        device: Recording::new(image.bytes.clone()),
        gate: Default::default(),
    };
    gated.open();
    let journal = open(gated.clone(), &image);
    let change = |from: u64, to: u64| {
        let mut handle = journal.start(to as u32 - from as u32).unwrap();
        for n in from..to {
            let buffer = journal
                .cache()
                .read(journal.device(), home(n), KIND)
                .unwrap();
            handle.write(&buffer).unwrap()[..8].copy_from_slice(&(n + to).to_le_bytes());
        }
        handle.tid()
    };
    journal.commit(change(0, MANY)).unwrap();

    gated.close(home(0));
    journal.set_interval(5_000);
    let long_ago = clock::monotonic_ns() - 31_000_000_000;
    journal
        .checkpoints
        .lock()
        .iter_mut()
        .for_each(|one| one.committed = long_ago);
    journal.state.lock().oldest = Some(long_ago);
    journal.work.notify_all();
    gated.wait();
    let tid = change(MANY - 1, MANY);
    journal.request_commit(tid);
    // While a write home is on its way nothing commits: what is freed meanwhile is not used again.
    std::thread::sleep(Duration::from_millis(30));
    assert_ne!(journal.state.lock().committed, tid);
    let before = gated.device.event_count();
    gated.open();
    journal.commit(tid).unwrap();
    // How often each block was written in its place.
    let written = |events: &[Event]| {
        let mut written = std::vec![0; MANY as usize];
        for (offset, _) in events.iter().filter_map(Event::write) {
            if let Some(n) = (offset / 1024).checked_sub(home(0).get()) {
                written[n as usize] += 1;
            }
        }
        written
    };
    let events = gated.device.events_from(before);
    let is_commit = |event: &Event| {
        let bytes = event.write().map(|(_, bytes)| bytes);
        bytes.is_some_and(|bytes| jbd2::header(bytes) == Some((BlockType::Commit, tid)))
    };
    let at = events.iter().position(is_commit).unwrap();
    let in_the_way = written(&events[..at]).iter().sum::<u64>();
    assert!((1..=512).contains(&in_the_way), "{in_the_way} blocks");

    while journal.checkpoints.lock().len() > 1 {
        std::thread::yield_now();
    }
    journal.close().unwrap();
    let events = gated.device.events_from(before);
    assert!(written(&events).iter().all(|times| *times == 1));
    let contents = gated.device.contents();
    for n in 0..MANY {
        let last = if n == MANY - 1 {
            2 * MANY - 1
        } else {
            n + MANY
        };
        let at = home(n).get() as usize * 1024;
        assert_eq!(contents[at..at + 8], last.to_le_bytes(), "{n}");
    }
}

/// Nobody gets into a transaction that would not fit the log with all its revocations.
#[test]
fn revocations_wait_for_log_space() {
    let journal = smallest();
    fill(&journal, 258);
    let per_block = journal.revokes_per_block;
    let mut handle = journal.start(190).unwrap();
    assert_eq!(handle.reach(190, 58 * per_block), Ok(true));
    // A quarter of the log has room for these, but not what is free.
    assert_eq!(handle.reach(190, 64 * per_block), Ok(false));
    assert!(journal.state.lock().starved);
    drop(handle);
    journal.close().unwrap();
}

/// Whatever went wrong before: a transaction that is larger than what is free is not written.
#[test]
fn nothing_is_written_over_the_tail() {
    let image = image();
    let recording = Recording::new(image.bytes.clone());
    let journal = open(recording.clone(), &image);
    fill(&journal, 258);
    let before = state(&recording_after_recovery(&recording, &image));
    let mut handle = journal.start(1).unwrap();
    change(&journal, &mut handle, 1);
    let tid = handle.tid();
    let many = 300 * u64::from(journal.revokes_per_block);
    if let Some(running) = &mut journal.state.lock().running {
        (0..many).for_each(|n| running.revoked.push(DiskBlock(n), GFP).unwrap());
    }
    drop(handle);
    assert_eq!(journal.commit(tid), Err(Error::CreditsExhausted));
    assert_eq!(state(&recording_after_recovery(&recording, &image)), before);
}

/// What the device holds when its log was recovered.
fn recording_after_recovery(recording: &Recording, image: &Image) -> std::vec::Vec<u8> {
    let device = recovered(recording.contents(), image);
    let mut bytes = std::vec![0; BLOCKS as usize * 1024];
    device.read_bytes(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn who_waits_for_space_that_a_checkpoint_frees_gets_it() {
    let journal = smallest();
    fill(&journal, 258);
    let mut first = journal.start(247).unwrap();
    change(&journal, &mut first, 1);
    let other = journal.clone();
    let second = aside(move || other.start(5).map(drop).is_ok());
    while !journal.state.lock().starved {
        std::thread::yield_now();
    }
    // What it commits leaves a quarter of the log free: nothing but the waiting asks for a checkpoint.
    drop(first);
    assert_eq!(second.recv_timeout(SOON), Ok(true));
    assert_eq!(
        aside(move || journal.close().map(drop)).recv_timeout(SOON),
        Ok(Ok(()))
    );
}
