// SPDX-License-Identifier: GPL-2.0

//! Extent trees, inodes and bitmaps that lie: the error each gives, and that it stays bounded.

use crate::disk::{fault_of, Disk, OLD, SMALL};
use host_core::core::error::Error;
use host_core::core::mount::{ErrorPolicy, MountOptions};
use host_core::format::fault::{ExtentFault, Fault, InodeFault};
use host_core::format::units::FileBlock;
use host_core::hostfs::HostFs;
use hostile::places::{Kind, Place};

/// An extent of one block, as an entry of a leaf.
fn extent(lblk: u32, len: u16, block: u32) -> [u8; 12] {
    let mut entry = [0; 12];
    entry[..4].copy_from_slice(&lblk.to_le_bytes());
    entry[4..6].copy_from_slice(&len.to_le_bytes());
    entry[8..].copy_from_slice(&block.to_le_bytes());
    entry
}

/// A root with these extents.
fn root(extents: &[[u8; 12]]) -> Vec<u8> {
    let mut root = vec![0x0a, 0xf3, extents.len() as u8, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    root.extend(extents.concat());
    root.resize(60, 0);
    root
}

/// Reads, overwrites and removes the file; gives the fault that reading meets.
fn use_file(fs: &mut HostFs, path: &str) -> Fault {
    let fault = fault_of(fs.read(path).expect_err("it could be read"));
    let _ = fs.write(path, 0, &[b'w'; 3000]);
    let _ = fs.flush_all();
    let _ = fs.truncate(path, 0);
    let _ = fs.unlink(path);
    fault
}

const I_BLOCK: usize = 0x28;

#[test]
fn a_tree_that_leads_in_circles() {
    let mut disk = Disk::new(SMALL);
    let nodes = disk.of(Kind::Extent, "/pieces");
    let middle = *nodes.iter().find(|node| disk.bytes(node)[6] == 1).unwrap();
    let itself = disk.block(&middle).to_le_bytes();
    for entry in 0..usize::from(disk.bytes(&middle)[2]) {
        disk.put(&middle, 12 + entry * 12 + 4, &itself);
    }
    let mut fs = disk.mount().unwrap();
    let before = disk.device.reads();
    assert!(matches!(
        use_file(&mut fs, "/pieces"),
        Fault::Extent(ExtentFault::Depth, 1, 0)
    ));
    assert!(disk.device.reads() - before < 20);
    fs.abandon();
    disk.survives();
}

#[test]
fn a_tree_deeper_than_trees_are() {
    let mut disk = Disk::new(SMALL);
    let inode = disk.inode("/pieces");
    disk.put(&inode, I_BLOCK + 6, &[6, 0]);
    let mut fs = disk.mount().unwrap();
    let fault = fault_of(fs.resolve("/pieces").unwrap_err());
    assert!(matches!(fault, Fault::Extent(ExtentFault::Depth, 6, 5)));
    fs.abandon();
    disk.survives();
}

#[test]
fn children_that_are_all_the_same() {
    let mut disk = Disk::new(SMALL);
    let nodes = disk.of(Kind::Extent, "/pieces");
    let middle = *nodes.iter().find(|node| disk.bytes(node)[6] == 1).unwrap();
    let child = disk.word(&middle, 12 + 4).to_le_bytes();
    for entry in 1..usize::from(disk.bytes(&middle)[2]) {
        disk.put(&middle, 12 + entry * 12 + 4, &child);
    }
    let mut fs = disk.mount().unwrap();
    assert!(matches!(
        use_file(&mut fs, "/pieces"),
        Fault::Extent(ExtentFault::OutsideParent, ..)
    ));
    fs.abandon();
    disk.survives();
}

#[test]
fn extents_that_overlap_in_the_file() {
    let mut disk = Disk::new(SMALL);
    let inode = disk.inode("/plain");
    let block = disk.word(&inode, I_BLOCK + 12 + 8);
    let wrong = root(&[extent(0, 4, block), extent(3, 2, block)]);
    disk.put(&inode, I_BLOCK, &wrong);
    let mut fs = disk.mount().unwrap();
    let fault = fault_of(fs.resolve("/plain").unwrap_err());
    assert_eq!(fault, Fault::Extent(ExtentFault::Order, 3, 4));
    fs.abandon();
    disk.survives();
}

#[test]
fn two_extents_with_the_same_blocks() {
    let mut disk = Disk::new(SMALL);
    let inode = disk.inode("/plain");
    let ino = inode.owner;
    let block = disk.word(&inode, I_BLOCK + 12 + 8);
    let twice = root(&[extent(0, 4, block), extent(8, 4, block)]);
    disk.put(&inode, I_BLOCK, &twice)
        .put(&inode, 4, &16_000u32.to_le_bytes());
    let mut fs = disk.mount().unwrap();
    fs.read("/plain").unwrap();
    // The blocks are freed once. The file has none of them any more: nobody could tell whose they are.
    fs.truncate("/plain", 0).unwrap();
    // What is noted is the bitmap of their group, in which they were free already.
    let superblock = disk.place(Kind::Superblock, 0);
    let group = (block - 1) / disk.word(&superblock, 0x20);
    let mut bitmaps = disk.seed.places.of(Kind::BlockBitmap).iter();
    let bitmap = bitmaps.find(|place| place.owner == group).unwrap();
    let record = fs.fs.error_record().unwrap();
    let last = record.last;
    assert_eq!((record.count, last.ino, last.code), (1, ino, 5));
    assert_eq!(last.block, disk.block(bitmap).into());
    assert!(last.function.starts_with(b"truncate\0"));
    let inode = fs.resolve("/plain").unwrap();
    assert_eq!(fs.fs.map(&inode, FileBlock(0), 9).unwrap().len, 9);
    fs.unmount().unwrap();
    assert!(!in_use(&disk, &[block.into()]));
    disk.survives();
}

/// `/plain` with an extent into the metadata in front of two good ones, which a removal comes to first.
/// Gives the disk and the first of the four blocks of the good ones.
fn half_good() -> (Disk, u32) {
    let mut disk = Disk::new(SMALL);
    let inode = disk.inode("/plain");
    let block = disk.word(&inode, I_BLOCK + 12 + 8);
    let table = disk.place(Kind::InodeBitmap, 0);
    let lying = [
        extent(0, 1, disk.block(&table)),
        extent(4, 2, block),
        extent(6, 2, block + 2),
    ];
    disk.put(&inode, I_BLOCK, &root(&lying))
        .put(&inode, 4, &8192u32.to_le_bytes());
    (disk, block)
}

/// Makes files of four blocks until one has blocks of these four; gives the places of all.
fn take_again(fs: &mut HostFs, block: u32) -> Vec<u64> {
    fs.sync().unwrap();
    let mut taken = Vec::new();
    while !taken.contains(&u64::from(block)) {
        let path = format!("/new{}", taken.len());
        fs.create(&path, 0o644).unwrap();
        fs.write(&path, 0, &[b'g'; 4096]).unwrap();
        fs.flush_all().unwrap();
        let inode = fs.resolve(&path).unwrap();
        let place = |n| fs.fs.map(&inode, FileBlock(n), 1).unwrap().state.block();
        taken.extend((0..4).map(|n| place(n).unwrap().get()));
    }
    taken
}

/// Whether the bitmaps on the disk have these blocks in use.
fn in_use(disk: &Disk, blocks: &[u64]) -> bool {
    let places = &disk.seed.places;
    let per_group = u64::from(disk.word(&places.of(Kind::Superblock)[0], 0x20));
    let bitmaps = places.of(Kind::BlockBitmap);
    blocks.iter().all(|block| {
        let (group, bit) = ((block - 1) / per_group, (block - 1) % per_group);
        let bitmap = bitmaps
            .iter()
            .find(|bitmap| u64::from(bitmap.owner) == group);
        disk.bytes(bitmap.unwrap())[bit as usize / 8] & (1 << (bit % 8)) != 0
    })
}

/// What a removal has freed before it failed is not the file's any more: it is not freed again when
/// others have it.
#[test]
fn a_truncation_that_fails_half_way() {
    let (mut disk, block) = half_good();
    let mut fs = disk.mount().unwrap();
    let fault = fault_of(fs.truncate("/plain", 0).unwrap_err());
    assert!(matches!(fault, Fault::Extent(ExtentFault::Physical, ..)));
    fs.drop_caches().unwrap();
    let taken = take_again(&mut fs, block);
    let again = fault_of(fs.truncate("/plain", 0).unwrap_err());
    assert_eq!(again, fault);
    let _ = fs.unlink("/plain");
    fs.unmount().unwrap();
    assert!(in_use(&disk, &taken));
}

/// The same when a mount finishes what was left, whatever it is mounted for. The superblock says that
/// something is wrong from then on.
#[test]
fn an_orphan_that_cannot_be_finished() {
    for policy in [ErrorPolicy::Continue, ErrorPolicy::RemountReadOnly] {
        for read_only in [false, true] {
            let (mut disk, block) = half_good();
            let superblock = disk.place(Kind::Superblock, 0);
            let (inode, ino) = (disk.inode("/plain"), disk.ino("/plain"));
            disk.put(&superblock, 0xe8, &ino.to_le_bytes())
                .put(&inode, 4, &[0; 4])
                .seal();
            let options = MountOptions {
                errors: Some(policy),
                read_only,
                ..MountOptions::default()
            };
            let fs = HostFs::mount(disk.device.clone(), &options).unwrap();
            assert_eq!(fs.fs.error_record().unwrap().count, 1);
            assert_eq!(fs.fs.has_failed(), policy != ErrorPolicy::Continue);
            fs.unmount().unwrap();
            assert_ne!(disk.word(&superblock, 0x3a) & 2, 0, "errors are known");
            let mut fs = disk.mount().unwrap();
            if policy == ErrorPolicy::Continue {
                let taken = take_again(&mut fs, block);
                fs.unmount().unwrap();
                disk.mount().unwrap().unmount().unwrap();
                assert!(in_use(&disk, &taken));
            }
        }
    }
}

#[test]
fn extents_outside_the_file_system() {
    for (block, len) in [(0x7fff_fff0, 4), (4094, 4), (0, 1), (4095, 0x7fff)] {
        let mut disk = Disk::new(SMALL);
        let inode = disk.inode("/plain");
        disk.put(&inode, I_BLOCK, &root(&[extent(0, len, block)]));
        let mut fs = disk.mount().unwrap();
        assert_eq!(
            use_file(&mut fs, "/plain"),
            Fault::Extent(ExtentFault::Physical, block.into(), len.into()),
        );
        fs.abandon();
        disk.survives();
    }
}

/// Extents that name superblock, descriptors, bitmaps, inode tables, the journal: they are never
/// handed out, so that nothing is read from there as data, and nothing written.
#[test]
fn extents_into_the_metadata() {
    for number in [SMALL, OLD] {
        for block in Disk::new(number).metadata() {
            let mut disk = Disk::new(number);
            let inode = disk.inode("/plain");
            disk.put(&inode, I_BLOCK, &root(&[extent(0, 1, block)]))
                .seal();
            let size = u64::from(disk.seed.places.block_size);
            let mut fs = disk.mount().unwrap();
            let before = disk.device.bytes(u64::from(block) * size, size as usize);
            let fault = fault_of(fs.read("/plain").expect_err("metadata was read as data"));
            assert_eq!(fault, Fault::Extent(ExtentFault::Physical, block.into(), 1));
            let written = fs
                .write("/plain", 0, &[b'w'; 1024])
                .and_then(|()| fs.flush_all());
            assert!(matches!(written, Err(Error::Corrupt(..))), "{written:?}");
            let after = disk.device.bytes(u64::from(block) * size, size as usize);
            assert!(
                before == after,
                "metadata block {block} was written as data"
            );
            fs.abandon();
        }
    }
}

#[test]
fn a_tree_node_in_the_metadata() {
    let mut disk = Disk::new(SMALL);
    let inode = disk.inode("/pieces");
    let table = disk.place(Kind::InodeBitmap, 0);
    let block = disk.block(&table);
    disk.put(&inode, I_BLOCK + 12 + 4, &block.to_le_bytes());
    let mut fs = disk.mount().unwrap();
    assert_eq!(
        use_file(&mut fs, "/pieces"),
        Fault::Extent(ExtentFault::Physical, block.into(), 1)
    );
    fs.abandon();
    disk.survives();
}

/// The size of an inode, low and high half.
fn set_size(disk: &mut Disk, inode: &Place, size: u64) {
    disk.put(inode, 4, &(size as u32).to_le_bytes());
    disk.put(inode, 0x6c, &((size >> 32) as u32).to_le_bytes());
}

#[test]
fn sizes_that_lie() {
    let small: [(&str, u64); 9] = [
        ("/a", 0),
        ("/a", 1023),
        ("/a", 1 << 32),
        ("/a", 1 << 62),
        ("/a", 5000 * 1024),
        ("/plain", 1 << 43),
        ("/plain", u64::MAX),
        ("/long", 1024),
        ("/short", 0),
    ];
    for (path, size) in small {
        let mut disk = Disk::new(SMALL);
        let inode = disk.inode(path);
        set_size(&mut disk, &inode, size);
        let mut fs = disk.mount().unwrap();
        let fault = fault_of(fs.resolve(path).unwrap_err());
        assert!(
            matches!(
                fault,
                Fault::Inode(InodeFault::Size | InodeFault::SymlinkSize, ..)
            ),
            "{path} of {size} bytes: {fault}"
        );
        fs.abandon();
        disk.survives();
    }
}

#[test]
fn a_size_with_nothing_behind_it() {
    let mut disk = Disk::new(SMALL);
    let inode = disk.inode("/plain");
    set_size(&mut disk, &inode, (1 << 42) - 1024);
    let mut fs = disk.mount().unwrap();
    let before = disk.device.reads();
    fs.truncate("/plain", 100).unwrap();
    fs.unlink("/plain").unwrap();
    // Holes cost nothing.
    assert!(disk.device.reads() - before < 60);
    fs.abandon();
    disk.survives();
}

/// What is at `path` gets one more flag and cannot be used, which is noted.
fn flag_is_refused(path: &str, flag: u32, disk: &mut Disk) {
    let inode = disk.inode(path);
    let flags = disk.word(&inode, 0x20) | flag;
    disk.put(&inode, 0x20, &flags.to_le_bytes());
    let mut fs = disk.mount().unwrap();
    let fault = fault_of(fs.resolve(path).unwrap_err());
    assert_eq!(fault, Fault::Inode(InodeFault::Flags, flags.into(), 0));
    let record = fs.fs.error_record().unwrap();
    assert_eq!((record.count, record.last.ino), (1, inode.owner));
    fs.abandon();
    disk.survives();
}

#[test]
fn inline_data_and_extents() {
    let mut disk = Disk::new(SMALL);
    let flags = disk.word(&disk.inode("/plain"), 0x20);
    assert_ne!(flags & 0x8_0000, 0, "it has extents");
    flag_is_refused("/plain", 0x1000_0000, &mut disk);
}

/// The value of an attribute, a directory that ignores case, a symbolic link that may not change or only grow.
#[test]
fn flags_that_cannot_be() {
    let lies = [
        ("/plain", 0x20_0000),
        ("/a", 0x4000_0000),
        ("/short", 0x10),
        ("/long", 0x20),
    ];
    for (path, flag) in lies {
        flag_is_refused(path, flag, &mut Disk::new(SMALL));
    }
}

#[test]
fn an_index_without_its_feature() {
    let mut disk = Disk::new(SMALL);
    let superblock = disk.place(Kind::Superblock, 0);
    let features = disk.word(&superblock, 0x5c) & !0x20;
    disk.put(&superblock, 0x5c, &features.to_le_bytes());
    flag_is_refused("/large", 0x1000, &mut disk);
}

#[test]
fn modes_that_are_none() {
    for mode in [0o000_644u16, 0o030_644, 0o170_777] {
        let mut disk = Disk::new(SMALL);
        let inode = disk.inode("/plain");
        disk.put(&inode, 0, &mode.to_le_bytes());
        let mut fs = disk.mount().unwrap();
        let fault = fault_of(fs.resolve("/plain").unwrap_err());
        assert_eq!(fault, Fault::Inode(InodeFault::Mode, mode.into(), 0));
        fs.abandon();
        disk.survives();
    }
}

/// The only free blocks are those of a directory that is in use: it must not get its own blocks again.
#[test]
fn a_bitmap_that_calls_a_directory_free() {
    let mut disk = Disk::new(SMALL);
    let leaves = disk.of(Kind::Dir, "/large");
    let blocks: Vec<u64> = leaves.iter().map(|leaf| disk.block(leaf).into()).collect();
    let places = &disk.seed.places;
    let superblock = places.of(Kind::Superblock)[0];
    let per_group = u64::from(disk.word(&superblock, 0x20));
    // None of them are root's.
    disk.put(&superblock, 8, &[0; 4]);
    for place in places.of(Kind::BlockBitmap) {
        let descs = places.of(Kind::GroupDesc);
        let desc = *descs.iter().find(|desc| desc.owner == place.owner).unwrap();
        let base = u64::from(place.owner) * per_group + 1;
        let mut bits = vec![0xff; place.len];
        let own: Vec<u64> = blocks
            .iter()
            .filter_map(|at| at.checked_sub(base))
            .collect();
        let own: Vec<u64> = own.into_iter().filter(|bit| *bit < per_group).collect();
        for bit in &own {
            bits[*bit as usize / 8] &= !(1 << (bit % 8));
        }
        // Neither bitmap is to be made anew.
        let flags = disk.bytes(&desc)[0x12] & !2;
        disk.put(place, 0, &bits);
        disk.put(&desc, 0x0c, &(own.len() as u16).to_le_bytes());
        disk.put(&desc, 0x12, &[flags]);
    }
    let mut fs = disk.mount().unwrap();
    let before = fs.names("/large", 100).unwrap().len();
    let new = |n: usize| format!("/large/{}{n}", "new".repeat(70));
    let (made, error) = (0..400)
        .find_map(|n| Some((n, fs.link("/plain", &new(n)).err()?)))
        .expect("there was room for everything");
    assert_eq!(fault_of(error), Fault::BlockUsedTwice);
    assert_eq!(fs.names("/large", 100).unwrap().len(), before + made);
    fs.abandon();
}

/// Bitmaps that call everything free but what the driver knows better: blocks in use are handed out
/// again, also those that the very operation is using. What is lost is lost; it must end.
#[test]
fn bitmaps_that_call_everything_free() {
    for number in 0..hostile::seeds::COUNT {
        let mut disk = Disk::new(number);
        let places = &disk.seed.places;
        let bitmaps = [places.of(Kind::BlockBitmap), places.of(Kind::InodeBitmap)].concat();
        for place in bitmaps {
            let desc = *places
                .of(Kind::GroupDesc)
                .iter()
                .find(|d| d.owner == place.owner)
                .unwrap();
            let mut bits = disk.bytes(&place);
            let (first, count) = match place.kind {
                Kind::InodeBitmap => (0, disk.word(&places.of(Kind::Superblock)[0], 0x28)),
                _ => (0, 0),
            };
            let size = u64::from(places.block_size);
            let per_group = disk.word(&places.of(Kind::Superblock)[0], 0x20);
            let base = u64::from(place.owner * per_group) + u64::from(size == 1024);
            let blocks = (places.size / size - base).min(per_group.into()) as u32;
            let mut free = 0u32;
            let total = if place.kind == Kind::InodeBitmap {
                count
            } else {
                blocks
            };
            for bit in first..total {
                let fixed = place.kind == Kind::BlockBitmap
                    && places
                        .fixed
                        .iter()
                        .any(|b| b.get() == base + u64::from(bit));
                // Special inodes and the spare descriptors stay.
                let kept = fixed
                    || bits[bit as usize / 8] & (1 << (bit % 8)) != 0
                        && place.owner == 0
                        && bit < 60;
                if !kept {
                    bits[bit as usize / 8] &= !(1 << (bit % 8));
                    free += 1;
                }
            }
            let at = if place.kind == Kind::BlockBitmap {
                0x0c
            } else {
                0x0e
            };
            disk.put(&place, 0, &bits);
            disk.put(&desc, at, &(free as u16).to_le_bytes());
        }
        disk.survives();
    }
}
