// SPDX-License-Identifier: GPL-2.0

//! The extent status against a map with an entry per block.

use super::status::{Piece, Pieces, Spare};
use super::{BlockRange, State};
use crate::core::platform::memory_size;
use crate::format::units::{DiskBlock, FileBlock};
use std::collections::BTreeMap;

/// A small generator of pseudo-random numbers: the same numbers in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 11) % u64::from(limit.max(1))).unwrap()
    }
}

fn put(pieces: &mut Pieces, start: u32, len: u32, state: State) {
    let range = BlockRange::new(FileBlock(start), len);
    if pieces.grow(range, state) {
        return;
    }
    let mut spare = Spare::default();
    while let Err(lack) = pieces.prepare(range, &mut spare) {
        spare.provide(lack).unwrap();
    }
    pieces.set(range, state);
}

fn check(pieces: &Pieces, model: &BTreeMap<u32, State>, blocks: u32) {
    let (mut delayed, mut pending) = (0, 0);
    for at in 0..blocks {
        let found = pieces.find(FileBlock(at));
        let state = found.map(|piece| piece.state.advanced(at - piece.range.start.get()));
        assert_eq!(state, model.get(&at).copied(), "block {at}");
        delayed += u32::from(state == Some(State::Delayed));
        pending += u32::from(state.is_some_and(State::is_pending));
        let next = (at..blocks).find(|at| model.contains_key(at));
        assert_eq!(
            pieces
                .first_from(FileBlock(at))
                .map(|piece| piece.range.start.get().max(at)),
            next,
            "after {at}"
        );
        let before = (0..at).rev().find(|at| model.contains_key(at));
        assert_eq!(
            pieces
                .last_before(FileBlock(at))
                .map(|piece| piece.range.end.get().min(at) - 1),
            before,
            "before {at}"
        );
    }
    assert_eq!(
        (pieces.delayed(), pieces.pending_blocks()),
        (delayed, pending)
    );
    // Neighbours that continue each other are one piece.
    let (mut at, mut last, mut count) = (FileBlock(0), None::<Piece>, 0);
    while let Some(piece) = pieces.first_from(at) {
        if let Some(last) = last.filter(|last| last.range.end == piece.range.start) {
            assert_ne!(
                last.state.advanced(last.range.len()),
                piece.state,
                "at {:?}",
                piece.range
            );
        }
        count += u32::from(piece.state.is_pending());
        (at, last) = (piece.range.end, Some(piece));
    }
    assert_eq!(pieces.pending_pieces(), count);
}

#[test]
fn like_a_map() {
    const BLOCKS: u32 = 1500;
    for (seed, longest) in [(1, 3), (2, 9), (3, 40), (4, 400)] {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut pieces = Pieces::new();
        let mut model = BTreeMap::new();
        for step in 0..4000 {
            let start = random.below(BLOCKS);
            let len = (1 + random.below(longest)).min(BLOCKS - start);
            let block = DiskBlock(u64::from(start) + 10_000 * u64::from(random.below(3)));
            let state = [
                State::Hole,
                State::Delayed,
                State::InFlight(block),
                State::Unwritten(block),
                State::Written(block),
            ][random.below(5) as usize];
            put(&mut pieces, start, len, state);
            for by in 0..len {
                model.insert(start + by, state.advanced(by));
            }
            if step % 200 == 0 {
                check(&pieces, &model, BLOCKS);
            }
        }
        check(&pieces, &model, BLOCKS);
        put(&mut pieces, 0, BLOCKS, State::Hole);
        let whole = (0..BLOCKS).map(|at| (at, State::Hole)).collect();
        check(&pieces, &whole, BLOCKS);
    }
}

#[test]
fn at_the_last_block() {
    let mut pieces = Pieces::new();
    put(&mut pieces, u32::MAX - 1, 7, State::Delayed);
    let piece = pieces.find(FileBlock(u32::MAX - 1)).unwrap();
    assert_eq!(
        (piece.range.len(), piece.range.end),
        (1, BlockRange::MAX_END)
    );
    assert_eq!(pieces.find(FileBlock(u32::MAX)), None);
    let gap = pieces.gap(FileBlock(5));
    assert_eq!(
        (gap.start, gap.end),
        (FileBlock(0), FileBlock(u32::MAX - 1))
    );
}

#[test]
fn very_many_pieces() {
    let mut pieces = Pieces::new();
    for at in 0..20_000 {
        pieces.trim();
        let state = if at % 100 == 0 {
            State::Delayed
        } else {
            State::Written(DiskBlock(7))
        };
        put(&mut pieces, at * 2, 1, state);
    }
    assert_eq!(pieces.delayed(), 200);
    assert_eq!(pieces.find(FileBlock(2)), None);
    assert!(pieces.find(FileBlock(39_998)).is_some());
}

/// Files that are open keep what is known of their blocks, but not without bounds.
#[test]
fn very_many_pieces_in_very_many_files() {
    const FILES: usize = 400;
    const EACH: u32 = 9000;
    let mut files: Vec<_> = (0..FILES).map(|_| Pieces::new()).collect();
    for pieces in &mut files {
        for at in 0..EACH {
            pieces.trim();
            put(pieces, at * 2, 1, State::Written(DiskBlock(7)));
        }
    }
    let known = |pieces: &Pieces| {
        let known = |at: &u32| pieces.find(FileBlock(*at * 2)).is_some();
        (0..EACH).filter(known).count()
    };
    let all: usize = files.iter().map(known).sum();
    let budget = memory_size() / (64 * size_of::<Piece>());
    assert!(all < budget + FILES * 128, "{all} pieces");
    assert_eq!(known(&files[0]), EACH as usize);
    // Of those that were known first, nothing is lost when others go, and there is room again.
    files.truncate(1);
    let mut pieces = Pieces::new();
    for at in 0..EACH {
        pieces.trim();
        put(&mut pieces, at * 2, 1, State::Written(DiskBlock(7)));
    }
    assert_eq!(known(&pieces), EACH as usize);
}
