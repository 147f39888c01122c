// SPDX-License-Identifier: GPL-2.0

//! Directories: names to inode numbers, in blocks of entries, with or without a hash index.
//!
//! A directory is written by one task at a time and read by none meanwhile: the VFS's inode lock
//! sees to that. Blocks were verified when they came into memory; what an index says is checked
//! again where it is used, because its meaning depends on the directory's size.
//!
//! Every operation does a bounded amount of work: a directory has at most [`Rules::max_blocks`]
//! blocks, and no walk visits more blocks than that, whatever the index claims. That may still take
//! minutes: where nothing has been changed yet, a walk ends when the caller is killed.

mod blocks;
mod file_blocks;
mod index;
mod linear;
mod read;
mod split;
#[cfg(test)]
mod tests;

pub use crate::format::dirent::NAME_MAX;
pub use blocks::Blocks;
pub use file_blocks::FileBlocks;
pub use read::Width;

use super::error::{Error, Place, Result};
use super::platform::caller;
use crate::format::dirent::{DirFormat, FileType};
use crate::format::fault::{DirFault, Fault, InodeFault};
use crate::format::features::Compat;
use crate::format::hash::{Hasher, Signedness};
use crate::format::inode::InodeKind;
use crate::format::superblock::Superblock;
use crate::format::units::{FileBlock, Ino};

/// Blocks of the directory itself that one insertion may change, the new ones included: root, node
/// and leaf, and a new neighbour for each.
const INSERT_BLOCKS: u32 = 6;
/// Blocks that one insertion may add to the directory: one at every level.
const INSERT_GROWTH: u32 = 3;

/// What directories are like in one file system.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What a block of names looks like.
    pub format: DirFormat,
    /// Directories may have an index, and get one when they pass a block.
    pub indexes: bool,
    /// The hash of new indexes.
    pub hasher: Hasher,
}

impl Rules {
    /// The rules that the superblock gives.
    pub fn new(superblock: &Superblock, checksums: bool) -> Self {
        Self {
            format: DirFormat::new(&superblock.geometry, checksums),
            indexes: superblock.compat.has(Compat::DIR_INDEX),
            hasher: Hasher {
                version: superblock.hash_version,
                // As e2fsck and older kernels; C ext4 of today takes its own compiler's, unsigned.
                signedness: superblock.hash_signedness.unwrap_or(Signedness::Signed),
                seed: superblock.hash_seed,
            },
        }
    }

    /// How many blocks a directory may have: 2 GiB of them, which keeps them in reach of an index.
    pub const fn max_blocks(&self) -> u32 {
        match (1u32 << 31).checked_div(self.format.block_size) {
            Some(blocks) => blocks,
            None => 0,
        }
    }
}

/// Where a name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The inode it names.
    pub ino: Ino,
    /// The type of that inode, as far as the entry says.
    pub file_type: FileType,
    /// The block of the directory.
    pub block: FileBlock,
    /// The byte offset of the entry in that block.
    pub offset: usize,
}

/// One directory, for the time of one operation.
///
/// [`Self::size`] and [`Self::is_indexed`] are what the inode has to say: after a change, a failed one
/// included, the caller stores them there, under the same handle.
#[derive(Debug)]
pub struct Directory<B> {
    blocks: B,
    rules: Rules,
    ino: Ino,
    len: u32,
    indexed: bool,
}

impl<B: Blocks> Directory<B> {
    /// The directory `ino` of `size` bytes; `indexed` is its inode's flag.
    ///
    /// Fails when no directory can have that size, or the flag contradicts the file system.
    pub fn new(blocks: B, rules: Rules, ino: Ino, size: u64, indexed: bool) -> Result<Self> {
        let corrupt = Error::Corrupt(Place::inode(ino), Fault::Inode(InodeFault::Size, size, 0));
        let block_size = u64::from(rules.format.block_size);
        let len = size
            .checked_div(block_size)
            .and_then(|len| u32::try_from(len).ok())
            .ok_or(corrupt)?;
        // Index nodes read as leaves would lose their checksums.
        let unreadable = indexed && !rules.indexes && rules.format.has_tail;
        if len > rules.max_blocks()
            || u64::from(len).checked_mul(block_size) != Some(size)
            || unreadable
        {
            return Err(corrupt);
        }
        Ok(Self {
            blocks,
            rules,
            ino,
            len,
            indexed,
        })
    }

    /// Its size, in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.len).saturating_mul(u64::from(self.rules.format.block_size))
    }

    /// Whether its inode has the index flag.
    pub fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// How many credits one insertion may take, when adding a block to the map takes `per_block`.
    pub const fn insert_credits(per_block: u32) -> u32 {
        INSERT_BLOCKS.saturating_add(INSERT_GROWTH.saturating_mul(per_block))
    }

    /// The inode that `name` stands for, if any.
    ///
    /// A broken index does not hide a name: then all blocks are searched. It is searched for to the
    /// end: also under a handle.
    pub fn lookup(&self, name: &[u8]) -> Result<Option<Found>> {
        self.lookup_as(name, Patience::Endless)
    }

    /// As [`Self::lookup`], where nothing has been changed yet: [`Error::Interrupted`] when the caller
    /// is killed meanwhile.
    pub fn lookup_killable(&self, name: &[u8]) -> Result<Option<Found>> {
        self.lookup_as(name, Patience::Killable)
    }

    fn lookup_as(&self, name: &[u8], patience: Patience) -> Result<Option<Found>> {
        check_name(name)?;
        if !self.uses_index() {
            return self.lookup_linear(name, patience);
        }
        match self.lookup_indexed(name, patience) {
            Err(error) if is_bad_index(&error) => {
                self.blocks.warn(error);
                self.lookup_linear(name, patience)
            }
            done => done,
        }
    }

    /// Adds a name that is not there yet.
    ///
    /// [`Error::Exists`] if it is found on the way; it is not searched for beyond that. A broken
    /// index is an error here.
    pub fn insert(
        &mut self,
        handle: &mut B::Handle<'_>,
        name: &[u8],
        ino: Ino,
        file_type: FileType,
    ) -> Result {
        check_name(name)?;
        if self.len == 0 {
            // A directory has a first block from its birth.
            let hole = Fault::Dir(DirFault::Hole, 0, 0);
            return Err(self.corrupt_inode(hole));
        }
        let entry = New {
            name,
            ino,
            file_type,
        };
        if self.uses_index() {
            self.insert_indexed(handle, &entry)
        } else {
            self.drop_index();
            self.insert_linear(handle, &entry)
        }
    }

    /// Takes a name away. `found` is what [`Self::lookup`] said of it; if the entry has moved since,
    /// it is looked up again.
    pub fn remove(&mut self, handle: &mut B::Handle<'_>, name: &[u8], found: &Found) -> Result {
        let (buffer, found) = self.confirm(name, found)?;
        self.drop_index();
        let mut bytes = self.blocks.write(handle, &buffer)?;
        let removed = self.rules.format.remove(&mut bytes, found.offset);
        removed.map_err(|fault| self.corrupt(&buffer, fault))
    }

    /// Lets a name stand for another inode. `found` as in [`Self::remove`].
    pub fn replace(
        &mut self,
        handle: &mut B::Handle<'_>,
        name: &[u8],
        found: &Found,
        ino: Ino,
        file_type: FileType,
    ) -> Result {
        let (buffer, found) = self.confirm(name, found)?;
        self.drop_index();
        self.set_entry(handle, &buffer, found.offset, ino, file_type)
    }

    /// Whether it has no names but its own and its parent's. [`Error::Interrupted`] when the caller is
    /// killed meanwhile.
    pub fn is_empty(&self) -> Result<bool> {
        self.parent()?;
        self.is_empty_linear()
    }

    /// The inode of its parent: what ".." stands for.
    pub fn parent(&self) -> Result<Ino> {
        let buffer = self.blocks.read(FileBlock(0))?;
        Ok(self.dots(&buffer)?.parent)
    }

    /// Lets ".." stand for another inode.
    pub fn set_parent(&mut self, handle: &mut B::Handle<'_>, parent: Ino) -> Result {
        let buffer = self.blocks.read(FileBlock(0))?;
        let dots = self.dots(&buffer)?;
        self.set_entry(
            handle,
            &buffer,
            dots.parent_at,
            parent,
            FileType::of(InodeKind::Directory),
        )
    }

    /// Gives a new directory its first block, with "." and "..".
    pub fn create_first_block(&mut self, handle: &mut B::Handle<'_>, parent: Ino) -> Result {
        let (_, buffer) = self.append(handle)?;
        let mut bytes = self.blocks.write(handle, &buffer)?;
        let made = self.rules.format.init_first(&mut bytes, self.ino, parent);
        made.map_err(|fault| self.corrupt(&buffer, fault))
    }
}

/// Whether a walk over the blocks may end without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// When the caller is killed: nothing has been changed yet.
    Killable,
    /// Never.
    Endless,
}

impl Patience {
    /// Asked before each block.
    fn go_on(self) -> Result {
        match self {
            Self::Killable if caller::is_dying() => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }
}

/// A name to add.
#[derive(Clone, Copy, Debug)]
struct New<'a> {
    name: &'a [u8],
    ino: Ino,
    file_type: FileType,
}

/// A name that an entry can have.
fn check_name(name: &[u8]) -> Result {
    match name.len() {
        0 => Err(Error::Invalid),
        1..=NAME_MAX => Ok(()),
        _ => Err(Error::NameTooLong),
    }
}

/// Whether an error says that the index is wrong, rather than the names.
fn is_bad_index(error: &Error) -> bool {
    matches!(error, Error::Corrupt(_, Fault::Htree(..)))
}
