// SPDX-License-Identifier: GPL-2.0

//! Directories, hash indices and attributes that lie.

use crate::disk::{fault_of, Disk, OLD, SMALL};
use host_core::core::error::{self, Error};
use host_core::core::mount::AttributeChanges;
use host_core::format::fault::{DirFault, Fault, HtreeFault, InodeFault, XattrFault};
use host_core::format::units::Ino;
use host_core::format::xattr::POSIX_ACL_ACCESS;
use host_core::hostfs::HostFs;
use hostile::places::{Kind, Place};

/// Offset of the entry with this name in a directory block.
fn entry(disk: &Disk, block: &Place, name: &str) -> usize {
    let bytes = disk.bytes(block);
    let mut at = 0;
    while at < bytes.len() {
        let len = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        if &bytes[at + 8..at + 8 + usize::from(bytes[at + 6])] == name.as_bytes() {
            return at;
        }
        at += len;
    }
    panic!("no entry {name}");
}

#[test]
fn entries_with_lying_lengths() {
    // What is put at which offset of the entry, and what it is called.
    let lies: [(usize, &[u8], DirFault); 9] = [
        (4, &[0, 0], DirFault::RecordTooShort),
        (4, &[8, 0], DirFault::RecordTooShort),
        (4, &[14, 0], DirFault::RecordUnaligned),
        (4, &[0xff, 0xff], DirFault::RecordUnaligned),
        (4, &[0xfc, 0xff], DirFault::RecordPastEnd),
        (4, &[0xfc, 3], DirFault::RecordPastEnd),
        (6, &[255], DirFault::NameTooLong),
        (0, &[0xff, 0xff, 0xff, 0xff], DirFault::Inode),
        (8, b"/", DirFault::BadName),
    ];
    for number in [SMALL, OLD] {
        for (offset, bytes, want) in lies {
            let mut disk = Disk::new(number);
            let block = disk.of(Kind::Dir, "/a")[0];
            let at = entry(&disk, &block, "b");
            disk.put(&block, at + offset, bytes);
            let mut fs = disk.mount().unwrap();
            let fault = fault_of(fs.names("/a", 10).unwrap_err());
            assert!(
                matches!(fault, Fault::Dir(what, ..) if what == want),
                "{bytes:?} at {offset}: {fault}"
            );
            // Nothing is put into such a block.
            assert!(matches!(
                fs.create("/a/new", 0o644),
                Err(Error::Corrupt(..))
            ));
            fs.abandon();
            disk.survives();
        }
    }
}

#[test]
fn a_directory_without_its_dots() {
    let mut disk = Disk::new(SMALL);
    let block = disk.of(Kind::Dir, "/a/empty")[0];
    disk.put(&block, 0, &[0; 4]);
    let mut fs = disk.mount().unwrap();
    let dir = fs.resolve("/a/empty").unwrap();
    let fault = fault_of(fs.fs.parent(&dir).unwrap_err());
    assert!(matches!(fault, Fault::Dir(DirFault::NoDot, 0, 0)));
    let fault = fault_of(fs.rmdir("/a/empty").unwrap_err());
    assert!(matches!(fault, Fault::Dir(DirFault::NoDot, ..)));
    fs.abandon();
    disk.survives();
}

/// A directory that contains one of those above it. Only the VFS knows the way that was taken and
/// refuses it; here each step must be as good as any.
#[test]
fn a_directory_below_itself() {
    for target in ["/", "/a"] {
        let mut disk = Disk::new(SMALL);
        let block = disk.of(Kind::Dir, "/a/b")[0];
        let at = entry(&disk, &block, "few");
        let ino = disk.ino(target).to_le_bytes();
        disk.put(&block, at, &ino).put(&block, at + 7, &[2]);
        let mut fs = disk.mount().unwrap();
        assert_eq!(
            fs.fs
                .lookup(
                    &fs.fs
                        .inode(host_core::format::units::Ino(disk.ino("/a/b")))
                        .unwrap(),
                    b"few"
                )
                .unwrap()
                .map(|ino| ino.get()),
            Some(disk.ino(target))
        );
        assert_eq!(fs.resolve("/a/b/few/x/y").map(drop), Err(Error::NotFound));
        assert_eq!(fs.rmdir("/a/b"), Err(Error::NotEmpty));
        fs.abandon();
        disk.survives();
    }
}

/// The one circle that can be seen here: as with C ext4, it is damage.
#[test]
fn a_directory_that_is_in_itself() {
    let mut disk = Disk::new(SMALL);
    let block = disk.of(Kind::Dir, "/a")[0];
    let at = entry(&disk, &block, "b");
    let ino = disk.ino("/a");
    disk.put(&block, at, &ino.to_le_bytes());
    let mut fs = disk.mount().unwrap();
    let fault = fault_of(fs.resolve("/a/b").unwrap_err());
    assert_eq!(fault, Fault::Dir(DirFault::Itself, ino.into(), 0));
    let record = fs.fs.error_record().unwrap();
    assert_eq!((record.count, record.last.ino), (1, ino));
    assert_eq!(fs.rmdir("/a"), Err(Error::NotEmpty));
    fs.abandon();
    disk.survives();
}

#[test]
fn entries_of_inodes_that_are_no_files() {
    let directory = Disk::new(SMALL).ino("/a");
    // A free inode is the directory's fault. The journal, the list of bad blocks, the reserved descriptors
    // have no name.
    for (ino, at_fault, what, limit) in [
        (120u32, directory, InodeFault::Deleted, 0),
        (8, 8, InodeFault::Number, 128),
        (1, 1, InodeFault::Number, 128),
        (7, 7, InodeFault::Number, 128),
    ] {
        let mut disk = Disk::new(SMALL);
        let block = disk.of(Kind::Dir, "/a")[0];
        let at = entry(&disk, &block, "again");
        disk.put(&block, at, &ino.to_le_bytes());
        let mut fs = disk.mount().unwrap();
        let fault = Fault::Inode(what, ino.into(), limit);
        let place = error::Place::inode(Ino(at_fault));
        let error = fs.resolve("/a/again").unwrap_err();
        assert_eq!(error, Error::Corrupt(place, fault));
        fs.abandon();
        disk.survives();
    }
}

/// The places in an index root and what goes wrong there. Names are still found: an index that cannot
/// be used is not, as in C ext4; but nothing is put into such a directory.
#[test]
fn an_index_that_cannot_be() {
    type Lie = (usize, &'static [u8], Option<Fault>);
    let is = |what, a, b| Some(Fault::Htree(what, a, b));
    // Nothing but hash 0 leads to a first entry's wrong block, so a name still finds room.
    let lies: [Lie; 8] = [
        (24, &[1], is(HtreeFault::Flags, 0x100, 0)),
        (28, &[77], is(HtreeFault::HashVersion, 77, 0)),
        (29, &[9], is(HtreeFault::InfoLength, 9, 0)),
        (30, &[5], is(HtreeFault::Levels, 5, 1)),
        (32, &[9, 9], is(HtreeFault::Limit, 0x909, 124)),
        (34, &[0, 0], is(HtreeFault::Count, 0, 124)),
        (34, &[0xff, 0xff], is(HtreeFault::Count, 0xffff, 124)),
        (36, &[0xff, 0xff, 0xff, 0x0f], None),
    ];
    for (at, bytes, want) in lies {
        let mut disk = Disk::new(OLD);
        let root = disk.of(Kind::IndexRoot, "/large")[0];
        disk.put(&root, at, bytes);
        let mut fs = disk.mount().unwrap();
        let names = fs.names("/large", 100).unwrap();
        assert_eq!(names.len(), 480, "{bytes:?} at {at}");
        for (name, _) in names.iter().step_by(20) {
            fs.resolve(&format!("/large/{name}")).unwrap();
        }
        let put = fs.link("/plain", "/large/new").map_err(fault_of);
        assert_eq!(put.err(), want, "{bytes:?} at {at}");
        fs.abandon();
        disk.survives();
    }
}

/// What cannot get a name because of an index that cannot be used is gone again.
#[test]
fn nothing_is_left_of_what_gets_no_name() {
    let mut disk = Disk::new(SMALL);
    let root = disk.of(Kind::IndexRoot, "/large")[0];
    disk.put(&root, 28, &[77]);
    let mut fs = disk.mount().unwrap();
    let free = |fs: &HostFs| (fs.fs.statistics().free, fs.fs.statistics().free_inodes);
    let before = free(&fs);
    for n in 0..30 {
        let path = format!("/large/new{n}");
        let made = [
            fs.create(&path, 0o644).map(drop),
            fs.mkdir(&path, 0o755),
            fs.symlink(&path, &[b't'; 150]),
        ];
        for error in made.map(Result::unwrap_err) {
            let want = Fault::Htree(HtreeFault::HashVersion, 77, 0);
            assert_eq!(fault_of(error), want);
        }
    }
    assert_eq!(free(&fs), before);
    fs.unmount().unwrap();
    disk.survives();
}

/// Two leaves of an index change places: their names are not where their hashes lead. Who lists the
/// directory sees each once, who looks one up by its hash gets none, and nobody walks in circles.
#[test]
fn an_index_that_disagrees_with_the_names() {
    let mut disk = Disk::new(SMALL);
    let node = disk.of(Kind::IndexNode, "/large")[0];
    let (first, second) = (disk.word(&node, 8 + 8 + 4), disk.word(&node, 8 + 16 + 4));
    disk.put(&node, 8 + 8 + 4, &second.to_le_bytes());
    disk.put(&node, 8 + 16 + 4, &first.to_le_bytes());
    let mut fs = disk.mount().unwrap();
    let names = fs.names("/large", 100).unwrap();
    assert_eq!(names.len(), 480);
    let before = disk.device.reads();
    let mut missing = 0;
    for (name, _) in &names {
        match fs.resolve(&format!("/large/{name}")) {
            Ok(_) => {}
            Err(Error::NotFound) => missing += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!((1..20).contains(&missing), "{missing} names are not found");
    assert!(disk.device.reads() - before < 200);
    fs.abandon();
    disk.survives();
}

#[test]
fn an_index_in_circles() {
    let mut disk = Disk::new(SMALL);
    let root = disk.of(Kind::IndexRoot, "/large")[0];
    let nodes = disk.of(Kind::IndexNode, "/large");
    // Each node's leaves are nodes, and all go on with the hash of the one before.
    let child = disk.word(&root, 36).to_le_bytes();
    for node in &nodes {
        let count = usize::from(u16::from_le_bytes(
            disk.bytes(node)[10..12].try_into().unwrap(),
        ));
        for n in 0..count {
            disk.put(node, 8 + n * 8 + 4, &child);
            if n > 0 {
                let hash = disk.word(node, 8 + n * 8) | 1;
                disk.put(node, 8 + n * 8, &hash.to_le_bytes());
            }
        }
    }
    let mut fs = disk.mount().unwrap();
    let before = disk.device.reads();
    let listed = fault_of(fs.names("/large", 100).unwrap_err());
    assert!(matches!(listed, Fault::Htree(HtreeFault::Block, _, 166)));
    let looked = fs.resolve("/large/not-there").map(drop);
    assert_eq!(looked, Err(Error::NotFound));
    let made = fault_of(fs.link("/plain", "/large/new").unwrap_err());
    // A node is no leaf: its empty entry leaves no room for the checksum.
    assert_eq!(made, Fault::Dir(DirFault::RecordPastEnd, 1024, 0));
    assert!(disk.device.reads() - before < 400);
    fs.abandon();
    disk.survives();
}

/// Hashes out of order lead somewhere all the same, and to the same place the next time.
#[test]
fn an_index_with_wrong_order() {
    let mut disk = Disk::new(SMALL);
    let node = disk.of(Kind::IndexNode, "/large")[0];
    disk.put(&node, 8 + 8, &[0xff; 4]);
    let mut fs = disk.mount().unwrap();
    let new = |n: u32| format!("new-{n}");
    for n in 0..60 {
        fs.link("/plain", &format!("/large/{}", new(n))).unwrap();
    }
    for n in 0..60 {
        fs.resolve(&format!("/large/{}", new(n))).unwrap();
    }
    let names = fs.names("/large", 100).unwrap();
    for n in 0..60 {
        assert_eq!(names.iter().filter(|(name, _)| *name == new(n)).count(), 1);
    }
    fs.abandon();
    disk.survives();
}

/// The fault that reading the attributes of /plain meets.
fn attributes_of(disk: &mut Disk, path: &str) -> Fault {
    let mut fs = disk.mount().unwrap();
    let inode = fs.resolve(path).unwrap();
    let listed = fs.fs.xattr_list(&inode, |_, _| Ok(()));
    let got = fs.fs.xattr_get(&inode, 1, b"large").map(drop);
    let fault = fault_of(listed.and(got).unwrap_err());
    // The inode can go all the same, or says why not.
    let _ = fs.unlink(path);
    let _ = fs.unlink("/a/again");
    fs.abandon();
    disk.survives();
    fault
}

#[test]
fn attribute_values_outside_their_block() {
    let lies: [(usize, &[u8], XattrFault); 9] = [
        (0, &[0; 4], XattrFault::Magic),
        (4, &[0; 4], XattrFault::RefCount),
        (4, &[0xff; 4], XattrFault::RefCount),
        (8, &[2], XattrFault::Blocks),
        (32, &[255], XattrFault::EntryPastEnd),
        (32 + 2, &[0xfc, 3], XattrFault::ValuePastEnd),
        (32 + 8, &[0xff, 0xff, 0xff, 0xff], XattrFault::ValuePastEnd),
        (32 + 2, &[32, 0], XattrFault::ValueInEntries),
        (32 + 4, &[12], XattrFault::EaInode),
    ];
    for (at, bytes, want) in lies {
        let mut disk = Disk::new(SMALL);
        let block = disk.of(Kind::Xattr, "/plain")[0];
        disk.put(&block, at, bytes);
        let fault = attributes_of(&mut disk, "/plain");
        assert!(
            matches!(fault, Fault::Xattr(what, ..) if what == want),
            "{bytes:?} at {at}: {fault}"
        );
    }
}

#[test]
fn attribute_lists_without_an_end() {
    let mut disk = Disk::new(SMALL);
    let block = disk.of(Kind::Xattr, "/plain")[0];
    // Entries of 16 bytes to the end of the block.
    let entries = [0u8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(62);
    disk.put(&block, 32, &entries);
    let fault = attributes_of(&mut disk, "/plain");
    assert!(
        matches!(fault, Fault::Xattr(XattrFault::EntryPastEnd, ..)),
        "{fault}"
    );
}

#[test]
fn attribute_values_outside_their_inode() {
    for (at, bytes, want) in [
        (2, [0xf0, 0], XattrFault::ValuePastEnd),
        (8, [0xff, 0x7f], XattrFault::ValuePastEnd),
    ] {
        let mut disk = Disk::new(SMALL);
        let inode = disk.inode("/plain");
        let first = 128 + usize::from(disk.bytes(&inode)[0x80]) + 4;
        disk.put(&inode, first + at, &bytes);
        let fault = attributes_of(&mut disk, "/plain");
        assert!(
            matches!(fault, Fault::Xattr(what, ..) if what == want),
            "{bytes:?} at {at}: {fault}"
        );
    }
}

/// Place of the block of attributes in a record.
const FILE_ACL: usize = 0x68;

/// Blocks of attributes in superblock, descriptors, bitmaps, inode tables, the journal.
#[test]
fn attribute_blocks_in_the_metadata() {
    for number in [SMALL, OLD] {
        for block in Disk::new(number).metadata() {
            let mut disk = Disk::new(number);
            let inode = disk.inode("/a/b/few");
            disk.put(&inode, FILE_ACL, &block.to_le_bytes());
            let mut fs = disk.mount().unwrap();
            let fault = fault_of(fs.unlink("/a/b/few").unwrap_err());
            let want = Fault::Inode(InodeFault::XattrBlock, block.into(), 0);
            assert_eq!(fault, want);
            fs.abandon();
        }
    }
}

/// An inode table that looks as if many inodes shared it as their attributes: who deletes one of them
/// does not count there.
#[test]
fn an_inode_table_as_shared_attributes() {
    for orphan in [false, true] {
        let mut disk = Disk::new(OLD);
        let inode = disk.inode("/a/b/few");
        let table = disk.word(&disk.place(Kind::GroupDesc, 1), 8);
        let at = u64::from(table) * u64::from(disk.seed.places.block_size);
        disk.device.put(at + 4, &1024u32.to_le_bytes());
        disk.put(&inode, FILE_ACL, &table.to_le_bytes());
        if orphan {
            let superblock = disk.place(Kind::Superblock, 0);
            disk.put(&superblock, 0xe8, &inode.owner.to_le_bytes());
            disk.put(&inode, 0x1a, &[0, 0]);
        }
        let mut fs = disk.mount().unwrap();
        if !orphan {
            fault_of(fs.unlink("/a/b/few").unwrap_err());
        }
        fs.unmount().unwrap();
        assert_eq!(disk.device.bytes(at + 4, 4), 1024u32.to_le_bytes());
        disk.survives();
    }
}

/// A block of attributes that is none is not given up: it may be anybody's.
#[test]
fn attributes_that_are_data() {
    const MAGIC: u32 = 0xea02_0000;
    for (references, magic, what, a, b) in [
        (1u32, 0u32, XattrFault::Magic, 0, 0),
        (2, 0, XattrFault::Magic, 0, 0),
        (0, MAGIC, XattrFault::RefCount, 0, 1024),
        (5000, MAGIC, XattrFault::RefCount, 5000, 1024),
    ] {
        let mut disk = Disk::new(OLD);
        let inode = disk.inode("/a/b/few");
        let data = disk.of(Kind::Other, "/plain")[0];
        disk.put(&data, 0, &magic.to_le_bytes());
        disk.put(&data, 4, &references.to_le_bytes());
        let block = disk.block(&data);
        disk.put(&inode, FILE_ACL, &block.to_le_bytes());
        let mut fs = disk.mount().unwrap();
        let before = fs.fs.statistics().free;
        let fault = fault_of(fs.unlink("/a/b/few").unwrap_err());
        assert_eq!(fault, Fault::Xattr(what, a, b));
        // Its own two blocks of data, no more.
        assert_eq!(fs.fs.statistics().free, before + 2);
        fs.sync().unwrap();
        assert_eq!(disk.word(&data, 4), references);
        fs.abandon();
        disk.survives();
    }
}

/// Names of inodes that were deleted, or never made: somebody has to hear of it.
#[test]
fn names_of_deleted_inodes() {
    for whole in [false, true] {
        let mut disk = Disk::new(OLD);
        let inode = disk.inode("/a/b/few");
        let dir = disk.ino("/a/b");
        if whole {
            disk.put(&inode, 0, &[0; 128]);
        } else {
            disk.put(&inode, 0x1a, &[0, 0]);
        }
        let mut fs = disk.mount().unwrap();
        let error = fs.resolve("/a/b/few").unwrap_err();
        let fault = Fault::Inode(InodeFault::Deleted, inode.owner.into(), 0);
        assert_eq!(error, Error::Corrupt(error::Place::inode(Ino(dir)), fault));
        assert_eq!(fs.fs.error_record().unwrap().count, 1);
        // By its number it may be asked for by anybody.
        let ino = Ino(inode.owner);
        assert_eq!(fs.fs.inode_of_handle(ino).err(), Some(Error::Stale));
        assert_eq!(fs.fs.error_record().unwrap().count, 1);
        fs.abandon();
        disk.survives();
    }
}

/// A target with a zero byte, and one without a block.
#[test]
fn links_that_lead_nowhere() {
    let zero: (&str, usize, &[u8]) = ("/short", 0x28 + 2, &[0]);
    // A root without entries.
    let hole: (&str, usize, &[u8]) = ("/long", 0x28 + 2, &[0, 0]);
    for (what, want) in [
        (zero, Fault::Inode(InodeFault::SymlinkZero, 2, 5)),
        (hole, Fault::Inode(InodeFault::SymlinkHole, 300, 0)),
    ] {
        let (path, at, bytes) = what;
        let mut disk = Disk::new(SMALL);
        let inode = disk.inode(path);
        disk.put(&inode, at, bytes);
        let mut fs = disk.mount().unwrap();
        let link = fs.resolve(path).unwrap();
        assert_eq!(fault_of(fs.fs.read_link(&link).unwrap_err()), want);
        assert_eq!(fs.fs.error_record().unwrap().count, 1);
        fs.abandon();
        disk.survives();
    }
}

/// Zeroes in a long target are the end of it for whoever follows it.
#[test]
fn a_long_link_with_a_zero() {
    let mut disk = Disk::new(SMALL);
    let block = disk.of(Kind::Other, "/long")[0];
    disk.put(&block, 100, &[0]);
    let mut fs = disk.mount().unwrap();
    let link = fs.resolve("/long").unwrap();
    let fault = fault_of(fs.fs.read_link(&link).unwrap_err());
    assert_eq!(fault, Fault::Inode(InodeFault::SymlinkZero, 100, 300));
    fs.abandon();
    disk.survives();
}

/// A list of access that is none.
#[test]
fn access_lists_that_lie() {
    for (value, what, number) in [
        (&[9u8, 0, 0, 0][..], XattrFault::AclVersion, 9),
        (&[1, 0, 0], XattrFault::AclSize, 3),
        (&[1, 0, 0, 0, 1, 0, 6], XattrFault::AclSize, 7),
        (&[1, 0, 0, 0, 9, 0, 6, 0], XattrFault::AclTag, 9),
        // It can be read, but has nothing that the mode's middle bits stand for.
        (&[1, 0, 0, 0, 1, 0, 6, 0], XattrFault::AclNoGroup, 0),
    ] {
        let mut disk = Disk::new(SMALL);
        let block = disk.of(Kind::Xattr, "/plain")[0];
        let name = disk.bytes(&block)[32] as usize;
        let at = disk.word(&block, 32) >> 16;
        // Its one entry becomes the list.
        disk.put(&block, 32, &[0, 2])
            .put(&block, 32 + 8, &(value.len() as u32).to_le_bytes())
            .put(&block, 32 + 12, &[0; 4])
            .put(&block, 32 + 16, &vec![0; name.next_multiple_of(4)])
            .put(&block, at as usize, value);
        let mut fs = disk.mount().unwrap();
        let inode = fs.resolve("/plain").unwrap();
        let want = Fault::Xattr(what, number, 0);
        let read = fs.fs.acl(&inode, POSIX_ACL_ACCESS).map(drop);
        let readable = what == XattrFault::AclNoGroup;
        let unread = (!readable).then_some(want);
        assert_eq!(read.map_err(fault_of).err(), unread, "{value:?}");
        let before = fs.fs.error_record().unwrap().count;
        assert_eq!(before, u32::from(!readable));
        let attributes = AttributeChanges {
            mode: Some(0o600),
            ..AttributeChanges::default()
        };
        let set = fs.set_attributes("/plain", &attributes).unwrap_err();
        assert_eq!(fault_of(set), want, "{value:?}");
        let record = fs.fs.error_record().unwrap();
        assert_eq!(
            (record.count, record.last.ino),
            (before + 1, inode.ino().get())
        );
        assert!(record.last.function.starts_with(b"set_attributes\0"));
        // What could not be changed is as it was.
        assert_eq!(inode.attributes().mode & 0o777, 0o644);
        fs.abandon();
        disk.survives();
    }
}

/// Two attributes with one value: neither can go, as the other would lose it.
#[test]
fn attributes_that_share_a_value() {
    let mut disk = Disk::new(SMALL);
    let block = disk.of(Kind::Xattr, "/plain")[0];
    let first = disk.bytes(&block)[32..32 + 24].to_vec();
    assert_eq!(first[0], 5, "user.large");
    let mut second = first.clone();
    second[16..21].copy_from_slice(b"later");
    disk.put(&block, 32 + 24, &second);
    let value = u64::from(u16::from_le_bytes([first[2], first[3]]));
    let mut fs = disk.mount().unwrap();
    for name in [b"large", b"later"] {
        let removed = fs.remove_xattr("/plain", 1, name).unwrap_err();
        let want = Fault::Xattr(XattrFault::ValueShared, value, value);
        assert_eq!(fault_of(removed), want);
        let inode = fs.resolve("/plain").unwrap();
        assert_eq!(fs.fs.xattr_get(&inode, 1, name).unwrap().len(), 300);
    }
    fs.abandon();
    disk.survives();
}
