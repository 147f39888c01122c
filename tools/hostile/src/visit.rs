// SPDX-License-Identifier: GPL-2.0

//! Mounting a damaged image, walking over it, reading everything, changing a little, unmounting.
//!
//! Errors are expected; what must not be is a panic, work or memory without bounds, or data where metadata is.

use crate::edits::{Damaged, Mode};
use crate::fixed::{needs_recovery, Fixed};
use crate::overlay::Overlay;
use crate::places::Places;
use host_core::core::error::Result;
use host_core::core::mount::{
    AttributeChanges, ErrorPolicy, Filesystem, Inode, InodeKind, MountOptions, State, Width,
};
use host_core::format::superblock::{ErrorRecord, RawSuperblock, LEN, OFFSET};
use host_core::format::units::{FileBlock, Ino};
use host_core::host::ledger::Ledger;
use host_core::hostfs::HostFs;
use std::collections::BTreeSet;

/// Most inodes that are looked at.
const INODES: usize = 300;
/// Most names that are looked up in a directory.
const NAMES: usize = 60;
/// Most names that are listed in a directory.
const LISTED: usize = 20_000;
/// Most runs of a file that are asked for, and blocks that are read of each.
const RUNS: usize = 1000;
const BLOCKS: u32 = 4;
/// What is written: no metadata looks like it.
pub(crate) const DATA: u8 = 0xd7;

/// What a visit cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Requests to read.
    pub reads: u64,
    /// Requests to write.
    pub writes: u64,
    /// The most bytes that the file system had allocated at a time.
    pub memory: u64,
    /// Whether it could be mounted.
    pub mounted: bool,
    /// Names found on the walk.
    pub names: usize,
}

impl Cost {
    /// What a disk may cost grows with its size alone, whatever is on it.
    ///
    /// # Panics
    ///
    /// When it was more.
    pub fn assert_bounded(&self, places: &Places) {
        let requests = most_requests(places.size / u64::from(places.block_size));
        let memory = most_memory(places.size);
        assert!(
            self.reads <= requests,
            "more than {requests} reads: {self:?}"
        );
        assert!(
            self.writes <= requests,
            "more than {requests} writes: {self:?}"
        );
        assert!(self.memory <= memory, "more than {memory} bytes: {self:?}");
    }
}

/// The most requests for an image with this many blocks. A mount reads each block at most a few times
/// (the log in two passes, the bitmaps, the orphans); a directory or a tree that leads in circles must
/// not multiply that by more than the inodes looked at.
const fn most_requests(blocks: u64) -> u64 {
    60 * blocks + 20_000
}

/// The most memory for an image of this many bytes. What is in memory is on the disk, or goes there:
/// metadata, once and as the last commits have it, and what is said of free blocks and of inodes in
/// use. Most of an image is neither.
const fn most_memory(bytes: u64) -> u64 {
    bytes / 2
}

/// Visits a damaged image and checks what must hold.
///
/// # Panics
///
/// As [`Cost::assert_bounded`] and [`tour`] do.
pub fn visit(damaged: &Damaged) -> Cost {
    let cost = tour(&damaged.device, damaged.mode);
    cost.assert_bounded(&damaged.seed.places);
    cost
}

/// Mounts, walks, reads, changes, unmounts.
///
/// # Panics
///
/// When the mount, or what was refused to be one, still holds the device or memory afterwards, when fixed
/// metadata was overwritten with something else, or when an error was recorded without its place.
pub fn tour(device: &Overlay, mode: Mode) -> Cost {
    let options = MountOptions {
        read_only: mode.read_only(),
        errors: Some(if mode.stops() {
            ErrorPolicy::RemountReadOnly
        } else {
            ErrorPolicy::Continue
        }),
        ..MountOptions::default()
    };
    let mut cost = Cost::default();
    let holders = device.holders();
    let ledger = Ledger::begin();
    // What a log brings back is the disk's doing.
    let (mut fixed, known) = match needs_recovery(device) {
        true => (None, None),
        false => (Fixed::of(device), recorded(device)),
    };
    if let Ok(mut fs) = HostFs::mount(device.clone(), &options) {
        cost.mounted = true;
        fixed = fixed.or_else(|| Fixed::of(device));
        let mut known = placed(&fs.fs, known);
        cost.names = walk(&fs.fs.clone());
        known = placed(&fs.fs, known);
        for step in CHANGES {
            // Whatever fails, the next one is tried; its message must be sayable.
            if let Err(error) = step(&mut fs) {
                std::hint::black_box(error.to_string());
            }
            known = placed(&fs.fs, known);
        }
        let _ = fs.drop_caches();
        let _ = fs.read("/new-file");
        let _ = fs.unmount();
    }
    assert_eq!(device.holders(), holders, "the device is still in use");
    assert_eq!(ledger.held(), 0, "bytes of the mount are left");
    cost.memory = ledger.peak();
    cost.reads = device.reads();
    cost.writes = device.writes();
    let overwritten = fixed.map(|fixed| fixed.overwritten(device));
    assert!(
        overwritten.iter().all(Vec::is_empty),
        "what is not theirs was written over {overwritten:?}"
    );
    cost
}

/// What the superblock on a device says of errors.
pub fn recorded(device: &Overlay) -> Option<ErrorRecord> {
    let bytes = device.bytes(OFFSET, LEN);
    Some(RawSuperblock::view(&bytes).ok()?.error_record())
}

/// What was recorded last says who found it, and in which inode or block.
///
/// # Panics
///
/// When it does not.
pub fn assert_placed(record: &ErrorRecord) {
    let last = &record.last;
    let is_found = last.function[0] != 0 && last.line != 0 && last.code != 0;
    assert!(
        is_found && (last.ino != 0 || last.block != 0),
        "an error without its place: {record:?}"
    );
}

/// What is recorded of errors by now, which is checked unless it is what was `known`.
fn placed(fs: &Filesystem, known: Option<ErrorRecord>) -> Option<ErrorRecord> {
    let Ok(record) = fs.error_record() else {
        return known;
    };
    if known.is_some_and(|known| known != record) {
        assert_placed(&record);
    }
    Some(record)
}

/// Everything that can be reached; returns how many names there were.
fn walk(fs: &Filesystem) -> usize {
    let mut seen = BTreeSet::from([2u32]);
    let mut queue = vec![Ino(2)];
    let mut names = 0;
    while let Some(ino) = queue.pop() {
        let Ok(inode) = fs.inode(ino) else {
            continue;
        };
        look(fs, &inode);
        if inode.kind() != InodeKind::Directory {
            continue;
        }
        let found = list(fs, &inode);
        names += found.len();
        for (n, (name, child)) in found.iter().enumerate() {
            if n < NAMES {
                let _ = fs.lookup(&inode, name);
            }
            if seen.len() < INODES && seen.insert(child.get()) {
                queue.push(*child);
            }
        }
        let _ = fs.lookup(&inode, b"not there");
        let _ = fs.parent(&inode);
    }
    let _ = fs.statistics();
    names
}

fn list(fs: &Filesystem, dir: &Inode) -> Vec<(Vec<u8>, Ino)> {
    let mut found = Vec::new();
    let mut position = 0;
    // In steps, as getdents does; a directory that never ends is left.
    for _ in 0..LISTED {
        let before = found.len();
        let next = fs.read_directory(dir, position, Width::Wide, |entry, _| {
            found.push((entry.name.to_vec(), entry.ino));
            found.len() - before < 100
        });
        match next {
            Ok(next) if found.len() > before && found.len() < LISTED => position = next,
            _ => break,
        }
    }
    assert!(found.len() < LISTED, "a directory has no end");
    found
}

/// An inode's attributes, map and contents.
fn look(fs: &Filesystem, inode: &Inode) {
    let mut attributes = Vec::new();
    let _ = fs.xattr_list(inode, |index, name| {
        attributes.push((index, name.to_vec()));
        Ok(())
    });
    for (index, name) in attributes {
        let _ = fs.xattr_get(inode, index, &name);
    }
    match inode.kind() {
        InodeKind::Symlink => drop(fs.read_link(inode)),
        InodeKind::Regular => {
            let _ = contents(fs, inode);
        }
        _ => {}
    }
}

fn contents(fs: &Filesystem, inode: &Inode) -> Result {
    let size = u64::from(fs.block_size());
    let end = u32::try_from(inode.disk_size().div_ceil(size)).unwrap_or(u32::MAX);
    let mut at = FileBlock(0);
    for _ in 0..RUNS {
        if at.get() >= end {
            break;
        }
        let run = fs.map(inode, at, end - at.get())?;
        assert!(run.start == at && run.len > 0, "{run:?} at {at}");
        if let State::Written(block) = run.state {
            for n in 0..run.len.min(BLOCKS) {
                // What a map says must be on the device.
                fs.device().read_block(block.get() + u64::from(n))?;
            }
        }
        at = FileBlock(at.get().saturating_add(run.len));
    }
    Ok(())
}

type Step = fn(&mut HostFs) -> Result;

/// A little of everything.
const CHANGES: &[Step] = &[
    |fs| fs.create("/new-file", 0o644).map(drop),
    |fs| fs.write("/new-file", 0, &[DATA; 9000]),
    |fs| fs.fsync("/new-file"),
    |fs| fs.mkdir("/new-dir", 0o755),
    |fs| fs.create("/new-dir/inside", 0o644).map(drop),
    |fs| fs.symlink("/new-dir/link", &[b's'; 200]),
    |fs| data(fs, "/plain", 100, 3000),
    |fs| data(fs, "/pieces", 2048, 12_000),
    |fs| data(fs, "/a/b/few", 0, 5000),
    |fs| data(fs, "/a/again", 60_000, 100),
    |fs| fs.sync(),
    |fs| {
        // Memory runs short, and what is needed again is read again.
        fs.fs.reclaim(100_000);
        Ok(())
    },
    |fs| fs.fs.freeze(),
    |fs| fs.fs.thaw(),
    |fs| fs.link("/plain", "/large/one-more"),
    |fs| fs.link("/new-file", &format!("/large/{}", "long".repeat(60))),
    |fs| fs.rename("/a/b/few", "/new-dir/few"),
    |fs| fs.rename("/new-dir", "/a/b/moved"),
    |fs| fs.unlink("/long"),
    |fs| fs.unlink("/short"),
    |fs| fs.rmdir("/a/empty"),
    |fs| fs.truncate("/pieces", 30_000),
    |fs| fs.sync(),
    |fs| fs.truncate("/pieces", 0),
    |fs| fs.truncate("/a/b/moved/few", 100_000),
    |fs| data(fs, "/a/b/moved/few", 40_000, 2000),
    |fs| some_names(fs),
    // Here and not at the end: there are no lists afterwards.
    |fs| permissions(fs, "/plain"),
    |fs| no_attributes(fs, "/plain"),
    |fs| permissions(fs, "/a"),
    |fs| no_attributes(fs, "/a"),
    |fs| fs.unlink("/pieces"),
    |fs| fs.sync(),
    |fs| {
        let options = fs.fs.options();
        let read_only = MountOptions {
            read_only: true,
            ..options
        };
        fs.drop_caches()?;
        fs.fs.remount(&read_only)?;
        fs.fs.remount(&options)
    },
    |fs| permissions(fs, "/a/b/moved/few"),
    |fs| no_attributes(fs, "/a/b/moved/few"),
    |fs| permissions(fs, "/new-file"),
    |fs| permissions(fs, "/large"),
    |fs| fs.sync(),
];

fn data(fs: &mut HostFs, path: &str, at: u64, len: usize) -> Result {
    if fs.resolve(path)?.kind() != InodeKind::Regular {
        return Ok(());
    }
    fs.write(path, at, &vec![DATA; len])
}

/// Changes the permissions, which an access control list follows, and puts them back.
fn permissions(fs: &mut HostFs, path: &str) -> Result {
    let inode = fs.resolve(path)?;
    let before = inode.attributes().mode & 0o7777;
    for mode in [0o7707, 0o070, before] {
        let changes = AttributeChanges {
            mode: Some(mode),
            ..AttributeChanges::default()
        };
        fs.fs.set_attributes(&inode, &changes)?;
    }
    Ok(())
}

/// Removes the attributes that a list names, the last first.
fn no_attributes(fs: &mut HostFs, path: &str) -> Result {
    let inode = fs.resolve(path)?;
    let mut names = Vec::new();
    fs.fs.xattr_list(&inode, |index, name| {
        names.push((index, name.to_vec()));
        Ok(())
    })?;
    for (index, name) in names.iter().rev() {
        fs.fs.xattr_remove(&inode, *index, name)?;
    }
    Ok(())
}

/// Names come and go in the large directory.
fn some_names(fs: &mut HostFs) -> Result {
    for n in 0..12 {
        let _ = fs.link("/plain", &format!("/large/{}{n}", "another".repeat(30)));
    }
    let names = fs.names("/large", 50)?;
    for (name, _) in names.iter().step_by(9).take(30) {
        let _ = fs.unlink(&format!("/large/{name}"));
    }
    Ok(())
}
