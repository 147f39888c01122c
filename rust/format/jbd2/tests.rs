// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::core::cache::FUNCTIONS;
use proptest::prelude::*;
use std::vec::Vec;

const BLOCK: usize = 1024;

/// The versions of tags: checksums, and whether block numbers are wide.
const KINDS: [(u32, u32); 8] = [
    (0, 0),
    (0, INCOMPAT_64BIT),
    (COMPAT_CHECKSUM, 0),
    (COMPAT_CHECKSUM, INCOMPAT_64BIT),
    (0, INCOMPAT_CSUM_V2),
    (0, INCOMPAT_CSUM_V2 | INCOMPAT_64BIT),
    (0, INCOMPAT_CSUM_V3),
    (0, INCOMPAT_CSUM_V3 | INCOMPAT_64BIT),
];

/// A journal superblock with features, sealed.
fn superblock(compat: u32, incompat: u32) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    for (at, word) in [
        (0, MAGIC),
        (4, SUPERBLOCK_V2),
        (sb::BLOCK_SIZE, 1024),
        (sb::MAX_LEN, 4096),
        (sb::FIRST, 1),
        (sb::SEQUENCE, 7),
        (sb::COMPAT, compat),
        (sb::INCOMPAT, incompat),
    ] {
        put_be32(&mut bytes, at, word).unwrap();
    }
    put(&mut bytes, sb::UUID, &[0x5a; UUID]).unwrap();
    put(&mut bytes, sb::CHECKSUM_TYPE, &[CHECKSUM_CRC32C]).unwrap();
    let sum = superblock_sum(&FUNCTIONS, &bytes).unwrap();
    put_be32(&mut bytes, sb::CHECKSUM, sum).unwrap();
    bytes
}

fn parse(bytes: &[u8]) -> Result<Layout, Fault> {
    Layout::parse(bytes, &FUNCTIONS, 1024, 4096)
}

fn layout(kind: (u32, u32)) -> Layout {
    parse(&superblock(kind.0, kind.1)).unwrap()
}

#[test]
fn rooms() {
    // Bytes of a tag are what the format says for each pair of features.
    let lens = [8, 12, 8, 12, 10, 14, 16, 16];
    for (kind, len) in KINDS.into_iter().zip(lens) {
        let layout = layout(kind);
        assert_eq!(layout.tag_len(), len, "{kind:?}");
        let room = layout.room() - HEADER - UUID;
        assert_eq!(layout.tags_per_block(), room / len);
    }
}

#[test]
fn refused_superblocks() {
    for (at, word) in [
        (0, 0),
        (4, 1),
        (sb::BLOCK_SIZE, 4096),
        (sb::MAX_LEN, 4097),
        (sb::MAX_LEN, 1023),
        (sb::FIRST, 0),
        (sb::FIRST, 4096),
        (sb::FIRST, 3074),
        (sb::START, 4096),
        (sb::INCOMPAT, 0x40),
        (sb::INCOMPAT, 0x18),
        (sb::RO_COMPAT, 1),
    ] {
        let mut bytes = superblock(0, 0);
        put_be32(&mut bytes, at, word).unwrap();
        assert!(parse(&bytes).is_err(), "{at} {word:#x}");
    }
    // What a log may hold is no matter when it is empty.
    for (start, feature) in [(0, 0x4), (0, 0x20), (5, 0x4), (5, 0x20)] {
        let mut bytes = superblock(0, feature);
        put_be32(&mut bytes, sb::START, start).unwrap();
        assert_eq!(parse(&bytes).is_ok(), start == 0, "{start} {feature:#x}");
    }
    let mut bytes = superblock(COMPAT_CHECKSUM, INCOMPAT_CSUM_V3);
    assert!(matches!(
        parse(&bytes),
        Err(Fault::Journal(JournalFault::ChecksumMix, ..))
    ));
    bytes = superblock(0, INCOMPAT_CSUM_V3);
    bytes[sb::UUID] ^= 1;
    assert!(parse(&bytes).unwrap_err().is_checksum());
    assert!(parse(&bytes[..1023]).is_err());
}

/// C's smallest ring: what is in front of it does not count.
#[test]
fn the_smallest_ring() {
    let mut bytes = superblock(0, 0);
    put_be32(&mut bytes, sb::FIRST, 3073).unwrap();
    let layout = parse(&bytes).unwrap();
    assert_eq!(layout.end_block - layout.first_block, 1023);
}

#[test]
fn the_old_superblock_has_no_features() {
    let mut bytes = superblock(0, 0x8000_0000);
    put_be32(&mut bytes, 4, SUPERBLOCK_V1).unwrap();
    let layout = parse(&bytes).unwrap();
    assert_eq!((layout.version, layout.sequence), (Version::None, 7));
}

#[test]
fn features_of_an_empty_log() {
    let mut bytes = superblock(COMPAT_CHECKSUM, 0);
    let mut layout = parse(&bytes).unwrap();
    layout.choose_features(&mut bytes, true, true).unwrap();
    layout
        .set_start(&mut bytes, Some(LogBlock(9)), Tid(77), -5)
        .unwrap();
    let again = parse(&bytes).unwrap();
    assert_eq!((again.version, again.wide_blocks), (Version::V3, true));
    assert_eq!(
        (again.start, again.sequence, again.errno),
        (Some(LogBlock(9)), 77, -5)
    );
}

#[test]
fn commit_blocks() {
    for kind in KINDS {
        let layout = layout(kind);
        let mut bytes = [0; BLOCK];
        layout
            .write_commit(&mut bytes, Tid(3), (1_700_000_000, 5))
            .unwrap();
        assert_eq!(header(&bytes), Some((BlockType::Commit, Tid(3))));
        assert_eq!(be64(&bytes, COMMIT_SECONDS), Some(1_700_000_000));
        layout.verify_commit(&bytes, 0).unwrap();
        bytes[55] ^= 1;
        assert_eq!(layout.verify_commit(&bytes, 0).is_err(), layout.has_sums());
    }
    let v1 = layout((COMPAT_CHECKSUM, 0));
    let mut bytes = [0; BLOCK];
    v1.write_commit(&mut bytes, Tid(3), (0, 0)).unwrap();
    bytes[12..14].copy_from_slice(&[1, 4]);
    put_be32(&mut bytes, COMMIT_CHECKSUM, 0x1234).unwrap();
    assert!(v1.verify_commit(&bytes, 0x1234).is_ok());
    assert!(v1.verify_commit(&bytes, 0x1235).unwrap_err().is_checksum());
}

#[test]
fn a_full_descriptor() {
    for kind in KINDS {
        let layout = layout(kind);
        let mut bytes = [0; BLOCK];
        let mut tags = layout.begin_descriptor(&mut bytes, Tid(1)).unwrap();
        for n in 0..layout.tags_per_block() {
            tags.add(DiskBlock(n as u64), &[0; BLOCK], false).unwrap();
        }
        assert!(tags.add(DiskBlock(9), &[0; BLOCK], false).is_err());
        tags.finish().unwrap();
        assert_eq!(layout.tags(&bytes).count(), layout.tags_per_block());
        layout
            .verify_tail(Record::JournalDescriptor, &bytes)
            .unwrap();
    }
}

proptest! {
    #[test]
    fn descriptors(
        kind in prop::sample::select(&KINDS[..]),
        blocks in prop::collection::vec((any::<u64>(), any::<bool>(), any::<u8>()), 1..50),
        tid: u32,
    ) {
        let layout = layout(kind);
        let mask = if layout.wide_blocks { u64::MAX } else { u64::from(u32::MAX) };
        let mut bytes = [0; BLOCK];
        let mut writer = layout.begin_descriptor(&mut bytes, Tid(tid))?;
        for (block, escaped, fill) in &blocks {
            writer.add(DiskBlock(block & mask), &[*fill; BLOCK], *escaped)?;
        }
        writer.finish()?;
        layout.verify_tail(Record::JournalDescriptor, &bytes)?;
        let tags: Result<Vec<Tag>, Fault> = layout.tags(&bytes).collect();
        let tags = tags?;
        prop_assert_eq!(tags.len(), blocks.len());
        for (tag, (block, escaped, fill)) in tags.iter().zip(&blocks) {
            prop_assert_eq!((tag.block, tag.escaped), (DiskBlock(block & mask), *escaped));
            layout.verify_data(tag, Tid(tid), &[*fill; BLOCK])?;
            if layout.version == Version::V3 {
                prop_assert!(layout.verify_data(tag, Tid(tid.wrapping_add(1)), &[*fill; BLOCK]).is_err());
            }
        }
        bytes[40] ^= 1;
        let broken = layout.verify_tail(Record::JournalDescriptor, &bytes);
        prop_assert_eq!(broken.is_err(), layout.has_sums());
    }

    #[test]
    fn revoke_blocks(
        kind in prop::sample::select(&KINDS[..]),
        blocks in prop::collection::vec(any::<u32>(), 0..300),
    ) {
        let layout = layout(kind);
        let blocks: Vec<DiskBlock> = blocks.into_iter().map(|b| DiskBlock(b.into())).collect();
        let mut bytes = [0; BLOCK];
        let written = layout.write_revoke(&mut bytes, Tid(5), &blocks);
        prop_assert_eq!(written.is_ok(), blocks.len() <= layout.revokes_per_block());
        if written.is_ok() {
            layout.verify_tail(Record::JournalRevoke, &bytes)?;
            prop_assert!(layout.revokes(&bytes)?.eq(blocks));
        }
    }

    #[test]
    fn any_bytes(
        kind in prop::sample::select(&KINDS[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..1100),
        damage in prop::collection::vec((0usize..300, any::<u8>()), 0..10),
    ) {
        let layout = layout(kind);
        for tag in layout.tags(&bytes) {
            let _ = tag.map(|tag| layout.verify_data(&tag, Tid(1), &bytes));
        }
        let _ = layout.revokes(&bytes).map(|revokes| revokes.count());
        let _ = layout.verify_tail(Record::JournalRevoke, &bytes);
        let _ = layout.verify_commit(&bytes, 1);
        let _ = header(&bytes);
        let mut writable = bytes.clone();
        let _ = layout.write_revoke(&mut writable, Tid(1), &[DiskBlock(3)]);
        let _ = layout.write_commit(&mut writable, Tid(1), (1, 1));
        let mut damaged = superblock(kind.0, kind.1);
        for (at, byte) in damage {
            damaged[at] = byte;
        }
        let _ = parse(&damaged);
        let _ = parse(&bytes);
    }
}
