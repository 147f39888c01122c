// SPDX-License-Identifier: GPL-2.0

//! A device in memory that remembers every write and flush, so that a test can build the states in
//! which a power cut may leave the disk.
//!
//! It has a volatile cache: what was written is durable after the next flush that was asked for when
//! the write had ended, and at once if it was written past the cache (FUA). Until then each of its
//! sectors may or may not be on the disk.

use super::device::Backend;
use super::overlay::Overlay;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

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
    /// The thread whose writes do not end by themselves.
    deferring: Option<ThreadId>,
    /// The bytes of writes that have not ended, with their events if these are there.
    on_their_way: std::vec::Vec<(Option<usize>, Range<u64>)>,
    clash: Option<Clash>,
}

/// Two writes of the same bytes that are on their way at once: nobody knows which of them stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Where the older one goes.
    pub old: Range<u64>,
    /// Where the newer one goes.
    pub new: Range<u64>,
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
            deferring: None,
            on_their_way: std::vec::Vec::new(),
            clash: None,
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
    pub fn deferred<R>(&self, submit: impl FnOnce() -> R) -> (R, std::vec::Vec<usize>) {
        let first = self.with(|state| {
            state.deferring = Some(thread::current().id());
            state.events.len()
        });
        let done = submit();
        let submitted = self.with(|state| {
            state.deferring = None;
            let is_submitted = |at: &usize| matches!(state.events[*at], Event::Submit(..));
            (first..state.events.len()).filter(is_submitted).collect()
        });
        (done, submitted)
    }

    /// The write that is this event ends now.
    pub fn complete(&self, write: usize) {
        self.with(|state| {
            state
                .on_their_way
                .retain(|(event, _)| *event != Some(write));
            state.events.push(Event::Complete(write));
        });
    }

    /// The first two writes that were on their way to the same bytes at once.
    pub fn clash(&self) -> Option<Clash> {
        self.with(|state| state.clash.clone())
    }

    /// A write is on its way while others have the device, and does `end` in the end.
    fn carry(
        &self,
        offset: u64,
        from: &[u8],
        end: impl FnOnce(&mut State, u64, &[u8]),
    ) -> std::io::Result<()> {
        let span = offset..offset.saturating_add(from.len() as u64);
        self.with(|state| state.begin(span.clone()));
        thread::yield_now();
        self.with(|state| {
            state.forget(&span);
            state.current.write(offset, from)?;
            end(state, offset, from);
            Ok(())
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn begin(&mut self, span: Range<u64>) {
        let meets = |other: &Range<u64>| other.start < span.end && span.start < other.end;
        let old = self.on_their_way.iter().find(|(_, other)| meets(other));
        if let (None, Some((_, old))) = (&self.clash, old) {
            self.clash = Some(Clash {
                old: old.clone(),
                new: span.clone(),
            });
        }
        self.on_their_way.push((None, span));
    }

    fn forget(&mut self, span: &Range<u64>) {
        let mut writes = self.on_their_way.iter();
        if let Some(at) = writes.position(|(event, other)| event.is_none() && other == span) {
            self.on_their_way.swap_remove(at);
        }
    }

    fn write(&mut self, offset: u64, from: &[u8]) {
        if self.deferring != Some(thread::current().id()) {
            return self.events.push(Event::Write(offset, from.into()));
        }
        let span = offset..offset + from.len() as u64;
        self.on_their_way.push((Some(self.events.len()), span));
        self.events.push(Event::Submit(offset, from.into()));
    }

    fn write_durable(&mut self, offset: u64, from: &[u8]) {
        self.events.push(Event::Write(offset, from.into()));
        self.events.push(Event::Durable(self.events.len() - 1));
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
        self.carry(offset, from, State::write)
    }

    fn write_through(&self, offset: u64, from: &[u8]) -> std::io::Result<()> {
        self.carry(offset, from, State::write_durable)
    }

    fn flush(&self) -> std::io::Result<()> {
        self.with(|state| state.events.push(Event::Flush));
        Ok(())
    }
}
