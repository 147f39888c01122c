// SPDX-License-Identifier: GPL-2.0

//! A block device: bytes behind a [`Backend`], addressed in file system blocks.

use super::alloc::AllocError;
use super::block::Block;
use super::clock;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where the bytes are. Offsets and lengths are in bytes; a short read or write is an error.
pub trait Backend: Send + Sync {
    /// The size of the device.
    fn size(&self) -> u64;
    /// Reads `into.len()` bytes.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()>;
    /// Writes all of `from`; durable after the next [`Self::flush`].
    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()>;
    /// Writes all of `from` past the cache (FUA): it alone is durable when the call returns.
    fn write_through(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.write_at(offset, from)?;
        self.flush()
    }
    /// Makes all finished writes durable.
    fn flush(&self) -> std::io::Result<()>;
}

impl Backend for File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.write_all_at(from, offset)
    }

    fn flush(&self) -> std::io::Result<()> {
        self.sync_data()
    }
}

/// A device in memory.
#[derive(Debug)]
pub struct Memory(Mutex<std::vec::Vec<u8>>);

impl Memory {
    /// A device with these contents.
    pub fn new(contents: std::vec::Vec<u8>) -> Self {
        Self(Mutex::new(contents))
    }

    /// A copy of the contents.
    pub fn contents(&self) -> std::vec::Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn range(offset: u64, len: usize) -> std::io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(std::io::Error::other)?;
    let end = start
        .checked_add(len)
        .ok_or_else(|| std::io::Error::other("offset overflow"))?;
    Ok(start..end)
}

impl Backend for Memory {
    fn size(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = bytes.get(range(offset, into.len())?);
        into.copy_from_slice(from.ok_or_else(|| std::io::Error::other("past the end"))?);
        Ok(())
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let into = bytes.get_mut(range(offset, from.len())?);
        into.ok_or_else(|| std::io::Error::other("past the end"))?
            .copy_from_slice(from);
        Ok(())
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The device reported an error, or the request lay past its end.
    Io,
    /// There was no memory for the request.
    NoMemory,
}

impl From<std::io::Error> for DeviceError {
    fn from(_: std::io::Error) -> Self {
        Self::Io
    }
}

impl From<AllocError> for DeviceError {
    fn from(_: AllocError) -> Self {
        Self::NoMemory
    }
}

/// What a write is for: the kernel's request flags follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteClass {
    /// Somebody waits for it (a commit).
    Journal,
    /// Nobody waits for it (a checkpoint).
    Background,
}

/// The device a file system lives on.
pub struct Device {
    backend: std::boxed::Box<dyn Backend>,
    block_size: AtomicU32,
    read_only: bool,
    name: String,
    /// Bytes written so far.
    written: AtomicU64,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Device {
    /// A device over `backend`, called `name` in messages.
    pub fn new(backend: impl Backend + 'static, read_only: bool, name: &str) -> Self {
        Self {
            backend: std::boxed::Box::new(backend),
            block_size: AtomicU32::new(1024),
            read_only,
            name: name.into(),
            written: AtomicU64::new(0),
        }
    }

    /// The size of the blocks that the other calls speak of, in bytes.
    pub fn block_size(&self) -> u32 {
        self.block_size.load(Ordering::Relaxed)
    }

    /// Sets the block size, once, while mounting.
    pub fn set_block_size(&self, bytes: u32) -> Result<(), DeviceError> {
        self.block_size.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Seconds and nanoseconds since 1970.
    pub fn now(&self) -> (i64, u32) {
        clock::now()
    }

    /// The size of the device, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.backend.size()
    }

    /// Whether writing is impossible.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Tells who watches the mount of an error of its metadata, in the inode `ino` if not 0.
    pub fn tell_watchers(&self, _errno: i32, _ino: u64) {}

    /// The device number (`dev_t`), for trace events.
    pub fn dev(&self) -> u32 {
        0
    }

    /// Reads bytes at a byte offset; for the superblock, before the block size is known.
    pub fn read_bytes(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        self.backend
            .read_at(offset, into)
            .map_err(DeviceError::from)
    }

    /// Sends what others have changed in the device's page cache of a block: nobody has, on the host.
    pub fn write_cached(&self, _block: u64) -> Result<(), DeviceError> {
        Ok(())
    }

    /// A block as it is in the device's page cache, if it is there: on the host all of the device is.
    pub fn cached_block(&self, block: u64) -> Option<Block> {
        self.read_block(block).ok()
    }

    /// Drops a block from the device's page cache: there is none on the host.
    pub fn forget_cached(&self, _block: u64) {}

    /// Reads one block.
    pub fn read_block(&self, block: u64) -> Result<Block, DeviceError> {
        let mut contents = Block::zeroed(self.block_size() as usize)?;
        if let Some(bytes) = contents.get_mut() {
            let offset = self.offset(block)?;
            self.backend
                .read_at(offset, bytes)
                .map_err(DeviceError::from)?;
        }
        Ok(contents)
    }

    /// Writes all blocks, neighbours merged into large requests, and waits for them.
    pub fn write_blocks(&self, blocks: &[(u64, Block)], _: WriteClass) -> Result<(), DeviceError> {
        for (block, contents) in blocks {
            let offset = self.offset(*block)?;
            self.backend
                .write_at(offset, contents)
                .map_err(DeviceError::from)?;
            self.written
                .fetch_add(contents.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes one block so that it and, with `barrier`, all that was written before are durable when
    /// it returns, the former never without the latter (PREFLUSH and FUA).
    pub fn write_durable(
        &self,
        block: u64,
        contents: &Block,
        barrier: bool,
    ) -> Result<(), DeviceError> {
        if !barrier {
            return self.write_blocks(&[(block, contents.clone())], WriteClass::Journal);
        }
        self.flush()?;
        self.backend.write_through(self.offset(block)?, contents)?;
        self.written
            .fetch_add(contents.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Units of 512 bytes written so far, by anybody.
    pub fn sectors_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed) / 512
    }

    /// Makes all finished writes durable.
    pub fn flush(&self) -> Result<(), DeviceError> {
        self.backend.flush().map_err(DeviceError::from)
    }

    fn offset(&self, block: u64) -> Result<u64, DeviceError> {
        block
            .checked_mul(u64::from(self.block_size()))
            .ok_or(DeviceError::Io)
    }
}
