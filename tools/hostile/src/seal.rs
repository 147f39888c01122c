// SPDX-License-Identifier: GPL-2.0

//! Making the checksums of a damaged image right again, so that the damage is believed.

use crate::overlay::Overlay;
use crate::places::{Kind, Place, Places};
use host_core::core::cache::FUNCTIONS;
use host_core::format::checksum::{Checksums, Seed};
use host_core::format::jbd2;
use host_core::format::superblock::Superblock;
use host_core::format::units::{DiskBlock, Group, Ino};

/// Seals what was touched and what hangs on it. A structure that makes no sense any more (no room
/// for its sum) stays as it is.
pub fn seal(device: &Overlay, places: &Places, touched: &[Place]) {
    let Ok(sums) = Superblock::checksums(&device.bytes(1024, 1024), FUNCTIONS) else {
        return;
    };
    let all = touched.iter().any(|place| place.kind == Kind::Superblock);
    let was = |kind: Kind, owner: u32| {
        touched
            .iter()
            .any(|place| place.kind == kind && place.owner == owner)
    };
    for place in &places.all {
        let owner = match place.kind {
            Kind::GroupDesc => {
                was(Kind::BlockBitmap, place.owner) || was(Kind::InodeBitmap, place.owner)
            }
            kind if kind < Kind::Inode => was(Kind::Inode, place.owner),
            _ => false,
        };
        if all || owner || touched.iter().any(|other| overlap(other, place)) {
            seal_place(device, places, &sums, place);
        }
    }
    if touched.iter().any(|place| place.kind >= Kind::JournalSuper) {
        seal_log(device, places, &sums);
    }
}

fn overlap(a: &Place, b: &Place) -> bool {
    a.at < b.at + b.len as u64 && b.at < a.at + a.len as u64
}

/// The seed of an inode as its record says it now.
fn inode_seed(device: &Overlay, places: &Places, sums: &Checksums, ino: u32) -> Seed {
    let generation = places.inode(ino).map(|place| {
        let bytes = device.bytes(place.at + 0x64, 4);
        bytes.try_into().map_or(0, u32::from_le_bytes)
    });
    sums.inode_seed(Ino(ino), generation.unwrap_or(0))
}

fn seal_place(device: &Overlay, places: &Places, sums: &Checksums, place: &Place) {
    let mut bytes = device.bytes(place.at, place.len);
    if seal_bytes(device, places, sums, place, &mut bytes) {
        device.put(place.at, &bytes);
    }
}

/// Seals what stands or is to stand at a place; says whether there was anything to do.
fn seal_bytes(
    device: &Overlay,
    places: &Places,
    sums: &Checksums,
    place: &Place,
    bytes: &mut [u8],
) -> bool {
    let block = DiskBlock(place.at / u64::from(places.block_size));
    let seed = inode_seed(device, places, sums, place.owner);
    let group = Group(place.owner);
    let sealed = match place.kind {
        Kind::Extent => sums.seal_extent_block(seed, bytes),
        Kind::Dir => sums.seal_dir_block(seed, bytes),
        Kind::IndexRoot => sums.seal_htree(seed, bytes, 32),
        Kind::IndexNode => sums.seal_htree(seed, bytes, 8),
        Kind::Xattr => sums.seal_xattr_block(block, bytes),
        Kind::Orphan => sums.seal_orphan_block(seed, block, bytes),
        Kind::Inode => sums.seal_inode(Ino(place.owner), bytes),
        Kind::GroupDesc => {
            let mut sealed = Ok(());
            let flags = bytes.get(0x12).copied().unwrap_or(0);
            for (kind, len) in bitmap_lengths(device) {
                // A bitmap that was never written has no sum.
                if flags & if kind == Kind::BlockBitmap { 2 } else { 1 } != 0 {
                    continue;
                }
                let of = places.of(kind).iter().find(|of| of.owner == place.owner);
                let Some(of) = of else { continue };
                let bits = device.bytes(of.at, len.min(of.len));
                sealed = sealed.and(if kind == Kind::BlockBitmap {
                    sums.seal_block_bitmap(bytes, &bits)
                } else {
                    sums.seal_inode_bitmap(bytes, &bits)
                });
            }
            sealed.and(sums.seal_group_desc(group, bytes))
        }
        Kind::Superblock => sums.seal_superblock(bytes),
        Kind::JournalSuper => {
            seal_journal_superblock(bytes);
            Ok(())
        }
        _ => return false,
    };
    sealed.is_ok()
}

/// How many bytes of each bitmap are summed, as the superblock says now.
fn bitmap_lengths(device: &Overlay) -> [(Kind, usize); 2] {
    let word = |at: u64| {
        let bytes = device.bytes(1024 + at, 4);
        bytes.try_into().map_or(0, u32::from_le_bytes) as usize
    };
    [
        (Kind::BlockBitmap, word(0x20) / 8),
        (Kind::InodeBitmap, word(0x28) / 8),
    ]
}

fn put_be(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(to) = bytes.get_mut(at..at + 4) {
        to.copy_from_slice(&number.to_be_bytes());
    }
}

fn crc(state: u32, bytes: &[u8]) -> u32 {
    (FUNCTIONS.crc32c)(state, bytes)
}

fn seal_journal_superblock(bytes: &mut [u8]) {
    // Checksums of version 2 or 3: otherwise the field is not one.
    if bytes.get(43).is_none_or(|features| features & 0x18 == 0) {
        return;
    }
    put_be(bytes, 252, 0);
    let sum = crc(!0, bytes);
    put_be(bytes, 252, sum);
}

/// Seals the log's blocks, those it copies first: their sums are in the descriptors.
fn seal_log(device: &Overlay, places: &Places, sums: &Checksums) {
    let Some(superblock) = places.of(Kind::JournalSuper).first() else {
        return;
    };
    let mut first = device.bytes(superblock.at, 1024);
    seal_journal_superblock(&mut first);
    let blocks = places.log.len() as u32;
    let Ok(layout) = jbd2::Layout::parse(&first, &FUNCTIONS, places.block_size, blocks) else {
        return;
    };
    let seed = crc(!0, &first[48..64]);
    let size = places.block_size as usize;
    let sums_at = match layout.version {
        jbd2::Version::V3 | jbd2::Version::V2 => size - 4,
        jbd2::Version::V1 | jbd2::Version::None => return,
    };
    for place in places.of(Kind::JournalBlock) {
        let mut block = device.bytes(place.at, place.len);
        let own = DiskBlock(place.at / size as u64);
        let Some((kind, tid)) = jbd2::header(&block) else {
            continue;
        };
        if kind == jbd2::BlockType::Descriptor {
            let at = places.log.iter().position(|block| *block == own);
            let log = (at.unwrap_or(0) as u32, layout.first_block, layout.end_block);
            seal_tags(
                device,
                places,
                sums,
                (&layout, seed, tid.0),
                &mut block,
                log,
            );
        }
        let at = if kind == jbd2::BlockType::Commit {
            16
        } else {
            sums_at
        };
        put_be(&mut block, at, 0);
        let sum = crc(seed, &block);
        put_be(&mut block, at, sum);
        device.put(place.at, &block);
    }
}

/// Seals the blocks that a descriptor lists, and puts their sums into its tags.
fn seal_tags(
    device: &Overlay,
    places: &Places,
    sums: &Checksums,
    (layout, seed, tid): (&jbd2::Layout, u32, u32),
    block: &mut [u8],
    (mut at, first, end): (u32, u32, u32),
) {
    let tags: Vec<_> = layout.tags(block).map_while(Result::ok).collect();
    let size = u64::from(places.block_size);
    let mut tag_at = 12;
    for tag in tags.iter().take(places.log.len()) {
        at = if at + 1 >= end { first } else { at + 1 };
        let Some(logged) = places.log.get(at as usize) else {
            return;
        };
        let from = logged.get() * size;
        let home = tag.block.get().saturating_mul(size);
        seal_copy(device, places, sums, (from, home));
        let sum = crc(seed, &tid.to_be_bytes());
        let sum = crc(sum, &device.bytes(from, size as usize));
        let (flags_at, len) = if layout.version == jbd2::Version::V3 {
            put_be(block, tag_at + 12, sum);
            (tag_at + 7, 16)
        } else {
            if let Some(to) = block.get_mut(tag_at + 4..tag_at + 6) {
                to.copy_from_slice(&(sum as u16).to_be_bytes());
            }
            (tag_at + 7, 10)
        };
        let has_uuid = block.get(flags_at).is_some_and(|flags| flags & 2 == 0);
        tag_at += len + if has_uuid { 16 } else { 0 };
    }
}

/// Seals the structures in a logged copy: what is at `home` on the disk stands at `from`.
fn seal_copy(device: &Overlay, places: &Places, sums: &Checksums, (from, home): (u64, u64)) {
    let size = u64::from(places.block_size);
    for place in &places.all {
        if place.at < home || place.at - home >= size || place.kind > Kind::Inode {
            continue;
        }
        // What is logged may be newer than what the places know: a block that got another owner. Then
        // (or when its sum knows its place) sealing would change the undamaged copy.
        let copy = from + (place.at - home);
        let mut before = device.original_bytes(copy, place.len);
        let is_known = seal_bytes(device, places, sums, place, &mut before)
            && before == device.original_bytes(copy, place.len);
        let mut bytes = device.bytes(copy, place.len);
        if is_known && seal_bytes(device, places, sums, place, &mut bytes) {
            device.put(copy, &bytes);
        }
    }
}
