// SPDX-License-Identifier: GPL-2.0

//! Damaged disks: an error with its place, the policy applied, and never a panic.

#[expect(dead_code, reason = "trees of the model are for undamaged disks")]
mod common;

use common::{Model, Op};
use host_core::core::error::Error;
use host_core::core::mount::{ErrorPolicy, MountOptions};
use host_core::host::device::Backend;
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, debugfs, mkfs, run, Random, TempFile};

/// A disk with some of everything, unmounted.
fn populated(args: &[&str], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let device = Recording::new(mkfs(8 << 20, args));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let mut model = Model::new();
    for _ in 0..300 {
        let op = Op::any(&mut random, 10_000);
        if !op.is_below_itself() {
            assert_eq!(op.apply(&mut fs), model.apply(&op));
        }
    }
    fs.mkdir("/dir", 0o755).unwrap();
    for n in 0..300 {
        fs.create(&format!("/dir/name-number-{n}"), 0o644).unwrap();
    }
    fs.unmount().unwrap();
    device.contents()
}

/// An image whose directory /dir has a wrong byte in its last block.
fn bad_directory() -> Vec<u8> {
    let mut image = populated(&["-b", "1024"], 5);
    let blocks = debugfs(&image, "blocks /dir");
    let numbers = blocks.lines().find(|line| {
        line.trim()
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit())
    });
    let last = numbers
        .and_then(|line| line.split_whitespace().last())
        .unwrap();
    let last: usize = last.parse().unwrap();
    image[last * 1024 + 500] ^= 0x55;
    image
}

fn read_all(fs: &mut HostFs, path: &str) -> Result<(), Error> {
    for n in 0..300 {
        fs.resolve(&format!("{path}/name-number-{n}")).map(drop)?;
    }
    Ok(())
}

#[test]
fn errors_continue() {
    let device = Recording::new(bad_directory());
    let options = MountOptions {
        errors: Some(ErrorPolicy::Continue),
        ..MountOptions::default()
    };
    let mut fs = HostFs::mount(device.clone(), &options).unwrap();
    let error = read_all(&mut fs, "/dir").unwrap_err();
    assert!(
        matches!(error, Error::Corrupt(place, _) if place.block.get() != 0),
        "{error:?}"
    );
    assert_eq!(error.errno(), 74);
    fs.create("/still-works", 0o644).unwrap();
    fs.unmount().unwrap();
    let stats = debugfs(&device.contents(), "stats -h");
    assert!(
        stats.contains("FS Error count:") && stats.contains("First error function:     lookup"),
        "{stats}"
    );
    assert!(stats.contains("clean with errors"), "{stats}");
}

/// A truncation over many groups takes several transactions, for which the file has to become an orphan, and the
/// orphans' block is broken: what was freed by then is not the file's any more.
#[test]
fn a_truncation_that_cannot_become_an_orphan() {
    let args = "-b 1024 -g 512 -N 512 -J size=1 -O orphan_file";
    let image = mkfs(160 << 20, &args.split(' ').collect::<Vec<_>>());
    let orphans: usize = debugfs(&image, "blocks <12>")
        .split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap();
    let device = Recording::new(image);
    let options = MountOptions {
        errors: Some(ErrorPolicy::Continue),
        ..MountOptions::default()
    };
    let mut fs = HostFs::mount(device.clone(), &options).unwrap();
    fs.create("/file", 0o644).unwrap();
    for part in 0..140 {
        fs.write("/file", part << 20, &[7; 1 << 20]).unwrap();
        fs.sync().unwrap();
    }
    fs.fs.freeze().and_then(|()| fs.fs.thaw()).unwrap();
    fs.fs.reclaim(100_000);
    let at = orphans as u64 * 1024 + 1020;
    let mut good = [0; 4];
    device.read_at(at, &mut good).unwrap();
    device.write_at(at, &[!good[0], 0, 0, 0]).unwrap();
    let cut = fs.truncate("/file", 0);
    assert!(matches!(cut, Err(Error::Corrupt(..))), "{cut:?}");
    fs.fs.sync(true).unwrap();
    let mut crashed = device.contents();
    fs.abandon();
    crashed[at as usize..][..4].copy_from_slice(&good);
    let device = Recording::new(crashed);
    let fs = HostFs::mount(device.clone(), &options).unwrap();
    fs.unmount().unwrap();
    let file = TempFile::with(&device.contents());
    let (_, text) = run("e2fsck", &["-fn"], &file.0);
    // The size may lie before what is left.
    let blocks = ["i_blocks", "bitmap differences"];
    assert!(!blocks.iter().any(|what| text.contains(what)), "{text}");
}

#[test]
fn errors_remount_ro() {
    let device = Recording::new(bad_directory());
    let options = MountOptions {
        errors: Some(ErrorPolicy::RemountReadOnly),
        ..MountOptions::default()
    };
    let mut fs = HostFs::mount(device.clone(), &options).unwrap();
    fs.create("/synced", 0o644).unwrap();
    fs.sync().unwrap();
    read_all(&mut fs, "/dir").unwrap_err();
    assert!(fs.fs.is_read_only() && fs.fs.has_failed());
    assert_eq!(fs.create("/no", 0o644), Err(Error::ReadOnly));
    assert_eq!(fs.fs.remount(&options), Err(Error::ReadOnly));
    // Reading goes on.
    fs.resolve("/synced").unwrap();
    fs.abandon();
    let stats = debugfs(&device.contents(), "stats -h");
    assert!(stats.contains("FS Error count:           1"), "{stats}");
    // The error survives the recovery of the next mount.
    let device = Recording::new(device.contents());
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.resolve("/synced").unwrap();
    fs.unmount().unwrap();
    let stats = debugfs(&device.contents(), "stats -h");
    assert!(
        stats.contains("FS Error count:           1") && stats.contains("clean with errors"),
        "{stats}"
    );
    let file = TempFile::with(&device.contents());
    run("e2fsck", &["-fy"], &file.0);
    assert_clean(&std::fs::read(&file.0).unwrap());
}

/// Wrong bytes anywhere in the metadata: whatever comes of it, it is no panic and it ends.
fn wrong_bytes(args: &[&str], seeds: std::ops::Range<u64>) {
    let image = populated(args, 9);
    // The metadata is at the front, but for the directories.
    let front = 700 * 1024;
    for seed in seeds {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut damaged = image.clone();
        for _ in 0..1 + random.below(30) {
            let limit = if random.below(4) == 0 {
                damaged.len()
            } else {
                front
            };
            // Near a structure's start there is more to break.
            let mut at = match random.below(12) {
                0 => 1024 + random.below(400) as usize,
                1..=5 => (random.below(limit as u64 / 1024) * 1024 + random.below(64)) as usize,
                _ => random.below(limit as u64) as usize,
            };
            // Most of the front is unused: look for something to break, and sometimes near it.
            for _ in 0..12 {
                if damaged[at] != 0 {
                    break;
                }
                at = random.below(limit as u64) as usize;
            }
            if (1024 + 0x5c..1024 + 0x68).contains(&at) {
                // Most features would only be refused.
                continue;
            }
            damaged[at] = match random.below(3) {
                0 => 0,
                1 => 0xff,
                _ => random.below(256) as u8,
            };
        }
        let options = MountOptions {
            errors: Some(ErrorPolicy::Continue),
            ..MountOptions::default()
        };
        let Ok(mut fs) = HostFs::mount(Recording::new(damaged), &options) else {
            continue;
        };
        let _ = fs.tree();
        for _ in 0..60 {
            let op = Op::any(&mut random, 10_000);
            if !op.is_below_itself() {
                let _ = op.apply(&mut fs);
            }
        }
        let _ = fs.finish();
        fs.abandon();
    }
}

fn rounds() -> u64 {
    std::env::var("REXT4_SEQUENCES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(60)
}

#[test]
fn wrong_bytes_without_checksums() {
    wrong_bytes(&["-b", "1024", "-O", "^metadata_csum"], 1..1 + rounds());
}

#[test]
fn wrong_bytes_with_checksums() {
    wrong_bytes(
        &["-b", "1024", "-O", "orphan_file"],
        5000..5000 + rounds() / 2,
    );
}

#[test]
fn truncated_image() {
    let mut image = populated(&["-b", "1024"], 3);
    image.truncate(5 << 20);
    let mounted = HostFs::mount(Recording::new(image), &MountOptions::default());
    assert!(matches!(mounted, Err(Error::Corrupt(..))));
}
