// SPDX-License-Identifier: GPL-2.0

//! Inode numbers: all of them, spread, and groups that were never written.

use super::*;

fn take(volume: &Volume, parent: Ino, is_directory: bool) -> Result<NewInode> {
    take_from(volume, parent, is_directory, false)
}

fn take_from(volume: &Volume, parent: Ino, is_directory: bool, spread: bool) -> Result<NewInode> {
    let mut handle = volume.journal.start(INODE_CREDITS).unwrap();
    volume.allocator.allocate_inode(
        &mut handle,
        parent,
        NewInodeKind {
            is_directory,
            spread,
            mode: 0,
        },
    )
}

fn give(volume: &Volume, ino: Ino, is_directory: bool) -> Result {
    let mut handle = volume.journal.start(SETTLE_CREDITS).unwrap();
    volume.allocator.free_inode(&mut handle, ino, is_directory)
}

#[test]
fn all_of_them() {
    let volume = Volume::new(40 << 20, &["-b", "1024", "-N", "1000"]);
    let free = volume.allocator.statistics().free_inodes;
    let mut taken = std::vec::Vec::new();
    while let Ok(new) = take(&volume, Ino(2), false) {
        taken.push(new.ino);
    }
    assert_eq!(taken.len() as u64, free);
    assert!(matches!(take(&volume, Ino(2), true), Err(Error::NoSpace)));
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len() as u64, free);
    volume.check_counts();
    for ino in &taken {
        give(&volume, *ino, false).unwrap();
        assert!(matches!(
            give(&volume, *ino, false),
            Err(Error::Corrupt(..))
        ));
    }
    for ino in [0, 2, 8, 10, u32::MAX] {
        assert!(
            matches!(give(&volume, Ino(ino), false), Err(Error::Corrupt(..))),
            "{ino}"
        );
    }
    volume.commit();
    volume.close_clean();
}

#[test]
fn directories_of_the_root_are_spread_and_files_stay() {
    let volume = Volume::new(8 << 30, &[]);
    let group = |ino| {
        volume
            .allocator
            .geometry()
            .inode_place(ino)
            .unwrap()
            .group
            .get()
    };
    let packs: std::collections::BTreeSet<u32> = (0..4)
        .map(|_| group(take(&volume, Ino(2), true).unwrap().ino) / 16)
        .collect();
    assert!(packs.len() >= 3, "{packs:?}");
    let parent = take(&volume, Ino(2), true).unwrap().ino;
    for is_directory in [false, true, false] {
        assert_eq!(
            group(take(&volume, parent, is_directory).unwrap().ino),
            group(parent)
        );
    }
    assert_eq!(volume.allocator.statistics().directories, 2 + 6);
    // As below the top of a hierarchy.
    let packs: std::collections::BTreeSet<u32> = (0..4)
        .map(|_| group(take_from(&volume, parent, true, true).unwrap().ino) / 16)
        .collect();
    assert!(packs.len() >= 3, "{packs:?}");
}

#[test]
fn the_table_of_a_fresh_group_is_not_read() {
    let volume = Volume::new(8 << 30, &["-E", "lazy_itable_init=1"]);
    // What mkfs left on the disk there does not matter.
    let place = volume
        .allocator
        .inode_place(volume.allocator.geometry().ino_at(Group(20), 0).unwrap())
        .unwrap();
    let backend = std::fs::OpenOptions::new()
        .write(true)
        .open(&volume.file.0)
        .unwrap();
    let offset = place.block.get() * u64::from(volume.device.block_size());
    std::os::unix::fs::FileExt::write_all_at(&backend, &[0x55; 4096], offset).unwrap();
    let parent = place.first;
    let new = take(&volume, parent, false).unwrap();
    assert_eq!((new.ino, new.table.block()), (place.first, place.block));
    assert!(new.table.data().unwrap().iter().all(|byte| *byte == 0));
    let next = take(&volume, parent, false).unwrap();
    assert_eq!(next.table.block(), place.block);
    assert_eq!(next.table.data().unwrap()[0], 0);
}
