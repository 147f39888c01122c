// SPDX-License-Identifier: GPL-2.0

//! What `tune2fs` and `e2label` change in the superblock of a mounted disk: they write to the device, below
//! the mount.

use host_core::core::error::Error;
use host_core::core::mount::{ErrorPolicy, MountOptions};
use host_core::format::checksum::Functions;
use host_core::format::superblock::Superblock;
use host_core::host::crc;
use host_core::host::device::Backend;
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, mkfs};

const MIB: u64 = 1 << 20;
const DISKS: &[(u64, &[&str])] = &[
    (64 * MIB, &["-b", "4096", "-O", "^orphan_file"]),
    (16 * MIB, &["-b", "1024", "-O", "^orphan_file"]),
    (
        16 * MIB,
        &["-b", "1024", "-O", "^metadata_csum,^orphan_file"],
    ),
];

const MOUNTS: usize = 0x34;
const MOST_MOUNTS: usize = 0x36;
const STATE: usize = 0x3a;
const COMPAT: usize = 0x5c;
const LABEL: usize = 0x78;
const ERROR_COUNT: usize = 0x194;

/// Changes bytes of the superblock as a tool does: there, and the checksum with them.
fn administer(device: &Recording, edits: &[(usize, &[u8])]) {
    let mut bytes = [0; 1024];
    device.read_at(1024, &mut bytes).unwrap();
    for (at, with) in edits {
        bytes[*at..*at + with.len()].copy_from_slice(with);
    }
    let functions = Functions {
        crc32c: crc::crc32c,
        crc16: crc::crc16,
    };
    let checksums = Superblock::checksums(&bytes, functions).unwrap();
    checksums.seal_superblock(&mut bytes).unwrap();
    device.write_at(1024, &bytes).unwrap();
}

fn administered(image: &[u8]) -> bool {
    let superblock = &image[1024..2048];
    superblock[LABEL..LABEL + 16] == *b"a longish label!" && superblock[MOST_MOUNTS] == 33
}

const EDITS: &[(usize, &[u8])] = &[(LABEL, b"a longish label!"), (MOST_MOUNTS, &[33, 0])];

/// Makes a transaction with the superblock in it, by way of an orphan.
fn note_orphan(fs: &mut HostFs, path: &str) {
    fs.create(path, 0o644).unwrap();
    fs.hold(path).unwrap();
    fs.unlink(path).unwrap();
    fs.sync().unwrap();
}

/// A mounted disk with the superblock in its log, which was administered since.
fn administered_below(size: u64, args: &[&str]) -> (Recording, HostFs) {
    let device = Recording::new(mkfs(size, args));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    note_orphan(&mut fs, "/before");
    administer(&device, EDITS);
    (device, fs)
}

#[test]
fn a_label_given_below_a_mount_stays() {
    for (size, args) in DISKS {
        let (device, mut fs) = administered_below(*size, args);
        assert_eq!(fs.fs.label(), Ok(*b"a longish label!"));
        // The one before is still in the log, and goes home first.
        fs.fs.freeze().unwrap();
        assert!(administered(&device.contents()), "{args:?}");
        fs.fs.thaw().unwrap();
        note_orphan(&mut fs, "/after");
        let crashed = device.contents();
        fs.abandon();
        assert!(administered(&recovered(crashed)), "{args:?}");
    }
}

/// A crashed disk after a mount.
fn recovered(crashed: Vec<u8>) -> Vec<u8> {
    let device = Recording::new(crashed);
    let fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.unmount().unwrap();
    let image = device.contents();
    assert_clean(&image);
    image
}

#[test]
fn a_label_is_in_the_transactions_after_it() {
    for (size, args) in DISKS {
        let (device, mut fs) = administered_below(*size, args);
        note_orphan(&mut fs, "/after");
        let crashed = device.contents();
        fs.abandon();
        assert!(administered(&recovered(crashed)), "{args:?}");
    }
}

#[test]
fn a_count_of_mounts_set_below_a_mount_stays() {
    let device = Recording::new(mkfs(DISKS[0].0, DISKS[0].1));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    administer(&device, &[(MOUNTS, &[20, 0])]);
    note_orphan(&mut fs, "/file");
    fs.unmount().unwrap();
    let image = device.contents();
    assert_clean(&image);
    assert_eq!(image[1024 + MOUNTS], 20);
}

#[test]
fn errors_that_e2fsck_has_mended_below_a_read_only_mount() {
    let device = Recording::new(mkfs(DISKS[0].0, DISKS[0].1));
    administer(&device, &[(STATE, &[3, 0]), (ERROR_COUNT, &[3, 0, 0, 0])]);
    let read_only = MountOptions {
        read_only: true,
        ..MountOptions::default()
    };
    let mut fs = HostFs::mount(device.clone(), &read_only).unwrap();
    assert_eq!(fs.fs.error_record().unwrap().count, 3);
    administer(&device, &[(STATE, &[1, 0]), (ERROR_COUNT, &[0; 4])]);
    let writing = MountOptions {
        errors: Some(ErrorPolicy::Continue),
        ..MountOptions::default()
    };
    fs.fs.remount(&writing).unwrap();
    note_orphan(&mut fs, "/file");
    fs.unmount().unwrap();
    let image = device.contents();
    assert_clean(&image);
    assert_eq!((image[1024 + STATE], image[1024 + ERROR_COUNT]), (1, 0));
}

#[test]
fn a_journal_that_was_taken_away_below_a_read_only_mount() {
    const HAS_JOURNAL: u8 = 4;
    let image = mkfs(DISKS[0].0, DISKS[0].1);
    let compat = image[1024 + COMPAT];
    let device = Recording::new(image);
    let read_only = MountOptions {
        read_only: true,
        ..MountOptions::default()
    };
    let fs = HostFs::mount(device.clone(), &read_only).unwrap();
    administer(&device, &[(COMPAT, &[compat & !HAS_JOURNAL])]);
    let before = device.contents();
    let refused = fs.fs.remount(&MountOptions::default());
    assert_eq!(refused, Err(Error::ReadOnly));
    fs.unmount().unwrap();
    assert!(device.contents() == before, "something was written");
}
