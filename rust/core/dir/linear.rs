// SPDX-License-Identifier: GPL-2.0

//! Names in blocks: one block's entries, and directories searched block by block.

use super::{Blocks, Directory, Found, New, Patience};
use crate::core::error::{Error, Place, Result};
use crate::format::bytes::wide;
use crate::format::dirent::{DirFormat, FileType};
use crate::format::fault::{DirFault, Fault};
use crate::format::htree;
use crate::format::units::{FileBlock, Ino};

/// What the first block says of the directory itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dots {
    /// Where the entry of the parent is.
    pub(super) parent_at: usize,
    /// The parent.
    pub(super) parent: Ino,
}

impl<B: Blocks> Directory<B> {
    /// A fault in a block, with its place.
    pub(super) fn corrupt(&self, buffer: &B::Buffer, fault: Fault) -> Error {
        Error::Corrupt(self.blocks.place(buffer), fault)
    }

    /// Whether it is to be used by its index.
    pub(super) fn uses_index(&self) -> bool {
        self.indexed && self.rules.indexes
    }

    /// Before a change by somebody who does not keep indexes up: then there is none.
    pub(super) fn drop_index(&mut self) {
        if !self.rules.indexes {
            self.indexed = false;
        }
    }

    /// The entries of the directory itself and its parent. They are there in the root of an index,
    /// too, the second one reaching to the block's end.
    pub(super) fn dots(&self, buffer: &B::Buffer) -> Result<Dots> {
        let data = self.blocks.data(buffer)?;
        let (_, second) = self
            .format_of(FileBlock(0))
            .dots(&data)
            .map_err(|fault| self.corrupt(buffer, fault))?;
        let missing = Fault::Dir(DirFault::NoDot, wide(second.at), 0);
        let parent = second.ino.ok_or_else(|| self.corrupt(buffer, missing))?;
        Ok(Dots {
            parent_at: second.at,
            parent,
        })
    }

    /// How to read the names of a block. What an inode calls the root of an index may be that, with
    /// an entry up to the block's end, or (who knows) names, whose checksum looks like an unused
    /// entry.
    pub(super) fn format_of(&self, block: FileBlock) -> DirFormat {
        match block {
            FileBlock(0) if self.uses_index() => self.rules.format.without_tail(),
            _ => self.rules.format,
        }
    }

    /// The next block for a walk over all of them; `None` for a node of the index, be it broken or not.
    /// Its header is an unused entry that takes up the block, so no names are passed over, whoever
    /// made it; but the form of a root has room for two.
    pub(super) fn read_names(
        &self,
        block: FileBlock,
        patience: Patience,
    ) -> Result<Option<B::Buffer>> {
        patience.go_on()?;
        let buffer = self.blocks.read(block)?;
        let can_be_node = self.uses_index() && block != FileBlock(0);
        let is_node = can_be_node
            && htree::count_limit_offset(&self.blocks.data(&buffer)?)
                == Some(htree::Place::Node.entries_at());
        Ok((!is_node).then_some(buffer))
    }

    /// The name in one block.
    pub(super) fn search(
        &self,
        block: FileBlock,
        buffer: &B::Buffer,
        name: &[u8],
    ) -> Result<Option<Found>> {
        let data = self.blocks.data(buffer)?;
        let found = self
            .format_of(block)
            .find(&data, name)
            .map_err(|fault| self.corrupt(buffer, fault))?;
        Ok(found.and_then(|entry| {
            let (ino, file_type) = (entry.ino?, entry.file_type);
            Some(Found {
                ino,
                file_type,
                block,
                offset: entry.at,
            })
        }))
    }

    /// Searches all blocks.
    pub(super) fn lookup_linear(&self, name: &[u8], patience: Patience) -> Result<Option<Found>> {
        for block in (0..self.len).map(FileBlock) {
            if let Some(buffer) = self.read_names(block, patience)? {
                let found = self.search(block, &buffer, name)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// The block and place of an entry that was found before, even if it has moved since.
    pub(super) fn confirm(&self, name: &[u8], found: &Found) -> Result<(B::Buffer, Found)> {
        if found.block.get() < self.len {
            let buffer = self.blocks.read(found.block)?;
            let data = self.blocks.data(&buffer)?;
            // Only an offset at which an entry begins counts; the walk to it is the check.
            let same = self.rules.format.find(&data, name).ok().flatten();
            if same.is_some_and(|entry| entry.at == found.offset && entry.ino == Some(found.ino)) {
                return Ok((buffer, *found));
            }
        }
        let found = self.lookup(name)?.ok_or(Error::NotFound)?;
        Ok((self.blocks.read(found.block)?, found))
    }

    /// Lets the entry at `at` name another inode.
    pub(super) fn set_entry(
        &mut self,
        handle: &mut B::Handle<'_>,
        buffer: &B::Buffer,
        at: usize,
        ino: Ino,
        file_type: FileType,
    ) -> Result {
        let mut bytes = self.blocks.write(handle, buffer)?;
        // The second entry of an index's root reaches to the block's end.
        let format = self.rules.format.without_tail();
        let set = format.set_inode(&mut bytes, at, ino, file_type);
        set.map_err(|fault| self.corrupt(buffer, fault))
    }

    /// Where a block has room for the name, which must not be in it.
    pub(super) fn find_room(&self, buffer: &B::Buffer, name: &[u8]) -> Result<Option<usize>> {
        let data = self.blocks.data(buffer)?;
        let format = &self.rules.format;
        let corrupt = |fault| self.corrupt(buffer, fault);
        if format.find(&data, name).map_err(corrupt)?.is_some() {
            return Err(Error::Exists);
        }
        format.find_room(&data, name.len()).map_err(corrupt)
    }

    /// Adds the entry at a place that [`Self::find_room`] found.
    pub(super) fn put_at(
        &self,
        handle: &mut B::Handle<'_>,
        buffer: &B::Buffer,
        at: usize,
        new: &New<'_>,
    ) -> Result {
        let mut bytes = self.blocks.write(handle, buffer)?;
        let format = &self.rules.format;
        let put = format.insert_at(&mut bytes, at, new.ino, new.file_type, new.name);
        put.map(drop).map_err(|fault| self.corrupt(buffer, fault))
    }

    /// Adds the entry to a block that has room for it.
    pub(super) fn put(
        &self,
        handle: &mut B::Handle<'_>,
        buffer: &B::Buffer,
        new: &New<'_>,
    ) -> Result {
        match self.find_room(buffer, new.name)? {
            Some(at) => self.put_at(handle, buffer, at, new),
            None => Err(Error::NoSpace),
        }
    }

    /// Adds a name to the first block with room, or to a new one at the end. A full first block
    /// gets an index instead, if the file system has them.
    pub(super) fn insert_linear(&mut self, handle: &mut B::Handle<'_>, new: &New<'_>) -> Result {
        for block in (0..self.len).map(FileBlock) {
            let buffer = self.blocks.read(block)?;
            if let Some(at) = self.find_room(&buffer, new.name)? {
                return self.put_at(handle, &buffer, at, new);
            }
        }
        if self.len == 1 && self.rules.indexes {
            self.make_index(handle)?;
            return self.insert_indexed(handle, new);
        }
        let (_, buffer) = self.append(handle)?;
        self.put(handle, &buffer, new)
    }

    /// A new block without names at the end.
    pub(super) fn append(&mut self, handle: &mut B::Handle<'_>) -> Result<(FileBlock, B::Buffer)> {
        let at = FileBlock(self.len);
        if self.len >= self.rules.max_blocks() {
            return Err(Error::NoSpace);
        }
        let buffer = self.blocks.append(handle, at)?;
        let mut bytes = self.blocks.write(handle, &buffer)?;
        let made = self.rules.format.init(&mut bytes);
        drop(bytes);
        made.map_err(|fault| self.corrupt(&buffer, fault))?;
        // It belongs to the directory from here on, whatever fails later.
        self.len = self.len.saturating_add(1);
        Ok((at, buffer))
    }

    /// Whether no block has names but "." and "..".
    pub(super) fn is_empty_linear(&self) -> Result<bool> {
        for block in (0..self.len).map(FileBlock) {
            let Some(buffer) = self.read_names(block, Patience::Killable)? else {
                continue;
            };
            let data = self.blocks.data(&buffer)?;
            if !self
                .format_of(block)
                .is_empty(&data)
                .map_err(|fault| self.corrupt(&buffer, fault))?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A fault of the directory as a whole.
    pub(super) fn corrupt_inode(&self, fault: Fault) -> Error {
        Error::Corrupt(Place::inode(self.ino), fault)
    }
}
