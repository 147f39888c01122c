// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::format::superblock::{RawSuperblock, LEN};
use proptest::prelude::*;

/// A file system of 1 KiB blocks and 256-byte inodes, with or without `huge_file`.
pub(in crate::format) fn geometry(huge_file: bool) -> Geometry {
    let mut bytes = [0; LEN];
    let raw = RawSuperblock::view_mut(&mut bytes).unwrap();
    raw.rev_level.set(1);
    raw.first_ino.set(11);
    raw.inode_size.set(256);
    raw.blocks_count_lo.set(100_001);
    raw.first_data_block.set(1);
    raw.blocks_per_group.set(8192);
    raw.clusters_per_group.set(8192);
    raw.inodes_per_group.set(1024);
    raw.inodes_count.set(13 * 1024);
    raw.feature_ro_compat.set(if huge_file { 8 } else { 0 });
    Geometry::parse(raw).unwrap()
}

fn stamp(sec: i64, nsec: u32) -> Timestamp {
    Timestamp { sec, nsec }
}

#[test]
fn times_at_the_edges_of_their_epochs() {
    for (sec, low, epoch) in [
        (TIME_MIN, 0x8000_0000u32, 0),
        (-1, 0xffff_ffff, 0),
        (0, 0, 0),
        (0x7fff_ffff, 0x7fff_ffff, 0),
        (0x8000_0000, 0x8000_0000, 1),
        (0xffff_ffff, 0xffff_ffff, 1),
        (0x1_0000_0000, 0, 1),
        (0x1_7fff_ffff, 0x7fff_ffff, 1),
        (0x1_8000_0000, 0x8000_0000, 2),
        (0x2_7fff_ffff, 0x7fff_ffff, 2),
        (0x2_8000_0000, 0x8000_0000, 3),
        (TIME_MAX_EXTRA, 0x7fff_ffff, 3),
    ] {
        let time = stamp(sec, 999_999_999);
        let (got, extra) = time.encode(true);
        assert_eq!((got.get(), extra.get() & 3), (low, epoch), "{sec:#x}");
        assert_eq!(extra.get() >> 2, 999_999_999);
        assert_eq!(Timestamp::decode(got, Some(extra)), time);
    }
    for (sec, with_extra, nearest) in [
        (i64::MIN, true, TIME_MIN),
        (i64::MAX, true, TIME_MAX_EXTRA),
        (0x8000_0000, false, TIME_MAX_BASE),
    ] {
        let (low, extra) = stamp(sec, 0).encode(with_extra);
        let extra = with_extra.then_some(extra);
        assert_eq!(Timestamp::decode(low, extra).sec, nearest);
    }
    let wild = Timestamp::decode(U32::new(0), Some(U32::new(u32::MAX)));
    assert_eq!(wild.nsec, 999_999_999);
}

#[test]
fn counts_of_blocks() {
    let wide = 1u64 << 48;
    for (huge, blocks, ok) in [
        (false, 0xffff_ffff, true),
        (false, 0x1_0000_0000, false),
        (true, wide - 1, true),
        (true, wide, true),
        (true, wide + 1, false),
        (true, (wide - 1) * 2, true),
        (true, wide * 2, false),
    ] {
        let geometry = geometry(huge);
        let mut raw = [0; 256];
        let mut fields = InodeFields::decode(&raw, &geometry).unwrap();
        fields.blocks = blocks;
        (fields.extra_isize, fields.crtime) = (32, Some(Timestamp::default()));
        assert_eq!(
            fields.encode(&mut raw, &geometry).is_ok(),
            ok,
            "{blocks:#x}"
        );
        if ok {
            assert_eq!(InodeFields::decode(&raw, &geometry), Ok(fields));
        }
    }
}

#[test]
fn extra_lengths() {
    let geometry = geometry(true);
    let mut raw = [0; 256];
    for (extra, ok) in [
        (0u16, true),
        (4, true),
        (32, true),
        (128, true),
        (30, false),
        (132, false),
    ] {
        raw[128..130].copy_from_slice(&extra.to_le_bytes());
        assert_eq!(InodeFields::decode(&raw, &geometry).is_ok(), ok, "{extra}");
    }
    assert!(InodeFields::decode(&raw[..127], &geometry).is_err());
    assert_eq!(
        InodeFields::decode(&raw[..128], &geometry)
            .unwrap()
            .extra_isize,
        0
    );
}

#[test]
fn sizes_and_kinds() {
    let geometry = geometry(true);
    let mut raw = [0; 256];
    raw[0x6c..0x70].copy_from_slice(&0x8000_0000u32.to_le_bytes());
    for (kind, ok) in [(InodeKind::Regular, false), (InodeKind::Directory, true)] {
        raw[..2].copy_from_slice(&kind.mode_bits().to_le_bytes());
        assert_eq!(InodeFields::decode(&raw, &geometry).is_ok(), ok);
    }
    for bits in 0..16u16 {
        let kind = InodeKind::of_mode((bits << 12) | 0o644);
        assert_eq!(kind.map(InodeKind::mode_bits), kind.map(|_| bits << 12));
    }
    raw[..2].copy_from_slice(&InodeKind::Regular.mode_bits().to_le_bytes());
    for (high, ok) in [(0x3ffu32, true), (0x400, false)] {
        raw[0x6c..0x70].copy_from_slice(&high.to_le_bytes());
        assert_eq!(InodeFields::decode(&raw, &geometry).is_ok(), ok);
    }
    raw = [0; 256];
    raw[0x68] = 1;
    assert!(
        InodeFields::decode(&raw, &geometry).is_err(),
        "the boot block is no xattr block"
    );
}

#[test]
fn devices() {
    let mut fields = InodeFields::decode(&[0; 256], &geometry(true)).unwrap();
    for (device, old) in [
        ((5, 1), true),
        ((255, 255), true),
        ((256, 0), false),
        ((8, 256), false),
        ((0xfff, 0xf_ffff), false),
    ] {
        fields.set_device(device.0, device.1);
        assert_eq!(fields.device(), device);
        assert_eq!(fields.i_block[..4] != [0; 4], old);
    }
    // Overlayfs' whiteout.
    fields.set_device(0, 0);
    assert_eq!(fields.device(), (0, 0));
}

#[test]
fn fast_symlinks() {
    let geometry = geometry(true);
    let mut fields = InodeFields::decode(&[0; 256], &geometry).unwrap();
    fields.mode = 0o120_777;
    for (size, blocks, xattrs, fast) in [
        (59, 0, 0, true),
        (60, 0, 0, false),
        (5, 2, 0, false),
        (5, 2, 9, true),
        (5, 4, 9, false),
    ] {
        (fields.size, fields.blocks, fields.file_acl) = (size, blocks, DiskBlock(xattrs));
        assert_eq!(fields.is_fast_symlink(&geometry), fast);
    }
}

proptest! {
    #[test]
    fn decode_then_encode(
        bytes in prop::collection::vec(any::<u8>(), 256),
        extra in 0u16..130, huge: bool, small: bool,
    ) {
        let geometry = geometry(huge);
        let mut raw = bytes;
        raw[128..130].copy_from_slice(&extra.to_le_bytes());
        // Places of xattr blocks that are in the file system, and sizes in range.
        raw[0x68..0x6c].copy_from_slice(&77u32.to_le_bytes());
        raw[0x76..0x78].fill(0);
        raw[0x6e..0x70].fill(0);
        raw[0x6d] &= 1;
        if small {
            raw.truncate(128);
        }
        let Ok(fields) = InodeFields::decode(&raw, &geometry) else {
            prop_assert!(!small && (extra > 128 || extra % 4 != 0));
            return Ok(());
        };
        let mut again = raw.clone();
        if fields.encode(&mut again, &geometry).is_ok() {
            // Reading it again gives the same, and what is not the fields' stays.
            prop_assert_eq!(InodeFields::decode(&again, &geometry)?, fields);
            prop_assert_eq!(&again[0x7c..0x80], &raw[0x7c..0x80]);
            let owned = 128 + usize::from(fields.extra_isize.clamp(4, 32));
            if !small {
                prop_assert_eq!(&again[130..132], &raw[130..132]);
                prop_assert_eq!(&again[owned..], &raw[owned..]);
            }
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let geometry = geometry(true);
        if let Ok(fields) = InodeFields::decode(&bytes, &geometry) {
            let _ = fields.encode(&mut bytes.clone(), &geometry);
            let _ = (fields.device(), fields.kind(), fields.is_fast_symlink(&geometry));
        }
    }
}
