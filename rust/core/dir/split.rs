// SPDX-License-Identifier: GPL-2.0

//! How an index grows: a leaf in two, a node in two, a level more, and the first index of a
//! directory of one block.
//!
//! Each of them first gets everything that can fail (the new block, the right to write, memory) and
//! then changes bytes.

use super::index::Path;
use super::index::Step;
use super::{Blocks, Directory, New};
use crate::core::error::{Error, Result};
use crate::core::patience::patiently;
use crate::core::platform::{Block, Vec, GFP};
use crate::core::sort;
use crate::format::bytes::{clamp32, index};
use crate::format::dirent::{self, DirFormat};
use crate::format::fault::{Fault, HtreeFault};
use crate::format::hash::Hasher;
use crate::format::htree::{IndexEntry, Place};
use crate::format::units::FileBlock;

/// A name in a leaf that is split. Small, because sorting takes room on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    hash: u32,
    offset: u32,
    /// Bytes that the entry needs.
    need: u32,
}

/// How many of the names stay: up to half the bytes go, or half the names if there is so much room
/// that the bytes do not matter.
fn division(slots: &[Slot], block_size: usize) -> usize {
    let half = clamp32(block_size / 2);
    let mut moved_bytes = 0u32;
    let mut stay = slots.len();
    for slot in slots.iter().rev() {
        if moved_bytes.saturating_add(slot.need / 2) > half {
            return stay;
        }
        moved_bytes = moved_bytes.saturating_add(slot.need);
        stay = stay.saturating_sub(1);
    }
    slots.len() / 2
}

/// Fills a block with the entries at these places of another.
fn fill(
    format: &DirFormat,
    block: &mut [u8],
    from: &[u8],
    slots: &[Slot],
) -> core::result::Result<(), Fault> {
    let (mut at, mut last) = (0, None);
    for slot in slots {
        let entry = format.entry(from, index(slot.offset))?;
        let next = format.append(block, at, &entry)?;
        (at, last) = (next, Some(at));
    }
    format.finish(block, last)
}

impl<B: Blocks> Directory<B> {
    /// Makes sure that writing the block cannot fail later.
    fn touch(&self, handle: &mut B::Handle<'_>, buffer: &B::Buffer) -> Result {
        self.blocks.write(handle, buffer).map(drop)
    }

    /// A private copy of a block's contents.
    fn copy(&self, buffer: &B::Buffer) -> Result<Block> {
        patiently(|| Ok(self.blocks.data(buffer)?.copy()?))
    }

    /// The names of a block in hash order; `old` is what `buffer` holds.
    fn slots(&self, hasher: &Hasher, buffer: &B::Buffer, old: &[u8]) -> Result<Vec<Slot>> {
        let most = old.len().checked_div(dirent::space(1)).unwrap_or(0);
        let mut slots = patiently(|| Ok(Vec::with_capacity(most, GFP)?))?;
        for entry in self.rules.format.entries(old) {
            let entry = entry.map_err(|fault| self.corrupt(buffer, fault))?;
            if entry.ino.is_some() && !matches!(entry.name, b"." | b"..") {
                let hash = hasher.hash(entry.name).major;
                slots.push(
                    Slot {
                        hash,
                        offset: clamp32(entry.at),
                        need: clamp32(dirent::space(entry.name.len())),
                    },
                    GFP,
                )?;
            }
        }
        sort::by(&mut slots, |a, b| a < b);
        Ok(slots)
    }

    /// Moves the upper half of a full leaf to a new one, and adds the name to the right one.
    pub(super) fn split_leaf(
        &mut self,
        handle: &mut B::Handle<'_>,
        path: &Path<B::Buffer>,
        leaf: B::Buffer,
        hasher: &Hasher,
        hash: u32,
        new: &New<'_>,
    ) -> Result {
        let format = self.rules.format;
        let parent = path.bottom();
        self.check_step(parent)?;
        let old = self.copy(&leaf)?;
        let slots = self.slots(hasher, &leaf, &old)?;
        let stay = division(&slots, old.len());
        let (staying, moving) = slots.split_at_checked(stay).unwrap_or((&[], &[]));
        let (Some(before), Some(first)) = (staying.last(), moving.first()) else {
            return Err(self.bad_index(HtreeFault::NoRoom, path.leaf().get(), self.len));
        };
        let continued = u32::from(before.hash == first.hash);
        let entry_hash = first.hash | continued;
        let goes_up = hash >= first.hash;

        let (number, fresh) = self.append(handle)?;
        self.touch(handle, &leaf)?;
        self.touch(handle, &parent.buffer)?;
        let mut bytes = self.blocks.write(handle, &fresh)?;
        let filled = fill(&format, &mut bytes, &old, moving);
        drop(bytes);
        filled.map_err(|fault| self.corrupt(&fresh, fault))?;
        let mut bytes = self.blocks.write(handle, &leaf)?;
        let filled = fill(&format, &mut bytes, &old, staying);
        drop(bytes);
        filled.map_err(|fault| self.corrupt(&leaf, fault))?;
        self.name_child(
            handle,
            parent,
            IndexEntry {
                hash: entry_hash,
                block: number,
            },
        )?;
        self.put(handle, if goes_up { &fresh } else { &leaf }, new)
    }

    /// Adds an entry behind the one that the path goes through.
    fn name_child(
        &self,
        handle: &mut B::Handle<'_>,
        parent: &Step<B::Buffer>,
        entry: IndexEntry,
    ) -> Result {
        let mut bytes = self.blocks.write(handle, &parent.buffer)?;
        let index = self.index_format().view_mut(&mut bytes, parent.place);
        let done = index.and_then(|mut index| index.insert_after(parent.at, entry));
        done.map_err(|fault| self.corrupt(&parent.buffer, fault))
    }

    /// Moves the upper half of a full node to a new one; the root has room for its entry.
    pub(super) fn split_node(
        &mut self,
        handle: &mut B::Handle<'_>,
        root: &Step<B::Buffer>,
        node: &Step<B::Buffer>,
    ) -> Result {
        self.check_step(root)?;
        self.check_step(node)?;
        let mut copy = self.copy(&node.buffer)?;
        let (number, fresh) = self.append(handle)?;
        self.touch(handle, &node.buffer)?;
        self.touch(handle, &root.buffer)?;

        let format = self.index_format();
        let corrupt = |fault| self.corrupt(&node.buffer, fault);
        let lower = copy.get_mut().ok_or(Error::NoMemory)?;
        let mut upper = self.blocks.write(handle, &fresh)?;
        let halves = format.init_node(&mut upper, node.block).and_then(|()| {
            let mut index = format.view_mut(&mut upper, Place::Node)?;
            format.view_mut(lower, Place::Node)?.split(&mut index)
        });
        drop(upper);
        let (hash, _) = halves.map_err(corrupt)?;
        self.overwrite(handle, &node.buffer, &copy)?;
        self.name_child(
            handle,
            root,
            IndexEntry {
                hash,
                block: number,
            },
        )
    }

    /// Puts a level of nodes between a full root and its leaves.
    pub(super) fn grow_index(
        &mut self,
        handle: &mut B::Handle<'_>,
        root: &Step<B::Buffer>,
    ) -> Result {
        self.check_step(root)?;
        let mut copy = self.copy(&root.buffer)?;
        let (number, fresh) = self.append(handle)?;
        self.touch(handle, &root.buffer)?;

        let upper = copy.get_mut().ok_or(Error::NoMemory)?;
        let mut node = self.blocks.write(handle, &fresh)?;
        let grown = self.index_format().grow(upper, &mut node, number);
        drop(node);
        grown.map_err(|fault| self.corrupt(&root.buffer, fault))?;
        self.overwrite(handle, &root.buffer, &copy)
    }

    /// Makes the full first block the root of an index, with its names in a leaf of their own.
    pub(super) fn make_index(&mut self, handle: &mut B::Handle<'_>) -> Result {
        let format = self.rules.format;
        let first = self.blocks.read(FileBlock(0))?;
        let parent = self.dots(&first)?.parent;
        let old = self.copy(&first)?;
        let names = self.slots(&self.rules.hasher, &first, &old)?;

        let (number, leaf) = self.append(handle)?;
        self.touch(handle, &first)?;
        let mut bytes = self.blocks.write(handle, &leaf)?;
        let filled = fill(&format, &mut bytes, &old, &names);
        drop(bytes);
        filled.map_err(|fault| self.corrupt(&leaf, fault))?;
        let mut bytes = self.blocks.write(handle, &first)?;
        let version = self.rules.hasher.version;
        let made = self
            .index_format()
            .init_root(&mut bytes, self.ino, parent, version, number);
        drop(bytes);
        made.map_err(|fault| self.corrupt(&first, fault))?;
        self.indexed = true;
        Ok(())
    }

    /// Replaces a block's contents.
    fn overwrite(&self, handle: &mut B::Handle<'_>, buffer: &B::Buffer, contents: &[u8]) -> Result {
        let mut bytes = self.blocks.write(handle, buffer)?;
        if bytes.len() == contents.len() {
            bytes.copy_from_slice(contents);
        }
        Ok(())
    }
}
