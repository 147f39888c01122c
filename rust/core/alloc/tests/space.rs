// SPDX-License-Identifier: GPL-2.0

//! Bad disks, the fixed metadata, and many threads at once.

use super::*;
use crate::format::fault::{BitmapFault, Fault};
use crate::format::group_desc::GroupFlags;

fn near(block: u64, len: u32) -> Request<'static> {
    let goal = Goal::Near(DiskBlock(block));
    Request {
        ino: Ino(12),
        logical: FileBlock(0),
        goal,
        len,
        file_blocks: u64::from(len),
        window: None,
    }
}

fn scribble(file: &TempFile, offset: u64, bytes: &[u8]) {
    let backend = std::fs::OpenOptions::new()
        .write(true)
        .open(&file.0)
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&backend, bytes, offset).unwrap();
}

#[test]
fn fixed_metadata_is_known() {
    // The orphan file of newer defaults has data blocks of its own.
    let volume = Volume::new(300 << 20, &["-O", "^orphan_file"]);
    let allocator = &volume.allocator;
    let (_, text) = testing::run("dumpe2fs", &[], &volume.file.0);
    // Everything in "Free blocks: a-b, ..." of the groups may be a file's, all else is in use.
    let mut free = std::collections::BTreeSet::new();
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("  Free blocks: "))
    {
        for part in line.split(", ").filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            free.extend(first.parse::<u64>().unwrap()..=last.parse::<u64>().unwrap());
        }
    }
    let is_data = |block| allocator.is_data(Run::one(DiskBlock(block)));
    let blocks = allocator.statistics().blocks;
    let data: u64 = (0..blocks).filter(|block| is_data(*block)).count() as u64;
    assert!(free.iter().all(|block| is_data(*block)));
    // The root directory, lost+found, and the indirect block of the resize inode are not fixed.
    let used = data - free.len() as u64;
    assert!(used <= 16, "{used}");
    let numbers = allocator.statistics();
    assert_eq!(numbers.overhead_blocks + data, blocks);
    assert_eq!(numbers.free_blocks, free.len() as u64);
    assert!(!allocator.is_data(Run {
        start: DiskBlock(blocks - 1),
        len: 2
    }));
    assert!(!allocator.is_data(Run {
        start: DiskBlock(u64::MAX),
        len: 2
    }));
    assert!(!allocator.is_data(Run {
        start: DiskBlock(blocks - 1),
        len: 0
    }));
}

#[test]
fn bitmaps_leave_memory_and_come_back() {
    let volume = Volume::new(600 << 20, &["-b", "1024"]);
    let allocator = &volume.allocator;
    let count = allocator.groups.count();
    assert_eq!(allocator.loaded_bitmaps(), 0);
    // A run in each group is settled, and one in every third is freed again.
    let mut runs = std::vec::Vec::new();
    for group in (0..count).map(Group) {
        let start = allocator.geometry().group_start(group).unwrap().get();
        let run = volume.allocate(near(start + 3000, 10)).unwrap();
        volume.settle(run);
        runs.push(run);
    }
    assert!(allocator.loaded_bitmaps() > 60);
    volume.commit();
    let group_of = |run: &Run| allocator.geometry().group_of(run.start).unwrap().0;
    let mut ahead = std::collections::BTreeSet::new();
    for run in runs.iter().step_by(3) {
        volume.free(*run);
        ahead.insert(group_of(run));
    }
    let in_flight = volume.allocate(near(runs[1].start.get(), 10)).unwrap();
    let mut window = Window::new();
    let grows = Request {
        logical: FileBlock(1),
        file_blocks: 2,
        window: Some(&mut window),
        ..near(runs[2].start.get(), 1)
    };
    let grown = volume.allocate(grows).unwrap();
    volume.settle(grown);
    ahead.extend([group_of(&in_flight), group_of(&window.run.unwrap())]);
    let (before, loaded) = (allocator.statistics(), allocator.loaded_bitmaps());

    // What is ahead of the disk stays: freed, in flight, and the window.
    let dropped = allocator.reclaim(10) + allocator.reclaim(usize::MAX);
    assert_eq!(dropped, loaded - ahead.len());
    assert_eq!(allocator.loaded_bitmaps(), ahead.len());
    for group in ahead {
        let info = allocator.groups.get(group).unwrap();
        assert!(!info.state.lock().busy.is_empty());
    }
    assert_eq!(allocator.statistics(), before);

    // What was dropped is made again: nothing is given out twice.
    let again = volume.allocate(near(runs[4].start.get(), 10)).unwrap();
    assert!(runs.iter().all(|run| run.start != again.start));
    volume.settle(again);
    volume.settle(in_flight);
    allocator.release_window(&mut window);
    volume.check_counts();
    for (_, run) in runs.iter().enumerate().filter(|(at, _)| at % 3 != 0) {
        volume.free(*run);
    }
    for run in [again, in_flight, grown] {
        volume.free(run);
    }
    volume.commit();
    // The next one who takes blocks collects what was freed.
    volume
        .allocator
        .release(volume.allocate(near(20_000, 1)).unwrap());
    volume.check_counts();
    allocator.reclaim(usize::MAX);
    assert_eq!(allocator.loaded_bitmaps(), 0);
    volume.close_clean();
}

#[test]
fn a_corrupt_bitmap_is_left_alone() {
    let file = mkfs(600 << 20, &[]);
    let (victim, place) = {
        let volume = Volume::open(file);
        let info = volume.allocator.groups.get(Group(0)).unwrap();
        let victim = volume
            .allocator
            .geometry()
            .group_start(Group(0))
            .unwrap()
            .get()
            + 20_000;
        let place = info.block_bitmap.get() * 4096;
        volume.journal.close().unwrap();
        let Volume { file, .. } = volume;
        scribble(&file, place, &[0x0f; 64]);
        let volume = Volume::open(file);
        let before = volume.allocator.statistics();
        let run = volume.allocate(near(victim, 100)).unwrap();
        assert_ne!(
            volume.allocator.geometry().group_of(run.start).unwrap().0,
            Group(0)
        );
        assert!(matches!(
            volume.allocator.take_fault(),
            Some(Error::Corrupt(..))
        ));
        assert_eq!(volume.allocator.take_fault(), None);
        assert!(volume.allocator.statistics().free_blocks + 100 < before.free_blocks);
        // Nobody can tell whether these are in use: they are left so.
        volume.free(Run {
            start: DiskBlock(victim),
            len: 5,
        });
        volume.settle(run);
        volume.free(run);
        (victim, place)
    };
    assert!(victim > 0 && place > 0);
}

/// A device of which one block cannot be read.
struct Bad {
    file: std::fs::File,
    offset: u64,
}

impl crate::host::device::Backend for Bad {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        if offset == self.offset {
            return Err(std::io::Error::other("bad sector"));
        }
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.file.write_at(offset, from)
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_unreadable_bitmap_is_left_alone() {
    let volume = Volume::new(600 << 20, &[]);
    let offset = volume
        .allocator
        .groups
        .get(Group(0))
        .unwrap()
        .block_bitmap
        .get()
        * 4096;
    volume.journal.close().unwrap();
    let Volume { file, .. } = volume;
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&file.0)
        .unwrap();
    let bad = Bad {
        file: opened,
        offset,
    };
    let volume = Volume::on(bad, file);
    let before = volume.allocator.statistics();
    let all = before.available_blocks;
    let run = volume.allocate(near(20_000, 100)).unwrap();
    assert_ne!(
        volume.allocator.geometry().group_of(run.start).unwrap().0,
        Group(0)
    );
    assert!(matches!(volume.allocator.take_fault(), Some(Error::Io(_))));
    // Its blocks are not promised to anybody any more.
    assert!(matches!(
        volume.allocator.reserve(&volume.journal, all - 100),
        Err(Error::NoSpace)
    ));
}

#[test]
fn wrong_changes_are_refused_whole() {
    let volume = Volume::new(300 << 20, &[]);
    let run = volume.allocate(near(40_000, 100)).unwrap();
    let mut handle = volume.journal.start(30).unwrap();
    volume.allocator.settle(&mut handle, run).unwrap();
    assert!(matches!(
        volume.allocator.settle(&mut handle, run),
        Err(Error::Corrupt(..))
    ));
    for metadata in [0, 1, 2] {
        let metadata = Run::one(DiskBlock(metadata));
        assert!(matches!(
            volume.allocator.free(&mut handle, metadata),
            Err(Error::Corrupt(..))
        ));
    }
    drop(handle);
    volume.check_counts();
    // A handle without credits changes nothing either.
    let other = volume.allocate(near(50_000, 10)).unwrap();
    for credits in [0, 1] {
        volume.commit();
        let mut handle = volume.journal.start(credits).unwrap();
        let settled = volume.allocator.settle(&mut handle, other);
        assert_eq!(settled, Err(Error::CreditsExhausted));
        drop(handle);
        volume.check_counts();
    }
    volume.commit();
    volume.free(run);
    volume.commit();
    volume.check_counts();
}

/// A group of which a block is freed twice is left alone; what is in flight there can be ended, and the
/// part of a run that lies in another group is freed.
#[test]
fn blocks_freed_twice() {
    let volume = Volume::new(300 << 20, &["-g", "8192"]);
    let (first, second) = (Group(3), Group(4));
    let end = volume.allocator.geometry().group_start(second);
    let end = end.unwrap().get();
    let taken = [near(end - 20, 20), near(end, 20), near(end - 100, 30)];
    let [low, high, flying] = taken.map(|request| volume.allocate(request).unwrap());
    let dropped = volume.allocate(near(end - 200, 30)).unwrap();
    for run in [low, high] {
        volume.settle(run);
    }
    volume.free(Run { len: 5, ..low });
    assert_eq!(volume.allocator.take_fault(), None);
    let both = Run { len: 40, ..low };
    volume.free(both);
    let fault = volume.allocator.take_fault();
    assert!(
        matches!(
            fault,
            Some(Error::Corrupt(
                _,
                Fault::Bitmap(BitmapFault::AlreadyClear, ..)
            ))
        ),
        "{fault:?}"
    );
    volume.check_counts();
    volume.free(both);
    volume.settle(flying);
    volume.allocator.release(dropped);
    volume.commit();
    volume.allocator.collect(&volume.journal);
    assert!(!volume.allocator.space.has_pending());
    volume.check_counts();
    let info = volume.allocator.groups.get(first).unwrap();
    assert_eq!(info.free.load(Relaxed), 0);
    for _ in 0..100 {
        let run = volume.allocate(near(end - 20, 20)).unwrap();
        let group = volume.allocator.geometry().group_of(run.start).unwrap().0;
        assert_ne!(group, first);
    }
}

#[test]
fn uninitialised_groups_get_their_bitmap() {
    let volume = Volume::new(1 << 30, &[]);
    let group = Group(6);
    let flags = |volume: &Volume| {
        volume
            .allocator
            .groups
            .descriptor(&volume.cache, group)
            .unwrap()
            .flags
    };
    assert!(flags(&volume).has(GroupFlags::BLOCK_UNINIT));
    let start = volume
        .allocator
        .geometry()
        .group_start(group)
        .unwrap()
        .get();
    let run = volume.allocate(near(start, 10)).unwrap();
    assert_eq!(
        run,
        Run {
            start: DiskBlock(start),
            len: 10
        }
    );
    assert!(flags(&volume).has(GroupFlags::BLOCK_UNINIT));
    volume.settle(run);
    assert!(!flags(&volume).has(GroupFlags::BLOCK_UNINIT));
    volume.commit();
    volume.free(run);
    volume.commit();
    volume.close_clean();
}

/// Freed blocks are usable again as soon as their transaction is durable, whoever hands them back.
#[test]
fn who_makes_room_waits_for_who_hands_blocks_back() {
    let volume = Volume::new(32 << 20, &[]);
    let mut runs = std::vec::Vec::new();
    for len in [1000, 30, 1] {
        while let Ok(run) = volume.allocate(near(0, len)) {
            volume.settle(run);
            runs.push(run);
        }
    }
    let run = runs.swap_remove(0);
    let group = volume.allocator.geometry().group_of(run.start).unwrap().0;
    volume.free(run);
    volume.commit();
    assert!(volume.journal.has_released());
    std::thread::scope(|scope| {
        let held = volume.allocator.lock(group).unwrap();
        scope.spawn(|| volume.allocator.collect(&volume.journal));
        while volume.journal.has_released() {
            std::thread::yield_now();
        }
        let promised = scope.spawn(|| volume.allocator.reserve_waiting(&volume.journal, 1));
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(held);
        assert_eq!(promised.join().unwrap().unwrap().blocks(), 1);
    });
    for run in runs {
        volume.free(run);
    }
    volume.commit();
    volume.check_counts();
    volume.close_clean();
}

#[test]
fn many_threads() {
    let volume = Volume::new(600 << 20, &["-g", "4096"]);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let volume = &volume;
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                let mut runs = std::vec::Vec::<Run>::new();
                let mut window = Window::new();
                for _ in 0..400 {
                    let goal = numbers.below(volume.allocator.statistics().blocks);
                    let mut request = near(goal, 1 + numbers.below(3000) as u32);
                    request.file_blocks = numbers.below(20_000);
                    request.logical = FileBlock(1);
                    request.window = Some(&mut window);
                    if let Ok(run) = volume.allocate(request) {
                        if numbers.below(4) == 0 {
                            volume.allocator.release(run);
                        } else {
                            volume.settle(run);
                            runs.push(run);
                        }
                    }
                    if numbers.below(3) == 0 && !runs.is_empty() {
                        volume.free(runs.swap_remove(numbers.below(runs.len() as u64) as usize));
                    }
                    if numbers.below(50) == 0 {
                        volume.commit();
                    }
                }
                for run in runs {
                    volume.free(run);
                }
                volume.allocator.release_window(&mut window);
            });
        }
    });
    volume.commit();
    volume.allocator.collect(&volume.journal);
    volume.check_counts();
    let numbers = volume.allocator.statistics();
    assert_eq!(
        (numbers.reserved_blocks, numbers.free_blocks),
        (0, numbers.settled_free_blocks)
    );
    volume.close_clean();
}
