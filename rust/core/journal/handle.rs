// SPDX-License-Identifier: GPL-2.0

//! Handles: the right to change, and to free, a bounded number of metadata blocks in the open
//! transaction. What they may still do has its place in the log: it is set aside with the handle.

use super::transaction::Transaction;
use super::{Journal, Run, State};
use crate::core::cache::{Buffer, BufferMut};
use crate::core::error::{Error, Result};
use crate::core::events;
use crate::core::locks::HANDLE;
use crate::core::patience::patiently;
use crate::core::platform::{clock, AllocError, LockMapGuard, MutexGuard, NofsScope, GFP};
use crate::format::units::{DiskBlock, Tid};

/// An open handle: its changes and those of all other handles of the transaction become durable
/// together. Dropping it closes it.
///
/// While one is open its task must not take a folio lock, wait for writeback or open another.
#[derive(Debug)]
#[must_use = "a handle that is dropped at once changes nothing"]
pub struct Handle<'j> {
    journal: &'j Journal,
    tid: Tid,
    /// Blocks it may still add to the transaction.
    credits: u32,
    /// Metadata blocks it may still forget: each is a revocation in the log.
    revocations: u32,
    /// What it asked for in all.
    requested: u32,
    opened: u64,
    /// It counts among its transaction's open handles.
    joined: bool,
    /// What lockdep sees of it; `None` while it waits for another transaction.
    open: Option<LockMapGuard>,
    /// Whether it has changed something in its transaction.
    changed: bool,
    _nofs: NofsScope,
}

impl Journal {
    /// Opens a handle that may change `credits` blocks and forget as many, waiting while a transaction
    /// is being closed or the log has no room.
    ///
    /// Fails with the journal's own error after an abort, with [`Error::ReadOnly`] while handles are
    /// refused, and with [`Error::NoSpace`] if the journal could never hold that many blocks.
    pub fn start(&self, credits: u32) -> Result<Handle<'_>> {
        let nofs = NofsScope::enter();
        let open = HANDLE.hold();
        events::journal_start(&self.device, credits);
        let tid = self.admit(credits, credits)?;
        events::handle_start(&self.device, tid, credits);
        Ok(Handle {
            journal: self,
            tid,
            credits,
            revocations: credits,
            requested: credits,
            opened: clock::monotonic_ns(),
            joined: true,
            open: Some(open),
            changed: false,
            _nofs: nofs,
        })
    }

    /// Joins the open transaction with `credits` and room for `revocations`.
    fn admit(&self, credits: u32, revocations: u32) -> Result<Tid> {
        if credits.max(self.revoke_blocks(revocations)) > self.max_transaction {
            return Err(Error::NoSpace);
        }
        let mut state = self.state.lock();
        loop {
            if let Some(error) = state.aborted {
                return Err(error);
            }
            if state.barred && !state.quiet {
                return Err(Error::ReadOnly);
            }
            if !state.closing && !state.quiet && self.fits(&mut state, credits, revocations) {
                break;
            }
            self.progress.wait(&mut state);
        }
        let State { running, next, .. } = &mut *state;
        let transaction = running.get_or_insert_with(|| {
            let opened = Transaction::new(*next, clock::monotonic_ns());
            *next = next.next();
            // The thread begins to count the interval.
            self.work.notify_all();
            opened
        });
        transaction.handles += 1;
        transaction.handle_count = transaction.handle_count.saturating_add(1);
        transaction.reserved += credits;
        transaction.revocations += revocations;
        Ok(transaction.tid)
    }

    /// Whether the open transaction can take `credits` and `revocations` more; asks for a commit or a
    /// checkpoint if not.
    fn fits(&self, state: &mut MutexGuard<'_, State>, credits: u32, revocations: u32) -> bool {
        let (tid, reserved, revoked) = match &state.running {
            Some(open) => (Some(open.tid), open.reserved, open.revocations),
            None => (None, 0, 0),
        };
        let blocks = reserved.saturating_add(credits);
        let revocations = revoked.saturating_add(revocations);
        // An empty transaction takes whatever a single handle may ask for.
        let has_others = reserved > 0 || revoked > 0;
        let wanted = blocks.saturating_add(self.revoke_blocks(revocations));
        if let (true, Some(tid)) = (has_others && wanted > self.max_transaction, tid) {
            state.request(tid);
            self.work.notify_all();
            return false;
        }
        let taken = self.log_blocks(blocks, revocations);
        if taken.saturating_add(state.committing) > state.free {
            // A checkpoint frees space only of what is committed.
            if let Some(tid) = tid {
                state.request(tid);
            }
            state.starved = true;
            self.work.notify_all();
            return false;
        }
        true
    }
}

impl<'j> Handle<'j> {
    /// The transaction it belongs to: what to pass to [`Journal::commit`].
    pub fn tid(&self) -> Tid {
        self.tid
    }

    /// The journal it belongs to.
    pub fn journal(&self) -> &'j Journal {
        self.journal
    }

    /// Blocks it may still add to the transaction.
    pub fn credits(&self) -> u32 {
        self.credits
    }

    /// The only way to writable bytes of a metadata block.
    ///
    /// The guard holds the block's lock: keep it briefly, and never hold two. The first time in a
    /// transaction costs a credit; [`Error::CreditsExhausted`] if none is left.
    pub fn write<'b>(&mut self, buffer: &'b Buffer) -> Result<BufferMut<'b>> {
        let mut version = buffer.version();
        if version.forgotten {
            return Err(Error::Io(buffer.block()));
        }
        if version.running != Some(self.tid) {
            self.credits = self.credits.checked_sub(1).ok_or(Error::CreditsExhausted)?;
            self.note(|transaction| transaction.buffers.push(buffer.clone(), GFP))?;
            version.running = Some(self.tid);
        }
        let bytes = BufferMut::new(buffer.block(), version)
            .or_else(|_| patiently(|| BufferMut::new(buffer.block(), buffer.version())))?;
        self.changed = true;
        Ok(bytes)
    }

    /// Whether anything was changed under it since it began, or went on in another transaction.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Whether it may still change so many blocks and forget so many.
    pub fn has(&self, credits: u32, revocations: u32) -> bool {
        self.credits >= credits && self.revocations >= revocations
    }

    /// Asks for what is missing to [`Self::has`] so much. `Ok(false)` if the transaction has no room for
    /// it, or is being closed: then [`Self::restart`] at a point where the disk is consistent.
    pub fn reach(&mut self, credits: u32, revocations: u32) -> Result<bool> {
        let more = credits.saturating_sub(self.credits);
        let revoke = revocations.saturating_sub(self.revocations);
        let mut state = self.journal.state.lock();
        if let Some(error) = state.aborted {
            return Err(error);
        }
        // Nobody else gets a handle before one that is being closed has ended.
        let room = !state.closing && self.journal.fits(&mut state, more, revoke);
        if let (true, Some(transaction)) = (room, state.running.as_mut()) {
            transaction.reserved += more;
            transaction.revocations += revoke;
            self.credits += more;
            self.revocations += revoke;
            self.requested += more;
            drop(state);
            events::handle_extend(&self.journal.device, self.tid, self.credits, more);
            return Ok(true);
        }
        Ok(false)
    }

    /// Goes on in a new transaction, where it may change `credits` blocks and forget `revocations`; what
    /// was done so far may commit without the rest.
    pub fn restart(&mut self, credits: u32, revocations: u32) -> Result {
        self.leave();
        self.open = None;
        (self.credits, self.revocations) = (0, 0);
        self.open = Some(HANDLE.hold());
        self.tid = self.journal.admit(credits, revocations)?;
        self.joined = true;
        self.changed = false;
        (self.credits, self.revocations) = (credits, revocations);
        self.requested = credits;
        self.opened = clock::monotonic_ns();
        events::handle_restart(&self.journal.device, self.tid, credits);
        Ok(())
    }

    /// A metadata block was freed: nobody writes it any more, older versions of it in the log are
    /// revoked. Call [`Self::freed`] for the space. [`Error::CreditsExhausted`] if it is one more than
    /// the handle asked for.
    pub fn forget(&mut self, block: DiskBlock) -> Result {
        self.revocations = self
            .revocations
            .checked_sub(1)
            .ok_or(Error::CreditsExhausted)?;
        self.changed = true;
        let buffer = self.journal.cache.forget(block);
        self.note(|transaction| transaction.revoked.push(block, GFP))?;
        if let Some(buffer) = buffer {
            self.note(|transaction| transaction.forgotten.push(buffer.clone(), GFP))?;
        }
        Ok(())
    }

    /// Blocks were freed: they may be allocated again when this transaction is durable.
    pub fn freed(&mut self, run: Run) -> Result {
        self.changed = true;
        self.note(|transaction| {
            // Files go from their ends, block by block.
            let last = transaction.freed.last_mut();
            if last.is_some_and(|last| last.join(run)) {
                return Ok(());
            }
            transaction.freed.push(run, GFP)
        })
    }

    /// Notes something in the open transaction. Waits for the memory: without the note the journal would
    /// have to stop, and an allocation may fail a task that is being killed while there still is some.
    fn note(
        &self,
        mut note: impl FnMut(&mut Transaction) -> core::result::Result<(), AllocError>,
    ) -> Result {
        patiently(|| {
            let mut state = self.journal.state.lock();
            let transaction = state.running.as_mut().ok_or(Error::ReadOnly)?;
            Ok(note(transaction)?)
        })
    }

    /// Ends an operation with its result. One that broke off half-way must not become durable: then the
    /// journal stops before the handle is closed, and with it the transaction.
    pub fn end<T>(self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            if self.has_changed() && self.stops_for(error) {
                self.journal.abort(*error);
            }
        }
        result
    }

    /// Whether what was done until this error must not become durable. After any other one the
    /// operation has to leave something whole.
    pub fn stops_for(&self, error: &Error) -> bool {
        let tolerated = matches!(error, Error::Corrupt(..)) && self.journal.is_lenient();
        error.breaks_off() && !tolerated
    }

    fn leave(&mut self) {
        let mut state = self.journal.state.lock();
        self.joined = false;
        let Some(transaction) = state.running.as_mut() else {
            return;
        };
        transaction.handles -= 1;
        transaction.reserved -= self.credits;
        transaction.revocations -= self.revocations;
        let last = transaction.handles == 0;
        if last && state.closing {
            self.journal.work.notify_all();
        }
        if last && state.quiet {
            self.journal.progress.notify_all();
        }
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        if self.joined {
            self.leave();
        }
        let spent = self.requested - self.credits.min(self.requested);
        let life = clock::monotonic_ns().saturating_sub(self.opened);
        events::handle_stats(&self.journal.device, self.tid, life, self.requested, spent);
    }
}
