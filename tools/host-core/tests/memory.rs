// SPDX-License-Identifier: GPL-2.0

//! What a hostile disk has a mount keep in memory is bounded, however large the disk is.

use host_core::core::mount::MountOptions;
use host_core::host::ledger::Ledger;
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{debugfs, mkfs};

const MIB: u64 = 1 << 20;
const SUPERBLOCK: usize = 1024;

fn word(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
}

fn put(image: &mut [u8], at: usize, word: [u8; 4]) {
    image[at..at + 4].copy_from_slice(&word);
}

/// The most bytes that a mount and an unmount of the image had in use at a time.
fn peak(image: Vec<u8>) -> u64 {
    let device = Recording::new(image);
    let ledger = Ledger::begin();
    let fs = HostFs::mount(device, &MountOptions::default()).unwrap();
    // What was found may have ended all writing.
    let _ = fs.unmount();
    Ledger::end();
    ledger.peak()
}

/// The chain of orphans leads through every block of large inode tables; none of them was in use.
#[test]
fn a_chain_through_all_inodes() {
    const INODES: u32 = 49_152;
    let features = "^metadata_csum,^orphan_file,^64bit,^flex_bg,^resize_inode";
    let mut image = mkfs(
        96 * MIB,
        &["-b", "1024", "-I", "1024", "-N", "49152", "-O", features],
    );
    let per_group = word(&image, SUPERBLOCK + 0x28);
    let dtime_of = |image: &[u8], ino: u32| {
        let (group, n) = ((ino - 1) / per_group, (ino - 1) % per_group);
        let table = word(image, 2048 + 32 * group as usize + 8);
        1024 * (table + n) as usize + 0x14
    };
    put(&mut image, SUPERBLOCK + 0xe8, 12u32.to_le_bytes());
    for ino in 12..INODES {
        let at = dtime_of(&image, ino);
        put(&mut image, at, (ino + 1).to_le_bytes());
    }
    let peak = peak(image);
    assert!(peak < 16 * MIB, "{peak} bytes");
}

/// A log full of revocations that were never committed.
#[test]
fn a_log_of_revocations() {
    const REVOKE: [u32; 4] = [0xc03b_3998, 5, 1, 1024];
    const RECOVER: u8 = 4;
    let args = ["-b", "1024", "-J", "size=16", "-O", "^metadata_csum,^64bit"];
    let mut image = mkfs(64 * MIB, &args);
    let blocks = debugfs(&image, "blocks <8>");
    let mut blocks = blocks
        .split_whitespace()
        .filter_map(|block| block.parse::<usize>().ok());
    let journal = 1024 * blocks.next().unwrap();
    put(&mut image, journal + 28, 1u32.to_be_bytes());
    for block in blocks {
        for (n, word) in REVOKE.into_iter().enumerate() {
            put(&mut image, 1024 * block + 4 * n, word.to_be_bytes());
        }
    }
    image[SUPERBLOCK + 0x60] |= RECOVER;
    let peak = peak(image);
    assert!(peak < 4 * MIB, "{peak} bytes");
}
