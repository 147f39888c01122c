// SPDX-License-Identifier: GPL-2.0

//! Each kind of disk does what it is for: its workloads leave in the log, and on the disk, what recovery
//! has to get right there.

use super::alone;
use super::log::{Follower, Happened, Transaction};
use crate::image::{Disk, DiskKind, Prelude, KINDS};
use crate::record::record;
use crate::run::HARD;
use crate::workload::{actions, Workload};
use host_core::format::jbd2::Version;
use host_core::testing;
use std::collections::BTreeSet;

fn kinds(which: impl Fn(&DiskKind) -> bool) -> Vec<Disk> {
    let kinds: Vec<Disk> = KINDS
        .iter()
        .filter(|kind| which(kind))
        .map(Disk::new)
        .collect();
    assert!(!kinds.is_empty());
    kinds
}

fn follow<'d>(disk: &'d Disk, name: &str) -> Follower<'d> {
    let actions = actions(disk.kind.block);
    let workload = Workload::parse(name, &actions).unwrap();
    let history = record(disk, &workload.steps(&actions).unwrap());
    let history = history.unwrap_or_else(|why| panic!("{}/{name}: {why:?}", disk.kind.name));
    Follower::of(disk, &history)
}

/// The blocks of a file's data when a workload begins.
fn blocks(disk: &Disk, file: &str) -> BTreeSet<u64> {
    let text = testing::debugfs(&disk.image, &format!("blocks {file}"));
    let words = text.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The number that `debugfs` says after some words.
fn number(image: &[u8], request: &str, after: &str) -> u32 {
    let text = testing::debugfs(image, request);
    let mut words = text.split(after).nth(1).into_iter();
    let number = words.find_map(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{after} {text}"))
}

/// Workloads that make no sense on their disk would be counted, and nothing else.
#[test]
fn what_was_hard_runs() {
    let _alone = alone();
    for (kind, names) in HARD {
        let disk = kinds(|one| one.name == *kind).remove(0);
        for name in *names {
            assert!(follow(&disk, name).committed().next().is_some(), "{name}");
        }
    }
}

/// On every disk a block that the log has is revoked, and one that begins with the journal's magic number is
/// escaped.
#[test]
fn logs_hold_revocations_and_escaped_blocks() {
    let _alone = alone();
    for disk in kinds(|_| true) {
        let (name, log) = (disk.kind.name, follow(&disk, "symlink_unlink+none"));
        let (mut logged, mut revoked, mut escaped) = (BTreeSet::new(), 0, 0);
        for transaction in log.committed() {
            let revokes = transaction.revoked.iter();
            revoked += revokes.filter(|block| logged.contains(*block)).count();
            logged.extend(transaction.logged.iter().map(|one| one.block));
            escaped += transaction.logged.iter().filter(|one| one.escaped).count();
        }
        assert!(revoked > 0, "{name}: nothing in the log is revoked");
        assert!(escaped > 0, "{name}: nothing is escaped");
    }
}

/// The disks that are for it have transactions across the log's end, cut in many places.
#[test]
fn logs_wrap() {
    let _alone = alone();
    const NAMES: [&str; 8] = [
        "mkdir+none",
        "unlink+none",
        "unlink_symlink+none",
        "append+none",
        "unlink_open+none",
        "temporary+none",
        "rewrite+none",
        "write_new+none",
    ];
    for disk in kinds(|kind| kind.prelude == Prelude::Wrap) {
        let logs = NAMES.map(|name| follow(&disk, name));
        let all: Vec<&Transaction> = logs.iter().flat_map(Follower::committed).collect();
        let (first, last) = (logs[0].layout.first_block as usize, disk.journal_len() - 1);
        let demand = |what: &str, is_so: &dyn Fn(&Transaction) -> bool| {
            let places = all.iter().map(|one| (one.start, one.end));
            let places: Vec<_> = places.collect();
            let found = all.iter().any(|one| is_so(one));
            assert!(found, "{}: {what}: {places:?}", disk.kind.name);
        };
        demand("its blocks are on both sides", &|one| {
            one.wraps() && one.start < last && one.end > first
        });
        demand("the commit block is behind the end", &|one| {
            one.wraps() && one.end == first
        });
        demand("the descriptor is before it", &|one| {
            one.wraps() && one.start == last
        });
        demand("with revocations", &|one| {
            one.wraps() && !one.revoked.is_empty()
        });
        demand("one begins with the ring", &|one| one.start == first);
    }
}

/// In the middle of a workload the oldest transactions' blocks go to their places, and these transactions
/// leave the log; already the smallest transaction does it.
#[test]
fn checkpoints_write_blocks_home() {
    let _alone = alone();
    let disk = kinds(|kind| kind.prelude == Prelude::Checkpoint).remove(0);
    // And whether they go on after that.
    for (name, goes_on) in [
        ("chmod+commit", false),
        ("mkdir_rmdir+none", true),
        ("append+none", true),
    ] {
        let log = follow(&disk, name);
        let mut happened = log.happened.iter();
        let moved = happened.position(|one| matches!(one, Happened::Tail(..)));
        let moved = moved.unwrap_or_else(|| panic!("{name}: no checkpoint"));
        let Happened::Tail(tail, gone) = log.happened[moved] else {
            unreachable!()
        };
        assert_eq!(log.before[gone].start, tail, "{name}");
        let old = log.before[..gone].iter().flat_map(|one| &one.logged);
        let old: BTreeSet<u64> = old.map(|one| one.block).collect();
        let home = log.happened[..moved].iter().filter(|one| match one {
            Happened::Home(block) => old.contains(block),
            _ => false,
        });
        assert!(home.count() > 0, "{name}: it has nothing to write");
        let more = happened.any(|one| matches!(one, Happened::Committed(_)));
        assert_eq!(more, goes_on, "{name}");
    }
}

/// How often data is written where the log has a block that a later transaction revokes, and how often a
/// block of data becomes metadata.
fn roles(disk: &Disk, log: &Follower<'_>) -> (usize, usize) {
    let (mut data, mut logged) = (blocks(disk, "/foo"), BTreeSet::new());
    let (mut revoked, mut counts) = (BTreeSet::new(), (0, 0));
    for one in &log.happened {
        match one {
            Happened::Committed(transaction) => {
                let revokes = transaction.revoked.iter().filter(|at| logged.contains(*at));
                revoked.extend(revokes.copied());
                for one in &transaction.logged {
                    counts.1 += usize::from(data.remove(&one.block));
                    revoked.remove(&one.block);
                    logged.insert(one.block);
                }
            }
            Happened::Data(block) => {
                counts.0 += usize::from(revoked.remove(block));
                data.insert(*block);
            }
            Happened::Home(_) | Happened::Tail(..) => {}
        }
    }
    counts
}

/// On a full disk what was freed is used again at once, in another role.
#[test]
fn blocks_change_roles() {
    let _alone = alone();
    let disk = kinds(|kind| kind.name == "1k-full").remove(0);
    // With those that the driver keeps for metadata.
    let free = number(&disk.begun, "stats -h", "Free blocks:");
    assert!(free <= 40, "{free} blocks are free");
    for name in [
        "mkdir_rmdir+sync,write_new+fsync",
        "symlink_unlink+sync,append+fsync",
        "tree_gone+fsync,direct_append+fdatasync",
    ] {
        let (became_data, _) = roles(&disk, &follow(&disk, name));
        assert!(became_data > 0, "{name}: no metadata becomes data");
    }
    for name in [
        "unlink+sync,mkdir+fsync",
        "unlink+sync,tree+sync",
        "truncate_zero+fsync,symlink_long+parent",
        "unlink_written+sync,mkdir+fsync",
    ] {
        let (_, became_metadata) = roles(&disk, &follow(&disk, name));
        assert!(became_metadata > 0, "{name}: no data becomes metadata");
    }
}

/// Files without a name are in the orphan file where there is one.
#[test]
fn orphans_are_in_their_file() {
    let _alone = alone();
    let disk = kinds(|kind| kind.name == "1k-orphan-file").remove(0);
    let ino = number(&disk.image, "stats -h", "Orphan file inode:");
    let places = blocks(&disk, &format!("<{ino}>"));
    let foo = number(&disk.image, "stat /foo", "Inode:");
    let log = follow(&disk, "unlink_open+none");
    let logged = log.committed().flat_map(|one| &one.logged);
    let mut orphans = logged.filter(|one| places.contains(&one.block));
    let names_foo = |bytes: &[u8]| bytes.chunks(4).any(|word| word == foo.to_le_bytes());
    assert!(orphans.any(|one| names_foo(&one.bytes)), "{places:?} {foo}");
}

/// Every log has checksums but that of the disk that is for it.
#[test]
fn checksums_are_where_they_should_be() {
    let _alone = alone();
    for disk in kinds(|_| true) {
        let version = match disk.kind.name {
            "1k-no-checksums" => Version::None,
            _ => Version::V3,
        };
        let log = follow(&disk, "chmod+none");
        assert_eq!(log.layout.version, version, "{}", disk.kind.name);
    }
}
