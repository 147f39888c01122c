// SPDX-License-Identifier: GPL-2.0

//! Random operations: the file system and a model in memory must agree, and e2fsck must find nothing.

mod common;

use common::{Model, Op};
use host_core::core::mount::MountOptions;
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, mkfs, Random};

/// Sequences for each kind of disk; `REXT4_SEQUENCES` asks for more.
fn sequences() -> u64 {
    std::env::var("REXT4_SEQUENCES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(4)
}

fn check(size: u64, args: &[&str], most: u64, first: u64) {
    for seed in first..first + sequences() {
        run(size, args, most, seed);
    }
}

fn run(size: u64, args: &[&str], most: u64, seed: u64) {
    let mut random = Random::new(seed);
    let device = Recording::new(mkfs(size, args));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let mut model = Model::new();
    for n in 0..400 {
        let op = Op::any(&mut random, most);
        if op.is_below_itself() {
            continue;
        }
        let (done, want) = (op.apply(&mut fs), model.apply(&op));
        assert_eq!(done, want, "seed {seed}, operation {n}: {op:?}");
    }
    assert!(
        fs.tree().unwrap() == model.tree(),
        "seed {seed}: the trees differ"
    );
    fs.unmount().unwrap();
    let image = device.contents();
    assert_clean(&image);
    let mut fs = HostFs::mount(Recording::new(image), &MountOptions::default()).unwrap();
    assert!(
        fs.tree().unwrap() == model.tree(),
        "seed {seed}: the trees differ after another mount"
    );
    fs.unmount().unwrap();
}

#[test]
fn blocks_of_4k() {
    check(48 << 20, &["-b", "4096"], 60_000, 100);
}

#[test]
fn blocks_of_1k_with_orphan_file() {
    check(
        24 << 20,
        &["-b", "1024", "-O", "orphan_file,metadata_csum_seed"],
        20_000,
        200,
    );
}

#[test]
fn blocks_of_1k_without_checksums() {
    check(
        24 << 20,
        &["-b", "1024", "-O", "^metadata_csum", "-I", "128"],
        20_000,
        300,
    );
}
