// SPDX-License-Identifier: GPL-2.0

//! A directory's blocks on the disk: found by its map, held by the metadata cache.

use super::Blocks;
use crate::core::cache::{Buffer, BufferMut, Kind, Owner};
use crate::core::error::{Error, Place, Result};
use crate::core::journal::Handle;
use crate::core::map::{FileMap, State};
use crate::core::platform::{log, Block, Level};
use crate::core::volume::Volume;
use crate::format::checksum::Seed;
use crate::format::fault::{DirFault, Fault};
use crate::format::units::{DiskBlock, FileBlock, Ino};

/// The blocks of the directory that a map belongs to.
#[derive(Clone, Copy, Debug)]
pub struct FileBlocks<'a> {
    volume: &'a Volume,
    map: &'a FileMap,
    owner: Owner,
}

impl<'a> FileBlocks<'a> {
    /// The blocks of directory `ino`; `seed` is what their checksums start from.
    pub fn new(volume: &'a Volume, map: &'a FileMap, ino: Ino, seed: Seed) -> Self {
        Self {
            volume,
            map,
            owner: Owner { ino, seed },
        }
    }

    /// The disk block behind a state that the map told; directories have written blocks only.
    fn written(&self, at: FileBlock, state: State) -> Result<DiskBlock> {
        match state {
            State::Written(block) => Ok(block),
            _ => Err(Error::Corrupt(
                Place::inode(self.owner.ino),
                Fault::Dir(DirFault::Hole, u64::from(at.get()), 0),
            )),
        }
    }
}

impl Blocks for FileBlocks<'_> {
    type Handle<'j> = Handle<'j>;
    type Buffer = Buffer;
    type Writable<'b> = BufferMut<'b>;

    fn read(&self, at: FileBlock) -> Result<Buffer> {
        let mapping = self.map.lookup(self.volume, at, 1)?;
        let block = self.written(at, mapping.state)?;
        self.volume.read(block, Kind::Directory(self.owner))
    }

    fn data(&self, buffer: &Buffer) -> Result<Block> {
        buffer.data()
    }

    fn write<'b>(&self, handle: &mut Handle<'_>, buffer: &'b Buffer) -> Result<BufferMut<'b>> {
        handle.write(buffer)
    }

    fn append(&self, handle: &mut Handle<'_>, at: FileBlock) -> Result<Buffer> {
        let mapping = self.map.allocate_now(self.volume, handle, at, 1)?;
        let block = self.written(at, mapping.state)?;
        self.volume.fresh(block, Kind::Directory(self.owner))
    }

    fn place(&self, buffer: &Buffer) -> Place {
        Place::new(self.owner.ino, buffer.block())
    }

    fn warn(&self, error: Error) {
        log(
            Level::Warning,
            &self.volume.device,
            format_args!("{error}; going on without it, e2fsck is recommended"),
        );
    }
}
