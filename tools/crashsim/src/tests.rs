// SPDX-License-Identifier: GPL-2.0

//! The simulator finds what is wrong: a file system that does not flush, and trees with wrong bytes.

use crate::campaign::{replay, Campaign, Deadline, Depth, Violation};
use crate::image::{stop_time, Disk, DiskKind, KINDS};
use crate::oracle;
use crate::record::{record, History};
use crate::workload::{actions, Workload};
use host_core::hostfs::{HostFs, Tree};

fn run(kind: &DiskKind, name: &str) -> Result<(), Violation> {
    stop_time();
    let mut campaign = Campaign::new(kind, 1, Deadline(None));
    let workload = Workload::parse(name, &campaign.actions).unwrap();
    let done = campaign.run(&workload, Depth::Full);
    assert!(campaign.totals.states > 50);
    done
}

#[test]
fn what_is_synced_is_there() {
    for kind in &KINDS[..2] {
        run(kind, "append+fsync").unwrap();
        run(kind, "replace+none").unwrap();
    }
}

#[test]
fn without_flushes_it_is_not() {
    let mut kind: DiskKind = KINDS[0];
    kind.barrier = false;
    let found = run(&kind, "append+fsync").unwrap_err();
    assert!(found.why.contains("/foo"), "{}", found.why);
    // It is seen again by its ID; the point before anything was written is as it should be.
    assert_eq!(replay(&found.id, &[kind]), Ok(false), "{}", found.id);
    assert_eq!(replay("1k/append+fsync/0.0/full/1", &[kind]), Ok(true));
}

#[test]
fn a_violation_is_made_small() {
    let mut kind: DiskKind = KINDS[0];
    kind.barrier = false;
    let found = run(&kind, "chmod+none,append+fsync").unwrap_err();
    let workload = found.id.split('/').nth(1).unwrap();
    assert!(!workload.contains(','), "{}", found.id);
    assert_eq!(replay(&found.id, &[kind]), Ok(false), "{}", found.id);
}

/// A history on the first kind of disk, and what is there in the end.
fn history(name: &str) -> (History, Tree) {
    stop_time();
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
