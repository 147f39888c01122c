// SPDX-License-Identifier: GPL-2.0

//! Runs a workload and remembers what reached the device when.

use crate::image::{shorten, Disk, Prelude};
use crate::model::{pattern, Snapshot};
use crate::workload::{Step, Steps};
use host_core::core::error::{Error, Result};
use host_core::core::mount::{AttributeChanges, MountOptions};
use host_core::host::overlay::Overlay;
use host_core::host::recording::{Event, Recording};
use host_core::host::{random, thread};
use host_core::hostfs::HostFs;
use std::ops::Range;

/// A step that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What was done.
    pub step: Step,
    /// The events of the device from its beginning to its end.
    pub events: Range<usize>,
}

/// A workload, as the device saw it.
#[derive(Clone, Debug)]
pub struct History {
    /// The contents before the first event.
    pub before: Overlay,
    /// What happened to the device.
    pub events: Vec<Event>,
    /// What was done.
    pub steps: Vec<Taken>,
    /// What there should be before each step and after the last.
    pub snapshots: Vec<Snapshot>,
    /// The first event of the last action.
    pub last: usize,
}

/// Why there is no history.
#[derive(Debug)]
pub enum NoHistory {
    /// The workload makes no sense on this disk: a name is missing or taken, the disk is full.
    Impossible,
    /// The file system did wrong.
    Wrong(String),
}

/// Options of all mounts: commits come only when the workload says so.
pub fn options() -> MountOptions {
    MountOptions {
        commit_interval: Some(1_000_000),
        verify: true,
        ..MountOptions::default()
    }
}

/// Does a step that needs nothing of the device but reads and writes.
pub fn perform(fs: &mut HostFs, step: &Step, tag: usize) -> Result {
    match step {
        Step::Create(path) => fs.create(path, 0o644).map(drop),
        Step::Mkdir(path) => fs.mkdir(path, 0o755),
        Step::Symlink(path, target) => fs.symlink(path, target),
        Step::Link(old, new) => fs.link(old, new),
        Step::Unlink(path) => fs.unlink(path),
        Step::Rmdir(path) => fs.rmdir(path),
        Step::Rename(old, new) => fs.rename(old, new),
        Step::Write(path, offset, len) => fs.write(path, *offset, &pattern(tag, *offset, *len)),
        Step::Mapped(path, offset, len) => {
            fs.write_mapped(path, *offset, &pattern(tag, *offset, *len))
        }
        Step::Direct(path, offset, len) => {
            fs.write_direct(path, *offset, &pattern(tag, *offset, *len))
        }
        Step::Truncate(path, size) => fs.truncate(path, *size),
        Step::Chmod(path, mode) => {
            let changes = AttributeChanges {
                mode: Some(*mode),
                ..AttributeChanges::default()
            };
            fs.set_attributes(path, &changes)
        }
        Step::Fsync(path) => fs.fsync(path),
        Step::Fdatasync(path) => fs.fdatasync(path),
        Step::Sync => fs.sync(),
        Step::Commit => {
            fs.fs.sync(false)?;
            thread::settle();
            Ok(())
        }
        Step::Writeback => fs.flush_all(),
        Step::Ensure(_) | Step::Append(..) | Step::Scatter => Err(Error::Invalid),
    }
}

/// See [`Step::Scatter`].
fn scatter(fs: &mut HostFs, device: &Recording) -> Result {
    let mut under_way = Vec::new();
    for ino in fs.dirty() {
        let (submitted, events) = device.deferred(|| fs.submit(ino));
        let writes = events.clone().zip(submitted?);
        under_way.extend(writes.map(|(event, block)| (ino, event, block)));
    }
    for (ino, event, block) in under_way.into_iter().rev() {
        device.complete(event..event + 1);
        fs.complete(ino, &[block])?;
        perform(fs, &Step::Commit, 0)?;
    }
    Ok(())
}

/// Commits, and tells the last of the journal's blocks that it wrote.
fn commit(fs: &mut HostFs, disk: &Disk, device: &Recording) -> Result<usize> {
    let begin = device.event_count();
    perform(fs, &Step::Commit, 0)?;
    let events = device.events_from(begin);
    let logged = events.iter().filter_map(Event::write);
    let blocks = logged.filter_map(|(at, _)| disk.journal_block(at));
    Ok(blocks.max().unwrap_or(0))
}

/// Commits until the log is as far as the disk's kind says.
fn advance(fs: &mut HostFs, disk: &Disk, device: &Recording) -> Result {
    /// More than what a round of links takes in the log.
    const ROUND: usize = 80;
    let stop = match disk.kind.prelude {
        Prelude::None => return Ok(()),
        Prelude::Wrap => disk.journal_len() - 12,
        Prelude::Checkpoint => disk.journal_len() / 4 * 3 - 8,
    };
    let mut at = 0;
    // First in large steps: links with a block each, which are revoked.
    while at + ROUND < stop {
        let links = || (0..24).map(|n| format!("/A/{n}"));
        for path in links() {
            fs.symlink(&path, &[b'x'; 200])?;
        }
        commit(fs, disk, device)?;
        for path in links() {
            fs.unlink(&path)?;
        }
        at = commit(fs, disk, device)?;
    }
    let mut modes = [0o600, 0o644].into_iter().cycle();
    while at < stop {
        let changes = AttributeChanges {
            mode: modes.next(),
            ..AttributeChanges::default()
        };
        // Several blocks of metadata, so that a checkpoint has something to write.
        for path in ["/A/sub", "/bar", "/many"] {
            fs.set_attributes(path, &changes)?;
        }
        at = commit(fs, disk, device)?;
    }
    for (path, mode) in [("/A/sub", 0o755), ("/bar", 0o644), ("/many", 0o755)] {
        let changes = AttributeChanges {
            mode: Some(mode),
            ..AttributeChanges::default()
        };
        fs.set_attributes(path, &changes)?;
    }
    fs.sync()?;
    thread::settle();
    Ok(())
}

/// Mounts a disk and lets its log be as far as the kind says.
pub fn begin(disk: &Disk) -> Result<(HostFs, Recording)> {
    random::follow(1);
    let device = Recording::over(disk.image.clone());
    let options = MountOptions {
        barrier: Some(disk.kind.barrier),
        ..options()
    };
    let mut fs = HostFs::mount(device.clone(), &options)?;
    advance(&mut fs, disk, &device)?;
    thread::settle();
    Ok((fs, device))
}

/// Runs a workload on a disk.
pub fn record(disk: &Disk, workload: &Steps) -> std::result::Result<History, NoHistory> {
    let begun = begin(disk).map_err(|error| NoHistory::Wrong(format!("mount: {error}")))?;
    let (mut fs, device) = begun;
    let before = Overlay::new(disk.begun.clone());
    let now = device.overlay();
    let mut changed = now.sectors().iter();
    if changed.any(|(&number, bytes)| before.sector(number) != bytes) {
        return Err(NoHistory::Wrong("the disk is not always the same".into()));
    }
    let begin = device.event_count();
    let mut history = History {
        before,
        events: Vec::new(),
        steps: Vec::new(),
        snapshots: vec![disk.snapshot.clone()],
        last: 0,
    };
    let taken = take(&mut fs, &device, begin, workload, &mut history);
    let tree = fs.tree();
    fs.abandon();
    taken?;
    history.events = device.events_from(begin);
    let mut tree = tree.map_err(|error| NoHistory::Wrong(format!("reading: {error}")))?;
    shorten(&mut tree);
    let end = history.snapshots.last();
    match end.map(|end| crate::oracle::exactly(end, &tree)) {
        Some(Err(why)) => Err(NoHistory::Wrong(format!("without a crash: {why}"))),
        _ => Ok(history),
    }
}

fn take(
    fs: &mut HostFs,
    device: &Recording,
    begin: usize,
    workload: &Steps,
    history: &mut History,
) -> std::result::Result<(), NoHistory> {
    let mut now = history.snapshots[0].clone();
    for (tag, step) in workload.steps.iter().enumerate() {
        if tag == workload.last {
            history.last = device.event_count() - begin;
        }
        let Some(step) = now.resolve(step) else {
            continue;
        };
        now.apply(&step, tag).map_err(|_| NoHistory::Impossible)?;
        let start = device.event_count() - begin;
        let done = match &step {
            Step::Scatter => scatter(fs, device),
            step => perform(fs, step, tag),
        };
        match done {
            Ok(()) => {}
            Err(Error::NoSpace) => return Err(NoHistory::Impossible),
            Err(error) => return Err(NoHistory::Wrong(format!("{step}: {error}"))),
        }
        thread::settle();
        history.steps.push(Taken {
            step,
            events: start..device.event_count() - begin,
        });
        history.snapshots.push(now.clone());
    }
    Ok(())
}
