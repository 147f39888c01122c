// SPDX-License-Identifier: GPL-2.0

//! The judge of what is written over fixed metadata sees it.

use crate::disk::{Disk, SMALL, WIDE};
use hostile::fixed::{Fixed, Use};
use hostile::places::{Kind, KINDS};

/// One block of each kind, that has something in it.
fn samples(disk: &Disk) -> Vec<(Kind, Vec<u8>)> {
    let size = disk.seed.places.block_size as usize;
    let kinds = KINDS.iter().filter(|kind| **kind != Kind::Superblock);
    let first = kinds.filter_map(|kind| Some((*kind, disk.seed.places.of(*kind).first()?.at)));
    first
        .map(|(kind, at)| {
            (
                kind,
                disk.device.bytes(at / size as u64 * size as u64, size),
            )
        })
        .collect()
}

#[test]
fn what_is_written_over_fixed_metadata_is_seen() {
    for number in [SMALL, WIDE] {
        let disk = Disk::new(number);
        let size = u64::from(disk.seed.places.block_size);
        let fixed = Fixed::of(&disk.device).unwrap();
        assert_eq!(fixed.overwritten(&disk.device), []);
        let mut copies = 0;
        for (at, what) in fixed.uses() {
            copies += u32::from(what == Use::Copies);
            if what == Use::Copies && copies > 2 {
                continue;
            }
            let before = disk.device.bytes(at.get() * size, size as usize);
            for (kind, bytes) in samples(&disk) {
                disk.device.put(at.get() * size, &bytes);
                let seen = fixed.overwritten(&disk.device);
                let expected = if bytes == before {
                    vec![]
                } else {
                    vec![(at, what)]
                };
                assert_eq!(seen, expected, "{kind:?} over {at}");
            }
            disk.device.put(at.get() * size, &before);
        }
    }
}
