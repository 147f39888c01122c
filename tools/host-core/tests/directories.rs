// SPDX-License-Identifier: GPL-2.0

//! Directories and attributes that e2fsprogs made, read by us; ours, judged by e2fsck.

use host_core::core::error::Error;
use host_core::core::mount::MountOptions;
use host_core::format::acl::to_xattr;
use host_core::format::xattr::{POSIX_ACL_ACCESS, POSIX_ACL_DEFAULT};
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, debugfs, run, TempFile};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const MIB: u64 = 1 << 20;

/// A host directory that is removed when the value goes.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rext4-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(n: usize) -> String {
    format!("entry {n:05} {}", "é".repeat(n % 23))
}

/// An image with a directory `/big` of `count` names, indexed by e2fsck with this hash function.
fn indexed_image(count: usize, args: &[&str], hash: &str, signedness: u8) -> Vec<u8> {
    let dir = TempDir::new(&format!("{hash}-{signedness}-{}", args.join("")));
    fs::create_dir(dir.0.join("big")).unwrap();
    let first = dir.0.join("big").join(name(0));
    fs::write(&first, b"x").unwrap();
    for n in 1..count {
        fs::hard_link(&first, dir.0.join("big").join(name(n))).unwrap();
    }
    let file = TempFile::new(32 * MIB);
    let root = dir.0.to_str().unwrap();
    let args: Vec<&str> = args
        .iter()
        .copied()
        .chain(["-q", "-F", "-d", root])
        .collect();
    assert_eq!(run("mkfs.ext4", &args, &file.0).0, 0);
    let alg = format!("hash_alg={hash}");
    assert_eq!(run("tune2fs", &["-E", &alg], &file.0).0, 0);
    let flags = format!("ssv flags {signedness}");
    run("debugfs", &["-w", "-R", &flags], &file.0);
    let (code, text) = run("e2fsck", &["-fyD"], &file.0);
    assert!(code <= 1, "{text}");
    fs::read(&file.0).unwrap()
}

/// The names debugfs sees in a directory.
fn debugfs_names(image: &[u8], path: &str) -> BTreeSet<(String, u32)> {
    let listed = debugfs(image, &format!("ls -p {path}"));
    let entry = |line: &str| {
        let mut fields = line.split('/');
        let ino = fields.nth(1)?.parse().ok()?;
        Some((fields.nth(3)?.to_string(), ino))
    };
    let names = listed.lines().filter_map(entry);
    // Unused entries (the one with the checksum) are listed too.
    names
        .filter(|(name, ino)| *ino != 0 && !matches!(name.as_str(), "." | ".."))
        .collect()
}

fn our_names(fs: &mut HostFs, path: &str) -> BTreeSet<(String, u32)> {
    let all = fs.names(path, 37).unwrap();
    let names: BTreeSet<_> = all
        .iter()
        .map(|(name, ino)| (name.clone(), ino.get()))
        .collect();
    assert_eq!(names.len(), all.len());
    names
}

/// Says of two sets of names what only one of them has.
fn assert_same(ours: &BTreeSet<(String, u32)>, theirs: &BTreeSet<(String, u32)>) {
    let (more, less): (Vec<_>, Vec<_>) = (
        ours.difference(theirs).take(3).collect(),
        theirs.difference(ours).take(3).collect(),
    );
    assert!(
        more.is_empty() && less.is_empty(),
        "we: {} {more:?}, debugfs: {} {less:?}",
        ours.len(),
        theirs.len()
    );
}

#[test]
fn indexes_of_e2fsck() {
    let disks = [
        (&["-b", "1024"][..], 2600, &["half_md4"][..]),
        (&["-b", "4096"], 1500, &["half_md4"]),
        (
            &["-b", "1024", "-O", "^metadata_csum"],
            300,
            &["legacy", "half_md4", "tea"],
        ),
    ];
    for (args, count, hashes) in disks {
        for hash in hashes {
            for signedness in [1, 2] {
                let image = indexed_image(count, args, hash, signedness);
                assert!(debugfs(&image, "htree_dump /big").contains("Root node dump"));
                let device = Recording::new(image.clone());
                let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
                let names = our_names(&mut fs, "/big");
                assert_eq!(names.len(), count);
                assert_same(&names, &debugfs_names(&image, "/big"));
                // Every name is where the hash says: there is no warning about the index, nor a walk.
                for n in (0..count).step_by(3) {
                    fs.resolve(&format!("/big/{}", name(n))).unwrap();
                }
                assert_eq!(fs.resolve("/big/none").err(), Some(Error::NotFound));
                // Its leaves are full: new names split them.
                let first = format!("/big/{}", name(0));
                for n in count..count + 400 {
                    fs.link(&first, &format!("/big/{}", name(n))).unwrap();
                }
                for n in 1..count / 2 {
                    fs.unlink(&format!("/big/{}", name(n))).unwrap();
                }
                let names = our_names(&mut fs, "/big");
                fs.unmount().unwrap();
                assert_clean(&device.contents());
                assert_same(&names, &debugfs_names(&device.contents(), "/big"));
            }
        }
    }
}

#[test]
fn two_levels_of_our_own() {
    let file = TempFile::new(32 * MIB);
    assert_eq!(run("mkfs.ext4", &["-q", "-F", "-b", "1024"], &file.0).0, 0);
    let device = Recording::new(fs::read(&file.0).unwrap());
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.mkdir("/big", 0o755).unwrap();
    fs.create("/big/0", 0o644).unwrap();
    for n in 1..9000 {
        fs.link("/big/0", &format!("/big/{}", name(n))).unwrap();
    }
    // A moved directory has a new parent in the root of its index.
    fs.mkdir("/other", 0o755).unwrap();
    fs.rename("/big", "/other/moved").unwrap();
    assert_eq!(our_names(&mut fs, "/other/moved").len(), 9000);
    fs.unmount().unwrap();
    assert_clean(&device.contents());
    let dump = debugfs(&device.contents(), "htree_dump /other/moved");
    assert!(dump.contains("Indirect levels: 1"));
    assert_eq!(
        debugfs_names(&device.contents(), "/other/moved").len(),
        9000
    );
}

#[test]
fn linear_directories_of_mkfs() {
    let dir = TempDir::new("linear");
    for n in 0..800 {
        fs::write(dir.0.join(name(n)), b"").unwrap();
    }
    for features in ["^dir_index", "dir_index", "^dir_index,^metadata_csum"] {
        let file = TempFile::new(32 * MIB);
        let root = dir.0.to_str().unwrap();
        let args = ["-q", "-F", "-b", "1024", "-O", features, "-d", root];
        assert_eq!(run("mkfs.ext4", &args, &file.0).0, 0);
        let device = Recording::new(fs::read(&file.0).unwrap());
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        assert_same(
            &our_names(&mut fs, "/"),
            &debugfs_names(&device.contents(), "/"),
        );
        for n in 800..1000 {
            fs.create(&format!("/{}", name(n)), 0o644).unwrap();
        }
        for n in (0..1000).step_by(2) {
            fs.unlink(&format!("/{}", name(n))).unwrap();
        }
        fs.mkdir("/d", 0o755).unwrap();
        for n in 0..150 {
            fs.create(&format!("/d/{}", name(n)), 0o644).unwrap();
        }
        let (top, below) = (our_names(&mut fs, "/"), our_names(&mut fs, "/d"));
        fs.unmount().unwrap();
        let image = device.contents();
        assert_clean(&image);
        assert_same(&top, &debugfs_names(&image, "/"));
        assert_same(&below, &debugfs_names(&image, "/d"));
    }
}

/// Owner, user 1000, group, mask, others, in the form of the xattr interface, which debugfs takes.
fn posix_acl() -> Vec<u8> {
    let entries = [
        (1u16, 6u16, u32::MAX),
        (2, 7, 1000),
        (4, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut acl = vec![2, 0, 0, 0];
    for (tag, perm, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(perm.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

#[test]
fn attributes_of_debugfs() {
    let acl = posix_acl();
    let value = TempFile::with(&acl);
    let long = TempFile::with(&[b'y'; 700]);
    for args in [
        &["-b", "4096", "-I", "256"][..],
        &["-b", "1024", "-I", "128"],
    ] {
        let file = TempFile::new(16 * MIB);
        let args: Vec<&str> = args.iter().copied().chain(["-q", "-F"]).collect();
        assert_eq!(run("mkfs.ext4", &args, &file.0).0, 0);
        let requests = [
            "mkdir /d".to_string(),
            "ea_set /d user.short abc".to_string(),
            "ea_set /d trusted.empty \"\"".to_string(),
            format!("ea_set -f {} /d user.long", long.0.display()),
            "ea_set /d security.selinux label".to_string(),
            format!("ea_set -f {} /d system.posix_acl_access", value.0.display()),
        ];
        for request in &requests {
            run("debugfs", &["-w", "-R", request], &file.0);
        }
        let device = Recording::new(fs::read(&file.0).unwrap());
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let inode = fs.resolve("/d").unwrap();
        let mut names = BTreeSet::new();
        let listed = fs.fs.xattr_list(&inode, |index, name| {
            names.insert((index, String::from_utf8_lossy(name).into_owned()));
            Ok(())
        });
        listed.unwrap();
        let want = [(1, "short"), (1, "long"), (6, "selinux"), (2, "")];
        for (index, name) in want {
            assert!(
                names.contains(&(index, name.to_string())),
                "{name} in {names:?}"
            );
        }
        assert_eq!(&fs.fs.xattr_get(&inode, 1, b"short").unwrap()[..], b"abc");
        assert_eq!(
            &fs.fs.xattr_get(&inode, 1, b"long").unwrap()[..],
            &[b'y'; 700]
        );
        assert_eq!(
            fs.fs.xattr_get(&inode, 1, b"none").err(),
            Some(Error::NoData)
        );
        let disk = fs.fs.xattr_get(&inode, POSIX_ACL_ACCESS, b"").unwrap();
        let mut list = vec![0; to_xattr(&disk, None).unwrap()];
        to_xattr(&disk, Some(&mut list)).unwrap();
        assert_eq!(list, acl);
        assert_eq!(
            fs.fs.xattr_get(&inode, POSIX_ACL_DEFAULT, b"").err(),
            Some(Error::NoData)
        );
        // They stay when the inode changes.
        fs.create("/d/x", 0o644).unwrap();
        fs.unmount().unwrap();
        assert_clean(&device.contents());
        assert!(debugfs(&device.contents(), "ea_list /d").contains("user.short (3)"));
    }
}

/// An image with a directory `/big` of 3000 names, and the disk blocks of that directory.
fn big_image(args: &[&str]) -> (Vec<u8>, Vec<usize>) {
    let file = TempFile::new(16 * MIB);
    let args: Vec<&str> = ["-q", "-F", "-b", "1024"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    assert_eq!(run("mkfs.ext4", &args, &file.0).0, 0);
    let device = Recording::new(fs::read(&file.0).unwrap());
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.mkdir("/big", 0o755).unwrap();
    fs.create("/big/0", 0o644).unwrap();
    for n in 1..3000 {
        fs.link("/big/0", &format!("/big/{}", name(n))).unwrap();
    }
    fs.unmount().unwrap();
    let image = device.contents();
    let blocks = debugfs(&image, "blocks /big");
    let blocks = blocks
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    (image, blocks.collect())
}

#[test]
fn a_bad_checksum_is_reported_with_its_place() {
    let (image, blocks) = big_image(&[]);
    for (n, &block) in blocks.iter().enumerate().filter(|(n, _)| n % 40 == 0) {
        let mut broken = image.clone();
        // A checksum of an index covers its entries in use only.
        broken[block * 1024 + 12] ^= 4;
        let mut fs = HostFs::mount(Recording::new(broken), &MountOptions::default()).unwrap();
        match fs.names("/big", 100) {
            Err(error @ Error::Corrupt(place, _)) => {
                assert_eq!(
                    (place.block.get() as usize, error.errno()),
                    (block, 74),
                    "{n}"
                );
            }
            other => panic!("block {n}: {:?}", other.map(|names| names.len())),
        }
        fs.abandon();
    }
}

#[test]
fn scribbled_directories_do_no_harm() {
    let (image, blocks) = big_image(&["-O", "^metadata_csum"]);
    let mut random = 88_172_645_463_325_252u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below
    };
    for round in 0..40 {
        let mut broken = image.clone();
        for _ in 0..=round % 4 {
            // The root and the beginnings of blocks are the most interesting places.
            let block = blocks[if next(3) == 0 { 0 } else { next(blocks.len()) }];
            let at = if next(2) == 0 { next(64) } else { next(1024) };
            broken[block * 1024 + at] = next(256) as u8;
        }
        let Ok(mut fs) = HostFs::mount(Recording::new(broken), &MountOptions::default()) else {
            panic!("a directory is not needed to mount");
        };
        let _ = fs.names("/big", 100);
        for n in 0..30 {
            let _ = fs.resolve(&format!("/big/{}", name(n * 100)));
            let _ = fs.link("/big/0", &format!("/big/new {n}"));
            let _ = fs.unlink(&format!("/big/{}", name(n * 90)));
            let _ = fs.mkdir(&format!("/big/dir {n}"), 0o755);
        }
        let _ = fs.rmdir("/big");
        fs.abandon();
    }
}
