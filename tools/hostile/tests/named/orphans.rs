// SPDX-License-Identifier: GPL-2.0

//! Chains of orphans and orphan files that lie.

use crate::disk::{fault_of, Disk, CHAIN, OLD, SMALL};
use host_core::format::fault::{Fault, OrphanFault};
use host_core::hostfs::HostFs;
use hostile::places::{Kind, Place};

/// A disk whose chain of orphans is these inodes, the last of which names `end`.
fn chained(orphans: &[Place], end: u32, disk: &mut Disk) {
    let superblock = disk.place(Kind::Superblock, 0);
    let owners = orphans.iter().map(|place| place.owner).chain([end]);
    let holders = [(superblock, 0xe8)].into_iter();
    let holders = holders.chain(orphans.iter().map(|place| (*place, 0x14)));
    for ((place, at), ino) in holders.zip(owners) {
        disk.put(&place, at, &ino.to_le_bytes());
    }
    // As if no log were to be replayed, which would bring the true chain back.
    let features = disk.word(&superblock, 0x60);
    disk.put(&superblock, 0x60, &(features & !4).to_le_bytes());
}

/// One error was found when orphans were finished, of this inode.
fn one_bad_orphan(fs: &HostFs, ino: u32) {
    let record = fs.fs.error_record().unwrap();
    assert_eq!(
        (record.count, record.last.ino, record.last.code),
        (1, ino, 5)
    );
    assert!(record.last.function.starts_with(b"finish_orphans\0"));
    assert_ne!((record.last.seconds, record.last.line), (0, 0));
}

#[test]
fn a_chain_of_orphans_that_loops() {
    // Back to the only one; to the root directory, the journal, behind all inodes, to a free one.
    for end in [None, Some(2u32), Some(8), Some(0x00ff_ffff), Some(127)] {
        let mut disk = Disk::new(CHAIN);
        let plain = disk.inode("/plain");
        let end = end.unwrap_or(plain.owner);
        chained(&[plain], end, &mut disk);
        let mut fs = disk.mount().unwrap();
        // A number that none can have makes the one that has it bad.
        let bad = if end > 128 { plain.owner } else { end };
        one_bad_orphan(&fs, bad);
        // With links it is no orphan, and stays.
        assert_eq!(fs.read("/plain").unwrap().len(), 5000);
        fs.unmount().unwrap();
        assert!(disk.device.reads() < 3000);
    }
}

/// Two deleted files that name each other: both go, and the second sight of the first is an error.
#[test]
fn orphans_without_links_that_name_each_other() {
    let mut disk = Disk::new(CHAIN);
    let two = [disk.inode("/plain"), disk.inode("/pieces")];
    for place in &two {
        disk.put(place, 0x1a, &[0, 0]);
    }
    chained(&two, two[0].owner, &mut disk);
    let mut fs = disk.mount().unwrap();
    one_bad_orphan(&fs, two[0].owner);
    for path in ["/plain", "/pieces"] {
        fault_of(fs.resolve(path).unwrap_err());
    }
    fs.unmount().unwrap();
    let superblock = disk.place(Kind::Superblock, 0);
    assert_eq!(disk.word(&superblock, 0xe8), 0, "the chain is not empty");
    assert!(disk.device.reads() < 3000);
}

#[test]
fn a_chain_of_orphans_that_begins_nowhere() {
    for first in [8u32, 127, 0x00ff_ffff] {
        let mut disk = Disk::new(CHAIN);
        chained(&[], first, &mut disk);
        let fs = disk.mount().unwrap();
        one_bad_orphan(&fs, first);
        fs.unmount().unwrap();
    }
}

/// C ext4 makes what it deletes empty, and takes the blocks away in another transaction.
#[test]
fn orphans_that_are_empty_already() {
    let mut disk = Disk::new(OLD);
    let mut fs = disk.mount().unwrap();
    let counts = fs.fs.statistics();
    let mut freed = 0;
    for path in ["/a", "/long"] {
        let sectors = fs.resolve(path).unwrap().attributes().blocks;
        freed += sectors * 512 / u64::from(counts.block_size);
    }
    fs.unmount().unwrap();
    let mut disk = Disk::new(OLD);
    let two = [disk.inode("/a"), disk.inode("/long")];
    for place in &two {
        disk.put(place, 0x1a, &[0, 0]);
        disk.put(place, 0x4, &[0; 4]);
    }
    chained(&two, 0, &mut disk);
    let mut fs = disk.mount().unwrap();
    assert_eq!(fs.fs.error_record().unwrap().count, 0);
    for path in ["/a", "/long"] {
        fault_of(fs.resolve(path).unwrap_err());
    }
    fs.fs.sync(true).unwrap();
    assert_eq!(fs.fs.statistics().free, counts.free + freed);
    fs.unmount().unwrap();
}

/// A symbolic link that is in its inode has no blocks: nothing of it can wait to be cut off.
#[test]
fn an_orphan_with_nothing_to_cut_off() {
    let mut disk = Disk::new(CHAIN);
    let link = disk.inode("/short");
    chained(&[link], 0, &mut disk);
    let fs = disk.mount().unwrap();
    one_bad_orphan(&fs, link.owner);
    fs.unmount().unwrap();
}

#[test]
fn an_orphan_file_that_is_none() {
    let mut disk = Disk::new(SMALL);
    let block = disk.place(Kind::Orphan, 0);
    disk.put(&block, 1024 - 8, &[0; 4]);
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Orphan(OrphanFault::Magic, ..)),
        "{fault}"
    );
}

/// Slots that name what is no inode, or one that is reserved: they are passed over.
#[test]
fn an_orphan_file_that_lies() {
    for (at, value) in [(0, 0x00ff_ffffu32), (8, 8)] {
        let mut disk = Disk::new(SMALL);
        let block = disk.place(Kind::Orphan, 0);
        disk.put(&block, at, &value.to_le_bytes());
        let fs = disk.mount().unwrap();
        one_bad_orphan(&fs, 12);
        fs.unmount().unwrap();
    }
}

/// Slots that name files in use, directories and free inodes, some of them twice.
#[test]
fn an_orphan_file_that_names_the_living() {
    let mut disk = Disk::new(SMALL);
    let block = disk.place(Kind::Orphan, 0);
    let slots = [
        disk.ino("/plain"),
        disk.ino("/a"),
        disk.ino("/plain"),
        120,
        121,
        disk.ino("/pieces"),
    ];
    for (n, ino) in slots.iter().enumerate() {
        disk.put(&block, n * 4, &ino.to_le_bytes());
    }
    let superblock = disk.place(Kind::Superblock, 0);
    let features = disk.word(&superblock, 0x64);
    disk.put(&superblock, 0x64, &(features | 0x1_0000).to_le_bytes());
    let mut fs = disk.mount().unwrap();
    // One is there twice, two are free.
    let record = fs.fs.error_record().unwrap();
    assert_eq!((record.count, record.first.ino), (3, disk.ino("/plain")));
    assert_eq!((record.last.ino, record.last.code), (121, 5));
    assert_eq!(fs.read("/plain").unwrap().len(), 5000);
    assert_eq!(fs.names("/a", 10).unwrap().len(), 3);
    assert_eq!(fs.create("/still", 0o644).map(drop), Ok(()));
    fs.unmount().unwrap();
}
