// SPDX-License-Identifier: GPL-2.0

//! A device in memory that fails at a chosen request.

use super::device::Backend;
use std::io::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A read.
    Read,
    /// A write.
    Write,
    /// A flush.
    Flush,
}

/// Which requests fail. They are counted from 0 over the device's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// None.
    Never,
    /// The one with this number.
    Once(u64),
    /// This one and all that follow: the device is gone.
    From(u64),
    /// Every write from this one on; reading goes on.
    WritesFrom(u64),
}

#[derive(Debug)]
struct State {
    contents: std::vec::Vec<u8>,
    plan: Plan,
    count: u64,
    failed: Option<Request>,
}

/// The device; clones share it, so a test keeps one while the file system has the other.
#[derive(Clone, Debug)]
pub struct Failing(Arc<Mutex<State>>);

impl Failing {
    /// A device with these contents, which fails as planned. What fails has no effect.
    pub fn new(contents: std::vec::Vec<u8>, plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(State {
            contents,
            plan,
            count: 0,
            failed: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The contents now.
    pub fn contents(&self) -> std::vec::Vec<u8> {
        self.state().contents.clone()
    }

    /// Plans anew.
    pub fn set_plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// How many requests there were.
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// The first request that failed.
    pub fn failed(&self) -> Option<Request> {
        self.state().failed
    }

    /// Counts a request; an error if it is to fail.
    fn admit(&self, request: Request) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let number = state.count;
        state.count += 1;
        let fails = match state.plan {
            Plan::Never => false,
            Plan::Once(at) => number == at,
            Plan::From(at) => number >= at,
            Plan::WritesFrom(at) => number >= at && request == Request::Write,
        };
        if fails {
            state.failed.get_or_insert(request);
            return Err(Error::other("planned"));
        }
        Ok(state)
    }
}

fn range(offset: u64, len: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    start..start.saturating_add(len)
}

impl Backend for Failing {
    fn size(&self) -> u64 {
        self.state().contents.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let state = self.admit(Request::Read)?;
        let from = state.contents.get(range(offset, into.len()));
        into.copy_from_slice(from.ok_or_else(|| Error::other("past the end"))?);
        Ok(())
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()> {
        let mut state = self.admit(Request::Write)?;
        let into = state.contents.get_mut(range(offset, from.len()));
        into.ok_or_else(|| Error::other("past the end"))?
            .copy_from_slice(from);
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.admit(Request::Flush).map(drop)
    }
}
