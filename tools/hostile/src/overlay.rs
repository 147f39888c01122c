// SPDX-License-Identifier: GPL-2.0

//! A device that shares an image with others and keeps its own writes apart: a thousand damaged
//! images cost the memory of one. It counts what is asked of it.

use host_core::host::device::Backend;
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are copied when one of them is written.
const GRAIN: usize = 1024;

#[derive(Debug)]
struct Shared {
    base: Arc<Vec<u8>>,
    own: Mutex<BTreeMap<u64, [u8; GRAIN]>>,
    reads: AtomicU64,
    writes: AtomicU64,
}

/// The device; clones are the same device.
#[derive(Clone, Debug)]
pub struct Overlay(Arc<Shared>);

impl Overlay {
    /// A device with the contents of `base`, whose length is a multiple of 1024.
    pub fn new(base: Arc<Vec<u8>>) -> Self {
        Self(Arc::new(Shared {
            base,
            own: Mutex::default(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }))
    }

    /// How many hold this device.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Requests to read so far.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Requests to write so far.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// `len` bytes from `offset`; what lies behind the end is missing.
    pub fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let have = (self.0.base.len() as u64).saturating_sub(offset);
        let mut bytes = vec![0; len.min(usize::try_from(have).unwrap_or(len))];
        self.copy_out(offset, &mut bytes);
        bytes
    }

    /// The bytes of the image it began with; the range is inside it.
    pub fn original_bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        self.0.base[offset as usize..offset as usize + len].to_vec()
    }

    /// Overwrites bytes; what would lie behind the end is dropped.
    pub fn put(&self, offset: u64, from: &[u8]) {
        let have = (self.0.base.len() as u64).saturating_sub(offset);
        let len = from.len().min(usize::try_from(have).unwrap_or(usize::MAX));
        self.copy_in(offset, &from[..len]);
    }

    /// What is not as it was: offsets and bytes, in order.
    pub fn changes(&self) -> Vec<(u64, [u8; GRAIN])> {
        let own = self.own();
        let changed = own
            .iter()
            .filter(|(at, grain)| self.original(**at) != **grain);
        changed.map(|(at, grain)| (*at, *grain)).collect()
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<u64, [u8; GRAIN]>> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn original(&self, at: u64) -> [u8; GRAIN] {
        let mut grain = [0; GRAIN];
        grain.copy_from_slice(&self.0.base[at as usize..at as usize + GRAIN]);
        grain
    }

    /// The parts of a range: start of the grain, offset in it, range in the buffer.
    fn parts(
        offset: u64,
        len: usize,
    ) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let inside = (at % GRAIN as u64) as usize;
            let count = (GRAIN - inside).min(len - done);
            let part = (at - inside as u64, inside, done..done + count);
            done += count;
            (count > 0).then_some(part)
        })
    }

    fn copy_out(&self, offset: u64, into: &mut [u8]) {
        let own = self.own();
        for (grain, inside, range) in Self::parts(offset, into.len()) {
            let from = match own.get(&grain) {
                Some(bytes) => &bytes[..],
                None => &self.0.base[grain as usize..grain as usize + GRAIN],
            };
            let len = range.len();
            into[range].copy_from_slice(&from[inside..inside + len]);
        }
    }

    fn copy_in(&self, offset: u64, from: &[u8]) {
        let mut own = self.own();
        for (grain, inside, range) in Self::parts(offset, from.len()) {
            let bytes = own.entry(grain).or_insert_with(|| self.original(grain));
            bytes[inside..inside + range.len()].copy_from_slice(&from[range]);
        }
    }

    fn check(&self, offset: u64, len: usize) -> Result<()> {
        let end = offset.checked_add(len as u64);
        match end.is_some_and(|end| end <= self.0.base.len() as u64) {
            true => Ok(()),
            false => Err(Error::other("past the end")),
        }
    }
}

impl Backend for Overlay {
    fn size(&self) -> u64 {
        self.0.base.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        self.check(offset, into.len())?;
        self.copy_out(offset, into);
        Ok(())
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()> {
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        self.check(offset, from.len())?;
        self.copy_in(offset, from);
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
