// SPDX-License-Identifier: GPL-2.0

//! Random operations against a list of who has which block.

use super::*;
use crate::format::units::Tid;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    InFlight,
    Settled,
}

/// What the allocator should believe.
#[derive(Default)]
struct Model {
    /// Runs that were handed out.
    runs: std::vec::Vec<(Run, Use)>,
    /// Each block that was handed out, with the transaction that freed it since.
    busy: BTreeMap<u64, Option<Tid>>,
    windows: std::vec::Vec<Window>,
    inodes: std::vec::Vec<(Ino, bool)>,
}

fn blocks(run: Run) -> std::ops::Range<u64> {
    run.start.get()..run.start.get() + u64::from(run.len)
}

impl Model {
    fn add(&mut self, run: Run, volume: &Volume) {
        assert!(run.len > 0 && volume.allocator.is_data(run), "{run:?}");
        let committed = volume.journal.committed();
        for block in blocks(run) {
            let before = self.busy.insert(block, None);
            let again =
                before.is_none_or(|freed| freed.is_some_and(|tid| !committed.is_before(tid)));
            assert!(again, "block {block} was handed out twice");
        }
        self.runs.push((run, Use::InFlight));
    }

    fn step(&mut self, numbers: &mut Numbers, volume: &Volume) {
        let total = volume.allocator.geometry().block_count();
        let pick = |numbers: &mut Numbers, len: usize| numbers.below(len.max(1) as u64) as usize;
        match numbers.below(100) {
            0..=39 => self.allocate(numbers, volume),
            40..=64 => self.settle_or_release(numbers, volume),
            65..=79 => self.free(numbers, volume),
            80..=82 => {
                let at = pick(numbers, self.windows.len());
                volume.allocator.release_window(&mut self.windows[at]);
            }
            83 => {
                volume.commit();
            }
            84 => {
                volume.allocator.reclaim(2);
            }
            85..=86 => {
                let mut handle = volume.journal.start(SETTLE_CREDITS).unwrap();
                let goal = DiskBlock(numbers.below(total));
                let mut promise = volume.allocator.no_reservation();
                if let Ok(block) =
                    volume
                        .allocator
                        .allocate_metadata(&mut handle, Ino(12), goal, &mut promise)
                {
                    self.add(Run::one(block), volume);
                    self.runs.last_mut().unwrap().1 = Use::Settled;
                }
            }
            87..=94 => self.new_inode(numbers, volume),
            _ if !self.inodes.is_empty() => {
                let at = pick(numbers, self.inodes.len());
                let (ino, is_directory) = self.inodes.swap_remove(at);
                let mut handle = volume.journal.start(SETTLE_CREDITS).unwrap();
                volume
                    .allocator
                    .free_inode(&mut handle, ino, is_directory)
                    .unwrap();
            }
            _ => {}
        }
    }

    fn allocate(&mut self, numbers: &mut Numbers, volume: &Volume) {
        let len = 1 << numbers.below(13);
        let len = 1 + numbers.below(len) as u32;
        let goal = DiskBlock(numbers.below(volume.allocator.geometry().block_count() + 10));
        let goal = if numbers.below(2) == 0 {
            Goal::Next(goal)
        } else {
            Goal::Near(goal)
        };
        let at = numbers.below(self.windows.len() as u64) as usize;
        let window = if numbers.below(3) == 0 {
            None
        } else {
            self.windows.get_mut(at)
        };
        let logical = FileBlock(numbers.below(3) as u32);
        let file_blocks = u64::from(len) + numbers.below(10_000);
        match volume.allocate(Request {
            ino: Ino(12),
            logical,
            goal,
            len,
            file_blocks,
            window,
        }) {
            Ok(run) => self.add(run, volume),
            Err(error) => assert_eq!(error, Error::NoSpace),
        }
    }

    fn new_inode(&mut self, numbers: &mut Numbers, volume: &Volume) {
        let is_directory = numbers.below(3) == 0;
        let parent = match self.inodes.get(numbers.below(20) as usize) {
            Some((ino, true)) => *ino,
            _ => Ino(2),
        };
        let mut handle = volume.journal.start(INODE_CREDITS).unwrap();
        let kind = NewInodeKind {
            is_directory,
            spread: false,
            mode: 0,
        };
        match volume.allocator.allocate_inode(&mut handle, parent, kind) {
            Ok(new) => {
                assert!(!self.inodes.iter().any(|(ino, _)| *ino == new.ino) && new.ino.get() > 11);
                let place = volume.allocator.inode_place(new.ino).unwrap();
                assert_eq!((place.block, place.offset), (new.table.block(), new.offset));
                assert_eq!(new.table.kind(), Kind::InodeTable(place.first));
                self.inodes.push((new.ino, is_directory));
            }
            Err(error) => assert_eq!(error, Error::NoSpace),
        }
    }

    fn settle_or_release(&mut self, numbers: &mut Numbers, volume: &Volume) {
        let Some(at) = self
            .runs
            .iter()
            .position(|(_, state)| *state == Use::InFlight)
        else {
            return;
        };
        let (run, state) = &mut self.runs[at];
        if numbers.below(5) > 0 {
            volume.settle(*run);
            *state = Use::Settled;
            return;
        }
        volume.allocator.release(*run);
        for block in blocks(*run) {
            self.busy.remove(&block);
        }
        self.runs.swap_remove(at);
    }

    /// Frees a part of a settled run.
    fn free(&mut self, numbers: &mut Numbers, volume: &Volume) {
        if self.runs.is_empty() {
            return;
        }
        let at = numbers.below(self.runs.len() as u64) as usize;
        let (run, state) = self.runs[at];
        if state != Use::Settled {
            return;
        }
        let keep = if numbers.below(2) == 0 {
            0
        } else {
            numbers.below(u64::from(run.len)) as u32
        };
        let start = DiskBlock(run.start.get() + u64::from(keep));
        let freed = Run {
            start,
            len: run.len - keep,
        };
        let tid = volume.free(freed);
        for block in blocks(freed) {
            self.busy.insert(block, Some(tid));
        }
        if keep == 0 {
            self.runs.swap_remove(at);
        } else {
            self.runs[at].0.len = keep;
        }
    }

    fn finish(mut self, volume: Volume) {
        for window in &mut self.windows {
            volume.allocator.release_window(window);
        }
        for (run, state) in self.runs {
            match state {
                Use::InFlight => volume.allocator.release(run),
                Use::Settled => {
                    volume.free(run);
                }
            }
        }
        for (ino, is_directory) in self.inodes {
            let mut handle = volume.journal.start(SETTLE_CREDITS).unwrap();
            volume
                .allocator
                .free_inode(&mut handle, ino, is_directory)
                .unwrap();
        }
        volume.commit();
        volume.allocator.collect(&volume.journal);
        volume.check_counts();
        assert_eq!(volume.allocator.take_fault(), None);
        let numbers = volume.allocator.statistics();
        assert_eq!(
            (numbers.reserved_blocks, numbers.free_blocks),
            (0, numbers.settled_free_blocks)
        );
        volume.close_clean();
    }
}

fn run(seed: u64, size: u64, args: &[&str], steps: u32) {
    let volume = Volume::new(size, args);
    let before = volume.allocator.statistics();
    let mut model = Model::default();
    model.windows.resize_with(8, Window::new);
    let mut numbers = Numbers(seed);
    for step in 0..steps {
        model.step(&mut numbers, &volume);
        if step % 200 == 0 {
            volume.check_counts();
            let free = volume.allocator.statistics().free_blocks;
            let taken = model.busy.values().filter(|freed| freed.is_none()).count() as u64;
            assert_eq!(free + taken, before.free_blocks, "seed {seed} step {step}");
        }
    }
    model.finish(volume);
}

#[test]
fn random_on_small_blocks() {
    for seed in 0..6 {
        run(seed, 64 << 20, &["-b", "1024", "-J", "size=4"], 3000);
    }
}

#[test]
fn random_on_default() {
    for seed in 0..4 {
        run(seed, 600 << 20, &[], 3000);
    }
}

#[test]
fn random_on_old_and_odd() {
    // No checksums and no packing; crc16 only; a last group that is short; 2 KiB blocks.
    run(
        1,
        96 << 20,
        &[
            "-b",
            "1024",
            "-O",
            "^metadata_csum,^uninit_bg,^flex_bg,^64bit",
        ],
        3000,
    );
    run(
        2,
        96 << 20,
        &["-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit"],
        3000,
    );
    run(
        3,
        (96 << 20) + 3_000_000,
        &["-b", "2048", "-N", "700"],
        3000,
    );
    run(
        4,
        300 << 20,
        &["-O", "meta_bg,^resize_inode", "-g", "8192"],
        3000,
    );
    run(
        5,
        300 << 20,
        &["-O", "sparse_super2", "-g", "2048", "-b", "1024"],
        3000,
    );
}
