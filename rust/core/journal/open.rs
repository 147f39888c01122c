// SPDX-License-Identifier: GPL-2.0

//! Opening the journal of a mount, emptying it, closing it.

use super::checkpoint::Goal;
use super::log::{Log, LogExtent};
use super::recovery::{self, Recovered};
use super::{Journal, Quiet, State};
use crate::core::cache::{Cache, FUNCTIONS};
use crate::core::error::{Error, Place, Result};
use crate::core::locks::{self, HANDLE};
use crate::core::patience::patiently;
use crate::core::platform::{lock_class, Arc, Condvar, Device, Mutex, Thread, Vec, GFP};
use crate::format::fault::{Fault, JournalFault};
use crate::format::geometry::Geometry;
use crate::format::jbd2::Layout;
use crate::format::units::{LogBlock, Tid};
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The log of a mount before a journal runs on it: read, and recovered if need be.
#[derive(Debug)]
pub struct Start {
    log: Log,
    next: Tid,
    /// Whether the log holds transactions that are not in their places.
    pub dirty: bool,
    /// The error an earlier mount left in the journal's superblock.
    pub errno: i32,
    /// What the file system calls for.
    wide_blocks: bool,
    checksums: bool,
}

/// What a journal is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a transaction may stay open, in milliseconds.
    pub interval: u64,
    /// Whether commits flush the device's cache.
    pub barrier: bool,
    /// Whether operations that found the disk corrupt half-way may become durable as they are.
    pub lenient: bool,
    /// Whether each transaction is read back and compared before it counts.
    pub verify: bool,
}

impl Start {
    /// Reads the journal superblock of the journal that lies at `extents`.
    ///
    /// `filesystem_64bit` and `checksums` say which journal features the file system calls for.
    pub fn read(
        device: &Device,
        extents: Vec<LogExtent>,
        filesystem_64bit: bool,
        checksums: bool,
    ) -> Result<Self> {
        let place = extents.first().map(|extent| extent.run.start);
        let at = place.ok_or(Error::Corrupt(
            Place::default(),
            Fault::Journal(JournalFault::Length, 0, 0),
        ))?;
        let corrupt = |fault| Error::Corrupt(Place::block(at), fault);
        let superblock = device
            .read_block(at.get())
            .map_err(|error| Error::at_block(error, at))?;
        let blocks = extents
            .iter()
            .fold(0u32, |sum, extent| sum.saturating_add(extent.run.len));
        let layout =
            Layout::parse(&superblock, &FUNCTIONS, device.block_size(), blocks).map_err(corrupt)?;
        let (start, next, errno) = (layout.start, Tid(layout.sequence), layout.errno);
        let log = Log::new(extents, superblock, layout);
        let mut read = Self {
            log,
            next,
            dirty: start.is_some(),
            errno,
            wide_blocks: filesystem_64bit,
            checksums,
        };
        if !read.dirty {
            read.choose_features()?;
        }
        Ok(read)
    }

    /// Nothing in the log depends on its features any more: those that this file system calls for.
    fn choose_features(&mut self) -> Result {
        self.log.choose_features(self.wide_blocks, self.checksums)
    }

    /// Replays the committed transactions of a dirty log to their places, and empties it on disk.
    ///
    /// The file system has this geometry. Nothing may have been read through a cache before: the blocks change under it.
    pub fn recover(&mut self, device: &Device, geometry: &Geometry) -> Result<Recovered> {
        let recovered = recovery::recover(&self.log, device, self.next, geometry)?;
        device.flush()?;
        // C's journal skips a number after recovery; so do we, so that a torn tail can never match.
        self.next = recovered.next.next();
        self.choose_features()?;
        self.log
            .write_superblock(device, None, self.next, self.errno)?;
        self.dirty = false;
        Ok(recovered)
    }

    /// Takes the error of an earlier mount out of the journal superblock: the file system says it.
    pub fn clear_error(&mut self, device: &Device) -> Result {
        self.errno = 0;
        let start = self.log.layout.start;
        self.log.write_superblock(device, start, self.next, 0)
    }

    /// Empties a dirty log on disk without replaying it: for a file system that does not say that it
    /// needs recovery, whose log is a leftover.
    ///
    /// Its transactions stay where they are and are valid each for itself; the next one that is written
    /// has a number behind all of them, each of which takes a block at least. Otherwise one of them could
    /// be taken for what follows on a new one.
    pub fn wipe(&mut self, device: &Device) -> Result {
        self.next = Tid(self.next.0.wrapping_add(self.log.len()));
        self.choose_features()?;
        self.log
            .write_superblock(device, None, self.next, self.errno)?;
        self.dirty = false;
        Ok(())
    }
}

/// A journal with its commit thread, which uses the journal too and ends, at the latest, with this.
///
/// Whoever wants changes to be durable calls [`Journal::close`] before.
#[derive(Debug)]
pub struct OpenJournal(Arc<Journal>);

impl Deref for OpenJournal {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.0
    }
}

impl Drop for OpenJournal {
    fn drop(&mut self) {
        self.0.end_thread();
    }
}

impl Journal {
    /// Opens a clean log for commits and starts the commit thread. Nothing is written before the
    /// first commit.
    pub fn open(
        device: Arc<Device>,
        cache: Arc<Cache>,
        start: Start,
        settings: Settings,
    ) -> Result<OpenJournal> {
        let Start { log, next, .. } = start;
        let len = log.len();
        let per_block = |count: usize| u32::try_from(count.max(1)).unwrap_or(1);
        let state = State {
            running: None,
            closing: false,
            quiet: false,
            barred: false,
            next,
            committed: Tid(next.0.wrapping_sub(1)),
            requested: Tid(next.0.wrapping_sub(1)),
            // One block apart, so that head and tail never meet in a full log.
            free: len.saturating_sub(1),
            committing: 0,
            oldest: None,
            starved: false,
            flush: false,
            aborted: None,
            told: false,
            stopping: false,
            released: Vec::new(),
        };
        let journal = Self {
            log_len: len,
            max_transaction: len / 4,
            tags_per_block: per_block(log.layout.tags_per_block()),
            revokes_per_block: per_block(log.layout.revokes_per_block()),
            interval: AtomicU64::new(settings.interval),
            barrier: AtomicBool::new(settings.barrier),
            lenient: AtomicBool::new(settings.lenient),
            verify: AtomicBool::new(settings.verify),
            state: Mutex::new(state, locks::JOURNAL_STATE)?,
            progress: Condvar::new(lock_class!("rext4_journal_progress"))?,
            durable: Condvar::new(lock_class!("rext4_journal_durable"))?,
            work: Condvar::new(lock_class!("rext4_journal_work"))?,
            log: Mutex::new(log, locks::LOG)?,
            checkpoints: Mutex::new(Vec::new(), locks::CHECKPOINTS)?,
            has_released: AtomicBool::new(false),
            pinned: AtomicUsize::new(0),
            memory_is_short: AtomicBool::new(false),
            thread: Mutex::new(None, lock_class!("rext4_journal_thread"))?,
            device,
            cache,
        };
        let journal = Arc::new(journal, GFP)?;
        let runner = journal.clone();
        let thread = Thread::spawn("rext4-journal", &journal.device, move || runner.run())?;
        *journal.thread.lock() = Some(thread);
        Ok(OpenJournal(journal))
    }

    /// Commits and checkpoints everything, and marks the log empty on disk. The journal goes on.
    pub fn flush(&self) -> Result {
        HANDLE.might_wait();
        let mut state = self.state.lock();
        state.flush = true;
        self.work.notify_all();
        while state.flush {
            if let Some(error) = state.aborted {
                return Err(error);
            }
            self.progress.wait(&mut state);
        }
        Ok(())
    }

    /// [`Self::quiesce`], and ends the commit thread. No handle may start afterwards.
    pub fn close(&self) -> Result<Quiet<'_>> {
        let quiet = self.quiesce();
        self.end_thread();
        quiet
    }

    /// Ends the commit thread, if it has not ended. What is not committed never is.
    fn end_thread(&self) {
        self.state.lock().stopping = true;
        self.work.notify_all();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.join();
        }
    }

    /// Sets how long a transaction may stay open, in milliseconds.
    pub fn set_interval(&self, milliseconds: u64) {
        self.interval.store(milliseconds, Ordering::Relaxed);
        // The lock orders the change with the thread's look at the interval.
        drop(self.state.lock());
        self.work.notify_all();
    }

    /// Sets whether commits flush the device's cache.
    pub fn set_barrier(&self, barrier: bool) {
        self.barrier.store(barrier, Ordering::Relaxed);
    }

    /// Sets [`Settings::verify`].
    pub fn set_verify(&self, verify: bool) {
        self.verify.store(verify, Ordering::Relaxed);
    }

    /// Sets [`Settings::lenient`].
    pub fn set_lenient(&self, lenient: bool) {
        self.lenient.store(lenient, Ordering::Relaxed);
    }

    /// What [`Self::flush`] makes the commit thread do once nothing is open.
    pub(super) fn empty_log(&self) -> Result {
        self.checkpoint(Goal::All)?;
        let mut log = self.log.lock();
        let next = self.state.lock().committed.next();
        if log.active {
            patiently(|| log.write_superblock(&self.device, None, next, 0))?;
            log.active = false;
        }
        log.head = LogBlock(log.layout.first_block);
        drop(log);
        let mut state = self.state.lock();
        state.take_back_empty();
        state.flush = false;
        drop(state);
        self.progress.notify_all();
        self.durable.notify_all();
        Ok(())
    }
}
