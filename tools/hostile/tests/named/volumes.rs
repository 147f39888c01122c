// SPDX-License-Identifier: GPL-2.0

//! Superblocks, groups and journals that lie: mostly there is no mount at all.

use crate::disk::{Disk, DIRTY, OLD, SMALL, WIDE};
use host_core::core::cache::FUNCTIONS;
use host_core::core::error::{Error, Place as At};
use host_core::core::mount::MountOptions;
use host_core::format::checksum;
use host_core::format::fault::{
    ExtentFault, Fault, GroupFault, InodeFault, JournalFault, SuperblockFault as S,
};
use host_core::format::units::Ino;
use host_core::hostfs::{HostFs, Tree};
use hostile::overlay::Overlay;
use hostile::places::{Kind, Place};
use hostile::seal;

#[test]
fn absurd_geometry() {
    let lies: [(usize, &[u8], S); 18] = [
        (0x00, &[0xff; 4], S::InodeCount),
        (0x00, &[0; 4], S::InodeCount),
        (0x04, &[0; 4], S::FirstDataBlock),
        (0x04, &[0xff; 4], S::InodeCount),
        (0x14, &[0xff; 4], S::FirstDataBlock),
        (0x14, &[0; 4], S::FirstDataBlock),
        (0x18, &[7, 0, 0, 0], S::BlockSize),
        (0x18, &[0xff; 4], S::BlockSize),
        (0x1c, &[5, 0, 0, 0], S::ClusterSize),
        (0x20, &[0; 4], S::ClustersPerGroup),
        (0x20, &[0xff; 4], S::ClustersPerGroup),
        (0x28, &[0; 4], S::InodesPerGroup),
        (0x28, &[0xff; 4], S::InodesPerGroup),
        (0x28, &[5, 0, 0, 0], S::InodesPerGroup),
        (0x54, &[0, 0, 0, 0], S::FirstInode),
        (0x58, &[129, 0], S::InodeSize),
        (0xce, &[0xff, 0xff], S::ReservedGdt),
        (0xfe, &[63, 0], S::DescSize),
    ];
    for (at, bytes, want) in lies {
        let mut disk = Disk::new(SMALL);
        let superblock = disk.place(Kind::Superblock, 0);
        disk.put(&superblock, at, bytes);
        let fault = disk.mount_fault();
        assert!(
            matches!(fault, Fault::Superblock(what, ..) if what == want),
            "{bytes:?} at {at:#x}: {fault}"
        );
    }
}

#[test]
fn more_blocks_than_the_device() {
    let mut disk = Disk::new(SMALL);
    let superblock = disk.place(Kind::Superblock, 0);
    let count = disk.word(&superblock, 4) + 1000;
    let inodes = disk.word(&superblock, 0x28) * 5;
    disk.put(&superblock, 4, &count.to_le_bytes());
    disk.put(&superblock, 0, &inodes.to_le_bytes());
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Superblock(S::BlockCount, 5096, 4096)),
        "{fault}"
    );
}

/// A descriptor table that goes on in the next group, where nothing would tell its blocks from a
/// file's.
#[test]
fn descriptors_longer_than_their_group() {
    let mut disk = Disk::new(SMALL);
    let superblock = disk.place(Kind::Superblock, 0);
    let lies: [(usize, u32); 3] = [(0x20, 256), (0x24, 256), (0, 16 * 32)];
    for (at, value) in lies {
        disk.put(&superblock, at, &value.to_le_bytes());
    }
    disk.put(&superblock, 0xce, &[0, 1]);
    assert_eq!(
        disk.mount_fault(),
        Fault::Superblock(S::DescriptorTable, 258, 256)
    );
}

#[test]
fn groups_whose_metadata_is_elsewhere() {
    let lies: [(usize, u32, GroupFault); 9] = [
        (0, 0, GroupFault::BlockBitmap),
        (0, u32::MAX, GroupFault::BlockBitmap),
        (4, 5000, GroupFault::InodeBitmap),
        (8, 4095, GroupFault::InodeTable),
        (8, 2, GroupFault::InodeTable),
        (0x0c, 0x0000_ffff, GroupFault::FreeBlocks),
        (0x0c, 0xffff_0000, GroupFault::FreeInodes),
        (0x10, 0x0000_ffff, GroupFault::UsedDirs),
        (0x1c, 0x0000_ffff, GroupFault::UnusedInodes),
    ];
    for (at, value, want) in lies {
        let mut disk = Disk::new(SMALL);
        let group = disk.place(Kind::GroupDesc, 1);
        disk.put(&group, at, &value.to_le_bytes());
        let fault = disk.mount_fault();
        assert!(
            matches!(fault, Fault::Group(what, ..) if what == want),
            "{value} at {at:#x}: {fault}"
        );
    }
}

/// The root directory is in group 0, and so are the inodes of the file system's own.
#[test]
fn a_first_group_that_was_never_written() {
    for flag in [1, 2, 3] {
        let mut disk = Disk::new(WIDE);
        let group = disk.place(Kind::GroupDesc, 0);
        disk.put(&group, 0x12, &[flag]);
        let fault = disk.mount_fault();
        assert!(
            matches!(fault, Fault::Group(GroupFault::Uninit, ..)),
            "{fault}"
        );
    }
    // Without checksums nobody believes a flag.
    let mut disk = Disk::new(OLD);
    let group = disk.place(Kind::GroupDesc, 0);
    let superblock = disk.place(Kind::Superblock, 0);
    let features = disk.word(&superblock, 0x64) & !0x410;
    disk.put(&superblock, 0x64, &features.to_le_bytes());
    disk.put(&group, 0x12, &[3]);
    disk.mount().unwrap().unmount().unwrap();
}

/// A bitmap that calls the root directory and the journal's inode free, so that a new file would make
/// their block of the inode table anew.
#[test]
fn reserved_inodes_that_are_free() {
    let mut disk = Disk::new(WIDE);
    let (bitmap, group) = (
        disk.place(Kind::InodeBitmap, 0),
        disk.place(Kind::GroupDesc, 0),
    );
    let superblock = disk.place(Kind::Superblock, 0);
    let bits = disk.bytes(&bitmap);
    let cleared: u32 = bits[..2].iter().map(|byte| byte.count_ones()).sum();
    let free = (disk.word(&group, 0x0e) & 0xffff) + cleared;
    disk.put(&bitmap, 0, &[0, 0]);
    disk.put(&group, 0x0e, &(free as u16).to_le_bytes());
    let mut fs = disk.mount().unwrap();
    // Nothing of the inode table is in memory.
    fs.drop_caches().unwrap();
    fs.fs.reclaim(100_000);
    fs.create("/new", 0o644).unwrap();
    let new = fs.resolve("/new").unwrap().ino().get();
    assert!(new > disk.word(&superblock, 0x28), "inode {new} of group 0");
    fs.unmount().unwrap();
    for ino in [2, 8] {
        let record = *disk.seed.places.inode(ino).unwrap();
        assert_ne!(disk.word(&record, 0) & 0xffff, 0, "inode {ino} is gone");
    }
}

#[test]
fn groups_that_share_their_metadata() {
    let mut disk = Disk::new(SMALL);
    let (one, two) = (
        disk.place(Kind::GroupDesc, 1),
        disk.place(Kind::GroupDesc, 2),
    );
    for at in [0, 4, 8] {
        let theirs = disk.word(&one, at).to_le_bytes();
        disk.put(&two, at, &theirs);
    }
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Group(GroupFault::Overlap, ..)),
        "{fault}"
    );
}

/// The journal's inode gets this map of blocks; its log is empty.
fn journal_over(disk: &mut Disk, extents: &[(u32, u16, u32)]) {
    let inode = *disk.seed.places.inode(8).unwrap();
    let mut root = vec![0x0a, 0xf3, extents.len() as u8, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    for (lblk, len, block) in extents {
        root.extend(lblk.to_le_bytes());
        root.extend(len.to_le_bytes());
        root.extend([0, 0]);
        root.extend(block.to_le_bytes());
    }
    root.resize(60, 0);
    disk.put(&inode, 0x28, &root);
}

#[test]
fn a_journal_that_is_in_itself_twice() {
    let mut disk = Disk::new(SMALL);
    let first = disk.seed.places.log[0].get() as u32;
    journal_over(&mut disk, &[(0, 512, first), (512, 512, first + 100)]);
    let fault = disk.mount_fault();
    assert_eq!(
        fault,
        Fault::Journal(JournalFault::Shared, u64::from(first) + 100, 0)
    );
}

#[test]
fn a_journal_over_other_metadata() {
    let mut disk = Disk::new(SMALL);
    let first = disk.seed.places.log[0].get() as u32;
    let bitmap = disk.place(Kind::BlockBitmap, 0);
    let block = disk.block(&bitmap);
    let before = disk.bytes(&bitmap);
    journal_over(
        &mut disk,
        &[(0, 512, first), (512, 1, block), (513, 511, first + 513)],
    );
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Group(GroupFault::Overlap, ..)),
        "{fault}"
    );
    assert!(
        disk.bytes(&bitmap) == before,
        "the bitmap was written as the log"
    );
}

#[test]
fn a_journal_with_a_hole() {
    let mut disk = Disk::new(SMALL);
    let first = disk.seed.places.log[0].get() as u32;
    journal_over(&mut disk, &[(0, 500, first), (501, 523, first + 501)]);
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Journal(JournalFault::Length, 500, 501)),
        "{fault}"
    );
}

/// A node of an extent tree with room for `max` entries: children by their first block, all in the block `child`.
fn node(max: u8, depth: u8, firsts: &[u32], child: u32) -> Vec<u8> {
    let count = u8::try_from(firsts.len()).unwrap();
    let mut node = vec![0x0a, 0xf3, count, 0, max, 0, depth, 0, 0, 0, 0, 0];
    for first in firsts {
        node.extend(first.to_le_bytes());
        node.extend(child.to_le_bytes());
        node.extend([0; 4]);
    }
    node
}

/// Nothing needs a right checksum any more.
fn without_checksums(disk: &mut Disk) {
    let superblock = disk.place(Kind::Superblock, 0);
    let features = disk.word(&superblock, 0x64);
    disk.put(&superblock, 0x64, &(features & !0x400).to_le_bytes());
}

/// A node whose only child is the node itself, which has the checksum of the journal's trees.
#[test]
fn a_journal_whose_tree_leads_in_circles() {
    // The levels that the root has below it, and that the node says it has.
    for (depth, own) in [(1, 1), (2, 1), (5, 4)] {
        let mut disk = Disk::new(SMALL);
        let inode = *disk.seed.places.inode(8).unwrap();
        let data = disk.of(Kind::Other, "/plain")[0];
        let block = disk.block(&data);
        let circle = Place {
            kind: Kind::Extent,
            owner: 8,
            ..data
        };
        let root = node(4, depth, &[0], block);
        disk.put(&inode, 0x28, &root)
            .put(&circle, 0, &node(84, own, &[0], block));
        let mut places = disk.seed.places.clone();
        places.all.push(circle);
        seal::seal(&disk.device, &places, &[circle]);
        let error = disk.mount_error();
        let fault = Fault::Extent(ExtentFault::Depth, own.into(), u64::from(own) - 1);
        assert_eq!(error, Error::Corrupt(At::inode(Ino(8)), fault));
        assert!(disk.device.reads() < 30);
    }
}

/// An index of one level whose four children are the same leaf, in which there is nothing.
#[test]
fn a_journal_whose_children_are_one_empty_leaf() {
    let mut disk = Disk::new(SMALL);
    let inode = *disk.seed.places.inode(8).unwrap();
    let leaf = disk.of(Kind::Other, "/plain")[0];
    let root = node(4, 1, &[0, 256, 512, 768], disk.block(&leaf));
    let mut empty = node(84, 0, &[], 0);
    empty.resize(1024, 0);
    without_checksums(&mut disk);
    disk.put(&leaf, 0, &empty).put(&inode, 0x28, &root);
    assert_eq!(
        disk.mount_fault(),
        Fault::Extent(ExtentFault::EmptyIndex, 0, 0)
    );
    assert!(disk.device.reads() < 30);
}

#[test]
fn a_journal_whose_leaves_are_one_empty_block() {
    let mut disk = Disk::new(SMALL);
    let inode = *disk.seed.places.inode(8).unwrap();
    let blocks = disk.of(Kind::Other, "/plain");
    let (index, leaf) = (blocks[0], blocks[1]);
    let mut root = node(4, 2, &[0], disk.block(&index));
    root.resize(60, 0);
    let firsts: Vec<u32> = (0..84).map(|n| n * 12).collect();
    let children = node(84, 1, &firsts, disk.block(&leaf));
    let mut empty = node(84, 0, &[], 0);
    empty.resize(1024, 0);
    without_checksums(&mut disk);
    disk.put(&inode, 0x28, &root).put(&index, 0, &children);
    disk.put(&leaf, 0, &empty);
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Extent(ExtentFault::EmptyIndex, ..)),
        "{fault}"
    );
    assert!(disk.device.reads() < 30, "{}", disk.device.reads());
}

#[test]
fn a_journal_superblock_that_lies() {
    let lies: [(usize, u32, JournalFault); 7] = [
        (0, 1, JournalFault::Magic),
        (12, 4096, JournalFault::BlockSize),
        (16, 5000, JournalFault::Length),
        (16, 3, JournalFault::Length),
        (20, 0, JournalFault::FirstBlock),
        (28, 1024, JournalFault::Start),
        (40, 0xffff_0000, JournalFault::UnknownIncompat),
    ];
    for (at, value, want) in lies {
        let mut disk = Disk::new(DIRTY);
        let journal = disk.place(Kind::JournalSuper, 0);
        disk.put(&journal, at, &value.to_be_bytes());
        let fault = disk.mount_fault();
        assert!(
            matches!(fault, Fault::Journal(what, ..) if what == want),
            "{value} at {at}: {fault}"
        );
    }
}

/// The tree as it is without the log.
fn unreplayed_tree(disk: &Disk) -> Tree {
    let device = Overlay::new(disk.seed.image.clone());
    let options = MountOptions {
        read_only: true,
        no_recovery: true,
        ..MountOptions::default()
    };
    let mut fs = HostFs::mount(device, &options).unwrap();
    let tree = fs.tree().unwrap();
    fs.abandon();
    tree
}

/// A log without an end: every block is a descriptor, or a revoke block, of the same transaction.
/// The search ends where it began, and nothing is replayed: the tree is the one on the disk, and only the
/// superblock and the log change.
#[test]
fn a_log_that_goes_round() {
    for kind in [1u8, 5] {
        let mut disk = Disk::new(DIRTY);
        let first = disk.place(Kind::JournalBlock, 0);
        let mut block = disk.bytes(&first);
        block[7] = kind;
        if kind == 5 {
            block[12..16].copy_from_slice(&16u32.to_be_bytes());
        } else {
            // One tag, the last, with the same UUID.
            block[12..28].copy_from_slice(&[0, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        let size = u64::from(disk.seed.places.block_size);
        let log: Vec<u64> = disk.seed.places.log.iter().map(|at| at.get()).collect();
        for at in &log[1..] {
            disk.device.put(at * size, &block);
        }
        let tree = unreplayed_tree(&disk);
        let before = disk.device.reads();
        let mut fs = disk.mount().unwrap();
        let reads = disk.device.reads() - before;
        assert!(reads < 3 * 1024, "{reads} reads");
        assert_eq!(fs.fs.error_record().unwrap().count, 0);
        for (at, _) in disk.device.changes() {
            let block = at / size;
            assert!(
                block == 1 || log.contains(&block),
                "block {block} was written"
            );
        }
        assert!(fs.tree().unwrap() == tree, "another tree");
        fs.abandon();
    }
}

#[test]
fn a_log_that_replays_over_itself() {
    let mut disk = Disk::new(DIRTY);
    let descriptor = disk.place(Kind::JournalBlock, 0);
    let target = disk.seed.places.log[0].get() as u32;
    disk.put(&descriptor, 12, &target.to_be_bytes());
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Journal(JournalFault::Target, ..)),
        "{fault}"
    );
    assert_eq!(disk.device.writes(), 0, "something was replayed");
}

#[test]
fn a_log_that_replays_outside() {
    let mut disk = Disk::new(DIRTY);
    let descriptor = disk.place(Kind::JournalBlock, 0);
    disk.put(&descriptor, 12, &4096u32.to_be_bytes());
    let fault = disk.mount_fault();
    assert!(
        matches!(fault, Fault::Journal(JournalFault::Target, 4096, _)),
        "{fault}"
    );
    assert_eq!(disk.device.writes(), 0, "something was replayed");
}

/// As a log in which the file system was made larger.
#[test]
fn a_log_that_replays_behind_the_end_on_the_disk() {
    let mut disk = Disk::new(DIRTY);
    let superblock = disk.place(Kind::Superblock, 0);
    let descriptor = disk.place(Kind::JournalBlock, 0);
    let size = u64::from(disk.seed.places.block_size);
    disk.put(&superblock, 4, &4000u32.to_le_bytes());
    disk.put(&descriptor, 12, &4090u32.to_be_bytes());
    let fs = disk.mount().unwrap();
    let logged = disk.seed.places.log[2].get() * size;
    assert!(disk.device.bytes(4090 * size, 1024) == disk.device.bytes(logged, 1024));
    assert_eq!(disk.word(&superblock, 4), 4096);
    fs.abandon();
}

/// What the log brings is a superblock like any other: its features may not be supported, and it must
/// be one of the same disk.
#[test]
fn a_log_with_another_superblock() {
    type Edits = &'static [(u64, u32)];
    let lies: [Edits; 4] = [
        // A feature that is refused, and one with which the disk can only be read.
        &[(0x60, 0x1_0000)],
        &[(0x64, 0x2000)],
        // Blocks of 4 KiB.
        &[(0, 64), (4, 1024), (0x14, 0), (0x18, 2), (0x1c, 2)],
        // Another inode for the journal.
        &[(0xe0, 9)],
    ];
    for edits in lies {
        let mut disk = Disk::new(DIRTY);
        let descriptor = disk.place(Kind::JournalBlock, 0);
        let size = u64::from(disk.seed.places.block_size);
        let log = disk.seed.places.log.iter().map(|block| block.get() * size);
        let copies = log.filter(|at| disk.device.bytes(at + 0x38, 2) == [0x53, 0xef]);
        for copy in copies {
            for (at, value) in edits {
                let bytes = disk.device.bytes(copy + at, 4);
                let old = u32::from_le_bytes(bytes.try_into().unwrap());
                let features = matches!(at, 0x60 | 0x64).then_some(old).unwrap_or(0);
                let new = value | features;
                disk.device.put(copy + at, &new.to_le_bytes());
            }
            let bytes = disk.device.bytes(copy, 1024);
            let sum = checksum::superblock_sum(&FUNCTIONS, &bytes).unwrap();
            disk.device.put(copy + 0x3fc, &sum.to_le_bytes());
        }
        disk.put(&descriptor, 0, &[]);
        match disk.mount() {
            Ok(fs) => {
                fs.abandon();
                panic!("{edits:x?}: it could be mounted");
            }
            Err(error) => assert!(
                matches!(error, Error::Invalid | Error::ReadOnly),
                "{edits:x?}: {error}"
            ),
        }
    }
}

#[test]
fn a_root_that_is_no_directory() {
    let mut disk = Disk::new(SMALL);
    let root = *disk.seed.places.inode(2).unwrap();
    disk.put(&root, 0, &0o100_644u16.to_le_bytes());
    let fault = disk.mount_fault();
    assert_eq!(fault, Fault::Inode(InodeFault::Mode, 0o100_644, 0));
}
