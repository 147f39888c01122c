// SPDX-License-Identifier: GPL-2.0

//! A whole file system on a device in memory, judged by e2fsck after every unmount.

use host_core::core::error::Error;
use host_core::core::mount::{AttributeChanges, MountOptions};
use host_core::format::units::Ino;
use host_core::host::caller;
use host_core::host::device::Backend;
use host_core::host::recording::Recording;
use host_core::hostfs::{HostFs, Tree, HELD};
use host_core::testing::{assert_clean, debugfs, mkfs};

const MIB: u64 = 1 << 20;
const READ_ONLY: MountOptions = MountOptions {
    read_only: true,
    no_recovery: false,
    errors: None,
    commit_interval: None,
    barrier: None,
    ordered: false,
    verify: false,
};

/// The disks every test runs on: block sizes, and the defaults of newer e2fsprogs.
const DISKS: &[(u64, &[&str])] = &[
    (64 * MIB, &["-b", "4096"]),
    (
        32 * MIB,
        &["-b", "2048", "-O", "orphan_file,metadata_csum_seed"],
    ),
    (
        16 * MIB,
        &["-b", "1024", "-O", "orphan_file,metadata_csum_seed"],
    ),
    (
        16 * MIB,
        &["-b", "1024", "-O", "^metadata_csum", "-I", "128"],
    ),
];

/// Runs `work` on each kind of disk; what is there after it must be clean and the same after
/// another mount.
fn on_each_disk(work: impl Fn(&mut HostFs)) {
    for (size, args) in DISKS {
        let device = Recording::new(mkfs(*size, args));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        work(&mut fs);
        let before = fs.tree().unwrap();
        fs.unmount().unwrap();
        let image = device.contents();
        assert_clean(&image);
        assert_eq!(tree_of(image), before, "{args:?}");
    }
}

fn tree_of(image: Vec<u8>) -> Tree {
    let mut fs = HostFs::mount(Recording::new(image), &READ_ONLY).unwrap();
    let tree = fs.tree().unwrap();
    fs.unmount().unwrap();
    tree
}

#[test]
fn the_share_of_root_is_for_root() {
    let device = Recording::new(mkfs(8 * MIB, &["-b", "1024", "-m", "40", "-N", "4096"]));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.mkdir("/dir", 0o755).unwrap();
    let mut count = 0;
    while fs.mkdir(&format!("/user{count}"), 0o755).is_ok() {
        count += 1;
    }
    assert!(count > 100, "{count}");
    let again = fs.mkdir("/dir/user", 0o755).err();
    assert_eq!(again, Some(Error::NoSpace));
    // A long target takes a block, as a directory does; a new name takes none.
    assert_eq!(
        fs.symlink("/dir/user", &[b'x'; 200]).err(),
        Some(Error::NoSpace)
    );
    fs.create("/dir/user", 0o644).unwrap();
    assert_eq!(fs.write("/dir/user", 0, b"x").err(), Some(Error::NoSpace));
    caller::set_privileged(true);
    fs.mkdir("/dir/root", 0o755).unwrap();
    fs.symlink("/dir/link", &[b'x'; 200]).unwrap();
    fs.write("/dir/user", 0, b"x").unwrap();
    caller::set_privileged(false);
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}

#[test]
fn bytes_around_the_superblock_are_others() {
    let device = Recording::new(mkfs(64 * MIB, &["-b", "4096", "-O", "^orphan_file"]));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    // An orphan is noted in the superblock, in a transaction.
    fs.create("/file", 0o644).unwrap();
    let ino = fs.hold("/file").unwrap();
    fs.unlink("/file").unwrap();
    fs.sync().unwrap();
    let (boot, rest) = (pattern(1024, 7), pattern(2048, 9));
    device.write_at(0, &boot).unwrap();
    device.write_at(2048, &rest).unwrap();
    let mut crashed = device.contents();
    fs.release(ino).unwrap();
    fs.unmount().unwrap();
    let same = |image: &[u8], boot: &[u8]| image[..1024] == *boot && image[2048..4096] == rest;
    let image = device.contents();
    assert!(same(&image, &boot));
    assert_clean(&image);
    // The log holds the block as it was at the mount; recovery leaves what has come since.
    let boot = pattern(1024, 11);
    crashed[..1024].copy_from_slice(&boot);
    let device = Recording::new(crashed);
    let fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.unmount().unwrap();
    let image = device.contents();
    assert!(same(&image, &boot));
    assert_clean(&image);
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|n| {
            (n as u8)
                .wrapping_mul(31)
                .wrapping_add(seed)
                .wrapping_add((n >> 8) as u8)
        })
        .collect()
}

#[test]
fn empty_mounts() {
    on_each_disk(|_| {});
}

#[test]
fn files() {
    on_each_disk(|fs| {
        fs.create("/a", 0o644).unwrap();
        fs.write("/a", 0, b"hello world\n").unwrap();
        assert_eq!(fs.read("/a").unwrap(), b"hello world\n");
        let big = pattern(300_000, 3);
        fs.create("/big", 0o600).unwrap();
        fs.write("/big", 0, &big).unwrap();
        fs.fsync("/big").unwrap();
        fs.drop_caches().unwrap();
        assert_eq!(fs.read("/big").unwrap(), big);
        assert_eq!(fs.read("/a").unwrap(), b"hello world\n");
        fs.write("/big", 100_000, b"changed").unwrap();
        let changes = AttributeChanges {
            mode: Some(0o4711),
            uid: Some(70_000),
            gid: Some(5),
            ..Default::default()
        };
        fs.set_attributes("/big", &changes).unwrap();
        fs.create("/sparse", 0o644).unwrap();
        fs.write("/sparse", 1_000_000, b"end").unwrap();
        fs.write("/sparse", 500_000, b"middle").unwrap();
        let sparse = fs.read("/sparse").unwrap();
        assert_eq!(sparse.len(), 1_000_003);
        assert_eq!(&sparse[500_000..500_006], b"middle");
    });
}

#[test]
fn names() {
    on_each_disk(|fs| {
        fs.mkdir("/d", 0o755).unwrap();
        fs.mkdir("/d/e", 0o755).unwrap();
        fs.create("/d/f", 0o644).unwrap();
        fs.link("/d/f", "/d/e/g").unwrap();
        fs.symlink("/short", b"d/f").unwrap();
        fs.symlink("/long", &[b'x'; 700]).unwrap();
        fs.mknod("/null", 0o020_666, (1, 3)).unwrap();
        fs.mknod("/wide", 0o060_660, (300, 70_000)).unwrap();
        fs.mknod("/pipe", 0o010_600, (0, 0)).unwrap();
        assert_eq!(fs.create("/d/f", 0o644), Err(Error::Exists));
        assert_eq!(fs.rmdir("/d"), Err(Error::NotEmpty));
        fs.rename("/d/e", "/moved").unwrap();
        fs.rename("/moved/g", "/d/h").unwrap();
        fs.rmdir("/moved").unwrap();
        fs.create("/victim", 0o644).unwrap();
        fs.write("/victim", 0, &pattern(10_000, 9)).unwrap();
        fs.rename("/d/h", "/victim").unwrap();
        fs.mkdir("/empty", 0o755).unwrap();
        fs.mkdir("/d/other", 0o700).unwrap();
        fs.rename("/d/other", "/empty").unwrap();
        fs.unlink("/d/f").unwrap();
    });
}

#[test]
fn many_names() {
    on_each_disk(|fs| {
        fs.mkdir("/many", 0o755).unwrap();
        for n in 0..1500 {
            fs.create(
                &format!("/many/a-file-with-a-rather-long-name-{n:05}"),
                0o644,
            )
            .unwrap();
        }
        let names = fs.names("/many", 64).unwrap();
        assert_eq!(names.len(), 1500);
        for n in (0..1500).filter(|n| n % 3 != 0) {
            fs.unlink(&format!("/many/a-file-with-a-rather-long-name-{n:05}"))
                .unwrap();
        }
        assert_eq!(fs.names("/many", 10).unwrap().len(), 500);
    });
}

#[test]
fn sizes() {
    on_each_disk(|fs| {
        fs.create("/t", 0o644).unwrap();
        let data = pattern(200_000, 1);
        fs.write("/t", 0, &data).unwrap();
        fs.fsync("/t").unwrap();
        for size in [150_001u64, 150_000, 4096, 4095, 10_000, 1, 0, 70_000] {
            let mut want = fs.read("/t").unwrap();
            want.resize(size as usize, 0);
            fs.truncate("/t", size).unwrap();
            assert_eq!(fs.read("/t").unwrap(), want, "{size}");
            fs.drop_caches().unwrap();
            assert_eq!(fs.read("/t").unwrap(), want, "{size}");
        }
    });
}

#[test]
fn unlinked_but_open() {
    for (size, args) in DISKS {
        let device = Recording::new(mkfs(*size, args));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        for n in 0..5 {
            let path = format!("/o{n}");
            fs.create(&path, 0o644).unwrap();
            fs.write(&path, 0, &pattern(50_000, n)).unwrap();
            fs.sync().unwrap();
            fs.hold(&path).unwrap();
            fs.unlink(&path).unwrap();
            if n % 2 == 1 {
                // It gets shorter, and has no name all the same.
                fs.truncate(HELD, 20_000).unwrap();
            }
        }
        let kept = fs.resolve("/o2").err();
        assert_eq!(kept, Some(Error::NotFound));
        fs.sync().unwrap();
        let crashed = device.contents();
        fs.abandon();
        // A mount after the crash deletes them.
        let device = Recording::new(crashed);
        let fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

#[test]
fn released_in_any_order() {
    on_each_disk(|fs| {
        let mut held = Vec::new();
        for n in 0..7 {
            let path = format!("/o{n}");
            fs.create(&path, 0o644).unwrap();
            fs.write(&path, 0, &pattern(9_000, n)).unwrap();
            fs.sync().unwrap();
            held.push(fs.hold(&path).unwrap());
            fs.unlink(&path).unwrap();
        }
        for n in [3, 0, 6, 1, 5, 4, 2] {
            fs.release(held[n]).unwrap();
        }
    });
}

#[test]
fn superblock_is_kept() {
    let device = Recording::new(mkfs(16 * MIB, &["-O", "orphan_file"]));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.fs.record_mount_path(b"/somewhere");
    fs.create("/a", 0o644).unwrap();
    fs.sync().unwrap();
    let during = debugfs(&device.contents(), "stats -h");
    assert!(
        during.contains("needs_recovery") && during.contains("orphan_present"),
        "{during}"
    );
    fs.unmount().unwrap();
    let after = debugfs(&device.contents(), "stats -h");
    assert!(
        !after.contains("needs_recovery") && !after.contains("orphan_present"),
        "{after}"
    );
    assert!(after.contains("/somewhere"), "{after}");
    assert!(after.contains("Mount count:              1"), "{after}");
    assert!(after.contains("Filesystem state:         clean"), "{after}");
}

/// A device goes bad before it goes away.
#[test]
fn a_shutdown_after_an_error() {
    let device = Recording::new(mkfs(16 * MIB, &["-e", "remount-ro"]));
    let mut fs = HostFs::mount(device, &MountOptions::default()).unwrap();
    fs.fs.test_error("found");
    assert!(fs.fs.has_failed() && !fs.fs.is_shut_down());
    assert_eq!(fs.create("/a", 0o644), Err(Error::ReadOnly));
    fs.fs.shutdown();
    assert!(fs.fs.is_shut_down());
    assert_eq!(fs.create("/a", 0o644), Err(Error::Shutdown));
    fs.abandon();
}

#[test]
fn a_disk_mounted_where_it_was_is_not_written() {
    let device = Recording::new(mkfs(16 * MIB, &["-M", "/somewhere"]));
    let fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let writes_of = |path: &[u8]| {
        let before = device.events().len();
        fs.fs.record_mount_path(path);
        fs.fs.sync(true).unwrap();
        let events = device.events_from(before);
        events
            .iter()
            .filter(|event| event.write().is_some())
            .count()
    };
    assert_eq!(writes_of(b"/somewhere"), 0);
    assert!(writes_of(b"/elsewhere") > 0);
    fs.unmount().unwrap();
}

#[test]
fn refused_disks() {
    let mount = |args: &[&str], options: &MountOptions| {
        HostFs::mount(Recording::new(mkfs(16 * MIB, args)), options)
            .map(HostFs::unmount)
            .map(Result::unwrap)
    };
    let rw = MountOptions::default();
    assert_eq!(mount(&["-O", "inline_data"], &rw), Err(Error::Invalid));
    assert_eq!(mount(&["-O", "encrypt"], &READ_ONLY), Err(Error::Invalid));
    // mount(8) would silently try again read-only after `ReadOnly`.
    assert_eq!(mount(&["-O", "quota"], &rw), Err(Error::Invalid));
    assert_eq!(mount(&["-O", "quota"], &READ_ONLY), Ok(()));
    assert_eq!(mount(&["-O", "^has_journal"], &rw), Err(Error::Invalid));
    assert_eq!(mount(&["-O", "^has_journal"], &READ_ONLY), Ok(()));
    let uninit_bg = ["-O", "^metadata_csum,uninit_bg"];
    assert_eq!(mount(&uninit_bg, &rw), Err(Error::Invalid));
    assert_eq!(mount(&uninit_bg, &READ_ONLY), Ok(()));
    // `tune2fs -o journal_data`: a promise that cannot be kept.
    let with_bit = |at: usize, bit: u8| {
        let mut image = mkfs(16 * MIB, &["-O", "^metadata_csum"]);
        image[1024 + at] |= bit;
        move |options: &MountOptions| {
            HostFs::mount(Recording::new(image.clone()), options).map(HostFs::unmount)
        }
    };
    let wants = with_bit(0x100, 0x20);
    assert_eq!(wants(&rw).err(), Some(Error::Invalid));
    assert_eq!(wants(&READ_ONLY), Ok(Ok(())));
    let ordered = MountOptions {
        ordered: true,
        ..MountOptions::default()
    };
    assert_eq!(wants(&ordered), Ok(Ok(())));
    // The feature `read-only`.
    let wants = with_bit(0x65, 0x10);
    assert_eq!(wants(&rw).err(), Some(Error::ReadOnly));
    assert_eq!(wants(&READ_ONLY), Ok(Ok(())));
    let zeroes = HostFs::mount(Recording::new(vec![0; 1 << 20]), &rw);
    assert_eq!(zeroes.err(), Some(Error::Invalid));
}

#[test]
fn remounts() {
    let device = Recording::new(mkfs(16 * MIB, &[]));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.create("/a", 0o644).unwrap();
    fs.write("/a", 0, b"before").unwrap();
    fs.sync().unwrap();
    fs.fs.remount(&READ_ONLY).unwrap();
    assert_eq!(fs.create("/b", 0o644), Err(Error::ReadOnly));
    assert_clean(&device.contents());
    fs.fs.remount(&MountOptions::default()).unwrap();
    fs.create("/b", 0o644).unwrap();
    fs.sync().unwrap();
    fs.fs.freeze().unwrap();
    assert_clean(&device.contents());
    fs.fs.thaw().unwrap();
    fs.create("/c", 0o644).unwrap();
    fs.unmount().unwrap();
    assert_clean(&device.contents());
    assert_eq!(tree_of(device.contents()).len(), 5);
}

#[test]
fn full_disk() {
    on_each_disk(|fs| {
        fs.create("/fill", 0o644).unwrap();
        let chunk = pattern(1 << 20, 5);
        let mut at = 0u64;
        let error = loop {
            match fs.write("/fill", at, &chunk) {
                Ok(()) => at += chunk.len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::NoSpace);
        // What was accepted is kept.
        fs.flush_all().unwrap();
        fs.sync().unwrap();
        fs.unlink("/fill").unwrap();
        fs.create("/again", 0o644).unwrap();
        fs.write("/again", 0, &chunk).unwrap();
    });
}

/// Not even by its number, which somebody may guess.
#[test]
fn the_file_of_project_quotas_cannot_be_opened() {
    const PRJ_QUOTA_INUM: usize = 1024 + 0x26c;
    let image = mkfs(16 * MIB, &["-O", "quota,project"]);
    let ino = u32::from_le_bytes(image[PRJ_QUOTA_INUM..][..4].try_into().unwrap());
    assert!(ino >= 11, "{ino}");
    let fs = HostFs::mount(Recording::new(image), &READ_ONLY).unwrap();
    let opened = fs.fs.inode_of_handle(Ino(ino));
    assert_eq!(opened.err(), Some(Error::Stale));
    fs.unmount().unwrap();
}
