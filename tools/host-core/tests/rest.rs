// SPDX-License-Identifier: GPL-2.0

//! A disk at rest: below a frozen mount, or one that was remounted read-only, it is clean, and what comes
//! meanwhile makes no difference to what is recovered later.

use host_core::core::error::Error;
use host_core::core::mount::{ErrorPolicy, MountOptions};
use host_core::host::device::Backend;
use host_core::host::failing::{Failing, Plan};
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, debugfs, mkfs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A log that is full soon.
const SMALL_LOG: &[&str] = &["-b", "1024", "-J", "size=1"];
const SIZE: u64 = 16 << 20;
const CONTINUE: MountOptions = MountOptions {
    read_only: false,
    no_recovery: false,
    errors: Some(ErrorPolicy::Continue),
    commit_interval: None,
    barrier: None,
    ordered: false,
    verify: false,
};
const READ_ONLY: MountOptions = MountOptions {
    read_only: true,
    ..CONTINUE
};

/// Whether the superblock says that the log counts.
fn needs_recovery(image: &[u8]) -> bool {
    image[1024 + 0x60] & 4 != 0
}

/// The errors that the superblock has counted.
fn errors(image: &[u8]) -> u8 {
    image[1024 + 0x194]
}

/// Makes files and commits each, until the log has been round.
fn go_round(fs: &mut HostFs, dir: &str) {
    fs.mkdir(dir, 0o755).unwrap();
    for n in 0..400 {
        fs.create(&format!("{dir}/{n}"), 0o644).unwrap();
        fs.sync().unwrap();
    }
}

/// A mount finds what is at `path`; the disk after it.
fn survives(image: Vec<u8>, path: &str) -> Vec<u8> {
    let device = Recording::new(image);
    let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
    fs.resolve(path).unwrap();
    fs.unmount().unwrap();
    device.contents()
}

#[test]
fn an_error_while_frozen() {
    let device = Recording::new(mkfs(SIZE, SMALL_LOG));
    let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
    fs.create("/before", 0o644).unwrap();
    fs.fs.freeze().unwrap();
    fs.fs.test_error("found while frozen");
    let frozen = device.contents();
    assert!(!needs_recovery(&frozen) && errors(&frozen) == 1);
    let log = debugfs(&frozen, "logdump -S");
    assert!(log.contains("Journal start:            0"), "{log}");
    fs.fs.sync(true).unwrap();
    assert!(device.contents() == frozen, "something was written");
    fs.fs.thaw().unwrap();
    assert!(needs_recovery(&device.contents()));
    go_round(&mut fs, "/after");
    let crashed = device.contents();
    fs.abandon();
    assert!(needs_recovery(&crashed));
    assert_eq!(errors(&survives(crashed, "/after/399")), 1);
}

/// A transaction that nothing was changed in is open when the file system is frozen.
#[test]
fn a_sync_while_frozen() {
    let few_inodes = [SMALL_LOG, &["-N", "16"]].concat();
    let device = Recording::new(mkfs(SIZE, &few_inodes));
    let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
    let fill = |fs: &mut HostFs| (0..).find_map(|n| fs.create(&format!("/{n}"), 0o644).err());
    assert_eq!(fill(&mut fs), Some(Error::NoSpace));
    fs.sync().unwrap();
    fs.drop_caches().unwrap();
    assert_eq!(fs.create("/one-more", 0o644), Err(Error::NoSpace));
    fs.fs.freeze().unwrap();
    let frozen = device.contents();
    assert!(!needs_recovery(&frozen));
    fs.fs.sync(false).unwrap();
    fs.fs.sync(true).unwrap();
    fs.fsync("/0").unwrap();
    assert!(device.contents() == frozen, "something was written");
    fs.fs.thaw().unwrap();
    fs.unlink("/0").unwrap();
    fs.sync().unwrap();
    let crashed = device.contents();
    fs.abandon();
    survives(crashed, "/1");
}

/// A tool that had read the superblock before an error writes it back while the file system is frozen.
#[test]
fn errors_that_a_tool_writes_over() {
    let device = Recording::new(mkfs(SIZE, SMALL_LOG));
    let fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
    let mut superblock = [0; 1024];
    device.read_at(1024, &mut superblock).unwrap();
    fs.fs.test_error("the tool does not know of it");
    fs.fs.freeze().unwrap();
    assert_eq!(errors(&device.contents()), 1);
    device.write_at(1024, &superblock).unwrap();
    fs.fs.thaw().unwrap();
    assert_eq!(fs.fs.error_record().unwrap().count, 1);
    fs.unmount().unwrap();
    assert_eq!(errors(&device.contents()), 1);
}

/// What the log has of errors may be newer than what the disk has.
#[test]
fn errors_in_the_log() {
    let device = Recording::new(mkfs(SIZE, SMALL_LOG));
    let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
    fs.create("/file", 0o644).unwrap();
    fs.fs.test_error("in its place");
    fs.fs.freeze().unwrap();
    fs.fs.thaw().unwrap();
    fs.fs.test_error("in the log");
    fs.sync().unwrap();
    let crashed = device.contents();
    fs.abandon();
    assert_eq!(errors(&crashed), 1);
    assert_eq!(errors(&survives(crashed, "/file")), 2);
}

/// The error that ends all writing is noted past the log, with those before it that are nowhere else yet.
#[test]
fn errors_before_the_last() {
    for synced in [true, false] {
        let device = Recording::new(mkfs(SIZE, SMALL_LOG));
        let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
        fs.create("/file", 0o644).unwrap();
        fs.sync().unwrap();
        (0..3).for_each(|_| fs.fs.test_error("one of many"));
        if synced {
            fs.sync().unwrap();
        }
        let ending = MountOptions {
            errors: Some(ErrorPolicy::RemountReadOnly),
            ..MountOptions::default()
        };
        fs.fs.remount(&ending).unwrap();
        fs.fs.test_error("the last");
        assert_eq!(fs.fs.error_record().unwrap().count, 4);
        let crashed = device.contents();
        fs.abandon();
        assert_eq!(errors(&crashed), 4);
        assert_eq!(errors(&survives(crashed, "/file")), 4);
    }
}

#[test]
fn a_remount_changes_what_it_names() {
    let device = Recording::new(mkfs(SIZE, SMALL_LOG));
    let fs = HostFs::mount(device, &CONTINUE).unwrap();
    let change = MountOptions {
        read_only: true,
        no_recovery: true,
        commit_interval: Some(9),
        ..MountOptions::default()
    };
    fs.fs.remount(&change).unwrap();
    let options = MountOptions {
        read_only: true,
        commit_interval: Some(9),
        // As in all tests.
        verify: true,
        ..CONTINUE
    };
    assert_eq!(fs.fs.options(), options);
    // The journal was loaded: writing is possible again.
    fs.fs.remount(&MountOptions::default()).unwrap();
    assert!(!fs.fs.is_read_only());
    fs.unmount().unwrap();
}

#[test]
fn an_error_just_before_a_remount() {
    let device = Recording::new(mkfs(SIZE, SMALL_LOG));
    let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
    for round in 0..3 {
        fs.fs.test_error("found");
        fs.fs.remount(&READ_ONLY).unwrap();
        assert!(!needs_recovery(&device.contents()));
        fs.fs.remount(&CONTINUE).unwrap();
        go_round(&mut fs, &format!("/round{round}"));
        assert!(needs_recovery(&device.contents()));
    }
    let crashed = device.contents();
    fs.abandon();
    survives(crashed, "/round2/399");
}

/// Freezes with a device that fails at its nth request of that; what is synced later survives a crash.
#[test]
fn a_freeze_that_fails() {
    let image = mkfs(SIZE, SMALL_LOG);
    let run = |plan| {
        let device = Failing::new(image.clone(), plan);
        let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
        fs.create("/before", 0o644).unwrap();
        fs.sync().unwrap();
        let begin = device.count();
        let frozen = fs.fs.freeze();
        let end = device.count();
        if frozen.is_ok() {
            fs.fs.thaw().unwrap();
        }
        let synced = fs.create("/after", 0o644).and_then(|_| fs.sync());
        let crashed = device.contents();
        fs.abandon();
        if synced.is_ok() {
            survives(crashed, "/after");
        }
        (frozen, begin..end)
    };
    let (frozen, requests) = run(Plan::Never);
    assert!(frozen.is_ok() && requests.end - requests.start > 4);
    for at in requests {
        let (frozen, _) = run(Plan::Once(at));
        assert!(frozen.is_err(), "request {at}");
    }
}

/// Who waits for a thaw gets an error if it fails, and does not wait for ever.
#[test]
fn a_thaw_that_fails() {
    let image = mkfs(SIZE, SMALL_LOG);
    let run = |plan: fn(u64) -> Plan, nth| {
        let device = Failing::new(image.clone(), Plan::Never);
        let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
        fs.create("/before", 0o644).unwrap();
        fs.fs.freeze().unwrap();
        let begin = device.count();
        device.set_plan(plan(begin + nth));
        let thawed = fs.fs.thaw();
        let count = device.count() - begin;
        device.set_plan(Plan::Never);
        assert_eq!(fs.create("/after", 0o644).is_ok(), thawed.is_ok());
        assert_eq!(fs.fs.has_failed(), thawed.is_err());
        fs.resolve("/before").unwrap();
        let crashed = device.contents();
        fs.abandon();
        survives(crashed, "/before");
        count
    };
    let requests = run(|_| Plan::Never, 0);
    assert!(requests > 0);
    for nth in 0..requests {
        run(Plan::Once, nth);
        run(Plan::From, nth);
    }
}

/// A device that takes its time for a flush.
#[derive(Clone)]
struct Slow(Recording);

impl Backend for Slow {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.0.write_at(offset, from)
    }

    fn write_through(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.0.write_through(offset, from)
    }

    fn flush(&self) -> std::io::Result<()> {
        std::thread::sleep(Duration::from_millis(3));
        self.0.flush()
    }
}

/// As a remount by sysrq does it: nobody asks the writers.
#[test]
fn a_remount_under_writers() {
    for _ in 0..8 {
        let device = Slow(Recording::new(mkfs(SIZE, &["-b", "4096", "-N", "30000"])));
        let mut fs = HostFs::mount(device.clone(), &CONTINUE).unwrap();
        fs.mkdir("/dir", 0o755).unwrap();
        fs.drop_caches().unwrap();
        let began = AtomicBool::new(false);
        let mut writer = fs.share();
        let made = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                writer.chroot("/dir");
                let mut made = 0;
                let refused = loop {
                    if let Err(error) = writer.create(&format!("/{made}"), 0o644) {
                        break error;
                    }
                    made += 1;
                    std::thread::sleep(Duration::from_micros(200));
                    began.store(made > 10, Ordering::Release);
                };
                assert_eq!(refused, Error::ReadOnly);
                writer.let_go();
                made
            });
            while !began.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            fs.fs.remount(&READ_ONLY).unwrap();
            writer.join().unwrap()
        });
        let image = device.0.contents();
        assert_clean(&image);
        fs.unmount().unwrap();
        assert!(device.0.contents() == image, "something was written");
        survives(image, &format!("/dir/{}", made - 1));
    }
}
