// SPDX-License-Identifier: GPL-2.0

//! The images that are damaged: small, with some of everything. mkfs makes them, this driver fills
//! them, debugfs adds attributes; they are made once in a process. A fuzzer that starts often keeps
//! them in the folder that `REXT4_SEEDS` names.

use crate::places::Places;
use host_core::core::error::Result;
use host_core::core::mount::MountOptions;
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{mkfs, run, TempFile};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// An image and where its structures are.
#[derive(Debug)]
pub struct Seed {
    /// What it is.
    pub name: &'static str,
    /// The image.
    pub image: Arc<Vec<u8>>,
    /// Where its structures are.
    pub places: Places,
}

/// How a seed is made.
struct Recipe {
    name: &'static str,
    size: u64,
    mkfs: &'static str,
    /// Whether the mount ends as by a power cut, with a log to replay and orphans.
    dirty: bool,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "1k",
        size: 4 << 20,
        mkfs: "-b 1024 -g 1024 -N 128 -J size=1 -O orphan_file",
        dirty: false,
    },
    Recipe {
        name: "4k",
        size: 12 << 20,
        mkfs: "-b 4096 -g 1024 -N 128 -J size=4",
        dirty: false,
    },
    Recipe {
        name: "old",
        size: 4 << 20,
        mkfs: "-b 1024 -g 1024 -N 128 -J size=1 -O ^metadata_csum,^64bit,^flex_bg,^huge_file",
        dirty: false,
    },
    Recipe {
        name: "1k dirty",
        size: 4 << 20,
        mkfs: "-b 1024 -g 2048 -N 128 -J size=1 -O orphan_file",
        dirty: true,
    },
    Recipe {
        name: "4k dirty",
        size: 12 << 20,
        mkfs: "-b 4096 -N 128 -J size=4 -O ^64bit",
        dirty: true,
    },
    Recipe {
        name: "old dirty",
        size: 4 << 20,
        mkfs: "-b 1024 -N 128 -J size=1 -O ^metadata_csum,^64bit",
        dirty: true,
    },
    Recipe {
        name: "2k",
        size: 6 << 20,
        mkfs: "-b 2048 -g 1024 -I 128 -N 128 -J size=2 -O ^resize_inode",
        dirty: false,
    },
];

/// How many seeds there are.
pub const COUNT: usize = RECIPES.len();

/// The seed of this number (modulo [`COUNT`]); made at the first call.
pub fn seed(number: usize) -> &'static Seed {
    static MADE: [OnceLock<Seed>; COUNT] = [const { OnceLock::new() }; COUNT];
    let number = number % COUNT;
    MADE[number].get_or_init(|| {
        let recipe = &RECIPES[number];
        let image = recipe.kept().unwrap_or_else(|| recipe.make());
        let places = Places::collect(&image);
        Seed {
            name: recipe.name,
            places: places.unwrap_or_else(|fault| panic!("{}: {fault}", recipe.name)),
            image: Arc::new(image),
        }
    })
}

impl Recipe {
    /// The file of an image that was made before, if one is to be kept.
    fn file(&self) -> Option<PathBuf> {
        let folder = std::env::var_os("REXT4_SEEDS")?;
        Some(PathBuf::from(folder).join(self.name.replace(' ', "-")))
    }

    fn kept(&self) -> Option<Vec<u8>> {
        std::fs::read(self.file()?).ok()
    }

    fn make(&self) -> Vec<u8> {
        let mut options: Vec<&str> = self.mkfs.split(' ').collect();
        // The same numbers each time, so that edits mean the same.
        options.extend(["-U", "12345678-1234-1234-1234-123456789abc"]);
        options.extend([
            "-E",
            "hash_seed=12345678-1234-1234-1234-123456789abc,lazy_itable_init=0",
        ]);
        let made = mkfs(self.size, &options);
        let filled = with(made, true, |fs| fill(fs).unwrap());
        let mut image = attributes(filled);
        if self.dirty {
            image = with(image, false, |fs| leave_open(fs).unwrap());
        }
        if let Some(file) = self.file() {
            // Another process may be looking for it.
            let part = file.with_extension(format!("part-{}", std::process::id()));
            std::fs::write(&part, &image).unwrap();
            std::fs::rename(&part, &file).unwrap();
        }
        image
    }
}

/// The image after `change`, unmounted or as after a power cut.
fn with(image: Vec<u8>, unmount: bool, change: impl FnOnce(&mut HostFs)) -> Vec<u8> {
    let device = Recording::new(image);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    change(&mut fs);
    if unmount {
        fs.unmount().unwrap();
    } else {
        fs.abandon();
    }
    device.contents()
}

fn fill(fs: &mut HostFs) -> Result {
    fs.mkdir("/a", 0o755)?;
    fs.mkdir("/a/b", 0o755)?;
    fs.mkdir("/a/empty", 0o755)?;
    fs.mkdir("/large", 0o755)?;
    fs.create("/plain", 0o644)?;
    fs.write("/plain", 0, &[b'p'; 5000])?;
    fs.create("/a/b/few", 0o644)?;
    fs.write("/a/b/few", 3000, &[b'f'; 100])?;
    // Enough pieces for a tree of two levels where blocks are small.
    fs.create("/pieces", 0o644)?;
    let step = u64::from(fs.fs.block_size()) * 2;
    for n in 0..if step == 2048 { 350 } else { 40 } {
        fs.write("/pieces", n * step, b"piece")?;
    }
    fs.symlink("/short", b"plain")?;
    fs.symlink("/long", &[b'l'; 300])?;
    fs.mknod("/device", 0o020_644, (5, 1))?;
    fs.mknod("/pipe", 0o010_644, (0, 0))?;
    fs.link("/plain", "/a/again")?;
    // Long names fill the blocks of an index with few inodes.
    let names = if step == 2048 { 480 } else { 120 };
    for n in 0..names {
        fs.link("/plain", &format!("/large/{}-{n}", "name".repeat(55)))?;
    }
    fs.sync()
}

/// Attributes in the inode, in a block, and too many for the inode.
fn attributes(image: Vec<u8>) -> Vec<u8> {
    let file = TempFile::with(&image);
    let script = TempFile::with(
        format!(
            "ea_set /plain user.small {}\nea_set /plain user.large {}\nea_set /a user.dir {}\nea_set /a/b/few security.x {}\n",
            "v".repeat(20),
            "w".repeat(300),
            "d".repeat(8),
            "x".repeat(700),
        )
        .as_bytes(),
    );
    let commands = script.0.to_str().unwrap();
    let (code, text) = run("debugfs", &["-w", "-f", commands], &file.0);
    assert_eq!(code, 0, "debugfs: {text}");
    std::fs::read(&file.0).unwrap()
}

/// Changes that are in the log only, and a file without a name that is still open.
fn leave_open(fs: &mut HostFs) -> Result {
    for n in 0..6 {
        let path = format!("/a/open-{n}");
        fs.create(&path, 0o600)?;
        fs.write(&path, 0, &vec![b'o'; 2000 * n])?;
        fs.sync()?;
        fs.hold(&path)?;
        fs.unlink(&path)?;
    }
    fs.mkdir("/new", 0o755)?;
    fs.create("/new/file", 0o644)?;
    fs.write("/new/file", 0, &[b'n'; 9000])?;
    fs.truncate("/pieces", 50_000)?;
    fs.unlink("/long")?;
    fs.sync()?;
    // Freed and used again: a revocation.
    fs.rename("/a/b/few", "/new/few")?;
    fs.rmdir("/a/empty")?;
    fs.sync()?;
    fs.symlink("/a/after", &[b'a'; 200])?;
    fs.sync()
}
