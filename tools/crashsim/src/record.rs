// SPDX-License-Identifier: GPL-2.0

//! Runs a workload and remembers what reached the device when.

use crate::image::{shorten, Disk, Prelude, KEPT};
use crate::model::{pattern, Snapshot, DEVICE, USER};
use crate::workload::{Step, Steps};
use host_core::core::error::{Error, Result};
use host_core::core::mount::{AttributeChanges, MountOptions};
use host_core::format::units::Ino;
use host_core::host::overlay::Overlay;
use host_core::host::recording::{Clash, Event, Recording};
use host_core::host::{random, thread};
use host_core::hostfs::{HostFs, InFlight, HELD};
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
        Step::Mknod(path) => fs.mknod(path, 0o020_600, DEVICE),
        Step::Temporary(dir) => fs.temporary(dir, 0o644).map(drop),
        Step::Hold(path) => fs.hold(path).map(drop),
        Step::Release => {
            let ino = fs.resolve(HELD)?.ino();
            fs.release(ino)
        }
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
        Step::RemoveXattr(path, name) => fs.remove_xattr(path, USER, name.as_bytes()),
        Step::Fsync(path) => fs.fsync(path),
        Step::Fdatasync(path) => fs.fdatasync(path),
        Step::Sync => fs.sync(),
        Step::Commit => {
            fs.fs.sync(false)?;
            thread::settle();
            Ok(())
        }
        Step::Writeback => fs.flush_all(),
        Step::Ensure(_) | Step::Append(..) | Step::Submit | Step::Scatter => Err(Error::Invalid),
    }
}

/// A block of a file on its way to the device.
struct UnderWay {
    ino: Ino,
    event: usize,
    block: InFlight,
}

/// A mounted file system, its device, and what is on its way there.
struct Machine {
    fs: HostFs,
    device: Recording,
    under_way: Vec<UnderWay>,
}

impl Machine {
    fn step(&mut self, step: &Step, tag: usize, held: bool) -> Result {
        self.wait(step, held)?;
        match step {
            Step::Submit => self.submit(),
            Step::Scatter => {
                self.submit()?;
                self.land(None, Some(Step::Commit))
            }
            step => perform(&mut self.fs, step, tag),
        }
    }

    /// Gives all dirty data to the device.
    fn submit(&mut self) -> Result {
        for ino in self.fs.dirty() {
            let (submitted, events) = self.device.deferred(|| self.fs.submit(ino));
            let writes = events.into_iter().zip(submitted?);
            self.under_way
                .extend(writes.map(|(event, block)| UnderWay { ino, event, block }));
        }
        Ok(())
    }

    /// The device has what was on its way, of one file or of all, the newest first.
    fn land(&mut self, of: Option<Ino>, then: Option<Step>) -> Result {
        let under_way = std::mem::take(&mut self.under_way).into_iter();
        let (mine, others) = under_way.partition(|one| of.is_none_or(|ino| ino == one.ino));
        self.under_way = others;
        let mine: Vec<UnderWay> = mine;
        for one in mine.into_iter().rev() {
            self.device.complete(one.event);
            self.fs.complete(one.ino, &[one.block])?;
            if let Some(step) = &then {
                perform(&mut self.fs, step, 0)?;
            }
        }
        Ok(())
    }

    /// The kernel waits for writes on their way before it changes or frees what they write, and before
    /// it says that they are durable. `held` is whether the step's file is.
    fn wait(&mut self, step: &Step, held: bool) -> Result {
        match step {
            Step::Create(_)
            | Step::Mkdir(_)
            | Step::Mknod(_)
            | Step::Temporary(_)
            | Step::Symlink(..)
            | Step::Link(..)
            | Step::Rmdir(_)
            | Step::Chmod(..)
            | Step::RemoveXattr(..)
            | Step::Hold(_)
            | Step::Commit => Ok(()),
            Step::Unlink(_) if held => Ok(()),
            Step::Unlink(path)
            | Step::Write(path, ..)
            | Step::Mapped(path, ..)
            | Step::Direct(path, ..)
            | Step::Truncate(path, _)
            | Step::Fsync(path)
            | Step::Fdatasync(path) => {
                let ino = self.fs.resolve(path)?.ino();
                self.land(Some(ino), None)
            }
            _ => self.land(None, None),
        }
    }
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
        Prelude::Checkpoint => disk.journal_len() / 4 * 3 - 6,
    };
    if disk.kind.prelude == Prelude::Checkpoint {
        fs.link("/bar", KEPT)?;
    }
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
    // Then in the smallest there are.
    let mut modes = [0o600, 0o644].into_iter().cycle();
    while at < stop {
        let changes = AttributeChanges {
            mode: modes.next(),
            ..AttributeChanges::default()
        };
        for path in ["/A/sub", "/bar"] {
            fs.set_attributes(path, &changes)?;
        }
        at = commit(fs, disk, device)?;
    }
    for (path, mode) in [("/A/sub", 0o755), ("/bar", 0o644)] {
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
    let (fs, device) = begun;
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
    let mut machine = Machine {
        fs,
        device,
        under_way: Vec::new(),
    };
    let taken = take(&mut machine, begin, workload, &mut history);
    let Machine { mut fs, device, .. } = machine;
    let tree = fs.tree();
    fs.abandon();
    taken?;
    if let Some(clash) = device.clash() {
        let Clash { old, new } = clash;
        let why = format!("a write of bytes {new:?} while one of {old:?} is on its way");
        return Err(NoHistory::Wrong(why));
    }
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
    machine: &mut Machine,
    begin: usize,
    workload: &Steps,
    history: &mut History,
) -> std::result::Result<(), NoHistory> {
    let mut now = history.snapshots[0].clone();
    for (tag, step) in workload.steps.iter().enumerate() {
        if tag == workload.last {
            history.last = machine.device.event_count() - begin;
        }
        let Some(step) = now.resolve(step) else {
            continue;
        };
        let held = matches!(&step, Step::Unlink(path) if now.is_held(path));
        now.apply(&step, tag).map_err(|_| NoHistory::Impossible)?;
        let start = machine.device.event_count() - begin;
        match machine.step(&step, tag, held) {
            Ok(()) => {}
            Err(Error::NoSpace) => return Err(NoHistory::Impossible),
            Err(error) => return Err(NoHistory::Wrong(format!("{step}: {error}"))),
        }
        thread::settle();
        history.steps.push(Taken {
            step,
            events: start..machine.device.event_count() - begin,
        });
        history.snapshots.push(now.clone());
    }
    Ok(())
}
