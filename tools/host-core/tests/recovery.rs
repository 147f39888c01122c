// SPDX-License-Identifier: GPL-2.0

//! A recovery that does not come to its end: the device fails at one of its requests, or the power at one of
//! its writes. The next recovery, or the one after it, leads to the same disk as an undisturbed one.
//!
//! `REXT4_ALL_FAULTS=1` tries every request and write instead of a sample.

mod common;

use common::{Model, Op};
use host_core::core::error::Error;
use host_core::core::mount::MountOptions;
use host_core::host::failing::{Failing, Plan, Request};
use host_core::host::recording::{durable, Recording};
use host_core::host::shortage::Shortage;
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::{assert_clean, debugfs, mkfs, run, Random, TempFile};

const SIZE: u64 = 8 << 20;
/// Files that are orphans at the end; the records of some are in blocks of their own.
const GONE: [&str; 6] = ["/gone0", "/gone1", "/gone2", "/gone3", "/gone4", "/gone5"];

/// A disk whose log has much to replay.
struct Dirty {
    image: Vec<u8>,
    /// What an undisturbed recovery makes of it.
    tree: Tree,
    /// The same as bytes, without what no two recoveries have in common.
    bytes: Option<Vec<u8>>,
}

impl Dirty {
    /// Operations, then a power cut after the last commit. With orphans there is more to do than to replay.
    fn make(args: &[&str], seed: u64, with_orphans: bool) -> Self {
        let mut random = Random::new(seed);
        let device = Recording::new(mkfs(SIZE, args));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let mut model = Model::new();
        let mut ops: Vec<Op> = ["/d0", "/d1", "/d0/d2", "/d1/d3"]
            .map(|path| Op::Mkdir(path.into()))
            .into();
        for path in GONE {
            ops.push(Op::Create(path.into()));
            ops.extend((0..60).map(|n| Op::Write(path.into(), n * 2048, vec![n as u8; 700])));
            ops.extend((0..3).map(|n| Op::Create(format!("{path}-{n}"))));
        }
        for n in 0..150 {
            ops.push(if n % 40 == 20 {
                Op::Sync
            } else {
                Op::any(&mut random, 20_000)
            });
        }
        if with_orphans {
            ops.extend(GONE.map(|path| Op::Unlink(path.into())));
        }
        for op in ops.iter().filter(|op| !op.is_below_itself()) {
            if let Op::Unlink(path) = op {
                if GONE.contains(&path.as_str()) {
                    fs.hold(path).unwrap();
                }
            }
            assert_eq!(op.apply(&mut fs), model.apply(op), "{op:?}");
        }
        fs.sync().unwrap();
        fs.abandon();
        let image = device.contents();
        let (tree, left) = finished(image.clone(), "undisturbed");
        assert_clean(&left);
        assert!(tree == model.tree(), "what was synced");
        // A deleted inode has the time.
        let bytes = (!with_orphans).then(|| without_journal(left));
        Self { image, tree, bytes }
    }

    /// What a disturbed recovery has left is recovered as if nothing had been.
    fn check(&self, left: Vec<u8>, what: &str) {
        let (tree, image) = finished(left, what);
        assert!(tree == self.tree, "{what}: another tree");
        if has_noted_error(&image) {
            // Then orphans are e2fsck's, as with C ext4.
            let file = TempFile::with(&image);
            let (code, text) = run("e2fsck", &["-fy"], &file.0);
            assert!(code <= 1, "{what}: e2fsck -fy: {text}");
            return;
        }
        let file = TempFile::with(&image);
        let (code, text) = run("e2fsck", &["-fn"], &file.0);
        assert_eq!(code, 0, "{what}: e2fsck -fn: {text}");
        if let Some(bytes) = &self.bytes {
            let image = without_journal(image);
            let differs = bytes
                .chunks(1024)
                .zip(image.chunks(1024))
                .position(|(a, b)| a != b);
            assert_eq!(differs, None, "{what}: another disk");
        }
    }
}

/// Whether the superblock's state tells of an error.
fn has_noted_error(image: &[u8]) -> bool {
    image[1024 + 58] & 2 != 0
}

/// Recovers an image: the tree, and the image after a clean unmount.
fn finished(image: Vec<u8>, what: &str) -> (Tree, Vec<u8>) {
    let device = Failing::new(image, Plan::Never);
    let mounted = HostFs::mount(device.clone(), &MountOptions::default());
    let mut fs = mounted.unwrap_or_else(|error| panic!("{what}: mount: {error}"));
    let tree = fs.tree().unwrap_or_else(|error| panic!("{what}: {error}"));
    fs.unmount().unwrap();
    (tree, device.contents())
}

/// Zeroes in place of the superblock, which has times and counts of mounts, and of the journal.
fn without_journal(mut image: Vec<u8>) -> Vec<u8> {
    let block_size = 1024usize << u32::from_le_bytes(image[1048..1052].try_into().unwrap());
    let blocks = debugfs(&image, "blocks <8>");
    for block in blocks
        .split_whitespace()
        .filter_map(|word| word.parse::<usize>().ok())
    {
        image[block * block_size..][..block_size].fill(0);
    }
    image[1024..2048].fill(0);
    image
}

fn dirty_disks() -> Vec<Dirty> {
    vec![
        Dirty::make(&["-b", "1024", "-J", "size=1"], 1, true),
        Dirty::make(&["-b", "1024", "-O", "orphan_file"], 2, true),
        Dirty::make(&["-b", "1024"], 3, false),
        Dirty::make(&["-b", "4096"], 4, false),
    ]
}

/// Numbers below `count`: all of them, or a sample.
fn sample(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var_os("REXT4_ALL_FAULTS").is_some();
    let step = if all { 1 } else { (count / most).max(1) };
    (0..count).step_by(step)
}

/// A mount on a device that fails, and its end.
fn disturbed(image: &[u8], plan: Plan, read_only: bool) -> Failing {
    let device = Failing::new(image.to_vec(), plan);
    let options = MountOptions {
        read_only,
        ..MountOptions::default()
    };
    let told = match HostFs::mount(device.clone(), &options) {
        Ok(mut fs) => {
            fs.let_go();
            let stopped = fs.fs.is_read_only() && !read_only;
            fs.fs.unmount().is_err() || stopped
        }
        Err(error) => {
            assert!(matches!(error, Error::Io(_)), "{plan:?}: {error}");
            true
        }
    };
    let failed = device.failed();
    let is_change = matches!(failed, Some(Request::Write | Request::Flush));
    assert!(told || !is_change, "{plan:?}: nobody was told of it");
    assert!(
        !told || failed.is_some(),
        "{plan:?}: an error without a fault"
    );
    device
}

#[test]
fn the_device_fails_while_recovering() {
    for (disk, dirty) in dirty_disks().iter().enumerate() {
        for read_only in [false, true] {
            let count = disturbed(&dirty.image, Plan::Never, read_only).count();
            for n in sample(usize::try_from(count).unwrap(), 8) {
                let n = n as u64;
                for plan in [Plan::Once(n), Plan::From(n), Plan::WritesFrom(n)] {
                    let device = disturbed(&dirty.image, plan, read_only);
                    let what = format!("disk {disk}, {plan:?}, read only: {read_only}");
                    dirty.check(device.contents(), &what);
                }
            }
        }
    }
}

/// What a recovery does to the device.
fn record(image: Vec<u8>) -> Recording {
    let device = Recording::new(image);
    let fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.unmount().unwrap();
    device
}

/// The contents when the power fails after `cut` events, and some writes that no flush covered are lost.
fn cut_at(device: &Recording, cut: usize, random: &mut Random) -> Vec<u8> {
    let durable = durable(&device.events(), cut);
    device.contents_with(cut, |write| durable[write] || random.below(2) == 0)
}

#[test]
fn the_power_fails_while_recovering() {
    let mut random = Random::new(9);
    for (disk, dirty) in dirty_disks().iter().enumerate() {
        let first = record(dirty.image.clone());
        for cut in sample(first.event_count() + 1, 12) {
            let what = format!("disk {disk}, cut {cut}");
            dirty.check(first.contents_after(cut), &what);
            let left = cut_at(&first, cut, &mut random);
            dirty.check(left.clone(), &format!("{what}, torn"));
            // Once more while that is recovered.
            let second = record(left);
            let again = random.below(second.event_count() as u64 + 1) as usize;
            let left = cut_at(&second, again, &mut random);
            dirty.check(left, &format!("{what}, torn, then again after {again}"));
        }
    }
}

/// An orphan for which there is no memory this time is not forgotten, nor are those that were before it.
#[test]
fn no_orphan_is_lost() {
    for args in [
        &["-b", "1024", "-J", "size=1"][..],
        &["-b", "1024", "-O", "orphan_file"],
    ] {
        let device = Recording::new(mkfs(SIZE, args));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        for path in GONE {
            fs.create(path, 0o644).unwrap();
            for n in 0..3 {
                fs.create(&format!("{path}-{n}"), 0o644).unwrap();
            }
        }
        fs.sync().unwrap();
        for path in GONE {
            fs.hold(path).unwrap();
            fs.unlink(path).unwrap();
        }
        fs.sync().unwrap();
        fs.abandon();
        let image = device.contents();
        let (tree, bytes) = finished(image.clone(), "undisturbed");
        assert_clean(&bytes);
        let dirty = Dirty {
            image,
            tree,
            bytes: None,
        };
        let failing = |n| {
            let device = Failing::new(dirty.image.clone(), Plan::Never);
            let shortage = Shortage::begin(n, 1);
            let mounted = HostFs::mount(device.clone(), &MountOptions::default());
            Shortage::end();
            if let Ok(fs) = mounted {
                // It fails when what broke off half-way has stopped the journal.
                let _ = fs.fs.unmount();
            }
            dirty.check(device.contents(), &format!("{args:?}, allocation {n}"));
            shortage.count()
        };
        let count = failing(u64::MAX);
        for n in sample(usize::try_from(count).unwrap(), 40) {
            failing(n as u64);
        }
    }
}

/// A deletion waits for memory: nothing is left behind.
#[test]
fn memory_runs_short_in_a_deletion() {
    let device = Failing::new(mkfs(SIZE, &["-b", "1024"]), Plan::Never);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.create("/gone", 0o644).unwrap();
    fs.write("/gone", 0, &[1; 9000]).unwrap();
    fs.unmount().unwrap();
    let image = device.contents();
    for n in 0.. {
        let device = Failing::new(image.clone(), Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let held = fs.hold("/gone").unwrap();
        fs.unlink("/gone").unwrap();
        fs.sync().unwrap();
        // Its record has to be read again.
        fs.fs.freeze().and_then(|()| fs.fs.thaw()).unwrap();
        fs.fs.reclaim(100_000);
        let shortage = Shortage::begin(n, 1);
        let deleted = fs.release(held);
        Shortage::end();
        assert_eq!(deleted, Ok(()), "allocation {n}");
        fs.unmount().unwrap();
        assert_clean(&device.contents());
        if shortage.count() <= n {
            assert!(n > 10);
            break;
        }
    }
}

/// The highest number of a transaction in the log.
fn newest_number(image: &[u8], log: &[usize]) -> u32 {
    let word = |at: usize| u32::from_be_bytes(image[at..at + 4].try_into().unwrap());
    let blocks = log.iter().map(|block| block * 1024);
    let logged = blocks.filter(|at| word(*at) == 0xc03b_3998 && word(at + 4) < 4);
    logged.map(|at| word(at + 8)).max().unwrap()
}

/// Somebody has said that the log does not count: none of its transactions may look like one that follows
/// on a new one.
#[test]
fn a_leftover_log_is_left_behind() {
    let device = Recording::new(mkfs(SIZE, &["-b", "1024", "-O", "^metadata_csum"]));
    let log: Vec<usize> = debugfs(&device.contents(), "blocks <8>")
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    for n in 0..10 {
        fs.create(&format!("/{n}"), 0o644).unwrap();
        fs.sync().unwrap();
    }
    fs.abandon();
    let mut image = device.contents();
    let stale = newest_number(&image, &log);
    image[1024 + 0x60] &= !4;
    let device = Recording::new(image);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.create("/new", 0o644).unwrap();
    fs.sync().unwrap();
    fs.abandon();
    let image = device.contents();
    let superblock = log[0] * 1024;
    let oldest = u32::from_be_bytes(image[superblock + 24..][..4].try_into().unwrap());
    assert!(oldest > stale, "{oldest} was in use: {stale}");
}
