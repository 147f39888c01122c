// SPDX-License-Identifier: GPL-2.0

//! Disks on which a chosen number of blocks or inodes is free.

use host_core::core::error::{Error, Result};
use host_core::core::mount::{MountOptions, Timestamp};
use host_core::host::failing::{Failing, Plan};
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::mkfs;
use std::collections::BTreeMap;

const SIZE: u64 = 4 << 20;
/// So many blocks can be given to an operation one by one, and so many inodes.
pub const BLOCKS_TO_GIVE: u32 = 40;
pub const INODES_TO_GIVE: u32 = 4;
/// The directory in which everything happens, but for what fills the disk.
const WORLD: &str = "/world";
/// Blocks of a file whose extents all fit into its inode.
const PIECE: u32 = 4;
/// The file that is deleted when there was no space.
const SPARE: usize = 64;

/// What an operation is tried on.
pub struct Disk {
    /// With space.
    pub roomy: Vec<u8>,
    /// Nothing is free; [`give_blocks`] knows what can be.
    pub full: Vec<u8>,
    /// No inode is free; [`give_inodes`] likewise.
    pub no_inodes: Vec<u8>,
}

/// The tree, and the times of its directories.
#[derive(Debug, PartialEq, Eq)]
pub struct See {
    pub tree: Tree,
    times: BTreeMap<String, (Timestamp, Timestamp)>,
}

impl See {
    pub fn of(fs: &mut HostFs) -> Self {
        let tree = fs.tree().unwrap();
        let dirs = tree.iter().filter(|(_, entry)| entry.mode >> 12 == 4);
        let times = dirs
            .map(|(path, _)| {
                let about = fs.resolve(path).unwrap().attributes();
                (path.clone(), (about.mtime, about.ctime))
            })
            .collect();
        Self { tree, times }
    }

    /// The paths at which the two differ.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Vec<&'a String> {
        let paths = self.tree.keys().chain(other.tree.keys());
        let differ = |path: &&String| {
            self.tree.get(*path) != other.tree.get(*path)
                || self.times.get(*path) != other.times.get(*path)
        };
        paths.filter(differ).collect()
    }
}

impl Disk {
    /// Disks on which `setup` was done.
    pub fn make(args: &[&str], setup: fn(&mut HostFs) -> Result) -> Self {
        let fixed = ["-b", "1024", "-J", "size=1", "-m", "0", "-N", "96"];
        let args: Vec<&str> = fixed.iter().chain(args).copied().collect();
        let empty = mkfs(SIZE, &args);
        let roomy = changed(&empty, |fs| {
            fs.mkdir(WORLD, 0o755).unwrap();
            fs.chroot(WORLD);
            setup(fs).unwrap();
            fs.create("/spare", 0o644).unwrap();
            fs.write("/spare", 0, &vec![1; SPARE << 10]).unwrap();
        });
        Self {
            full: changed(&roomy, fill_blocks),
            no_inodes: changed(&roomy, fill_inodes),
            roomy,
        }
    }
}

/// Mounts the image, makes room, and goes into the directory of the test.
pub fn mount(image: &[u8], give: impl FnOnce(&mut HostFs)) -> (Failing, HostFs) {
    let device = Failing::new(image.to_vec(), Plan::Never);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    give(&mut fs);
    fs.chroot(WORLD);
    (device, fs)
}

/// The image after `change`.
fn changed(image: &[u8], change: impl FnOnce(&mut HostFs)) -> Vec<u8> {
    let device = Failing::new(image.to_vec(), Plan::Never);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    change(&mut fs);
    fs.unmount().unwrap();
    device.contents()
}

/// Files that need no tree, of `PIECE` blocks each; everything else in one large file.
fn fill_blocks(fs: &mut HostFs) {
    let small = |fs: &mut HostFs, name: String, blocks: u32| {
        fs.create(&name, 0o644).unwrap();
        fs.write(&name, 0, &vec![0xb5; (blocks as usize) << 10])
    };
    for n in 0..BLOCKS_TO_GIVE / PIECE {
        small(fs, format!("/b{n}"), PIECE).unwrap();
    }
    fs.sync().unwrap();
    fs.create("/ballast", 0o644).unwrap();
    let mut len = usize::try_from(fs.fs.statistics().available).unwrap();
    let mut at = 0;
    while len > 8 {
        match fs.write("/ballast", at, &vec![0xba; len << 10]) {
            Ok(()) => at += (len as u64) << 10,
            Err(Error::NoSpace) => len /= 2,
            Err(error) => panic!("{error}"),
        }
        fs.sync().unwrap();
        len = len.min(usize::try_from(fs.fs.statistics().available).unwrap());
    }
    for n in 0.. {
        fs.sync().unwrap();
        match u32::try_from(fs.fs.statistics().available).unwrap() {
            0 => return,
            left => small(fs, format!("/brest{n}"), left.min(PIECE)).unwrap(),
        }
    }
}

fn fill_inodes(fs: &mut HostFs) {
    for n in 0.. {
        match fs.create(&format!("/b{n:02}"), 0o644) {
            Ok(_) => {}
            Err(Error::NoSpace) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Lets `blocks` blocks become free on a full disk.
pub fn give_blocks(fs: &mut HostFs, blocks: u32) {
    for n in 0..blocks.div_ceil(PIECE) {
        let kept = (PIECE * (n + 1)).saturating_sub(blocks);
        fs.truncate(&format!("/b{n}"), u64::from(kept) << 10)
            .unwrap();
    }
    fs.sync().unwrap();
    assert_eq!(fs.fs.statistics().available, u64::from(blocks));
}

/// Lets `inodes` inodes become free on a disk without.
pub fn give_inodes(fs: &mut HostFs, inodes: u32) {
    for n in 0..inodes {
        fs.unlink(&format!("/b{n:02}")).unwrap();
    }
    fs.sync().unwrap();
    assert_eq!(fs.fs.statistics().free_inodes, u64::from(inodes));
}

/// The free blocks and inodes that an image's superblock tells of.
pub fn free_counts(image: &[u8]) -> (u64, u64) {
    let field = |at: usize| u32::from_le_bytes(image[1024 + at..][..4].try_into().unwrap());
    (field(12).into(), field(16).into())
}
