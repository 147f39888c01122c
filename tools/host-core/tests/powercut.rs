// SPDX-License-Identifier: GPL-2.0

//! Power fails after every write: our recovery and e2fsck's must give the same tree, which must be
//! clean, and what was synced before must be there.

mod common;

use common::{Model, Op};
use host_core::core::mount::MountOptions;
use host_core::host::recording::{durable, Recording};
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::{assert_clean, mkfs, run, Random, TempFile};

const READ_ONLY: MountOptions = MountOptions {
    read_only: true,
    no_recovery: false,
    errors: None,
    commit_interval: None,
    barrier: None,
    ordered: false,
    verify: false,
};

/// What must be there if power fails after `events` events and before the next sync.
struct Promise {
    events: usize,
    /// Paths that did not change from the sync until the next one.
    stable: Tree,
}

/// A run of operations, as the device saw it.
struct History {
    device: Recording,
    promises: Vec<Promise>,
}

fn record(size: u64, args: &[&str], most: u64, seed: u64, count: usize) -> History {
    let mut random = Random::new(seed);
    let device = Recording::new(mkfs(size, args));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let mut model = Model::new();
    let mut promises = vec![Promise {
        events: device.events().len(),
        stable: model.tree(),
    }];
    for n in 0..count {
        let op = Op::any(&mut random, most);
        if op.is_below_itself() {
            continue;
        }
        let (done, want) = (op.apply(&mut fs), model.apply(&op));
        assert_eq!(done, want, "seed {seed}, operation {n}: {op:?}");
        let now = model.tree();
        if let Some(promise) = promises.last_mut() {
            promise
                .stable
                .retain(|path, entry| now.get(path) == Some(entry));
        }
        if random.below(6) == 0 {
            fs.sync().unwrap();
            promises.push(Promise {
                events: device.events().len(),
                stable: now,
            });
        }
    }
    if seed % 2 == 0 {
        fs.unmount().unwrap();
    } else {
        fs.abandon();
    }
    History { device, promises }
}

/// The tree after our recovery, which must leave a clean disk.
fn recovered_by_us(image: Vec<u8>) -> Tree {
    let device = Recording::new(image);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let tree = fs.tree().unwrap();
    fs.unmount().unwrap();
    assert_clean(&device.contents());
    tree
}

/// The tree after e2fsck's recovery, which must have found nothing beyond the journal and orphans.
fn recovered_by_e2fsck(image: &[u8]) -> Tree {
    let file = TempFile::with(image);
    let (code, text) = run("e2fsck", &["-fy"], &file.0);
    // A mounted disk has the flag; that is no finding.
    let known = "Feature orphan_present is set but orphan file is clean.\nClear? yes";
    let findings = text.replace(known, "").contains("? yes");
    assert!(code <= 1 && !findings, "e2fsck -fy: {code}: {text}");
    let image = std::fs::read(&file.0).unwrap();
    let mut fs = HostFs::mount(Recording::new(image), &READ_ONLY).unwrap();
    let tree = fs.tree().unwrap();
    fs.unmount().unwrap();
    tree
}

fn check_cut(history: &History, image: Vec<u8>, cut: usize, what: &str) {
    let theirs = recovered_by_e2fsck(&image);
    let ours = recovered_by_us(image);
    assert!(
        ours == theirs,
        "{what}, cut {cut}: our tree is not e2fsck's"
    );
    let promise = history
        .promises
        .iter()
        .rev()
        .find(|promise| promise.events <= cut);
    for (path, entry) in promise.iter().flat_map(|promise| &promise.stable) {
        assert!(
            ours.get(path) == Some(entry),
            "{what}, cut {cut}: {path:?} was synced and is not there"
        );
    }
}

/// The contents after `cut` events when any of the writes since the last flush may be missing.
fn torn(history: &History, cut: usize, random: &mut Random) -> Vec<u8> {
    let durable = durable(&history.device.events(), cut);
    history
        .device
        .contents_with(cut, |write| durable[write] || random.below(2) == 0)
}

fn check(size: u64, args: &[&str], most: u64, seeds: std::ops::Range<u64>, count: usize) {
    let all = std::env::var_os("REXT4_ALL_CUTS").is_some();
    for seed in seeds {
        let history = record(size, args, most, seed, count);
        let first = history.promises[0].events;
        let last = history.device.events().len();
        let step = if all { 1 } else { ((last - first) / 20).max(1) };
        let mut random = Random::new(seed);
        for cut in (first..=last).step_by(step) {
            check_cut(
                &history,
                history.device.contents_after(cut),
                cut,
                &format!("seed {seed}"),
            );
            check_cut(
                &history,
                torn(&history, cut, &mut random),
                cut,
                &format!("seed {seed}, torn"),
            );
        }
    }
}

/// A file in so many pieces that taking it away needs several transactions of a small journal.
#[test]
fn long_truncations() {
    for (seed, args) in [
        (0, &["-b", "1024", "-J", "size=1"][..]),
        (1, &["-b", "1024", "-J", "size=1", "-O", "orphan_file"]),
    ] {
        let device = Recording::new(mkfs(16 << 20, args));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        for path in ["/cut", "/gone"] {
            fs.create(path, 0o644).unwrap();
            for n in 0..2500 {
                fs.write(path, n * 2048, &[n as u8; 1000]).unwrap();
                if n % 200 == 0 {
                    // Delayed pieces keep much space for tree nodes each.
                    fs.flush_all().unwrap();
                }
            }
            fs.sync().unwrap();
        }
        let first = device.events().len();
        fs.truncate("/cut", 3000).unwrap();
        fs.unlink("/gone").unwrap();
        fs.sync().unwrap();
        let last = device.events().len();
        fs.abandon();
        let history = History {
            device,
            promises: Vec::new(),
        };
        let mut random = Random::new(seed);
        for cut in (first..=last).step_by(((last - first) / 10).max(1)) {
            check_cut(
                &history,
                history.device.contents_after(cut),
                cut,
                "truncation",
            );
            check_cut(
                &history,
                torn(&history, cut, &mut random),
                cut,
                "truncation, torn",
            );
        }
    }
}

#[test]
fn small_blocks() {
    check(8 << 20, &["-b", "1024"], 20_000, 1..3, 60);
}

#[test]
fn orphan_file() {
    check(
        8 << 20,
        &["-b", "1024", "-O", "orphan_file,metadata_csum_seed"],
        20_000,
        11..13,
        60,
    );
}

#[test]
fn large_blocks() {
    check(16 << 20, &["-b", "4096"], 60_000, 21..23, 60);
}
