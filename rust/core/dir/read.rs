// SPDX-License-Identifier: GPL-2.0

//! Reading a directory from a position.
//!
//! A position is a number that user space may keep (`telldir`): it must mean the same place after
//! names came and went and blocks were split. In a directory with an index, and in one that gets an
//! index when it grows, it is the name's hash: names come in hash order, "." and ".." first. Without
//! an index it is the byte offset of the entry.
//!
//! Names of one hash get positions one after the other, so that positions only ever grow and every
//! name has its own.

use super::index::Path;
use super::{is_bad_index, Blocks, Directory, Patience};
use crate::core::error::Result;
use crate::core::platform::{Block, Vec, GFP};
use crate::core::sort;
use crate::format::bytes::wide;
use crate::format::dirent::{DirFormat, FileType};
use crate::format::fault::HtreeFault;
use crate::format::hash::{HashVersion, Hasher};
use crate::format::inode::InodeKind;
use crate::format::units::{FileBlock, Ino};

/// The position after the last name: the same for every directory read in hash order.
pub const END: u64 = 0x7fff_ffff_ffff_ffff;
/// The same for programs with 32-bit positions.
const END_NARROW: u64 = 0x7fff_ffff;
/// The first position that can be a hash: 0 is "." and 1 is "..".
const FIRST: u64 = 2;
/// How many names of one 31-bit hash a narrow position can tell apart.
const NARROW_CHAIN: u64 = 64;
/// How many leaves that continue each other are sorted together.
const GATHERED: usize = 16;

/// How many bits the positions have that the caller can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 31 bits.
    Narrow,
    /// 63 bits.
    Wide,
}

/// A name as [`Directory::read`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name's bytes.
    pub name: &'a [u8],
    /// The inode it stands for.
    pub ino: Ino,
    /// The type of that inode, as far as the entry says.
    pub file_type: FileType,
}

/// Takes a name and the position after it; `false` if there was no room for the name.
pub trait Emit: FnMut(Entry<'_>, u64) -> bool {}

impl<F: FnMut(Entry<'_>, u64) -> bool> Emit for F {}

/// A name in one of the gathered leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    position: u64,
    leaf: u32,
    offset: u32,
}

/// Leaves read together, and their names in order. Its memory is used again from leaf to leaf.
#[derive(Debug, Default)]
struct Batch {
    leaves: Vec<Block>,
    items: Vec<Item>,
}

impl Width {
    /// The position of a name, from its hash.
    fn position(self, hasher: &Hasher, name: &[u8]) -> u64 {
        let hash = hasher.hash(name);
        let major = u64::from(hash.major >> 1);
        match (self, hasher.version) {
            (Self::Narrow, _) => major,
            // The old hash has no second half: names of one hash are told apart by the second half
            // of another one.
            (Self::Wide, HashVersion::Legacy) => {
                let other = Hasher {
                    version: HashVersion::HalfMd4,
                    ..*hasher
                };
                (major << 32) | u64::from(other.hash(name).minor)
            }
            (Self::Wide, _) => (major << 32) | u64::from(hash.minor),
        }
    }

    /// The smallest hash whose names can be at `position` or after it.
    fn hash(self, position: u64) -> u32 {
        let major = match self {
            Self::Narrow => position.saturating_sub(NARROW_CHAIN),
            Self::Wide => position >> 32,
        };
        u32::try_from(major).unwrap_or(u32::MAX) << 1
    }

    /// The position after the last name.
    pub const fn end(self) -> u64 {
        match self {
            Self::Narrow => END_NARROW,
            Self::Wide => END,
        }
    }
}

impl<B: Blocks> Directory<B> {
    /// Hands names to `emit`, from `position` on (0 is the beginning), until it takes no more.
    ///
    /// Returns the position to go on from: after the last name that was taken, or the end. A broken root
    /// of the index hides no name; a broken node is an error, as positions cannot change their meaning on
    /// the way. [`crate::core::error::Error::Interrupted`] when the caller is killed meanwhile.
    pub fn read(&self, position: u64, width: Width, mut emit: impl Emit) -> Result<u64> {
        if self.uses_index() {
            match self.hasher_of_root() {
                Ok(hasher) => return self.read_hashed(position, width, &hasher, &mut emit),
                // The names are still there.
                Err(error) if is_bad_index(&error) => self.blocks.warn(error),
                Err(error) => return Err(error),
            }
        } else if self.rules.indexes && self.len == 1 {
            return self.read_hashed(position, width, &self.rules.hasher, &mut emit);
        }
        self.read_linear(position, &mut emit)
    }

    fn read_hashed(
        &self,
        from: u64,
        width: Width,
        hasher: &Hasher,
        emit: &mut impl Emit,
    ) -> Result<u64> {
        let mut at = from;
        if at < FIRST {
            let buffer = self.blocks.read(FileBlock(0))?;
            let parent = self.dots(&buffer)?.parent;
            let dots: [(&[u8], Ino); 2] = [(b".", self.ino), (b"..", parent)];
            for (n, (name, ino)) in (0u64..).zip(dots) {
                let file_type = FileType::of(InodeKind::Directory);
                if n < at {
                    continue;
                }
                if !emit(
                    Entry {
                        name,
                        ino,
                        file_type,
                    },
                    n + 1,
                ) {
                    return Ok(at);
                }
                at = n + 1;
            }
        }
        if at >= width.end() {
            return Ok(width.end());
        }
        self.read_leaves(at, width, hasher, emit)
    }

    /// Names of the leaves, in hash order.
    fn read_leaves(
        &self,
        mut at: u64,
        width: Width,
        hasher: &Hasher,
        emit: &mut impl Emit,
    ) -> Result<u64> {
        let mut path = match self.uses_index() {
            true => Some(self.probe(width.hash(at))?),
            false => None,
        };
        let mut batch = Batch::default();
        // The position of the last name seen, taken or passed.
        let mut last = FIRST - 1;
        let mut visited = 0u32;
        loop {
            let more = self.gather(path.as_mut(), width, hasher, &mut batch, &mut visited)?;
            for item in &batch.items {
                let position = item.position.max(last.saturating_add(1));
                last = position;
                if position < at {
                    continue;
                }
                let Some(entry) = batch.entry(&self.rules.format, item) else {
                    continue;
                };
                let next = position.saturating_add(1).min(width.end());
                if !emit(entry, next) {
                    return Ok(at);
                }
                at = next;
            }
            if !more {
                return Ok(width.end());
            }
        }
    }

    /// Reads the leaf at `path`, and those that continue its last hash; moves `path` behind them.
    /// Returns whether there is a leaf there.
    fn gather(
        &self,
        path: Option<&mut Path<B::Buffer>>,
        width: Width,
        hasher: &Hasher,
        batch: &mut Batch,
        visited: &mut u32,
    ) -> Result<bool> {
        batch.leaves.clear();
        batch.items.clear();
        let Some(path) = path else {
            self.collect(FileBlock(0), width, hasher, batch)?;
            return Ok(false);
        };
        loop {
            // A tree has each block once: one that has more leaves than blocks goes in circles.
            *visited = visited.saturating_add(1);
            if *visited > self.len {
                return Err(self.bad_index(HtreeFault::Block, path.leaf().get(), self.len));
            }
            self.collect(path.leaf(), width, hasher, batch)?;
            match self.next_leaf(path, |_| true)? {
                None => return Ok(false),
                Some(hash) if hash & 1 == 0 || batch.leaves.len() >= GATHERED => return Ok(true),
                Some(_) => {}
            }
        }
    }

    /// Adds the names of one leaf, in order.
    fn collect(&self, leaf: FileBlock, width: Width, hasher: &Hasher, batch: &mut Batch) -> Result {
        Patience::Killable.go_on()?;
        let buffer = self.blocks.read(leaf)?;
        let data = self.blocks.data(&buffer)?;
        let number = u32::try_from(batch.leaves.len()).unwrap_or(u32::MAX);
        for entry in self.rules.format.entries(&data) {
            let entry = entry.map_err(|fault| self.corrupt(&buffer, fault))?;
            if entry.ino.is_none() || matches!(entry.name, b"." | b"..") {
                continue;
            }
            let position = width.position(hasher, entry.name);
            let offset = u32::try_from(entry.at).unwrap_or(u32::MAX);
            batch.items.push(
                Item {
                    position,
                    leaf: number,
                    offset,
                },
                GFP,
            )?;
        }
        batch.leaves.push(data, GFP)?;
        sort::by(&mut batch.items, |a, b| a < b);
        Ok(())
    }

    /// Names in the order of the blocks; a position is a byte offset.
    fn read_linear(&self, from: u64, emit: &mut impl Emit) -> Result<u64> {
        let block_size = u64::from(self.rules.format.block_size);
        let mut at = from;
        while at < self.size() {
            let number = at
                .checked_div(block_size)
                .and_then(|n| u32::try_from(n).ok());
            let block = FileBlock(number.unwrap_or(u32::MAX));
            let start = u64::from(block.get()).saturating_mul(block_size);
            if let Some(buffer) = self.read_names(block, Patience::Killable)? {
                let data = self.blocks.data(&buffer)?;
                for entry in self.format_of(block).entries(&data) {
                    let entry = entry.map_err(|fault| self.corrupt(&buffer, fault))?;
                    let position = start.saturating_add(wide(entry.at));
                    let (Some(ino), true) = (entry.ino, position >= at) else {
                        continue;
                    };
                    let next = position.saturating_add(wide(entry.len));
                    if !emit(
                        Entry {
                            name: entry.name,
                            ino,
                            file_type: entry.file_type,
                        },
                        next,
                    ) {
                        return Ok(at);
                    }
                    at = next;
                }
            }
            at = start.saturating_add(block_size);
        }
        Ok(at)
    }
}

impl Batch {
    fn entry(&self, format: &DirFormat, item: &Item) -> Option<Entry<'_>> {
        let leaf = self.leaves.get(usize::try_from(item.leaf).ok()?)?;
        let entry = format
            .entry(leaf, usize::try_from(item.offset).ok()?)
            .ok()?;
        Some(Entry {
            name: entry.name,
            ino: entry.ino?,
            file_type: entry.file_type,
        })
    }
}
