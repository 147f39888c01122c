// SPDX-License-Identifier: GPL-2.0

//! The device fails at each of its requests in turn, and memory runs short at each allocation: every
//! error surfaces, nothing panics or hangs, nothing that was promised stays taken, and afterwards the
//! disk recovers to something clean that has what was synced.
//!
//! `REXT4_ALL_FAULTS=1` tries every request and allocation instead of a sample.

mod common;

use common::{Model, Op};
use host_core::core::error::{Error, Result};
use host_core::core::mount::{ErrorPolicy, MountOptions};
use host_core::format::units::FileBlock;
use host_core::host::failing::{Failing, Plan, Request};
use host_core::host::recording::Recording;
use host_core::host::shortage::Shortage;
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::{assert_clean, debugfs, mkfs, run, Random, TempFile};

const MOST: u64 = 12_000;
const SIZE: u64 = 8 << 20;

const WATCHFUL: MountOptions = MountOptions {
    read_only: false,
    no_recovery: false,
    errors: None,
    commit_interval: None,
    barrier: None,
    ordered: false,
    verify: true,
};

/// Random operations, the same for every fault.
fn operations(seed: u64, count: usize) -> Vec<Op> {
    let mut random = Random::new(seed);
    let mut ops: Vec<_> = ["/d0", "/d1", "/d0/d2", "/d1/d3"]
        .map(|path| Op::Mkdir(path.into()))
        .into();
    for dir in ["", "/d0", "/d1", "/d0/d2", "/d1/d3"] {
        ops.extend((0..4).map(|n| Op::Create(format!("{dir}/f{n}"))));
    }
    while ops.len() < count {
        let op = match ops.len() % 9 {
            8 => Op::Sync,
            _ => Op::any(&mut random, MOST),
        };
        if !op.is_below_itself() {
            ops.push(op);
        }
    }
    ops
}

/// How the operations went on a device that may fail.
struct Outcome {
    /// The first error that the device or the journal caused.
    error: Option<Error>,
    /// What the last successful sync has promised and nothing has touched since.
    stable: Tree,
}

/// Does the operations until one fails for a reason that the model does not know.
fn work(fs: &mut HostFs, ops: &[Op]) -> Outcome {
    let mut model = Model::new();
    let mut stable = model.tree();
    for op in ops {
        let done = op.apply(fs);
        let want = model.apply(op);
        let now = model.tree();
        stable.retain(|path, entry| now.get(path) == Some(entry));
        if done != want {
            let error = done.expect_err("only a fault may make a difference");
            return Outcome {
                error: Some(error),
                stable,
            };
        }
        if matches!(op, Op::Sync) {
            stable = now;
        }
    }
    Outcome {
        error: None,
        stable,
    }
}

/// After the fault: more changes must fail or be done, never hang; then everything is let go.
fn after(fs: &mut HostFs) -> Result {
    for n in 0..3 {
        let path = format!("/after{n}");
        let made = fs.create(&path, 0o644);
        if made.is_ok() {
            let _ = fs.write(&path, 0, b"after the fault");
        }
    }
    let synced = fs.sync();
    fs.let_go();
    synced
}

/// e2fsck finds nothing; an error that was noted is no finding.
fn assert_sound(image: &[u8], what: &str) {
    let file = TempFile::with(image);
    let (code, text) = run("e2fsck", &["-fn"], &file.0);
    assert_eq!(code, 0, "{what}: e2fsck -fn: {text}");
}

/// The disk works again: recovery gives a sound file system with all that was promised.
fn replug(image: Vec<u8>, promised: &Tree, what: &str) {
    let device = Failing::new(image, Plan::Never);
    let mounted = HostFs::mount(device.clone(), &WATCHFUL);
    let mut fs = mounted.unwrap_or_else(|error| panic!("{what}: mount afterwards: {error}"));
    let tree = fs.tree();
    let tree = tree.unwrap_or_else(|error| panic!("{what}: reading afterwards: {error}"));
    for (path, entry) in promised {
        assert_eq!(tree.get(path), Some(entry), "{what}: {path} was synced");
    }
    fs.unmount().unwrap();
    assert_sound(&device.contents(), what);
}

/// One run with a device that fails as planned.
fn run_failing(image: &[u8], ops: &[Op], plan: Plan) -> Failing {
    let what = format!("{plan:?}");
    let device = Failing::new(image.to_vec(), plan);
    let (mut errors, mut promised) = (0, Model::new().tree());
    match HostFs::mount(device.clone(), &WATCHFUL) {
        Err(_) => errors += 1,
        Ok(mut fs) => {
            let outcome = work(&mut fs, ops);
            errors += usize::from(outcome.error.is_some());
            errors += usize::from(after(&mut fs).is_err());
            if device.failed().is_none() {
                assert_eq!(errors, 0, "{what}: an error without a fault");
            }
            promised = outcome.stable;
            promised.remove("");
            assert_eq!(
                fs.fs.statistics().free,
                fs.fs.statistics().free + fs.fs.written().delayed_blocks,
                "{what}: promises are left"
            );
            errors += usize::from(fs.fs.unmount().is_err());
        }
    }
    match device.failed() {
        Some(Request::Write | Request::Flush) => {
            assert!(errors > 0, "{what}: nobody was told of the failed write");
        }
        Some(Request::Read) | None => {}
    }
    replug(device.contents(), &promised, &what);
    device
}

/// Numbers below `count`: all of them, or a sample.
fn sample(count: u64, most: u64) -> impl Iterator<Item = u64> {
    let step = if std::env::var_os("REXT4_ALL_FAULTS").is_some() {
        1
    } else {
        (count / most).max(1)
    };
    (0..count).step_by(usize::try_from(step).unwrap())
}

fn fail_requests(args: &[&str], seed: u64, plan: impl Fn(u64) -> Plan) {
    let image = mkfs(SIZE, args);
    let ops = operations(seed, 110);
    let count = run_failing(&image, &ops, Plan::Never).count();
    for n in sample(count, 30) {
        run_failing(&image, &ops, plan(n));
    }
}

#[test]
fn one_request_fails() {
    fail_requests(&["-b", "1024", "-J", "size=1"], 1, Plan::Once);
    fail_requests(&["-b", "4096", "-O", "orphan_file"], 2, Plan::Once);
}

#[test]
fn the_device_goes_away() {
    fail_requests(&["-b", "1024", "-J", "size=1"], 3, Plan::From);
    fail_requests(&["-b", "4096"], 4, Plan::From);
}

#[test]
fn writes_fail_from_now_on() {
    fail_requests(&["-b", "1024", "-J", "size=1"], 5, Plan::WritesFrom);
    fail_requests(&["-b", "4096"], 6, Plan::WritesFrom);
}

/// One run in which `len` allocations from the `first` on fail.
fn run_short(image: &[u8], ops: &[Op], first: u64, len: u64) -> u64 {
    let what = format!("allocations {first}..{}", first.saturating_add(len));
    let device = Failing::new(image.to_vec(), Plan::Never);
    let shortage = Shortage::begin(first, len);
    let Ok(mut fs) = HostFs::mount(device.clone(), &WATCHFUL) else {
        Shortage::end();
        replug(device.contents(), &Model::new().tree(), &what);
        return shortage.count();
    };
    let done: Vec<_> = ops.iter().map(|op| op.apply(&mut fs)).collect();
    let count = shortage.count();
    Shortage::end();
    let synced = after(&mut fs);
    let written = fs.fs.written();
    assert_eq!(written.delayed_blocks, 0, "{what}: promises are left");
    // Whatever was half done could wait.
    assert_eq!(synced, Ok(()), "{what}: {done:?}");
    fs.fs.sync(true).unwrap();
    fs.fs
        .unmount()
        .unwrap_or_else(|error| panic!("{what}: unmount: {error}"));
    // What could not be deleted before is deleted now.
    let counts = fs.fs.statistics();
    let image = device.contents();
    assert_clean(&image);
    let text = debugfs(&image, "show_super_stats -h");
    let free = text
        .lines()
        .find_map(|line| line.strip_prefix("Free blocks:"))
        .and_then(|count| count.trim().parse().ok());
    assert_eq!(
        free,
        Some(counts.free),
        "{what}: free blocks in memory and on disk"
    );
    count
}

fn run_out_of_memory(args: &[&str], seed: u64, len: u64) {
    let image = mkfs(SIZE, args);
    let ops = operations(seed, 110);
    let count = run_short(&image, &ops, u64::MAX, 0);
    for first in sample(count, 50) {
        run_short(&image, &ops, first, len);
    }
}

#[test]
fn one_allocation_fails() {
    run_out_of_memory(&["-b", "1024", "-J", "size=1"], 11, 1);
    run_out_of_memory(&["-b", "4096", "-O", "orphan_file"], 12, 1);
}

#[test]
fn some_allocations_fail() {
    run_out_of_memory(&["-b", "1024", "-J", "size=1"], 13, 7);
}

/// Memory runs short while an index and an extent tree get another level: what is half done waits.
#[test]
fn memory_runs_short_as_trees_grow() {
    let grow = |fs: &mut HostFs, names: std::ops::Range<u32>, pieces: std::ops::Range<u64>| {
        let name = |n: u32| format!("/many/{n:03}{}", "-long-name".repeat(23));
        let create = |n: u32| fs.create(&name(n), 0o644).map(drop);
        let made: Vec<Result> = names.map(create).collect();
        let write = |n: u64| fs.write("/tree", n * 2048, b"piece").and(fs.flush_all());
        made.into_iter()
            .chain(pieces.map(write).collect::<Vec<_>>())
            .filter(Result::is_err)
            .count()
    };
    let levels = |image: &[u8]| {
        let index = debugfs(image, "htree_dump /many").contains("Indirect levels: 1");
        (index, debugfs(image, "ex /tree").contains(" 0/ 2 "))
    };
    let device = Failing::new(mkfs(SIZE, &["-b", "1024", "-J", "size=1"]), Plan::Never);
    let mut fs = HostFs::mount(device.clone(), &WATCHFUL).unwrap();
    fs.mkdir("/many", 0o755).unwrap();
    fs.create("/tree", 0o644).unwrap();
    assert_eq!(grow(&mut fs, 0..300, 0..320), 0);
    fs.unmount().unwrap();
    let image = device.contents();
    assert_eq!(levels(&image), (false, false));
    let short = |n: u64| {
        let device = Failing::new(image.clone(), Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &WATCHFUL).unwrap();
        let shortage = Shortage::begin(n, 1);
        let failed = grow(&mut fs, 300..390, 320..360);
        Shortage::end();
        assert!(failed <= 1, "allocation {n}: {failed}");
        assert_eq!(fs.sync(), Ok(()), "allocation {n}");
        fs.let_go();
        assert_eq!(fs.fs.unmount(), Ok(()), "allocation {n}");
        assert_clean(&device.contents());
        assert_eq!(levels(&device.contents()), (true, true));
        shortage.count()
    };
    let count = short(u64::MAX);
    for n in sample(count, 60) {
        short(n);
    }
}

/// Memory runs short while one run of data over the end of a group becomes part of its file: the bitmaps
/// have of it what the file has, and what is left can be finished later.
#[test]
fn memory_runs_short_between_groups() {
    let args = ["-b", "1024", "-g", "512", "-N", "512", "-J", "size=1"];
    let image = mkfs(12 << 20, &args);
    let mut failures = 0;
    for n in 0.. {
        let device = Failing::new(image.clone(), Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &WATCHFUL).unwrap();
        let ino = fs.create("/file", 0o644).unwrap();
        fs.write("/file", 0, &vec![7; 4 << 20]).unwrap();
        let submitted = fs.submit(ino).unwrap();
        let inode = fs.resolve("/file").unwrap();
        let spans = |at| fs.fs.map(&inode, FileBlock(at), 3072).unwrap().len > 1024;
        assert!((0..4096).any(spans), "no run is longer than a group");
        let shortage = Shortage::begin(n, 1);
        let landed = fs.complete(ino, &submitted);
        Shortage::end();
        let hit = shortage.count() > n;
        // For notes of the journal it waits.
        assert!(hit || landed.is_ok(), "{n}: {landed:?}");
        failures += u32::from(landed.is_err());
        fs.sync().unwrap();
        replug(device.contents(), &Tree::new(), "power cut");
        if landed.is_err() {
            fs.complete(ino, &submitted).unwrap();
        }
        drop(inode);
        let _ = fs.unmount();
        if !hit {
            break;
        }
    }
    assert!(failures > 0);
}

/// Memory runs short in a truncation over several transactions: nothing is changed, or it is
/// done. Never does a part of the file stay behind its end.
#[test]
fn memory_runs_short_in_a_long_truncation() {
    let args = ["-b", "1024", "-J", "size=1"];
    let device = Recording::new(mkfs(16 << 20, &args));
    let mut fs = HostFs::mount(device.clone(), &WATCHFUL).unwrap();
    fs.create("/file", 0o644).unwrap();
    for n in 0..2500 {
        fs.write("/file", n * 2048, &[7; 1000]).unwrap();
        if n % 200 == 0 {
            // Delayed pieces keep much space for tree nodes each.
            fs.flush_all().unwrap();
        }
    }
    fs.flush_all().unwrap();
    let size = fs.resolve("/file").unwrap().attributes().size;
    fs.unmount().unwrap();
    let image = device.contents();
    /// Fewer than a truncation makes.
    const ALLOCATIONS: u64 = 200;
    // Once without, to count.
    let (mut done, mut allocations) = (0, 0);
    for n in std::iter::once(u64::MAX).chain(sample(ALLOCATIONS, 60)) {
        let device = Recording::new(image.clone());
        let mut fs = HostFs::mount(device.clone(), &WATCHFUL).unwrap();
        let inode = fs.resolve("/file").unwrap();
        let shortage = Shortage::begin(n, 1);
        let cut = fs.truncate("/file", 3000);
        Shortage::end();
        fs.sync().unwrap();
        done += u32::from(cut.is_ok());
        let now = inode.attributes();
        match cut {
            Ok(()) => assert_eq!((now.size, now.blocks), (3000, 4), "{n}"),
            Err(_) => assert_eq!(now.size, size, "{n}"),
        }
        drop(inode);
        fs.unmount().unwrap();
        assert_clean(&device.contents());
        allocations = allocations.max(shortage.count());
    }
    // Most of them are for nodes of the tree, which are asked for again.
    assert!(done > 15 && allocations > ALLOCATIONS);
}

/// What e2fsprogs and the C driver look at after an error: the journal's errno, the state, the fields.
#[test]
fn a_stopped_journal_says_why() {
    let image = mkfs(SIZE, &["-b", "1024"]);
    let strict = MountOptions {
        errors: Some(ErrorPolicy::RemountReadOnly),
        ..MountOptions::default()
    };
    let device = Failing::new(image, Plan::Never);
    let mut fs = HostFs::mount(device.clone(), &strict).unwrap();
    fs.create("/a", 0o644).unwrap();
    fs.sync().unwrap();
    fs.fs.test_error("a test");
    assert_eq!(fs.create("/b", 0o644).map(drop), Err(Error::ReadOnly));
    assert_eq!(fs.sync(), Err(Error::ReadOnly));
    fs.let_go();
    fs.fs.unmount().unwrap();
    let left = device.contents();
    let file = TempFile::with(&left);
    let (_, text) = run("dumpe2fs", &["-h"], &file.0);
    for want in [
        "Journal errno:            -117",
        "FS Error count:           1",
    ] {
        assert!(text.contains(want), "{want} in {text}");
    }
    for want in ["First error function:     test_error", "clean with errors"] {
        assert!(text.contains(want), "{want} in {text}");
    }
    // The next mount passes it on to the state and forgets the errno.
    let device = Failing::new(left, Plan::Never);
    let fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.unmount().unwrap();
    let file = TempFile::with(&device.contents());
    let (_, text) = run("dumpe2fs", &["-h"], &file.0);
    assert!(
        text.contains("clean with errors") && !text.contains("Journal errno"),
        "{text}"
    );
    assert!(text.contains("FS Error count:           1"), "{text}");
    assert_sound(&device.contents(), "after the next mount");
}

/// `errors=continue` goes on and notes; `errors=remount-ro` ends all changes.
#[test]
fn policies() {
    for (errors, goes_on) in [
        (ErrorPolicy::Continue, true),
        (ErrorPolicy::RemountReadOnly, false),
    ] {
        let options = MountOptions {
            errors: Some(errors),
            ..MountOptions::default()
        };
        let device = Failing::new(mkfs(SIZE, &[]), Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &options).unwrap();
        fs.fs.test_error("one");
        fs.fs.test_error("two");
        assert_eq!(fs.create("/a", 0o644).is_ok(), goes_on);
        let record = fs.fs.error_record().unwrap();
        assert_eq!(record.count, if goes_on { 2 } else { 1 });
        assert!(record.last.function.starts_with(b"test_error\0"));
        fs.let_go();
        fs.fs.unmount().unwrap();
        assert_sound(&device.contents(), "after errors");
    }
}

/// `errors=panic` stops the machine when the error is on the disk.
#[test]
fn policy_panic() {
    let options = MountOptions {
        errors: Some(ErrorPolicy::Panic),
        ..MountOptions::default()
    };
    let device = Failing::new(mkfs(SIZE, &[]), Plan::Never);
    let fs = HostFs::mount(device.clone(), &options).unwrap();
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fs.fs.test_error("the end");
    }));
    assert!(stopped.is_err());
    let file = TempFile::with(&device.contents());
    let (_, text) = run("dumpe2fs", &["-h"], &file.0);
    assert!(text.contains("FS Error count:           1"), "{text}");
    assert!(text.contains("Journal errno:            -117"), "{text}");
    fs.abandon();
}

/// A shutdown ends everything, and is no error of the disk's.
#[test]
fn shutdown() {
    for commit in [true, false] {
        let device = Failing::new(mkfs(SIZE, &[]), Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        fs.create("/kept", 0o644).unwrap();
        if commit {
            fs.fs.shutdown_after_commit();
        } else {
            fs.fs.shutdown();
        }
        assert_eq!(fs.create("/b", 0o644).map(drop), Err(Error::Shutdown));
        assert_eq!(fs.sync(), Err(Error::Shutdown));
        fs.let_go();
        fs.fs.unmount().unwrap();
        let image = device.contents();
        let file = TempFile::with(&image);
        let (_, text) = run("dumpe2fs", &["-h"], &file.0);
        assert!(
            !text.contains("errors") && !text.contains("Error count"),
            "{text}"
        );
        let device = Failing::new(image, Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        assert_eq!(fs.resolve("/kept").is_ok(), commit);
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

/// Data that is not durable is for its writer to know; the file system goes on.
#[test]
fn a_flush_for_data_fails() {
    let strict = MountOptions {
        errors: Some(ErrorPolicy::RemountReadOnly),
        ..MountOptions::default()
    };
    let device = Failing::new(mkfs(SIZE, &["-b", "1024"]), Plan::Never);
    let mut fs = HostFs::mount(device.clone(), &strict).unwrap();
    fs.create("/a", 0o644).unwrap();
    fs.sync().unwrap();
    let flush = |fs: &mut HostFs, work: fn(&mut HostFs) -> Result<()>| {
        device.set_plan(Plan::Once(device.count()));
        assert!(matches!(work(fs), Err(Error::Io(_))));
        assert_eq!(device.failed(), Some(Request::Flush));
        work(fs).unwrap();
    };
    flush(&mut fs, |fs| fs.fsync("/a"));
    flush(&mut fs, HostFs::sync);
    fs.create("/b", 0o644).unwrap();
    fs.unmount().unwrap();
    assert_clean(&device.contents());
    assert_sound(&device.contents(), "after flushes that failed");
}
