// SPDX-License-Identifier: GPL-2.0

//! A device in memory that remembers every write and flush, so that a test can build the states in
//! which a power cut may leave the disk.

use super::device::Backend;
use std::sync::{Arc, Mutex, PoisonError};

/// One thing that was done to the device.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes written at an offset.
    Write(u64, std::vec::Vec<u8>),
    /// Everything before is durable.
    Flush,
}

#[derive(Debug)]
struct State {
    initial: std::vec::Vec<u8>,
    current: std::vec::Vec<u8>,
    events: std::vec::Vec<Event>,
}

/// The device; clones share it, so a test keeps one while the file system has the other.
#[derive(Clone, Debug)]
pub struct Recording(Arc<Mutex<State>>);

impl Recording {
    /// A device with these contents and no history.
    pub fn new(contents: std::vec::Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            current: contents.clone(),
            initial: contents,
            events: std::vec::Vec::new(),
        })))
    }

    /// The contents now.
    pub fn contents(&self) -> std::vec::Vec<u8> {
        self.with(|state| state.current.clone())
    }

    /// What was done so far, in order.
    pub fn events(&self) -> std::vec::Vec<Event> {
        self.with(|state| state.events.clone())
    }

    /// The contents if power fails after the first `count` events, all of them having reached the disk.
    pub fn contents_after(&self, count: usize) -> std::vec::Vec<u8> {
        self.with(|state| {
            let mut bytes = state.initial.clone();
            for event in state.events.iter().take(count) {
                if let Event::Write(offset, data) = event {
                    let start = *offset as usize;
                    bytes[start..start + data.len()].copy_from_slice(data);
                }
            }
            bytes
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Backend for Recording {
    fn size(&self) -> u64 {
        self.with(|state| state.current.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.with(|state| {
            let start = usize::try_from(offset).map_err(std::io::Error::other)?;
            let from = state
                .current
                .get(start..)
                .and_then(|rest| rest.get(..into.len()));
            into.copy_from_slice(from.ok_or_else(|| std::io::Error::other("past the end"))?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.with(|state| {
            let start = usize::try_from(offset).map_err(std::io::Error::other)?;
            let into = state
                .current
                .get_mut(start..)
                .and_then(|rest| rest.get_mut(..from.len()));
            into.ok_or_else(|| std::io::Error::other("past the end"))?
                .copy_from_slice(from);
            state.events.push(Event::Write(offset, from.to_vec()));
            Ok(())
        })
    }

    fn flush(&self) -> std::io::Result<()> {
        self.with(|state| state.events.push(Event::Flush));
        Ok(())
    }
}
