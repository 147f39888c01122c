// SPDX-License-Identifier: GPL-2.0

//! A device in memory that shares what it began with and keeps only the sectors that changed.

use super::device::Backend;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The least that a disk writes in one piece, in bytes.
pub const SECTOR: usize = 512;

/// The contents of a device: common bytes, and sectors of its own in front of them.
#[derive(Clone, Debug)]
pub struct Overlay {
    base: Arc<[u8]>,
    sectors: BTreeMap<u64, [u8; SECTOR]>,
}

impl Overlay {
    /// `base`, unchanged so far; its length is a multiple of [`SECTOR`].
    pub fn new(base: Arc<[u8]>) -> Self {
        Self {
            base,
            sectors: BTreeMap::new(),
        }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.base.len() as u64
    }

    /// What it began with.
    pub fn base(&self) -> &Arc<[u8]> {
        &self.base
    }

    /// The sectors that were written since, by their number; some may be as they were.
    pub fn sectors(&self) -> &BTreeMap<u64, [u8; SECTOR]> {
        &self.sectors
    }

    /// One sector; its number must lie inside the device.
    pub fn sector(&self, number: u64) -> &[u8] {
        match self.sectors.get(&number) {
            Some(bytes) => bytes,
            None => self.base_sector(number),
        }
    }

    fn base_sector(&self, number: u64) -> &[u8] {
        let start = number as usize * SECTOR;
        &self.base[start..start + SECTOR]
    }

    /// All bytes.
    pub fn contents(&self) -> std::vec::Vec<u8> {
        let mut bytes = self.base.to_vec();
        for (number, sector) in &self.sectors {
            let start = *number as usize * SECTOR;
            bytes[start..start + SECTOR].copy_from_slice(sector);
        }
        bytes
    }

    fn check(&self, offset: u64, len: usize) -> std::io::Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(std::io::Error::other("past the end")),
        }
    }

    /// Calls `each` with the sectors that `offset..offset + len` touches: number, the bytes inside
    /// it, and where they are in the range.
    fn pieces(
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>),
    ) {
        let (mut at, mut done) = (offset, 0);
        while done < len {
            let inside = at as usize % SECTOR;
            let count = (SECTOR - inside).min(len - done);
            each(
                at / SECTOR as u64,
                inside..inside + count,
                done..done + count,
            );
            at += count as u64;
            done += count;
        }
    }

    /// Reads bytes.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.check(offset, into.len())?;
        Self::pieces(offset, into.len(), |number, inside, at| {
            into[at].copy_from_slice(&self.sector(number)[inside]);
        });
        Ok(())
    }

    /// Writes bytes.
    pub fn write(&mut self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.check(offset, from.len())?;
        Self::pieces(offset, from.len(), |number, inside, at| {
            let mut sector = [0; SECTOR];
            sector.copy_from_slice(self.sector(number));
            sector[inside].copy_from_slice(&from[at]);
            self.sectors.insert(number, sector);
        });
        Ok(())
    }
}

/// An [`Overlay`] as a device; clones share it.
#[derive(Clone, Debug)]
pub struct OverlayDevice(Arc<Mutex<Overlay>>);

impl OverlayDevice {
    /// A device with these contents.
    pub fn new(contents: Overlay) -> Self {
        Self(Arc::new(Mutex::new(contents)))
    }

    /// Calls `f` with the contents.
    pub fn with<R>(&self, f: impl FnOnce(&mut Overlay) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Backend for OverlayDevice {
    fn size(&self) -> u64 {
        self.with(|contents| contents.size())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.with(|contents| contents.read(offset, into))
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.with(|contents| contents.write(offset, from))
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}
