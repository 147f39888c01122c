// SPDX-License-Identifier: GPL-2.0

//! Times without transactions, in which metadata may be written past the journal.

use super::Journal;
use crate::core::error::{Error, Result};
use crate::core::locks::HANDLE;
use crate::core::platform::{LockMapGuard, NofsScope};

/// Proof that no transaction is on its way to the disk and none can begin: either the log is empty and
/// handles wait, or the journal has stopped. There is one at a time.
///
/// Who has it must not open a handle. When it is dropped, handles start, or are refused, as before.
#[derive(Debug)]
pub struct Quiet<'j> {
    journal: &'j Journal,
    /// What lockdep sees of it: all handles there can be.
    _handles: LockMapGuard,
    _nofs: NofsScope,
}

impl<'j> Quiet<'j> {
    /// The caller has set `quiet` in the journal's state.
    fn new(journal: &'j Journal) -> Self {
        Self {
            journal,
            _handles: HANDLE.hold(),
            _nofs: NofsScope::enter(),
        }
    }

    /// Ends it; from then on handles are refused with [`Error::ReadOnly`].
    pub fn bar(self) {
        self.journal.state.lock().barred = true;
    }

    /// Ends it; from then on handles start.
    pub fn admit(self) {
        self.journal.state.lock().barred = false;
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.journal.state.lock().quiet = false;
        self.journal.progress.notify_all();
    }
}

impl Journal {
    /// Lets no handle start, waits for those that are open, commits and checkpoints everything, and
    /// marks the log empty on disk. The caller has no handle.
    ///
    /// # Errors
    ///
    /// Why the journal stopped, if it has.
    pub fn quiesce(&self) -> Result<Quiet<'_>> {
        HANDLE.might_wait();
        let mut state = self.state.lock();
        while state.quiet {
            self.progress.wait(&mut state);
        }
        state.quiet = true;
        while state.running.as_ref().is_some_and(|open| open.handles > 0) {
            self.progress.wait(&mut state);
        }
        drop(state);
        let flushed = self.flush();
        let quiet = Quiet::new(self);
        flushed.map(|()| quiet)
    }

    /// [`Self::abort`], and waits until the commit thread has nothing under way any more and the
    /// reason is on the disk, if the device takes it. The caller has no handle.
    pub fn stop(&self, why: Error) -> Quiet<'_> {
        self.abort(why);
        let mut state = self.state.lock();
        while !state.told || state.quiet {
            self.progress.wait(&mut state);
        }
        state.quiet = true;
        drop(state);
        Quiet::new(self)
    }
}
