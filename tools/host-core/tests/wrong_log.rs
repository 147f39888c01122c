// SPDX-License-Identifier: GPL-2.0

//! A log that is not what was committed: the mount option `verify`, which is always on here, sees it before
//! the commit block makes it count.

use host_core::core::error::Error;
use host_core::core::mount::MountOptions;
use host_core::format::jbd2::{header, BlockType, MAGIC};
use host_core::host::device::Backend;
use host_core::host::recording::Recording;
use host_core::hostfs::{HostFs, Tree};
use host_core::testing::{assert_clean, debugfs, mkfs};
use std::io::Result;
use std::sync::{Arc, Mutex};

const SIZE: u64 = 16 << 20;
const BLOCK: usize = 1024;

/// The byte of a log block that changes on its way, if it is a block of the sought kind.
type Pick = fn(&[u8], &Disk) -> Option<usize>;

/// A file system and where its log is.
struct Disk {
    image: Vec<u8>,
    log: Vec<u64>,
    /// Bytes of a tag.
    tag: usize,
    sums: bool,
}

impl Disk {
    fn make(features: &str, tag: usize) -> Self {
        let image = mkfs(SIZE, &["-b", "1024", "-O", features]);
        let blocks = debugfs(&image, "blocks <8>");
        let log = blocks.split_whitespace().filter_map(|n| n.parse().ok());
        Self {
            log: log.collect(),
            image,
            tag,
            sums: tag == 16,
        }
    }

    fn is_log(&self, offset: u64) -> bool {
        self.log[1..].contains(&(offset / BLOCK as u64))
    }

    /// Where the tags of a descriptor begin.
    fn tags(&self, block: &[u8]) -> Option<Vec<usize>> {
        (kind(block)? == BlockType::Descriptor).then_some(())?;
        let mut tags = vec![12];
        while block[tags.last()? + FLAGS] & 8 == 0 {
            // Behind the first is the UUID.
            tags.push(tags.last()? + self.tag + if tags.len() == 1 { 16 } else { 0 });
        }
        Some(tags)
    }
}

/// The flags of a tag, in all that matters.
const FLAGS: usize = 7;

fn kind(block: &[u8]) -> Option<BlockType> {
    header(block).map(|(kind, _)| kind)
}

/// Changes one byte of the first log block that is picked, once.
struct Garbling {
    to: Recording,
    disk: Arc<Disk>,
    pick: Arc<Mutex<Option<Pick>>>,
}

impl Backend for Garbling {
    fn size(&self) -> u64 {
        self.to.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.to.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()> {
        let mut bytes = from.to_vec();
        let mut pick = self.pick.lock().unwrap();
        if self.disk.is_log(offset) {
            if let Some(at) = pick.and_then(|pick| pick(from, &self.disk)) {
                bytes[at] ^= 1;
                *pick = None;
            }
        }
        self.to.write_at(offset, &bytes)
    }

    fn write_through(&self, offset: u64, from: &[u8]) -> Result<()> {
        self.to.write_through(offset, from)
    }

    fn flush(&self) -> Result<()> {
        self.to.flush()
    }
}

/// A target whose block has to be escaped in the log.
fn target() -> Vec<u8> {
    [&MAGIC.to_be_bytes()[..], &[b't'; 200]].concat()
}

fn is_target(block: &[u8]) -> bool {
    block[4..204] == [b't'; 200]
}

/// What may be wrong in any log, with the error unless a checksum tells of it first; and what only checksums
/// see.
const ANYWHERE: &[(&str, &str, Pick)] = &[
    (
        "a descriptor's magic number",
        "is no record of",
        |block, disk| disk.tags(block).map(|_| 0),
    ),
    (
        "a descriptor's sequence number",
        "is no record of",
        |block, disk| disk.tags(block).map(|_| 11),
    ),
    (
        "the block number of the first tag",
        "as it was committed",
        |block, disk| disk.tags(block).map(|tags| tags[0] + 3),
    ),
    (
        "the block number of the last tag",
        "as it was committed",
        |block, disk| disk.tags(block)?.last().map(|tag| tag + 3),
    ),
    (
        "a tag that is escaped without a reason",
        "as it was committed",
        |block, disk| {
            let mut tags = disk.tags(block)?.into_iter();
            tags.find(|tag| block[tag + FLAGS] & 1 == 0)
                .map(|tag| tag + FLAGS)
        },
    ),
    (
        "a tag that is not escaped",
        "as it was committed",
        |block, disk| {
            let mut tags = disk.tags(block)?.into_iter();
            tags.find(|tag| block[tag + FLAGS] & 1 != 0)
                .map(|tag| tag + FLAGS)
        },
    ),
    ("contents", "as it was committed", |block, _| {
        is_target(block).then_some(100)
    }),
    ("the end of contents", "as it was committed", |block, _| {
        is_target(block).then_some(BLOCK - 1)
    }),
    ("how much is revoked", "revoke", |block, _| {
        (kind(block)? == BlockType::Revoke).then_some(14)
    }),
    (
        "a revoked block",
        "not those of the transaction",
        |block, disk| {
            let last = 16 + if disk.tag == 8 { 4 } else { 8 } - 1;
            (kind(block)? == BlockType::Revoke).then_some(last)
        },
    ),
];

const CHECKSUMS: &[(&str, &str, Pick)] = &[
    ("the sum of a descriptor", "checksum", |block, disk| {
        disk.tags(block).map(|_| BLOCK - 1)
    }),
    ("the sum in a tag", "checksum", |block, disk| {
        disk.tags(block).map(|tags| tags[0] + 12)
    }),
    ("the sum of a revocation block", "checksum", |block, _| {
        (kind(block)? == BlockType::Revoke).then_some(BLOCK - 1)
    }),
    ("the blanked first word", "checksum", |block, _| {
        is_target(block).then_some(0)
    }),
];

/// What was synced before a log became wrong: the tree, and how many writes and flushes there were.
fn synced(fs: &mut HostFs, device: &Recording) -> (Tree, usize) {
    fs.create("/kept", 0o644).unwrap();
    fs.write("/kept", 0, &[7; 5000]).unwrap();
    fs.mkdir("/directory", 0o755).unwrap();
    fs.sync().unwrap();
    (fs.tree().unwrap(), device.event_count())
}

/// A transaction with all kinds of log blocks.
fn change(fs: &mut HostFs) -> std::result::Result<(), Error> {
    fs.symlink("/link", &target())?;
    fs.rmdir("/directory")?;
    fs.create("/new", 0o644)?;
    fs.sync()
}

fn fails(disk: &Arc<Disk>, (what, said, wrong): (&str, &str, Pick)) {
    let device = Recording::new(disk.image.clone());
    let pick = Arc::new(Mutex::new(None));
    let garbling = Garbling {
        to: device.clone(),
        disk: disk.clone(),
        pick: pick.clone(),
    };
    let mut fs = HostFs::mount(garbling, &MountOptions::default()).unwrap();
    let (before, events) = synced(&mut fs, &device);
    *pick.lock().unwrap() = Some(wrong);
    let error = change(&mut fs).expect_err(what);
    assert!(pick.lock().unwrap().is_none(), "{what}: nothing was wrong");
    let text = error.to_string();
    let is_said = text.contains(said) || disk.sums && text.contains("checksum");
    assert!(
        is_said && matches!(error, Error::Corrupt(..)),
        "{what}: {text}"
    );

    assert!(fs.fs.has_failed(), "{what}");
    assert_eq!(fs.create("/more", 0o644), Err(Error::ReadOnly), "{what}");
    // It says that the journal has stopped.
    let _ = fs.unmount();
    for event in device.events_from(events) {
        let committed = event.write().is_some_and(|(offset, block)| {
            disk.is_log(offset) && kind(block) == Some(BlockType::Commit)
        });
        assert!(!committed, "{what}: a commit block was sent");
    }

    let recovered = Recording::new(device.contents());
    let mut fs = HostFs::mount(recovered.clone(), &MountOptions::default()).unwrap();
    assert!(fs.tree().unwrap() == before, "{what}: what was synced");
    fs.unmount().unwrap();
    assert_clean(&recovered.contents());
}

#[test]
fn a_wrong_log_does_not_count() {
    let disks = [
        Disk::make("metadata_csum,64bit", 16),
        Disk::make("^metadata_csum,64bit", 12),
        Disk::make("^metadata_csum,^64bit", 8),
    ];
    for disk in disks {
        let disk = Arc::new(disk);
        let sums = CHECKSUMS.iter().filter(|_| disk.sums);
        for wrong in ANYWHERE.iter().chain(sums) {
            fails(&disk, *wrong);
        }
    }
}

/// The same changes on a disk that does what it is told.
#[test]
fn a_right_log_counts() {
    let disk = Disk::make("metadata_csum,64bit", 16);
    let device = Recording::new(disk.image);
    let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
    synced(&mut fs, &device);
    change(&mut fs).unwrap();
    fs.unmount().unwrap();
    assert_clean(&device.contents());
}
