// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::core::cache::FUNCTIONS;
use crate::format::units::{DiskBlock, Group};
use proptest::prelude::*;
use zerocopy::little_endian::U32;

/// A superblock of a plain file system: 4 KiB blocks, three groups, the last short.
fn plain() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let raw = RawSuperblock::view_mut(&mut bytes).unwrap();
    raw.magic.set(MAGIC);
    raw.rev_level.set(1);
    raw.first_ino.set(11);
    raw.inode_size.set(256);
    raw.log_block_size.set(2);
    raw.log_cluster_size.set(2);
    raw.blocks_count_lo.set(2 * 32768 + 5000);
    raw.blocks_per_group.set(32768);
    raw.clusters_per_group.set(32768);
    raw.inodes_per_group.set(8192);
    raw.inodes_count.set(3 * 8192);
    raw.feature_incompat.set(0x2c2);
    raw.feature_ro_compat.set(0x6b);
    raw.desc_size.set(64);
    raw.reserved_gdt_blocks.set(10);
    bytes
}

fn parse(change: impl FnOnce(&mut RawSuperblock)) -> Result<Superblock, Fault> {
    let mut bytes = plain();
    change(RawSuperblock::view_mut(&mut bytes)?);
    Superblock::parse(&bytes, &FUNCTIONS, None)
}

#[test]
fn a_plain_one() {
    let sb = parse(|_| ()).unwrap();
    let geometry = &sb.geometry;
    assert_eq!(
        (geometry.block_size(), geometry.group_count().get()),
        (4096, 3)
    );
    assert_eq!(
        (geometry.group_len(Group(1)), geometry.group_len(Group(2))),
        (32768, 5000)
    );
    assert_eq!(geometry.group_len(Group(3)), 0);
    assert_eq!(geometry.inode_table_blocks(), 512);
    assert_eq!(geometry.group_of(DiskBlock(32768)), Some((Group(1), 0)));
    assert_eq!(geometry.group_of(DiskBlock(70536)), None);
    assert_eq!(geometry.block_at(Group(2), 4999), Some(DiskBlock(70535)));
    assert_eq!(geometry.block_at(Group(2), 5000), None);
    assert_eq!(geometry.descriptor_place(Group(2)), Ok((DiskBlock(1), 128)));
    assert!(geometry.descriptor_place(Group(3)).is_err());
    assert_eq!(geometry.base_meta_blocks(Group(0)), 12);
    assert_eq!(geometry.base_meta_blocks(Group(1)), 12);
    assert_eq!(geometry.base_meta_blocks(Group(2)), 0);
    let place = geometry.inode_place(Ino(8193 + 17)).unwrap();
    assert_eq!((place.group, place.index), (Group(1), 17));
    assert_eq!((place.table_block, place.offset), (1, 256));
    assert_eq!(geometry.ino_at(Group(1), 17), Some(Ino(8193 + 17)));
    assert!(geometry.inode_place(Ino(0)).is_err());
    assert!(geometry.inode_place(Ino(3 * 8192 + 1)).is_err());
    for (start, len, ok) in [
        (0, 1, false),
        (1, 1, true),
        (70535, 1, true),
        (70535, 2, false),
    ] {
        assert_eq!(geometry.has_blocks(DiskBlock(start), len), ok);
    }
    assert!(!geometry.has_blocks(DiskBlock(u64::MAX), 2));
}

#[test]
fn refusals() {
    type Change = fn(&mut RawSuperblock);
    let changes: [(&str, Change); 33] = [
        ("magic", |raw| raw.magic.set(0)),
        ("block size", |raw| raw.log_block_size.set(7)),
        ("cluster size", |raw| raw.log_cluster_size.set(3)),
        ("wild cluster size", |raw| {
            raw.log_cluster_size.set(u32::MAX)
        }),
        ("inode size 0", |raw| raw.inode_size.set(0)),
        ("inode size 192", |raw| raw.inode_size.set(192)),
        ("inode size above block", |raw| raw.inode_size.set(8192)),
        ("first inode", |raw| raw.first_ino.set(10)),
        ("descriptor size 32", |raw| raw.desc_size.set(32)),
        ("descriptor size 96", |raw| raw.desc_size.set(96)),
        ("descriptor size 2048", |raw| raw.desc_size.set(2048)),
        ("no blocks in groups", |raw| {
            raw.blocks_per_group.set(0);
            raw.clusters_per_group.set(0);
        }),
        ("too large groups", |raw| {
            raw.blocks_per_group.set(32776);
            raw.clusters_per_group.set(32776);
        }),
        ("clusters differ", |raw| raw.clusters_per_group.set(16384)),
        ("no inodes in groups", |raw| raw.inodes_per_group.set(0)),
        ("odd inodes in groups", |raw| raw.inodes_per_group.set(8200)),
        ("too many inodes in groups", |raw| {
            raw.inodes_per_group.set(32784)
        }),
        ("table above group", |raw| {
            raw.blocks_per_group.set(512);
            raw.clusters_per_group.set(512);
        }),
        ("descriptors above group", |raw| {
            // 257 blocks from block 1 on, in groups of 64.
            raw.log_block_size.set(0);
            raw.log_cluster_size.set(0);
            raw.first_data_block.set(1);
            raw.blocks_per_group.set(64);
            raw.clusters_per_group.set(64);
            raw.inode_size.set(128);
            raw.inodes_per_group.set(8);
            raw.blocks_count_lo.set(1 + 4096 * 64);
            raw.inodes_count.set(4096 * 8);
            raw.reserved_gdt_blocks.set(0);
        }),
        ("inode count", |raw| raw.inodes_count.set(3 * 8192 + 1)),
        ("wild block count", |raw| raw.blocks_count_hi.set(u32::MAX)),
        ("no blocks", |raw| raw.blocks_count_lo.set(0)),
        ("first data block", |raw| raw.first_data_block.set(1)),
        ("wild first data block", |raw| {
            raw.first_data_block.set(u32::MAX)
        }),
        ("reserved descriptors", |raw| {
            raw.reserved_gdt_blocks.set(1025)
        }),
        ("first meta group", |raw| {
            raw.feature_incompat.set(raw.feature_incompat.get() | 0x10);
            raw.first_meta_bg.set(2);
        }),
        ("odd extra size wanted", |raw| raw.want_extra_isize.set(30)),
        ("odd extra size", |raw| raw.min_extra_isize.set(34)),
        ("extra size above record", |raw| {
            raw.want_extra_isize.set(132)
        }),
        ("hash", |raw| raw.def_hash_version = 6),
        ("two journals", |raw| {
            raw.feature_compat.set(4);
            raw.journal_inum.set(8);
            raw.journal_dev.set(1);
        }),
        ("no journal", |raw| raw.feature_compat.set(4)),
        ("orphan file", |raw| raw.feature_compat.set(0x1000)),
    ];
    for (what, change) in changes {
        assert!(parse(change).is_err(), "{what}");
    }
    let device = |_: u32| 70535;
    let fault = Superblock::parse(&plain(), &FUNCTIONS, Some(&device)).unwrap_err();
    assert!(matches!(
        fault,
        Fault::Superblock(S::BlockCount, 70536, 70535)
    ));
    assert!(Superblock::parse(&plain()[..1023], &FUNCTIONS, None).is_err());
}

#[test]
fn extra_sizes() {
    let sizes = |inode: u16, feature: u32, min: u16, want: u16| {
        let sb = parse(|raw| {
            raw.inode_size.set(inode);
            raw.feature_ro_compat.set(0x2b | feature);
            raw.min_extra_isize.set(min);
            raw.want_extra_isize.set(want);
        });
        let sb = sb.unwrap();
        (sb.min_extra_isize, sb.want_extra_isize)
    };
    assert_eq!(sizes(256, 0x40, 32, 32), (32, 32));
    assert_eq!(sizes(256, 0x40, 28, 0), (28, 32));
    assert_eq!(sizes(256, 0x40, 0, 64), (0, 64));
    // Nobody looks at them.
    assert_eq!(sizes(256, 0, 30, 999), (0, 32));
    assert_eq!(sizes(128, 0x40, 30, 999), (0, 0));
}

#[test]
fn checksums_and_their_type() {
    let set = |raw: &mut RawSuperblock| {
        raw.feature_ro_compat.set(0x46b);
        raw.checksum_type = 1;
    };
    assert!(parse(set).unwrap_err().is_checksum());
    let mut bytes = plain();
    set(RawSuperblock::view_mut(&mut bytes).unwrap());
    let sums = Superblock::checksums(&bytes, FUNCTIONS).unwrap();
    sums.seal_superblock(&mut bytes).unwrap();
    Superblock::parse(&bytes, &FUNCTIONS, None).unwrap();
    bytes[0x175] = 2;
    let fault = Superblock::parse(&bytes, &FUNCTIONS, None).unwrap_err();
    assert!(matches!(fault, Fault::Superblock(S::ChecksumType, 2, _)));
}

#[test]
fn backups_and_meta_groups() {
    let sparse2 = parse(|raw| {
        raw.feature_compat.set(0x200);
        raw.backup_bgs = [1u32.into(), 2u32.into()];
    });
    let geometry = sparse2.unwrap().geometry;
    assert!(geometry.has_super(Group(2)) && !geometry.has_super(Group(3)));
    let meta = parse(|raw| raw.feature_incompat.set(0x2d2))
        .unwrap()
        .geometry;
    assert_eq!(meta.descriptor_block(0), Some(DiskBlock(1)));
    assert_eq!(meta.descriptor_block(1), None);
    assert_eq!(meta.base_meta_blocks(Group(0)), 2);
    assert_eq!(meta.base_meta_blocks(Group(2)), 0);
}

#[test]
fn editing() {
    let mut bytes = plain();
    let raw = RawSuperblock::view_mut(&mut bytes).unwrap();
    raw.set_free_blocks(0x1_0000_0002);
    assert_eq!(raw.free_blocks(), 0x1_0000_0002);
    raw.set_incompat(Incompat::RECOVER, true);
    assert!(raw.features().1.has(Incompat::RECOVER));
    raw.set_incompat(Incompat::RECOVER, false);
    assert!(!raw.features().1.has(Incompat::RECOVER));
    raw.note_mount(0x1_0000_0005);
    assert_eq!(
        (raw.mtime.get(), raw.mtime_hi, raw.mnt_count.get()),
        (5, 1, 1)
    );
    let note = |seconds, line| ErrorNote {
        seconds,
        ino: Some(Ino(7)),
        block: None,
        function: "a_function_with_a_name_longer_than_its_field",
        line,
        code: 5,
    };
    raw.note_error(&note(100, 1));
    raw.note_error(&note(200, 2));
    assert_eq!(
        (raw.first_error_line.get(), raw.last_error_line.get()),
        (1, 2)
    );
    assert_eq!((raw.error_count.get(), raw.state.get()), (2, state::ERROR));
    assert_eq!(&raw.last_error_func, b"a_function_with_a_name_longer_th");
    let mut older = plain();
    let older = RawSuperblock::view_mut(&mut older).unwrap();
    older.set_error_record(&raw.error_record());
    assert_eq!(older.error_record(), raw.error_record());
    raw.set_hash_signedness(Signedness::Unsigned);
    let sb = Superblock::parse(raw.bytes(), &FUNCTIONS, None).unwrap();
    assert_eq!(sb.hash_signedness, Some(Signedness::Unsigned));
}

proptest! {
    #[test]
    fn damaged(changes in prop::collection::vec((0usize..LEN, any::<u8>()), 0..8)) {
        let mut bytes = plain();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(sb) = Superblock::parse(&bytes, &FUNCTIONS, None) {
            let geometry = &sb.geometry;
            for group in [0, 1, 2, geometry.group_count().get() - 1, u32::MAX] {
                let group = Group(group);
                let _ = (geometry.base_meta_blocks(group), geometry.descriptor_place(group));
                let _ = (geometry.group_len(group), geometry.ino_at(group, 8));
            }
            let _ = geometry.group_of(DiskBlock(geometry.block_count() - 1)).unwrap();
            let _ = geometry.inode_place(Ino(geometry.inode_count()))?;
        }
    }
}

#[test]
fn who_writes_which_field() {
    // What mounts and transactions write reaches the disk...
    let edits: [fn(&mut RawSuperblock); 11] = [
        |raw| raw.set_free_blocks(0x5_0000_0007),
        |raw| raw.set_free_inodes(77),
        |raw| raw.set_incompat(Incompat::RECOVER, true),
        |raw| raw.set_ro_compat(RoCompat::ORPHAN_PRESENT, true),
        |raw| raw.set_ro_compat(RoCompat::LARGE_FILE, true),
        |raw| raw.set_last_orphan(Some(Ino(12))),
        |raw| raw.set_last_mounted(b"/home"),
        |raw| raw.set_hash_signedness(Signedness::Unsigned),
        |raw| raw.set_state(state::VALID | state::ERROR),
        |raw| (raw.mtime, raw.mtime_hi) = (U32::new(5), 1),
        |raw| {
            raw.note_error(&ErrorNote {
                seconds: 0x1_0000_0009,
                ino: Some(Ino(9)),
                block: Some(DiskBlock(10)),
                function: "lookup",
                line: 11,
                code: 5,
            })
        },
    ];
    let mut plain = plain();
    RawSuperblock::view_mut(&mut plain)
        .unwrap()
        .set_state(state::VALID);
    RawSuperblock::view_mut(&mut plain)
        .unwrap()
        .set_ro_compat(RoCompat::LARGE_FILE, false);
    let disk = *RawSuperblock::view(&plain).unwrap();
    for (n, edit) in edits.iter().enumerate() {
        let (mut ours, mut theirs) = (disk, disk);
        edit(&mut ours);
        assert!(ours.bytes() != disk.bytes(), "edit {n}");
        theirs.take_over(&ours);
        assert!(theirs.bytes() == ours.bytes(), "edit {n}");
    }
    // ...and leaves alone what others have written there.
    let mut theirs = disk;
    theirs.volume_name = *b"a label, longish";
    theirs.uuid = [7; 16];
    theirs.mnt_count.set(3);
    theirs.max_mnt_count.set(33);
    theirs.checkinterval.set(86_400);
    theirs.errors.set(2);
    theirs.r_blocks_count_lo.set(1);
    theirs.default_mount_opts.set(0x400);
    theirs.mount_opts[..6].copy_from_slice(b"noload");
    theirs
        .feature_compat
        .set(theirs.feature_compat.get() | 0x1000);
    let changed = theirs;
    theirs.take_over(&disk);
    assert!(theirs.bytes() == changed.bytes());
    // A wiped one is written whole.
    theirs.magic.set(0);
    theirs.take_over(&disk);
    assert!(theirs.bytes() == disk.bytes());
}
