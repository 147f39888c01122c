// SPDX-License-Identifier: GPL-2.0

//! The disks that workloads begin with: made by `mkfs.ext4`, every free block filled with old bytes,
//! and a few files.

use crate::model::{parent_of, Snapshot, USER};
use crate::record::{begin, perform};
use crate::workload::{many, Step};
use host_core::core::error::Error;
use host_core::core::mount::MountOptions;
use host_core::host::{clock, random, recording::Recording};
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::{self, TempFile};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The time at which everything happens, in seconds.
const TIME: i64 = 1_700_000_000;
/// What old bytes look like.
const STALE: u8 = 0xee;
/// Tags of the data that is there from the beginning.
const FIRST_TAG: usize = 1000;

/// How far the log is when a workload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prelude {
    /// At its beginning.
    None,
    /// A few blocks before its end: the workload wraps.
    Wrap,
    /// One commit before it is so full that transactions are checkpointed.
    Checkpoint,
}

/// A name that the oldest transaction of a log that is to be checkpointed has made, in a block that no later one
/// has (of others, only their newest version goes home): the first checkpoint has to write it.
pub const KEPT: &str = "/lost+found/kept";

/// A kind of disk.
#[derive(Clone, Copy, Debug)]
pub struct DiskKind {
    /// What it is called.
    pub name: &'static str,
    /// Its block size in bytes.
    pub block: u64,
    /// The smallest journal, and something besides.
    blocks: u64,
    options: &'static [&'static str],
    /// How far the log is.
    pub prelude: Prelude,
    /// Whether commits flush the device's cache.
    pub barrier: bool,
    /// Leave about this many blocks free, so that freed blocks are soon used again.
    free: Option<u64>,
}

const fn kind(name: &'static str, block: u64, options: &'static [&'static str]) -> DiskKind {
    DiskKind {
        name,
        block,
        blocks: if block == 1024 { 1280 } else { 1200 },
        options,
        prelude: Prelude::None,
        barrier: true,
        free: None,
    }
}

/// All kinds.
pub const KINDS: &[DiskKind] = &[
    kind("1k", 1024, &["-J", "size=1"]),
    kind("4k", 4096, &["-J", "size=4"]),
    DiskKind {
        prelude: Prelude::Wrap,
        ..kind("1k-wrap", 1024, &["-J", "size=1"])
    },
    DiskKind {
        prelude: Prelude::Checkpoint,
        ..kind("1k-checkpoint", 1024, &["-J", "size=1"])
    },
    DiskKind {
        free: Some(12),
        ..kind("1k-full", 1024, &["-J", "size=1"])
    },
    kind(
        "1k-orphan-file",
        1024,
        &["-J", "size=1", "-O", "orphan_file,metadata_csum_seed"],
    ),
    kind(
        "1k-no-checksums",
        1024,
        &["-J", "size=1", "-O", "^metadata_csum,^64bit", "-I", "128"],
    ),
    DiskKind {
        prelude: Prelude::Wrap,
        ..kind("4k-wrap", 4096, &["-J", "size=4"])
    },
];

/// A disk of some kind, before a workload.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Which kind.
    pub kind: DiskKind,
    /// Its contents, cleanly unmounted.
    pub image: Arc<[u8]>,
    /// Its contents when a workload begins: mounted, the log as far as the kind says.
    pub begun: Arc<[u8]>,
    /// What it holds.
    pub snapshot: Snapshot,
    /// The journal's blocks: which of them each block of the disk is, the superblock's being 0.
    journal: BTreeMap<u64, usize>,
}

/// Makes everything repeatable: clock and generations here, times in e2fsprogs. To be called before
/// there is a second thread.
pub fn stop_time() {
    std::env::set_var("E2FSPROGS_FAKE_TIME", TIME.to_string());
    clock::stop_at(TIME);
    random::follow(1);
}

fn base_steps(block: u64) -> Vec<Step> {
    let (s, n) = (String::from, block as usize);
    let mut steps = vec![
        Step::Create(s("/foo")),
        Step::Write(s("/foo"), 0, n * 5 / 2),
        Step::Create(s("/bar")),
        Step::Write(s("/bar"), 0, 100),
        Step::Mkdir(s("/A")),
        Step::Create(s("/A/foo")),
        Step::Write(s("/A/foo"), 0, n + 10),
        Step::Mkdir(s("/A/sub")),
        Step::Mkdir(s("/B")),
        Step::Symlink(s("/sym"), s("foo").into()),
        Step::Mkdir(s("/many")),
    ];
    // As many long names as need an index.
    let names = if block == 1024 { 9 } else { 20 };
    steps.extend((0..names).map(|n| Step::Link(s("/bar"), many(n))));
    steps
}

/// Writes old bytes into every free block.
fn fill(fs: &mut HostFs, block: u64) {
    fs.create("/stale", 0o644).unwrap();
    let bytes = vec![STALE; block as usize];
    let mut at = 0;
    loop {
        match fs.write("/stale", at, &bytes) {
            Ok(()) => at += block,
            Err(Error::NoSpace) => break,
            Err(error) => panic!("filling the disk: {error}"),
        }
        if at % (64 * block) == 0 {
            fs.flush_all().unwrap();
        }
    }
    fs.sync().unwrap();
}

impl Disk {
    /// Makes one.
    pub fn new(kind: &DiskKind) -> Self {
        let block = kind.block.to_string();
        let fixed = "hash_seed=5cf4d1d5-6d2b-4a6b-9a3e-3c1f0f7a0b01";
        let uuid = "5cf4d1d5-6d2b-4a6b-9a3e-3c1f0f7a0b02";
        let mut args = vec!["-b", &block, "-U", uuid, "-E", fixed, "-m", "0", "-N", "64"];
        args.extend(kind.options);
        // `mkfs.ext4` makes no journal in less than 2048 blocks.
        let large = testing::mkfs(2304 * kind.block, &args);
        let device = Recording::new(testing::resize(&large, kind.blocks * kind.block));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        let mut snapshot = Snapshot::empty();
        snapshot
            .apply(&Step::Mkdir("/lost+found".into()), 0)
            .unwrap();
        snapshot.apply_mode("/lost+found", 0o700);
        fill(&mut fs, kind.block);
        fs.unlink("/stale").unwrap();
        fs.sync().unwrap();
        for (n, step) in base_steps(kind.block).iter().enumerate() {
            perform(&mut fs, step, FIRST_TAG + n).unwrap();
            snapshot.apply(step, FIRST_TAG + n).unwrap();
        }
        fs.unmount().unwrap();
        let image = add_xattrs(&device.contents(), &mut snapshot);
        let device = Recording::new(image);
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        if let Some(free) = kind.free {
            leave_free(&mut fs, free);
            let mut tree = fs.tree().unwrap();
            shorten(&mut tree);
            snapshot.hold(FULL, tree[FULL].contents.clone());
        }
        fs.unmount().unwrap();
        let image = device.contents();
        testing::assert_clean(&image);
        let image: Arc<[u8]> = image.into();
        let mut disk = Self {
            kind: *kind,
            journal: journal_of(&image),
            begun: image.clone(),
            image,
            snapshot,
        };
        if kind.prelude == Prelude::Checkpoint {
            let kept = Step::Link("/bar".into(), KEPT.into());
            disk.snapshot.apply(&kept, 0).unwrap();
        }
        let (fs, device) = begin(&disk).unwrap();
        disk.begun = device.contents().into();
        fs.abandon();
        disk
    }
}

/// What files have for attributes: /foo one in a block of its own, /bar and /A/foo two in a block that is
/// theirs together.
const XATTRS: [(&str, &[&str]); 3] = [
    ("/foo", &["large"]),
    ("/bar", &["large", "small"]),
    ("/A/foo", &["large", "small"]),
];

/// Gives files attributes: the driver cannot.
fn add_xattrs(image: &[u8], snapshot: &mut Snapshot) -> Vec<u8> {
    let file = TempFile::with(image);
    for (path, names) in XATTRS {
        let node = snapshot.find(path).unwrap();
        let object = snapshot.objects.get_mut(&node).unwrap();
        for name in names {
            // Too long for the inode's own record.
            let value: Vec<u8> = name.bytes().cycle().take(200).collect();
            testing::set_xattr(&file, path, &format!("user.{name}"), &value);
            object.xattrs.insert((USER, name.bytes().collect()), value);
        }
    }
    testing::share_xattrs(&file, "/bar", "/A/foo");
    std::fs::read(&file.0).unwrap()
}

/// The file that takes nearly all space.
const FULL: &str = "/full";

/// Replaces the contents of the largest file by a digest, so that trees stay small.
pub fn shorten(tree: &mut Tree) {
    if let Some(entry) = tree.get_mut(FULL) {
        let mut hasher = DefaultHasher::new();
        entry.contents.hash(&mut hasher);
        entry.contents = hasher.finish().to_be_bytes().into();
    }
}

impl Disk {
    /// How many blocks the journal has.
    pub fn journal_len(&self) -> usize {
        self.journal.len()
    }

    /// Which block of the journal a byte of the disk is in.
    pub fn journal_block(&self, at: u64) -> Option<usize> {
        self.journal.get(&(at / self.kind.block)).copied()
    }

    /// Whether a byte of the disk is in the log: the journal without its superblock.
    pub fn is_log(&self, at: u64) -> bool {
        self.journal_block(at).is_some_and(|block| block > 0)
    }
}

fn leave_free(fs: &mut HostFs, free: u64) {
    let block = u64::from(fs.fs.block_size());
    fs.create(FULL, 0o644).unwrap();
    let bytes = vec![STALE; block as usize];
    let mut at = 0;
    while fs.write(FULL, at, &bytes).is_ok() {
        at += block;
        fs.flush_all().unwrap();
    }
    fs.truncate(FULL, at - free * block).unwrap();
    fs.sync().unwrap();
}

fn journal_of(image: &[u8]) -> BTreeMap<u64, usize> {
    let text = testing::debugfs(image, "blocks <8>");
    let words = text.split_whitespace();
    let blocks = words.filter_map(|word| word.parse().ok());
    blocks.enumerate().map(|(n, block)| (block, n)).collect()
}

impl Snapshot {
    fn apply_mode(&mut self, path: &str, mode: u16) {
        let node = self.find(path).unwrap();
        self.objects.get_mut(&node).unwrap().mode = mode;
    }

    /// There is a file with these contents.
    fn hold(&mut self, path: &str, contents: Vec<u8>) {
        assert!(self.find(parent_of(path)).is_some());
        let made = self.apply(&Step::Create(path.into()), 0);
        made.unwrap();
        let node = self.find(path).unwrap();
        self.objects.get_mut(&node).unwrap().kind = crate::model::Kind::File(contents.into());
    }
}
