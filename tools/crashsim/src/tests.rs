// SPDX-License-Identifier: GPL-2.0

//! The simulator finds what is wrong: a file system that does not flush, and trees with wrong bytes.

use crate::campaign::{replay, Campaign, Deadline, Depth, Violation, Ways};
use crate::image::{stop_time, Disk, DiskKind, KINDS};
use crate::oracle;
use crate::record::{record, History};
use crate::states::Place;
use crate::workload::{actions, Workload};
use host_core::host::recording::Recording;
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::mkfs;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

mod disks;
mod log;

/// Time stands still, and all that is done again is the same: the process has one sequence of numbers, which
/// one test at a time follows.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    stop_time();
    alone
}

fn run(kind: &DiskKind, name: &str) -> Result<(), Violation> {
    let mut campaign = Campaign::new(kind, 1, Deadline(None));
    let workload = Workload::parse(name, &campaign.actions).unwrap();
    let done = campaign.run(&workload, Depth::Full);
    assert!(campaign.totals.states > 50);
    done
}

#[test]
fn what_is_synced_is_there() {
    let _alone = alone();
    for kind in &KINDS[..2] {
        run(kind, "append+fsync").unwrap();
        run(kind, "replace+none").unwrap();
    }
}

#[test]
fn without_flushes_it_is_not() {
    let _alone = alone();
    let mut kind: DiskKind = KINDS[0];
    kind.barrier = false;
    let found = run(&kind, "append+fsync").unwrap_err();
    assert!(found.why.contains("/foo"), "{}", found.why);
    // Some of what the state lacked does not matter.
    let place = found.id.split('/').nth(2).and_then(Place::parse).unwrap();
    assert!(!place.arrived.is_empty(), "{}", found.id);
    // It is seen again by its ID; the point before anything was written is as it should be.
    assert_eq!(replay(&found.id, &[kind]), Ok(false), "{}", found.id);
    assert_eq!(replay("1k/append+fsync/0.0/full/1", &[kind]), Ok(true));
}

#[test]
fn a_violation_is_made_small() {
    let _alone = alone();
    let mut kind: DiskKind = KINDS[0];
    kind.barrier = false;
    let found = run(&kind, "chmod+none,append+fsync").unwrap_err();
    let workload = found.id.split('/').nth(1).unwrap();
    assert!(!workload.contains(','), "{}", found.id);
    assert_eq!(replay(&found.id, &[kind]), Ok(false), "{}", found.id);
}

#[test]
fn ways_take_turns() {
    let _alone = alone();
    let campaign = Campaign::new(&KINDS[0], 1, Deadline(None));
    // Pairs of actions on a file that has one parent: six ways each.
    let is_plain = |index: usize| campaign.actions[index].calls().len() == 6;
    let pairs = |ways| {
        let mut pairs = campaign.pairs(ways);
        pairs.retain(|one| one.parts.iter().all(|part| is_plain(part.0)));
        pairs
    };
    let all = pairs(Ways::All).len();
    let (mut often, mut seen) = (HashMap::new(), HashSet::new());
    for turn in 0..12 {
        for one in pairs(Ways::InTurn(turn)) {
            *often
                .entry((turn, one.parts[0].1, one.parts[1].1))
                .or_insert(0) += 1;
            assert!(seen.insert(one.parts.clone()), "{one:?}");
        }
    }
    assert_eq!((seen.len(), often.len()), (all, 12 * 36));
    let (least, most) = (often.values().min(), often.values().max());
    assert!(most.unwrap() - least.unwrap() <= 1, "{least:?} {most:?}");
}

/// Two writes to one place, of which nobody knows which one stays.
#[test]
fn writes_that_meet_are_seen() {
    let _alone = alone();
    let device = Recording::new(mkfs(4 << 20, &["-b", "1024"]));
    let mut fs = HostFs::mount(device.clone(), &crate::record::options()).unwrap();
    fs.create("/file", 0o644).unwrap();
    fs.write("/file", 0, &[7; 4096]).unwrap();
    fs.sync().unwrap();
    let ino = fs.resolve("/file").unwrap().ino();
    fs.write("/file", 0, &[8; 2048]).unwrap();
    let (first, events) = device.deferred(|| fs.submit(ino));
    // Others may be written meanwhile.
    fs.write("/file", 2048, &[9; 2048]).unwrap();
    fs.flush_all().unwrap();
    assert_eq!((events.len(), device.clash()), (2, None));
    // The kernel would wait here.
    fs.write("/file", 1024, &[9; 1024]).unwrap();
    fs.flush_all().unwrap();
    let clash = device.clash().unwrap();
    assert_eq!(
        (clash.new.end - clash.new.start, clash.old),
        (1024, clash.new)
    );
    events.into_iter().for_each(|event| device.complete(event));
    fs.complete(ino, &first.unwrap()).unwrap();
    fs.unmount().unwrap();
}

/// A history on the first kind of disk, and what is there in the end.
fn history(name: &str) -> (History, Tree) {
    let disk = Disk::new(&KINDS[0]);
    let actions = actions(disk.kind.block);
    let workload = Workload::parse(name, &actions).unwrap();
    let history = record(&disk, &workload.steps(&actions).unwrap()).unwrap();
    let whole = crate::states::whole(&history, history.events.len());
    let device = host_core::host::overlay::OverlayDevice::new(whole);
    let mut fs = HostFs::mount(device, &crate::record::options()).unwrap();
    let tree = fs.tree().unwrap();
    fs.unmount().unwrap();
    (history, tree)
}

#[test]
fn the_oracle_sees() {
    let _alone = alone();
    let (history, good) = history("replace+sync");
    let end = history.events.len();
    let judge = |tree: &Tree| oracle::check(&history, end, tree, 1024);
    judge(&good).unwrap();
    let spoil = |change: &dyn Fn(&mut Tree)| {
        let mut tree = good.clone();
        change(&mut tree);
        judge(&tree).unwrap_err()
    };
    let why = spoil(&|tree| tree.get_mut("/foo").unwrap().contents.clear());
    assert!(why.contains("0 bytes"), "{why}");
    let why = spoil(&|tree| tree.get_mut("/foo").unwrap().contents[700] = 0xee);
    assert!(why.contains("byte 700"), "{why}");
    let why = spoil(&|tree| drop(tree.remove("/bar")));
    assert!(why.contains("/bar"), "{why}");
    let why = spoil(&|tree| {
        let entry = tree["/bar"].clone();
        drop(tree.insert("/new".into(), entry));
    });
    assert!(why.contains("/new"), "{why}");
    let why = spoil(&|tree| tree.get_mut("/bar").unwrap().links = 1);
    assert!(why.contains("links"), "{why}");
    let why = spoil(&|tree| tree.get_mut("/bar").unwrap().xattrs.clear());
    assert!(why.contains("attributes"), "{why}");
}

#[test]
fn names_are_read_again() {
    let all = actions(1024);
    for (name, count) in [("append+fsync,unlink+parent,scatter", 2), ("mmap+none", 1)] {
        let workload = Workload::parse(name, &all).unwrap();
        assert_eq!(workload.parts.len(), count);
        assert_eq!(workload.name(&all), name);
    }
    assert!(Workload::parse("nothing+fsync", &all).is_none());
}
