// SPDX-License-Identifier: GPL-2.0

//! The allocator on images that mkfs.ext4 made, judged by e2fsck.

mod inodes;
mod layout;
mod model;
mod space;

use super::*;
use crate::core::cache::{Kind, Sealer, FUNCTIONS};
use crate::core::journal::{LogExtent, OpenJournal, Settings, Start};
use crate::core::platform::Vec;
use crate::format::bitmap;
use crate::format::units::{Group, LogBlock};
use crate::testing::{self, TempFile};

/// An open file system without the layers above the allocator.
struct Volume {
    allocator: Allocator,
    journal: OpenJournal,
    cache: Arc<Cache>,
    device: Arc<Device>,
    file: TempFile,
}

/// A new file system of `size` bytes in a sparse file.
fn mkfs(size: u64, args: &[&str]) -> TempFile {
    let file = TempFile::new(size);
    let args: std::vec::Vec<&str> = ["-q", "-F"].iter().chain(args).copied().collect();
    let (code, text) = testing::run("mkfs.ext4", &args, &file.0);
    assert_eq!(code, 0, "{text}");
    file
}

/// The journal's blocks, as runs.
fn journal_runs(file: &TempFile) -> std::vec::Vec<Run> {
    let (_, text) = testing::run("debugfs", &["-c", "-R", "blocks <8>"], &file.0);
    let blocks = text
        .split_whitespace()
        .filter_map(|word| word.parse::<u64>().ok());
    let mut runs = std::vec::Vec::<Run>::new();
    for block in blocks {
        match runs.last_mut() {
            Some(run) if run.start.get() + u64::from(run.len) == block => run.len += 1,
            _ => runs.push(Run::one(DiskBlock(block))),
        }
    }
    runs
}

impl Volume {
    fn new(size: u64, args: &[&str]) -> Self {
        Self::open(mkfs(size, args))
    }

    fn open(file: TempFile) -> Self {
        let backend = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&file.0)
            .unwrap();
        Self::on(backend, file)
    }

    fn on(backend: impl crate::host::device::Backend + 'static, file: TempFile) -> Self {
        let device = Arc::new(Device::new(backend, false, "test"), GFP).unwrap();
        let mut record = [0; 1024];
        device.read_bytes(1024, &mut record).unwrap();
        let superblock = Superblock::parse(&record, &FUNCTIONS, None).unwrap();
        device
            .set_block_size(superblock.geometry.block_size())
            .unwrap();
        let checksums = Superblock::checksums(&record, FUNCTIONS).unwrap();
        let sums = checksums.enabled();
        let sealer = Sealer::new(checksums, superblock.geometry.clone());
        let cache = Arc::new(Cache::new(sealer).unwrap(), GFP).unwrap();
        let runs = journal_runs(&file);
        let mut extents = Vec::new();
        let mut first = LogBlock(0);
        for run in &runs {
            extents.push(LogExtent { first, run: *run }, GFP).unwrap();
            first.0 += run.len;
        }
        let start = Start::read(&device, extents, true, sums).unwrap();
        let settings = Settings {
            lenient: false,
            interval: 3_600_000,
            barrier: true,
            verify: true,
        };
        let journal = Journal::open(device.clone(), cache.clone(), start, settings).unwrap();
        let mut allocator = Allocator::open(&device, &cache, &superblock).unwrap();
        allocator.add_system_zones(runs.into_iter()).unwrap();
        Self {
            allocator,
            journal,
            cache,
            device,
            file,
        }
    }

    /// Closes the journal and writes the counts that mount/ would write; e2fsck must find nothing.
    fn close_clean(self) {
        self.journal.close().unwrap();
        let numbers = self.allocator.statistics();
        let mut record = [0; 1024];
        self.device.read_bytes(1024, &mut record).unwrap();
        let raw = crate::format::superblock::RawSuperblock::view_mut(&mut record).unwrap();
        raw.set_free_blocks(numbers.settled_free_blocks);
        raw.set_free_inodes(numbers.free_inodes as u32);
        self.cache
            .sealer()
            .checksums()
            .seal_superblock(&mut record)
            .unwrap();
        let backend = std::fs::OpenOptions::new()
            .write(true)
            .open(&self.file.0)
            .unwrap();
        std::os::unix::fs::FileExt::write_all_at(&backend, &record, 1024).unwrap();
        let (code, text) = testing::run("e2fsck", &["-fn"], &self.file.0);
        assert_eq!(code, 0, "{text}");
    }

    /// Allocates in memory, paid by a reservation of its own.
    fn allocate(&self, request: Request<'_>) -> Result<Run> {
        let mut paid_by = self
            .allocator
            .reserve_waiting(&self.journal, u64::from(request.len))?;
        let in_flight = self
            .allocator
            .allocate(&self.journal, request, &mut paid_by)?;
        Ok(in_flight.keep())
    }

    fn settle(&self, run: Run) {
        let mut handle = self.journal.start(self.allocator.credits(run)).unwrap();
        self.allocator.settle(&mut handle, run).unwrap();
    }

    /// Frees a run; returns the transaction.
    fn free(&self, run: Run) -> crate::format::units::Tid {
        let mut handle = self.journal.start(self.allocator.credits(run)).unwrap();
        self.allocator.free(&mut handle, run).unwrap();
        handle.tid()
    }

    fn commit(&self) {
        self.journal.commit_all().unwrap();
    }

    /// The descriptors' counts are those of the bitmaps, as they are in the running transaction.
    fn check_counts(&self) {
        let geometry = self.allocator.geometry();
        let (mut blocks, mut inodes) = (0, 0);
        for group in geometry.groups() {
            let desc = self
                .allocator
                .groups
                .descriptor(&self.cache, group)
                .unwrap();
            let info = self.allocator.groups.get(group).unwrap();
            let len = geometry.group_len(group);
            if !info.state.lock().blocks_uninit {
                let buffer = self
                    .cache
                    .read(&self.device, info.block_bitmap, Kind::BlockBitmap(group))
                    .unwrap();
                assert_eq!(
                    bitmap::count_clear(&buffer.data().unwrap(), 0..len),
                    desc.free_blocks,
                    "group {group}"
                );
            }
            let per_group = geometry.inodes_per_group().get();
            if !info.state.lock().inodes_uninit {
                let buffer = self
                    .cache
                    .read(&self.device, info.inode_bitmap, Kind::InodeBitmap(group))
                    .unwrap();
                let data = buffer.data().unwrap();
                assert_eq!(
                    bitmap::count_clear(&data, 0..per_group),
                    desc.free_inodes,
                    "group {group}"
                );
                let used = bitmap::next_set(&data, per_group - desc.unused_inodes..per_group);
                assert_eq!(used, None, "an inode in use counts as never used");
            }
            self.check_hints(group);
            blocks += u64::from(desc.free_blocks);
            inodes += u64::from(desc.free_inodes);
        }
        let numbers = self.allocator.statistics();
        assert_eq!(
            (blocks, inodes),
            (numbers.settled_free_blocks, numbers.free_inodes)
        );
    }

    /// What a group's lock holder has to keep true in memory.
    fn check_hints(&self, group: Group) {
        let info = self.allocator.groups.get(group).unwrap();
        let state = info.state.lock();
        if state.busy.is_empty() || info.blocks_bad.load(Relaxed) {
            return;
        }
        let len = self.allocator.geometry().group_len(group);
        let free = bitmap::count_clear(&state.busy, 0..len);
        assert_eq!(free, info.free.load(Relaxed));
        let desc = self.allocator.groups.descriptor(&self.cache, group);
        assert_eq!(desc.unwrap().free_blocks - free, state.ahead);
        assert!(runs::length(&runs::longest(state.bits(), len)) <= info.longest.load(Relaxed));
        for order in 0..16 {
            let first = runs::first_fit(state.bits(), 0..len, 1 << order);
            assert!(
                first.is_none_or(|bit| bit >= state.lowest.start(1 << order)),
                "order {order}"
            );
        }
        for (busy, claimed) in state.busy.iter().zip(state.claimed.iter()) {
            assert_eq!(busy & !claimed, 0);
        }
    }
}

/// A small generator of repeatable numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}
