// SPDX-License-Identifier: GPL-2.0

//! Where blocks end up: files in few, long pieces.

use super::*;

/// The extents of a file whose runs came in this order: neighbours joined as the extent tree does.
fn extents(runs: &[Run]) -> std::vec::Vec<Run> {
    let mut joined = std::vec::Vec::<Run>::new();
    for run in runs {
        match joined.last_mut() {
            Some(last)
                if last.start.get() + u64::from(last.len) == run.start.get()
                    && last.len + run.len <= MAX_RUN =>
            {
                last.len += run.len;
            }
            _ => joined.push(*run),
        }
    }
    joined
}

/// A file that grows: what the map layer knows of it.
struct File {
    ino: Ino,
    runs: std::vec::Vec<Run>,
    blocks: u32,
    window: Window,
}

impl File {
    fn new(ino: u32) -> Self {
        Self {
            ino: Ino(ino),
            runs: std::vec::Vec::new(),
            blocks: 0,
            window: Window::new(),
        }
    }

    /// Writes back `len` more blocks.
    fn append(&mut self, volume: &Volume, len: u32) {
        let file_blocks = u64::from(self.blocks + len);
        let mut left = len;
        while left > 0 {
            let goal = match self.runs.last() {
                Some(last) => Goal::Next(DiskBlock(last.start.get() + u64::from(last.len))),
                None => Goal::Near(volume.allocator.inode_goal(self.ino, false)),
            };
            let logical = FileBlock(self.blocks);
            let window = Some(&mut self.window);
            let request = Request {
                ino: self.ino,
                logical,
                goal,
                len: left,
                file_blocks,
                window,
            };
            let run = volume.allocate(request).unwrap();
            assert!(volume.allocator.is_data(run));
            volume.settle(run);
            self.runs.push(run);
            self.blocks += run.len;
            left -= run.len;
        }
    }

    fn remove(mut self, volume: &Volume) {
        volume.allocator.release_window(&mut self.window);
        for run in extents(&self.runs) {
            volume.free(run);
        }
    }
}

#[test]
fn a_gibibyte_has_the_longest_extents() {
    for (chunk, most) in [
        (u32::MAX, 8),
        (32768, 8),
        (25600, 8),
        (13107, 8),
        (2500, 9),
        (256, 14),
    ] {
        let volume = Volume::new(4 << 30, &[]);
        let mut file = File::new(12);
        let total = 262144;
        while file.blocks < total {
            file.append(&volume, chunk.min(total - file.blocks));
        }
        let extents = extents(&file.runs);
        assert!(
            extents.len() <= most,
            "{chunk} blocks at a time: {extents:?}"
        );
        volume.check_counts();
        file.remove(&volume);
        volume.commit();
        volume.close_clean();
    }
}

#[test]
fn files_that_grow_in_turn_do_not_interleave() {
    let volume = Volume::new(256 << 20, &[]);
    let mut files: std::vec::Vec<File> = (12..22).map(File::new).collect();
    for _ in 0..200 {
        for file in &mut files {
            file.append(&volume, 1);
            volume.commit();
        }
    }
    for file in files {
        let extents = extents(&file.runs);
        assert!(extents.len() <= 6, "{extents:?}");
        file.remove(&volume);
    }
    volume.commit();
    volume.check_counts();
    volume.close_clean();
}

#[test]
fn small_files_are_packed() {
    let volume = Volume::new(256 << 20, &[]);
    let mut files: std::vec::Vec<File> = (12..112).map(File::new).collect();
    for (n, file) in files.iter_mut().enumerate() {
        file.append(&volume, 1 + n as u32 % 5);
    }
    let all: std::vec::Vec<Run> = files
        .iter()
        .flat_map(|file| file.runs.iter().copied())
        .collect();
    assert_eq!(extents(&all).len(), 1, "{all:?}");
    for file in files {
        file.remove(&volume);
    }
    volume.commit();
    volume.close_clean();
}

#[test]
fn large_runs_are_aligned() {
    let volume = Volume::new(1 << 30, &[]);
    let mut files: std::vec::Vec<File> = (12..16).map(File::new).collect();
    for file in &mut files {
        file.append(&volume, 4096);
        assert_eq!(
            (file.runs.len(), file.runs[0].start.get() % 4096),
            (1, 0),
            "{:?}",
            file.runs
        );
    }
}

#[test]
fn small_blocks_make_one_extent_of_many_groups() {
    // 1 KiB blocks: groups of 8192 blocks.
    let volume = Volume::new(512 << 20, &["-b", "1024"]);
    let mut file = File::new(12);
    file.append(&volume, 100_000);
    let extents = extents(&file.runs);
    assert!(extents.len() <= 14, "{extents:?}");
    let spanning = extents
        .iter()
        .copied()
        .find(|run| volume.allocator.credits(*run) > SETTLE_CREDITS);
    assert!(spanning.is_none_or(|run| run.len > 1));
    file.remove(&volume);
    volume.commit();
    volume.close_clean();
}

#[test]
fn a_full_disk_gives_everything_it_promised() {
    let volume = Volume::new(64 << 20, &["-b", "1024"]);
    // Somebody else's window over a good part of the disk.
    let mut greedy = File::new(13);
    greedy.append(&volume, 2500);
    assert!(greedy.window.run.is_some());
    let promised = volume.allocator.statistics().available_blocks;
    let mut paid_by = volume.allocator.reserve(&volume.journal, promised).unwrap();
    assert!(matches!(
        volume.allocator.reserve(&volume.journal, 1),
        Err(Error::NoSpace)
    ));
    let mut runs = std::vec::Vec::new();
    while paid_by.blocks() > 0 {
        let goal = Goal::Near(DiskBlock(1));
        let request = Request {
            ino: Ino(12),
            logical: FileBlock(0),
            goal,
            len: u32::MAX,
            file_blocks: 1 << 30,
            window: None,
        };
        let run = volume
            .allocator
            .allocate(&volume.journal, request, &mut paid_by)
            .unwrap()
            .keep();
        volume.settle(run);
        runs.push(run);
    }
    assert!(runs.len() < 60, "{}", runs.len());
    volume.check_counts();
    for run in runs {
        volume.free(run);
    }
    // Only a commit makes them allocatable: a caller who may wait waits for it.
    assert!(matches!(
        volume.allocator.reserve(&volume.journal, promised),
        Err(Error::NoSpace)
    ));
    assert_eq!(volume.allocator.statistics().available_blocks, promised);
    let again = volume
        .allocator
        .reserve_waiting(&volume.journal, promised)
        .unwrap();
    drop(again);
    greedy.remove(&volume);
    volume.commit();
    volume.close_clean();
}
