// SPDX-License-Identifier: GPL-2.0

//! Log space: who waits for it gets it, and nobody writes over what is still needed.

use super::*;
use crate::core::locks;
use std::sync::mpsc::{channel, Receiver};
use std::time::Duration;

/// How long a thread may take that shall not hang.
const SOON: Duration = Duration::from_secs(20);

/// A journal of 1023 blocks: a transaction takes up to 255, a descriptor lists 62.
fn smallest() -> std::sync::Arc<OpenJournal> {
    locks::teach();
    let image = image();
    let memory = Memory::new(image.bytes.clone());
    let journal = open(Device::new(memory, false, "test"), &image, SETTINGS);
    assert_eq!((journal.max_transaction, journal.tags_per_block), (255, 62));
    std::sync::Arc::new(journal)
}

/// Changes the first `count` test blocks under a handle.
fn change(journal: &Journal, handle: &mut super::super::Handle<'_>, count: u64) {
    for n in 0..count {
        let buffer = journal
            .cache()
            .read(journal.device(), block(n), KIND)
            .unwrap();
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
fn who_waits_for_space_that_a_checkpoint_frees_gets_it() {
    let journal = smallest();
    fill(&journal, 258);
    let mut first = journal.start(250).unwrap();
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
        aside(move || journal.close()).recv_timeout(SOON),
        Ok(Ok(()))
    );
}
