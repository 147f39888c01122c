// SPDX-License-Identifier: GPL-2.0

//! A transaction: the blocks that reach the disk together or not at all.

use super::Run;
use crate::core::cache::Buffer;
use crate::core::platform::{Block, Vec};
use crate::format::units::{DiskBlock, Tid};

/// The transaction that handles add to. The journal's state lock protects it.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) tid: Tid,
    /// Open handles.
    pub(super) handles: u32,
    /// All handles that ever were in it.
    pub(super) handle_count: u32,
    /// Blocks in `buffers` and credits of open handles.
    pub(super) reserved: u32,
    /// Blocks in `revoked` and revocations that open handles may still make.
    pub(super) revocations: u32,
    /// The blocks it changes, each once.
    pub(super) buffers: Vec<Buffer>,
    /// Metadata blocks it frees: older log entries of theirs must not be replayed.
    pub(super) revoked: Vec<DiskBlock>,
    /// What was in memory of them: an older committed version must not be written any more.
    pub(super) forgotten: Vec<Buffer>,
    /// Blocks it frees.
    pub(super) freed: Vec<Run>,
    /// Somebody waits for it.
    pub(super) sync: bool,
    /// When it was opened, in monotonic nanoseconds.
    pub(super) opened: u64,
}

impl Transaction {
    pub(super) fn new(tid: Tid, opened: u64) -> Self {
        Self {
            tid,
            handles: 0,
            handle_count: 0,
            reserved: 0,
            revocations: 0,
            buffers: Vec::new(),
            revoked: Vec::new(),
            forgotten: Vec::new(),
            freed: Vec::new(),
            sync: false,
            opened,
        }
    }

    /// Nothing was changed in it, so far.
    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty() && self.revoked.is_empty() && self.freed.is_empty()
    }
}

/// A closed transaction: nobody changes it, its checksums are right. The commit thread owns it.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) tid: Tid,
    pub(super) sync: bool,
    /// Each block and the version of it that is committed.
    pub(super) versions: Vec<(Buffer, Block)>,
    pub(super) revoked: Vec<DiskBlock>,
    pub(super) forgotten: Vec<Buffer>,
    pub(super) freed: Vec<Run>,
}

/// A sealed transaction whose blocks stand in the log, but whose commit block does not.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) sealed: Sealed,
    /// Log blocks it takes, the commit block included.
    pub(super) log_blocks: u32,
}
