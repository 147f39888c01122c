// SPDX-License-Identifier: GPL-2.0

//! A full disk at every step of every operation.
//!
//! Each operation is tried with no block free, then one, and so on until it succeeds; the same with
//! inodes; and with plenty of both while the allocator says at its nth question that there is nothing.
//! It succeeds or says that there is no space; the tree is the one before it or the one after it; what
//! a write has taken is on the disk after a sync; nothing stays promised; when something was deleted,
//! the operation succeeds; e2fsck finds nothing.

mod cases;
mod disk;
mod pool;

use cases::{Case, Failure, CASES};
use disk::{Disk, See, BLOCKS_TO_GIVE, INODES_TO_GIVE};
use host_core::core::error::{Error, Result};
use host_core::host::failing::Failing;
use host_core::host::shortage::Shortage;
use host_core::hostfs::{Entry, HostFs, Tree};
use host_core::testing::assert_clean;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// An operation, the disks it is tried on, and what it leads to.
struct Subject {
    case: &'static Case,
    disk: Disk,
    after: Tree,
}

impl Subject {
    fn new(case: &'static Case) -> Self {
        let disk = Disk::make(case.args, case.setup);
        let (_, mut fs) = disk::mount(&disk.roomy, |_| {});
        fs.unlink("/spare").unwrap();
        (case.op)(&mut fs).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let after = fs.tree().unwrap();
        fs.unmount().unwrap();
        Self { case, disk, after }
    }

    /// Whether what is seen after a failure may be: the tree of before, or for writes, as much more as
    /// there was space for.
    fn is_allowed(&self, before: &See, now: &See) -> bool {
        match self.case.failure {
            Failure::Nothing => before == now,
            Failure::Part => {
                let after = |path| self.after.get(path);
                before.tree.len() == now.tree.len()
                    && now.tree.iter().all(|(path, entry)| {
                        let old = before.tree.get(path);
                        old.is_some_and(|old| {
                            old == entry || after(path).is_some_and(|new| is_part(old, new, entry))
                        })
                    })
            }
        }
    }

    /// The operation was done. The spare file may be there or not.
    fn assert_done(&self, tree: &Tree, what: &str) {
        let wrong = |path: &&String| *path != "/spare" && tree.get(*path) != self.after.get(*path);
        let wrong: Vec<_> = tree.keys().chain(self.after.keys()).filter(wrong).collect();
        assert!(wrong.is_empty(), "{what}: not done: {wrong:?}");
    }

    /// After a failure: with something deleted it works. Then the end, and e2fsck.
    fn finish(&self, device: &Failing, mut fs: HostFs, done: bool, what: &str) {
        assert_eq!(
            fs.fs.written().delayed_blocks,
            0,
            "{what}: promises are left"
        );
        if !done {
            fs.unlink("/spare").unwrap();
            (self.case.op)(&mut fs).unwrap_or_else(|error| panic!("{what}: again: {error}"));
            fs.sync().unwrap();
            fs.drop_caches().unwrap();
            self.assert_done(&fs.tree().unwrap(), what);
        }
        fs.finish().unwrap();
        let counts = fs.fs.statistics();
        fs.unmount().unwrap();
        let image = device.contents();
        assert_clean(&image);
        assert_eq!(
            disk::free_counts(&image),
            (counts.free, counts.free_inodes),
            "{what}: what is free on disk and in memory"
        );
    }

    /// What the operation gave, and what is there now.
    fn judge(&self, before: &See, done: &Result, fs: &mut HostFs, what: &str) -> Tree {
        let now = See::of(fs);
        match done {
            Ok(()) => self.assert_done(&now.tree, what),
            Err(Error::NoSpace) => assert!(
                self.is_allowed(before, &now),
                "{what}: half is done: {:?}",
                before.difference(&now)
            ),
            Err(error) => panic!("{what}: {error}"),
        }
        now.tree
    }

    /// One try on a disk on which so much is free. Returns whether there was space enough.
    fn squeezed(&self, image: &[u8], what: &str, give: impl FnOnce(&mut HostFs)) -> bool {
        let (device, mut fs) = disk::mount(image, give);
        let before = See::of(&mut fs);
        let done = (self.case.op)(&mut fs);
        let seen = self.judge(&before, &done, &mut fs, what);
        fs.sync()
            .unwrap_or_else(|error| panic!("{what}: sync: {error}"));
        fs.drop_caches().unwrap();
        assert!(
            seen == fs.tree().unwrap(),
            "{what}: the disk has something else"
        );
        self.finish(&device, fs, done.is_ok(), what);
        done.is_ok()
    }

    /// More and more blocks are free, until there are enough.
    fn with_few_blocks(&self) -> u32 {
        let enough = (0..=BLOCKS_TO_GIVE).find(|&blocks| {
            let what = format!("{}, {blocks} blocks free", self.case.name);
            self.squeezed(&self.disk.full, &what, |fs| disk::give_blocks(fs, blocks))
        });
        enough.unwrap_or_else(|| panic!("{}: never enough blocks", self.case.name))
    }

    fn with_few_inodes(&self) -> u32 {
        let enough = (0..=INODES_TO_GIVE).find(|&inodes| {
            let what = format!("{}, {inodes} inodes free", self.case.name);
            self.squeezed(&self.disk.no_inodes, &what, |fs| {
                disk::give_inodes(fs, inodes);
            })
        });
        enough.unwrap_or_else(|| panic!("{}: never enough inodes", self.case.name))
    }

    /// There is space, but the allocator says no, from its nth question on `len` times. Returns whether
    /// it was asked so often.
    fn denied(&self, first: u64, len: u64) -> bool {
        let what = format!("{}, questions {first}..+{len} denied", self.case.name);
        let (device, mut fs) = disk::mount(&self.disk.roomy, |_| {});
        let before = See::of(&mut fs);
        let shortage = Shortage::begin_of_space(first, len);
        let done = (self.case.op)(&mut fs);
        let seen = self.judge(&before, &done, &mut fs, &what);
        let synced = fs.sync();
        let count = shortage.count();
        Shortage::end();
        // Only here a promise may be broken: then the sync tells.
        assert!(
            matches!(synced, Ok(()) | Err(Error::NoSpace)),
            "{what}: {synced:?}"
        );
        fs.drop_caches().unwrap();
        if synced.is_ok() {
            assert!(
                seen == fs.tree().unwrap(),
                "{what}: the disk has something else"
            );
        }
        self.finish(&device, fs, done.is_ok() && synced.is_ok(), &what);
        count > first
    }
}

/// Whether a file is on its way from `old` to `new`: each byte one of theirs, or a zero where there was
/// none.
fn is_part(old: &Entry, new: &Entry, now: &Entry) -> bool {
    let size = now.contents.len();
    let bytes = now.contents.iter().enumerate().all(|(at, byte)| {
        let old = old.contents.get(at).unwrap_or(&0);
        old == byte || new.contents.get(at) == Some(byte)
    });
    let without = |entry: &Entry| Entry {
        contents: Vec::new(),
        ..entry.clone()
    };
    bytes
        && (old.contents.len()..=new.contents.len()).contains(&size)
        && without(old) == without(now)
}

/// All cases, by as many threads as are worth it.
fn each_case(run: impl Fn(&Subject) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = CASES.get(n) else {
                    return;
                };
                run(&Subject::new(case));
            });
        }
    });
}

#[test]
fn every_step_of_every_operation() {
    let wrong = Mutex::new(Vec::new());
    each_case(|subject| {
        let case = subject.case;
        let needs = (subject.with_few_blocks(), subject.with_few_inodes());
        if needs != (case.blocks, case.inodes) {
            wrong.lock().unwrap().push((case.name, needs));
        }
        let asked = (0..).find(|&n| !subject.denied(n, 1)).unwrap();
        for n in 0..asked {
            subject.denied(n, u64::MAX);
        }
        assert!(asked > 0 || needs == (0, 0), "{}", case.name);
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "needed (blocks, inodes): {wrong:?}");
}
