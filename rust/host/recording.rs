// SPDX-License-Identifier: GPL-2.0

//! A device in memory that remembers every write and flush, so that a test can build the states in
//! which a power cut may leave the disk.
//!
//! It has a volatile cache: what was written is durable after the next flush that was asked for when
//! the write had ended, and at once if it was written past the cache (FUA). Until then each of its
//! sectors may or may not be on the disk.

use super::device::Backend;
use super::overlay::Overlay;
use std::sync::{Arc, Mutex, PoisonError};

/// One thing that was done to the device.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes written at an offset.
    Write(u64, Arc<[u8]>),
    /// Bytes on their way to an offset; [`Event::Complete`] tells when they have arrived.
    Submit(u64, Arc<[u8]>),
    /// The write that is this event has ended.
    Complete(usize),
    /// The write that is this event is durable: it went past the cache.
    Durable(usize),
    /// Every write that had ended before is durable.
    Flush,
}

impl Event {
    /// What was written where, if it is a write.
    pub fn write(&self) -> Option<(u64, &Arc<[u8]>)> {
        match self {
            Self::Write(offset, data) | Self::Submit(offset, data) => Some((*offset, data)),
            _ => None,
        }
    }
}

/// For each of the first `count` events, whether it is a write that a power cut then cannot undo.
pub fn durable(events: &[Event], count: usize) -> std::vec::Vec<bool> {
    let mut durable = std::vec![false; count];
    let mut ended = std::vec::Vec::new();
    for (at, event) in events.iter().take(count).enumerate() {
        match event {
            Event::Write(..) => ended.push(at),
            Event::Submit(..) => {}
            Event::Complete(write) => ended.push(*write),
            Event::Durable(write) => durable[*write] = true,
            Event::Flush => ended.drain(..).for_each(|write| durable[write] = true),
        }
    }
    durable
}

#[derive(Debug)]
struct State {
    current: Overlay,
    events: std::vec::Vec<Event>,
    /// Writes do not end by themselves.
    deferring: bool,
}

/// The device; clones share it, so a test keeps one while the file system has the other.
#[derive(Clone, Debug)]
pub struct Recording(Arc<Mutex<State>>);

impl Recording {
    /// A device with these contents and no history.
    pub fn new(contents: std::vec::Vec<u8>) -> Self {
        Self::over(contents.into())
    }

    /// As [`Self::new`]; the contents may be shared with others.
    pub fn over(contents: Arc<[u8]>) -> Self {
        Self(Arc::new(Mutex::new(State {
            current: Overlay::new(contents),
            events: std::vec::Vec::new(),
            deferring: false,
        })))
    }

    /// The contents now.
    pub fn contents(&self) -> std::vec::Vec<u8> {
        self.with(|state| state.current.contents())
    }

    /// What was done so far, in order.
    pub fn events(&self) -> std::vec::Vec<Event> {
        self.with(|state| state.events.clone())
    }

    /// What was done after the first `count` things; writes in it are numbered from there.
    pub fn events_from(&self, count: usize) -> std::vec::Vec<Event> {
        let from_there = |event: &Event| match event {
            Event::Complete(write) => Event::Complete(write - count),
            Event::Durable(write) => Event::Durable(write - count),
            other => other.clone(),
        };
        self.with(|state| state.events[count..].iter().map(from_there).collect())
    }

    /// The contents now, sharing what has not changed.
    pub fn overlay(&self) -> Overlay {
        self.with(|state| state.current.clone())
    }

    /// How many things were done so far.
    pub fn event_count(&self) -> usize {
        self.with(|state| state.events.len())
    }

    /// The contents if power fails after the first `count` events, all of them having reached the disk.
    pub fn contents_after(&self, count: usize) -> std::vec::Vec<u8> {
        self.contents_with(count, |_| true)
    }

    /// The contents if power fails after the first `count` events, of those writes that `arrived`
    /// says of, in their order.
    pub fn contents_with(
        &self,
        count: usize,
        mut arrived: impl FnMut(usize) -> bool,
    ) -> std::vec::Vec<u8> {
        self.with(|state| {
            let mut bytes = state.current.base().to_vec();
            for (at, event) in state.events.iter().take(count).enumerate() {
                if let (Some((offset, data)), true) = (event.write(), arrived(at)) {
                    let start = offset as usize;
                    bytes[start..start + data.len()].copy_from_slice(data);
                }
            }
            bytes
        })
    }

    /// Lets the writes that `submit` makes be on their way when it has returned. The answer tells
    /// [`Self::complete`] which they are.
    pub fn deferred<R>(&self, submit: impl FnOnce() -> R) -> (R, std::ops::Range<usize>) {
        let first = self.with(|state| {
            state.deferring = true;
            state.events.len()
        });
        let done = submit();
        let end = self.with(|state| {
            state.deferring = false;
            state.events.len()
        });
        (done, first..end)
    }

    /// The writes among these events end now.
    pub fn complete(&self, events: std::ops::Range<usize>) {
        self.with(|state| {
            for at in events {
                if matches!(state.events[at], Event::Submit(..)) {
                    state.events.push(Event::Complete(at));
                }
            }
        });
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn write(&mut self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.current.write(offset, from)?;
        self.events.push(if self.deferring {
            Event::Submit(offset, from.into())
        } else {
            Event::Write(offset, from.into())
        });
        Ok(())
    }
}

impl Backend for Recording {
    fn size(&self) -> u64 {
        self.with(|state| state.current.size())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.with(|state| state.current.read(offset, into))
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.with(|state| state.write(offset, from))
    }

    fn write_through(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.with(|state| {
            state.current.write(offset, from)?;
            state.events.push(Event::Write(offset, from.into()));
            let at = state.events.len() - 1;
            state.events.push(Event::Durable(at));
            Ok(())
        })
    }

    fn flush(&self) -> std::io::Result<()> {
        self.with(|state| state.events.push(Event::Flush));
        Ok(())
    }
}
