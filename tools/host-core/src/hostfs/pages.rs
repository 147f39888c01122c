// SPDX-License-Identifier: GPL-2.0

//! The page cache of a [`HostFs`]: writes through it and around it, and writing back. What is flushed
//! when is what the kernel's entry points do (`rust/vfs/attr.rs`, `file.rs`, `writeback.rs`).

use super::HostFs;
use crate::core::error::{Error, Result};
use crate::core::mount::{Inode, Landed, State};
use crate::format::units::{DiskBlock, FileBlock, Ino};
use crate::host::alloc::Arc;
use crate::host::block::Block;
use crate::host::device::WriteClass;
use std::ops::Range;

/// A block whose data was given to the device.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// Which block of the file.
    pub block: u32,
    /// Where its data goes.
    place: DiskBlock,
    /// How far the file's data reaches then, in bytes.
    end: u64,
}

impl HostFs {
    /// The contents of one block, from the cache or the disk.
    fn load_block(&self, ino: u32, block: u32) -> Result<Vec<u8>> {
        let node = &self.nodes[&ino];
        if let Some(page) = node.dirty.get(&block) {
            return Ok(page.clone());
        }
        match self.fs.map(&node.inode, FileBlock(block), 1)?.state {
            State::Written(at) => Ok(self.fs.device().read_block(at.get())?.to_vec()),
            // Delayed without a page: the write that is under way gets there later. In flight: its
            // write has failed.
            State::Hole | State::Delayed | State::InFlight(_) | State::Unwritten(_) => {
                Ok(vec![0; self.block_size() as usize])
            }
        }
    }

    /// Zeroes what lies behind the end in the last block, so that growing shows no old bytes.
    fn zero_tail(&mut self, ino: u32, size: u64) -> Result {
        let inside = (size % self.block_size()) as usize;
        if inside == 0 {
            return Ok(());
        }
        let block = (size / self.block_size()) as u32;
        let mut page = self.load_block(ino, block)?;
        if page[inside..].iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        page[inside..].fill(0);
        let inode = self.nodes[&ino].inode.clone();
        self.fs.write_begin(&inode, FileBlock(block), 1)?;
        self.nodes.get_mut(&ino).unwrap().dirty.insert(block, page);
        Ok(())
    }

    /// Writes bytes into the page cache.
    pub fn write(&mut self, path: &str, offset: u64, data: &[u8]) -> Result {
        let inode = self.resolve(path)?;
        self.write_inode(inode.ino(), offset, data)
    }

    /// Writes bytes into the page cache of an inode in use.
    pub fn write_inode(&mut self, ino: Ino, offset: u64, data: &[u8]) -> Result {
        let ino = ino.get();
        let inode = self.nodes[&ino].inode.clone();
        let size = self.nodes[&ino].size;
        if offset > size {
            self.zero_tail(ino, size)?;
        }
        let end = offset + data.len() as u64;
        let mut at = offset;
        while at < end {
            let block = (at / self.block_size()) as u32;
            let inside = (at % self.block_size()) as usize;
            let count = ((end - at) as usize).min(self.block_size() as usize - inside);
            let left = ((end - at) + inside as u64).div_ceil(self.block_size()) as u32;
            let mut page = self.load_block(ino, block)?;
            self.fs.write_begin(&inode, FileBlock(block), left)?;
            let from = (at - offset) as usize;
            page[inside..inside + count].copy_from_slice(&data[from..from + count]);
            at += count as u64;
            let node = self.nodes.get_mut(&ino).unwrap();
            node.dirty.insert(block, page);
            node.size = node.size.max(at);
        }
        self.fs.touch(&inode)
    }

    /// Reads a whole file.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        let ino = self.resolve(path)?.ino().get();
        let size = self.nodes[&ino].size;
        if size > 1 << 28 {
            // A hole of a damaged inode's size is not for this machine's memory.
            return Err(Error::FileTooBig);
        }
        let mut contents = Vec::new();
        for block in 0..size.div_ceil(self.block_size()) as u32 {
            contents.extend(self.load_block(ino, block)?);
        }
        contents.truncate(size as usize);
        Ok(contents)
    }

    /// Writes bytes through a mapping of the file: the file gets no larger.
    pub fn write_mapped(&mut self, path: &str, offset: u64, data: &[u8]) -> Result {
        let inode = self.resolve(path)?;
        let size = self.nodes[&inode.ino().get()].size;
        if offset + data.len() as u64 > size {
            // The kernel sends SIGBUS, or drops what is past the end.
            return Err(Error::Invalid);
        }
        // The fault reserves and stamps, the page is dirty: the same as a write of these bytes.
        self.write_inode(inode.ino(), offset, data)
    }

    /// Writes whole blocks around the page cache.
    pub fn write_direct(&mut self, path: &str, offset: u64, data: &[u8]) -> Result {
        let inode = self.resolve(path)?;
        let ino = inode.ino().get();
        let (size, end) = (self.nodes[&ino].size, offset + data.len() as u64);
        self.fs.touch(&inode)?;
        if offset > size {
            self.zero_tail(ino, size)?;
            self.flush_range(inode.ino(), size, size)?;
        }
        self.flush_range(inode.ino(), offset, end - 1)?;
        let mut ended = Vec::new();
        for (n, bytes) in data.chunks(self.block_size() as usize).enumerate() {
            let block = (offset / self.block_size()) as u32 + n as u32;
            let left = (end.div_ceil(self.block_size()) as u32) - block;
            let mut found = self.fs.map(&inode, FileBlock(block), 1)?;
            if !matches!(found.state, State::Written(_) | State::InFlight(_)) {
                let grown = size.max(end);
                let placed = self
                    .fs
                    .begin_direct(&inode, FileBlock(block), left, grown)?;
                found = placed.expect("the page cache was flushed there");
            }
            let place = place(found.state);
            self.put_block(place, bytes)?;
            ended.push(InFlight { block, place, end });
        }
        self.complete(inode.ino(), &ended)?;
        let node = self.nodes.get_mut(&ino).unwrap();
        node.size = size.max(end);
        Ok(())
    }

    fn put_block(&self, at: DiskBlock, bytes: &[u8]) -> Result {
        let mut contents = Block::zeroed(bytes.len())?;
        contents.get_mut().unwrap().copy_from_slice(bytes);
        let device = self.fs.device();
        Ok(device.write_blocks(&[(at.get(), contents)], WriteClass::Background)?)
    }

    /// Gives an inode's dirty blocks to the device; [`Self::complete`] is to be told when it has them.
    /// Until then nobody may use the file's data or change its size: the kernel waits there.
    pub fn submit(&mut self, ino: Ino) -> Result<Vec<InFlight>> {
        self.submit_blocks(ino, 0..u32::MAX)
    }

    fn submit_blocks(&mut self, ino: Ino, blocks: Range<u32>) -> Result<Vec<InFlight>> {
        let Some(node) = self.nodes.get(&ino.get()) else {
            return Ok(Vec::new());
        };
        let size = node.size;
        let chosen = node.dirty.range(blocks).map(|(&block, _)| block);
        let mut submitted = Vec::new();
        for block in chosen.collect::<Vec<_>>() {
            match self.submit_block(ino, block, size) {
                Ok(block) => submitted.push(block),
                Err(error) => {
                    // Those before it are on their way all the same.
                    let _ = self.complete(ino, &submitted);
                    return Err(error);
                }
            }
        }
        Ok(submitted)
    }

    fn submit_block(&mut self, ino: Ino, block: u32, size: u64) -> Result<InFlight> {
        let node = &self.nodes[&ino.get()];
        let inode = node.inode.clone();
        let mapping = self.fs.begin_writeback(&inode, FileBlock(block), size)?;
        let place = place(mapping.state);
        let dirty = &mut self.nodes.get_mut(&ino.get()).unwrap().dirty;
        let page = dirty.remove(&block).unwrap();
        let end = ((u64::from(block) + 1) * self.block_size()).min(size);
        self.put_block(place, &page)?;
        Ok(InFlight { block, place, end })
    }

    /// The device has these blocks: they become part of the file.
    pub fn complete(&mut self, ino: Ino, ended: &[InFlight]) -> Result {
        let inode: Arc<Inode> = match self.nodes.get(&ino.get()) {
            Some(node) if !ended.is_empty() => node.inode.clone(),
            _ => return Ok(()),
        };
        let mut landed: Vec<Landed> = Vec::new();
        for block in ended {
            let pos = u64::from(block.block) * self.block_size();
            match landed.last_mut() {
                Some(last)
                    if last.pos + last.len == pos
                        && last.place.map(|at| at.get() + last.len / self.block_size())
                            == Some(block.place.get()) =>
                {
                    last.len += self.block_size();
                }
                _ => landed.push(Landed {
                    pos,
                    len: self.block_size(),
                    place: Some(block.place),
                }),
            }
        }
        let end = ended.iter().map(|ended| ended.end).max();
        self.fs.data_landed(&inode, &landed, end.unwrap_or(0))
    }

    /// Writes an inode's dirty blocks to the device and finishes them.
    pub fn flush(&mut self, ino: Ino) -> Result {
        self.write_back(ino, 0..u32::MAX)
    }

    /// Writes dirty blocks back. What could not be written is lost, and the space promised to it free.
    fn write_back(&mut self, ino: Ino, blocks: Range<u32>) -> Result {
        let submitted = self.submit_blocks(ino, blocks.clone());
        let written = submitted.and_then(|submitted| self.complete(ino, &submitted));
        if let (Err(_), Some(node)) = (&written, self.nodes.get_mut(&ino.get())) {
            node.dirty.retain(|block, _| !blocks.contains(block));
            let (first, count) = (FileBlock(blocks.start), blocks.end - blocks.start);
            self.fs.release_delayed(&node.inode, first, count)?;
        }
        written
    }

    /// Writes the dirty blocks of the bytes from `first` to `last` back.
    fn flush_range(&mut self, ino: Ino, first: u64, last: u64) -> Result {
        let blocks = (first / self.block_size()) as u32..(last / self.block_size() + 1) as u32;
        self.write_back(ino, blocks)
    }

    /// Sets the size of a file.
    pub fn truncate(&mut self, path: &str, size: u64) -> Result {
        let inode = self.resolve(path)?;
        let ino = inode.ino().get();
        let old = self.nodes[&ino].size;
        let fs = self.fs.clone();
        let settled = fs
            .resize(&inode, old, size)
            .zero(|end| self.zero_tail(ino, end.start))?
            .write(|first, last| self.flush_range(inode.ino(), first, last))?;
        let first_gone = size.div_ceil(self.block_size()) as u32;
        let node = self.nodes.get_mut(&ino).unwrap();
        node.dirty.retain(|&block, _| block < first_gone);
        node.size = size;
        fs.truncate(settled)
    }
}

/// Where a block that is about to be written lies.
fn place(state: State) -> DiskBlock {
    match state {
        State::InFlight(at) | State::Unwritten(at) | State::Written(at) => at,
        state => panic!("a block to be written is {state:?}"),
    }
}
