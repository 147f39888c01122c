// SPDX-License-Identifier: GPL-2.0

//! Attributes of inodes: permissions and the lists that go with them, times, what a new record holds.

use host_core::core::error::Error;
use host_core::core::mount::{AttributeChanges, MountOptions, NewInode, Timestamp};
use host_core::format::acl::to_xattr;
use host_core::format::units::FileBlock;
use host_core::format::xattr::POSIX_ACL_ACCESS;
use host_core::host::caller;
use host_core::host::recording::Recording;
use host_core::host::shortage::Shortage;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, mkfs, run, set_xattr, share_xattrs, TempFile};
use std::fs;

const MIB: u64 = 1 << 20;

/// A list of the xattr interface: owner, user 1000, group, mask, others.
fn list(owner: u8, mask: u8, other: u8) -> Vec<u8> {
    let entry = |tag: u8, perm: u8, id: u32| [&[tag, 0, perm, 0], &id.to_le_bytes()[..]].concat();
    [
        vec![2, 0, 0, 0],
        entry(1, owner, u32::MAX),
        entry(2, 6, 1000),
        entry(4, 4, u32::MAX),
        entry(0x10, mask, u32::MAX),
        entry(0x20, other, u32::MAX),
    ]
    .concat()
}

/// An image in which /f and /g have lists, behind another attribute. With `shared` they are in one block.
fn image_with_lists(args: &[&str], shared: bool) -> Vec<u8> {
    let file = TempFile::with(&mkfs(16 * MIB, args));
    let value = TempFile::with(&list(6, 6, 4));
    let empty = TempFile::new(0);
    let ask = |request: &str| run("debugfs", &["-w", "-R", request], &file.0).1;
    for name in ["f", "g"] {
        ask(&format!("write {} {name}", empty.0.display()));
        ask(&format!("sif /{name} mode 0100664"));
        if shared {
            // It takes what room the record may have.
            ask(&format!("ea_set /{name} user.first {}", "1".repeat(40)));
        }
        ask(&format!(
            "ea_set -f {} /{name} system.posix_acl_access",
            value.0.display()
        ));
        ask(&format!("ea_set /{name} user.other value"));
    }
    if shared {
        let stat = ask("stat /f");
        let block = stat.split("File ACL: ").nth(1).unwrap();
        let block = block.split_whitespace().next().unwrap();
        assert_ne!(block, "0");
        ask(&format!("sif /g file_acl {block}"));
        // It counts the references, and frees the other block.
        run("e2fsck", &["-fy"], &file.0);
    }
    let image = fs::read(&file.0).unwrap();
    assert_clean(&image);
    image
}

fn list_of(fs: &mut HostFs, path: &str) -> Vec<u8> {
    let inode = fs.resolve(path).unwrap();
    let disk = fs.fs.xattr_get(&inode, POSIX_ACL_ACCESS, b"").unwrap();
    let mut list = vec![0; to_xattr(&disk, None).unwrap()];
    to_xattr(&disk, Some(&mut list)).unwrap();
    list
}

fn chmod(fs: &mut HostFs, path: &str, mode: u16) -> Result<(), Error> {
    let changes = AttributeChanges {
        mode: Some(mode),
        ..AttributeChanges::default()
    };
    fs.set_attributes(path, &changes)
}

#[test]
fn a_list_follows_the_permissions() {
    for (args, shared) in [
        (&["-b", "4096", "-I", "256"][..], false),
        (&["-b", "1024", "-I", "128"], false),
        (&["-b", "1024", "-I", "128"], true),
        (&["-b", "1024", "-I", "128", "-O", "^metadata_csum"], true),
    ] {
        let device = Recording::new(image_with_lists(args, shared));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let free = fs.fs.statistics().free;
        chmod(&mut fs, "/f", 0o660).unwrap();
        assert_eq!(list_of(&mut fs, "/f"), list(6, 6, 0), "{args:?}");
        assert_eq!(list_of(&mut fs, "/g"), list(6, 6, 4), "{args:?}");
        assert_eq!(fs.resolve("/f").unwrap().attributes().mode, 0o100_660);
        fs.sync().unwrap();
        assert_eq!(fs.fs.statistics().free, free - u64::from(shared));
        assert_clean_after_recovery(&device);
        chmod(&mut fs, "/g", 0o4_711).unwrap();
        assert_eq!(list_of(&mut fs, "/g"), list(7, 1, 1), "{args:?}");
        // What is as it should be is not written: /g has its own block for good.
        chmod(&mut fs, "/g", 0o711).unwrap();
        fs.drop_caches().unwrap();
        assert_eq!(list_of(&mut fs, "/f"), list(6, 6, 0), "{args:?}");
        assert_eq!(list_of(&mut fs, "/g"), list(7, 1, 1), "{args:?}");
        fs.sync().unwrap();
        assert_eq!(fs.fs.statistics().free, free - u64::from(shared));
        for path in ["/f", "/g"] {
            let inode = fs.resolve(path).unwrap();
            let other = fs.fs.xattr_get(&inode, 1, b"other").unwrap();
            assert_eq!(&other[..], b"value");
        }
        fs.unlink("/f").unwrap();
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

/// What is on the device after a sync, made clean by e2fsck's own recovery, has nothing wrong.
fn assert_clean_after_recovery(device: &Recording) {
    let file = TempFile::with(&device.contents());
    let (code, text) = run("e2fsck", &["-p"], &file.0);
    assert!(code < 4, "{text}");
    assert_clean(&fs::read(&file.0).unwrap());
}

/// A list in a shared block, and no block for a copy: nothing changes.
#[test]
fn permissions_on_a_full_disk() {
    let args = ["-b", "1024", "-I", "128"];
    let device = Recording::new(image_with_lists(&args, true));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    // A chance for each that space is asked for.
    Shortage::begin_of_space(0, 100);
    let changed = chmod(&mut fs, "/f", 0o600);
    Shortage::end();
    assert_eq!(changed, Err(Error::NoSpace));
    assert_eq!(list_of(&mut fs, "/f"), list(6, 6, 4));
    assert_eq!(fs.resolve("/f").unwrap().attributes().mode, 0o100_664);
    chmod(&mut fs, "/f", 0o600).unwrap();
    assert_eq!(list_of(&mut fs, "/f"), list(6, 0, 0));
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}

/// The copy of a shared block is not made out of what is kept for the superuser, or for what was promised.
#[test]
fn permissions_when_the_rest_is_the_superusers() {
    let args = ["-b", "1024", "-I", "128"];
    let device = Recording::new(image_with_lists(&args, true));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.create("/filler", 0o644).unwrap();
    let (mut before, mut at) = (u64::MAX, 0);
    while at != before {
        before = at;
        while fs.write("/filler", at, &[7; 1024]).is_ok() {
            at += 1024;
        }
        // What was promised to nodes of the tree, and did not need, is free again.
        fs.sync().unwrap();
    }
    assert!(fs.fs.statistics().free > 0);
    assert_eq!(chmod(&mut fs, "/f", 0o600), Err(Error::NoSpace));
    assert_eq!(list_of(&mut fs, "/f"), list(6, 6, 4));
    caller::set_privileged(true);
    let changed = chmod(&mut fs, "/f", 0o600);
    caller::set_privileged(false);
    assert_eq!(changed, Ok(()));
    assert_eq!(list_of(&mut fs, "/f"), list(6, 0, 0));
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}

/// Two inodes give up the same block of attributes: it is freed once, by the second.
#[test]
fn a_shared_block_is_freed_once() {
    let device = Recording::new(image_with_lists(&["-b", "1024", "-I", "128"], true));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let free = fs.fs.statistics().free;
    for (path, freed) in [("/g", 0), ("/f", 1)] {
        fs.unlink(path).unwrap();
        fs.sync().unwrap();
        assert_eq!(fs.fs.statistics().free, free + freed);
    }
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}

/// Who lists attributes comes to the block when it is given up, and becomes part of a directory.
#[test]
fn a_shared_block_that_goes_while_it_is_listed() {
    let device = Recording::new(image_with_lists(&["-b", "1024", "-I", "256"], true));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let inode = fs.resolve("/f").unwrap();
    let shared = inode.fields().file_acl;
    let (core, mut names) = (fs.fs.clone(), Vec::new());
    let each = |_: u8, name: &[u8]| {
        if names.is_empty() {
            chmod(&mut fs, "/f", 0o600)?;
            fs.unlink("/g")?;
            fs.sync()?;
        }
        names.push(String::from_utf8_lossy(name).into_owned());
        Ok(())
    };
    core.xattr_list(&inode, each).unwrap();
    assert_eq!(names, ["first", "other", ""]);
    assert_ne!(inode.fields().file_acl, shared);
    let mut taken = false;
    for n in 0..2000 {
        let path = format!("/d{n}");
        fs.mkdir(&path, 0o755).unwrap();
        let dir = fs.resolve(&path).unwrap();
        taken |= core.map(&dir, FileBlock(0), 1).unwrap().state.block() == Some(shared);
        if taken {
            break;
        }
    }
    assert!(taken);
    drop((inode, core));
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}

/// What a record has no room for is not there in memory either.
#[test]
fn times_are_those_of_the_record() {
    for (size, exact) in [("128", false), ("256", true)] {
        let device = Recording::new(mkfs(16 * MIB, &["-b", "1024", "-I", size]));
        let mut fs = HostFs::mount(device, &MountOptions::default()).unwrap();
        let mut seen = 0;
        for n in 0..8 {
            let (old, new) = (format!("/old-{n}"), format!("/new-{n}"));
            fs.create(&old, 0o644).unwrap();
            fs.write(&old, 0, b"data").unwrap();
            fs.truncate(&old, 1).unwrap();
            fs.rename(&old, &new).unwrap();
            for path in ["", new.as_str()] {
                let now = fs.resolve(path).unwrap().attributes();
                seen |= now.atime.nsec | now.mtime.nsec | now.ctime.nsec;
            }
        }
        assert_eq!(seen != 0, exact, "{size}");
        let before = fs.resolve("/new-3").unwrap().attributes();
        fs.drop_caches().unwrap();
        assert_eq!(fs.resolve("/new-3").unwrap().attributes(), before);
        fs.unmount().unwrap();
    }
}

/// The VFS hands its times over later than it has stamped them: newer ones are kept, but not those that a
/// change of the clock has put into the future.
#[test]
fn times_that_are_handed_over() {
    let device = Recording::new(mkfs(16 * MIB, &["-b", "1024"]));
    let mut fs = HostFs::mount(device, &MountOptions::default()).unwrap();
    fs.create("/file", 0o644).unwrap();
    let inode = fs.resolve("/file").unwrap();
    let at = |sec| Timestamp { sec, nsec: 5 };
    let now = inode.attributes().ctime.sec;
    for (ours, theirs, want) in [
        (now - 100, now - 50, now - 50),
        (now - 50, now - 100, now - 50),
        (now + 1000, now - 50, now - 50),
        (now - 50, now + 1000, now + 1000),
    ] {
        let stamp = Some(at(ours));
        fs.fs.set_times(&inode, stamp, stamp, stamp).unwrap();
        fs.fs.take_times(&inode, || [at(theirs); 3]).unwrap();
        let seen = inode.attributes();
        let atime = seen.atime;
        assert_eq!(
            (atime, seen.mtime, seen.ctime),
            (at(theirs), at(want), at(want))
        );
    }
    fs.unmount().unwrap();
}

/// A superblock that does not say how large the extra part is to be: as much as is known.
#[test]
fn records_get_their_extra_part() {
    for (features, wanted, extra) in [
        ("^metadata_csum", "0", 32),
        ("^metadata_csum", "28", 32),
        ("^metadata_csum", "40", 40),
        ("^metadata_csum,^extra_isize", "0", 32),
    ] {
        let file = TempFile::with(&mkfs(16 * MIB, &["-I", "256", "-O", features]));
        for field in ["want_extra_isize", "min_extra_isize"] {
            let request = format!("ssv {field} {wanted}");
            run("debugfs", &["-w", "-R", &request], &file.0);
        }
        let device = Recording::new(fs::read(&file.0).unwrap());
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        fs.create("/new", 0o644).unwrap();
        let fields = fs.resolve("/new").unwrap().fields();
        assert_eq!(fields.extra_isize, extra, "{features} {wanted}");
        assert!(fields.crtime.is_some());
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

/// Memory that is short when something is made: there is no name, or it was made.
#[test]
fn what_could_not_be_made_has_no_name() {
    let image = mkfs(16 * MIB, &["-b", "1024"]);
    for n in 0.. {
        let mut fs =
            HostFs::mount(Recording::new(image.clone()), &MountOptions::default()).unwrap();
        let root = fs.resolve("").unwrap();
        let new = NewInode {
            mode: 0o100_644,
            ..NewInode::default()
        };
        let shortage = Shortage::begin(n, 1);
        let made = fs.fs.create(&root, b"new", &new);
        Shortage::end();
        let found = fs.fs.lookup(&root, b"new").map(|found| found.is_some());
        assert_eq!(fs.fs.sync(false), Ok(()), "allocation {n}");
        assert_eq!(found, Ok(made.is_ok()), "allocation {n}: {:?}", made.err());
        drop(made);
        fs.abandon();
        if shortage.count() <= n {
            return;
        }
    }
}

/// An image in which /f has the attributes in `f`, and /g those in `g`; `shared`: it has /f's block.
fn image_with(args: &[&str], f: &[(&str, usize)], g: &[(&str, usize)], shared: bool) -> Vec<u8> {
    let file = TempFile::with(&mkfs(16 * MIB, args));
    let empty = TempFile::new(0);
    for (name, attributes) in [("f", f), ("g", g)] {
        let write = format!("write {} {name}", empty.0.display());
        run("debugfs", &["-w", "-R", &write], &file.0);
        for (attribute, len) in attributes {
            set_xattr(
                &file,
                &format!("/{name}"),
                attribute,
                &value(attribute, *len),
            );
        }
    }
    if shared {
        share_xattrs(&file, "/f", "/g");
    }
    let image = fs::read(&file.0).unwrap();
    assert_clean(&image);
    image
}

/// A value of an attribute, by its name.
fn value(attribute: &str, len: usize) -> Vec<u8> {
    attribute.bytes().cycle().take(len).collect()
}

/// File capabilities go, and nothing else does: from the record, from a block that is the file's own or
/// shared, and with the block when they were alone in it.
#[test]
fn capabilities_are_removed() {
    const CAPABILITY: &str = "security.capability";
    let alone: &[_] = &[(CAPABILITY, 20)];
    let others: &[_] = &[("user.a", 9), (CAPABILITY, 20), ("user.bc", 30)];
    let large: &[_] = &[("user.large", 150), (CAPABILITY, 20), ("user.bc", 30)];
    let (small, old) = (["-b", "4096", "-I", "256"], ["-b", "1024", "-I", "128"]);
    for (args, attributes, shared, freed) in [
        (small, alone, false, 0),
        (small, others, false, 0),
        (small, large, false, 0),
        (old, alone, false, 1),
        (old, alone, true, 0),
        (old, others, false, 0),
        (old, others, true, -1),
    ] {
        let neighbours: &[_] = if shared { attributes } else { &[] };
        let image = image_with(&args, attributes, neighbours, shared);
        let device = Recording::new(image);
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let free = fs.fs.statistics().free;
        let inode = fs.resolve("/f").unwrap();
        let blocks = inode.attributes().blocks;
        let remove = || fs.fs.xattr_remove(&inode, 6, b"capability");
        assert_eq!(remove(), Ok(()), "{args:?} {shared}");
        assert_eq!(remove(), Err(Error::NoData));
        drop(inode);
        fs.sync().unwrap();
        let now = fs.fs.statistics().free;
        assert_eq!(now as i64 - free as i64, freed, "{args:?} {shared}");
        assert_clean_after_recovery(&device);
        fs.drop_caches().unwrap();
        let inode = fs.resolve("/f").unwrap();
        let lost = attributes.len() == 1 && args == old;
        let sectors = if lost { 2 } else { 0 };
        assert_eq!(inode.attributes().blocks, blocks - sectors);
        for (path, gone) in [("/f", true), ("/g", !shared)] {
            let inode = fs.resolve(path).unwrap();
            for (name, len) in attributes {
                let (index, rest) = match name.split_once('.').unwrap() {
                    ("user", rest) => (1, rest),
                    (_, rest) => (6, rest),
                };
                let found = fs.fs.xattr_get(&inode, index, rest.as_bytes());
                let want = if gone && (path == "/g" || *name == CAPABILITY) {
                    Err(Error::NoData)
                } else {
                    Ok(value(name, *len))
                };
                assert_eq!(found.map(|found| found.to_vec()), want, "{path} {name}");
            }
        }
        drop(inode);
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

/// Memory runs short at each allocation of the removal of a file's last attribute, whose block goes with it:
/// the file's blocks are counted right.
#[test]
fn a_removal_short_of_memory() {
    let alone: &[_] = &[("security.capability", 20)];
    let image = image_with(&["-b", "1024", "-I", "128"], alone, &[], false);
    for n in 0.. {
        let device = Recording::new(image.clone());
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        // What is committed and has not its place yet is copied before it is changed.
        chmod(&mut fs, "/g", 0o640).unwrap();
        fs.sync().unwrap();
        let inode = fs.resolve("/f").unwrap();
        let shortage = Shortage::begin(n, 1);
        let _ = fs.fs.xattr_remove(&inode, 6, b"capability");
        Shortage::end();
        drop(inode);
        chmod(&mut fs, "/f", 0o600).unwrap();
        fs.unmount().unwrap();
        assert_clean(&device.contents());
        if shortage.count() <= n {
            return;
        }
    }
}

/// What is written and has no place in the file yet is counted: delayed, on its way, and there.
#[test]
fn space_is_counted_all_the_way() {
    let device = Recording::new(mkfs(16 * MIB, &["-b", "1024"]));
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    let ino = fs.create("/f", 0o644).unwrap();
    fs.write("/f", 0, &[1; 5000]).unwrap();
    let inode = fs.resolve("/f").unwrap();
    assert_eq!(inode.space(), 10);
    let sent = fs.submit(ino).unwrap();
    assert_eq!((inode.space(), inode.attributes().blocks), (10, 0));
    fs.complete(ino, &sent).unwrap();
    assert_eq!((inode.space(), inode.attributes().blocks), (10, 10));
    drop(inode);
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}

/// Without `huge_file` the blocks of a file are counted in 32 bits: it ends before that.
#[test]
fn a_file_ends_where_its_blocks_can_be_counted() {
    for (block, features, largest) in [
        ("1024", "^huge_file", 0x7fff_ffff << 10),
        ("4096", "^huge_file", 0x1fff_ffff << 12),
        ("4096", "huge_file", 0xffff_ffff << 12),
    ] {
        let image = mkfs(16 * MIB, &["-b", block, "-O", features]);
        let device = Recording::new(image);
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        assert_eq!(fs.fs.max_file_size(), largest, "{block} {features}");
        fs.create("/f", 0o644).unwrap();
        fs.truncate("/f", largest).unwrap();
        assert_eq!(fs.truncate("/f", largest + 1), Err(Error::FileTooBig));
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

/// A record with less of an extra part than there is room for gets it when it is written.
#[test]
fn records_get_more_of_their_extra_part() {
    let late = Timestamp {
        sec: 1 << 32,
        nsec: 5,
    };
    for (old, attribute, grows) in [(0, false, true), (4, false, true), (4, true, false)] {
        let file = TempFile::with(&mkfs(16 * MIB, &["-I", "256"]));
        let empty = TempFile::new(0);
        let ask = |request: &str| run("debugfs", &["-w", "-R", request], &file.0).1;
        ask(&format!("write {} f", empty.0.display()));
        ask(&format!("sif /f extra_isize {old}"));
        if attribute {
            ask("ea_set /f user.a value");
        }
        let device = Recording::new(fs::read(&file.0).unwrap());
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let inode = fs.resolve("/f").unwrap();
        assert_eq!(inode.fields().extra_isize, old);
        fs.fs.set_times(&inode, Some(late), None, None).unwrap();
        let seen = inode.attributes();
        drop(inode);
        fs.drop_caches().unwrap();
        let inode = fs.resolve("/f").unwrap();
        let extra = if grows { 32 } else { old };
        assert_eq!(inode.fields().extra_isize, extra, "{old}");
        assert_eq!(inode.attributes(), seen);
        assert_eq!(seen.atime == late, grows);
        if attribute {
            let value = fs.fs.xattr_get(&inode, 1, b"a").unwrap();
            assert_eq!(&value[..], b"value");
        }
        drop(inode);
        fs.unmount().unwrap();
        assert_clean(&device.contents());
    }
}

/// What a new inode takes over from its directory.
#[test]
fn flags_are_inherited() {
    let file = TempFile::with(&mkfs(16 * MIB, &[]));
    let ask = |request: &str| run("debugfs", &["-w", "-R", request], &file.0).1;
    ask("mkdir d");
    // NOCOMPR, TOPDIR, NODUMP, and that it has extents.
    ask("sif /d flags 0xa0440");
    let device = Recording::new(fs::read(&file.0).unwrap());
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    fs.create("/d/f", 0o644).unwrap();
    fs.mkdir("/d/g", 0o755).unwrap();
    for path in ["/d/f", "/d/g"] {
        assert_eq!(fs.resolve(path).unwrap().attributes().flags, 0x8_0440);
    }
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}
