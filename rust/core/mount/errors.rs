// SPDX-License-Identifier: GPL-2.0

//! What happens when the file system turns out to be damaged: one line in the log, the error fields
//! of the superblock, and the policy that `errors=` names.

use super::Filesystem;
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::journal::Journal;
use crate::core::platform::{damage, halt, log, Device, Level};
use crate::format::fault::Fault;
use crate::format::superblock::{state, ErrorNote, ErrorPolicy, ErrorRecord, RawSuperblock};
use crate::format::units::{DiskBlock, Ino};
use core::fmt;
use core::panic::Location;
use core::sync::atomic::Ordering;

/// What errors belong to that are no inode's.
pub(super) const NO_INODE: Ino = Ino(0);

/// How the format's own field names an error (`EXT4_ERR_*`).
const fn code(error: &Error) -> u8 {
    match error {
        Error::Io(_) => 2,
        Error::NoMemory => 3,
        Error::Corrupt(_, fault) if fault.is_checksum() => 4,
        Error::Corrupt(..) => 5,
        Error::NoSpace => 6,
        Error::ReadOnly => 8,
        _ => 1,
    }
}

/// Whether an error means that the file system is damaged, or that its device is.
const fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt(..) | Error::Io(_) | Error::CreditsExhausted
    )
}

/// Where an error happened, as far as it says.
const fn place(error: &Error) -> Place {
    match error {
        Error::Corrupt(place, _) => *place,
        Error::Io(block) => Place::block(*block),
        _ => Place {
            ino: Ino(0),
            block: DiskBlock(0),
        },
    }
}

/// What was found, and by whom.
struct Finding<'a> {
    function: &'static str,
    line: u32,
    at: Place,
    error: &'a Error,
}

impl Finding<'_> {
    fn note(&self, device: &Device) -> ErrorNote<'static> {
        let (seconds, _) = device.now();
        ErrorNote {
            seconds: u64::try_from(seconds).unwrap_or(0),
            ino: (self.at.ino != Ino(0)).then_some(self.at.ino),
            block: (self.at.block != DiskBlock(0)).then_some(self.at.block),
            function: self.function,
            line: self.line,
            code: code(self.error),
        }
    }
}

/// The place in the words of ext4's messages.
impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.function, self.line)?;
        if self.at.ino != Ino(0) {
            write!(f, ": inode #{}", self.at.ino)?;
        }
        if self.at.block != DiskBlock(0) {
            write!(f, ": block {}", self.at.block)?;
        }
        Ok(())
    }
}

/// An error without its place, which was said before.
struct Bare<'a>(&'a Error);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Corrupt(_, fault) => fault.fmt(f),
            Error::Io(_) => f.write_str("I/O error"),
            other => other.fmt(f),
        }
    }
}

impl Filesystem {
    /// Passes a result through; damage is logged, recorded, and answered by the policy. No handle is
    /// open any more.
    #[track_caller]
    pub(super) fn report<T>(
        &self,
        function: &'static str,
        ino: Ino,
        result: Result<T>,
    ) -> Result<T> {
        if let Some(error) = self.volume.allocator.take_fault() {
            self.damaged(function, ino, &error);
        }
        let Err(error) = result else {
            return result;
        };
        if self.has_failed() {
            return Err(error);
        }
        if let Some(why) = self
            .volume
            .journal
            .as_ref()
            .and_then(|journal| journal.aborted())
        {
            self.abort_noticed(&why);
            // Whoever made it stop hears why.
            return Err(if error == why { error } else { self.stopped() });
        }
        if is_damage(&error) {
            self.damaged(function, ino, &error);
        }
        Err(error)
    }

    /// Logs, records and answers one error.
    #[track_caller]
    pub(super) fn damaged(&self, function: &'static str, ino: Ino, error: &Error) {
        let mut at = place(error);
        if at.ino == Ino(0) {
            at.ino = ino;
        }
        let finding = Finding {
            function,
            line: Location::caller().line(),
            at,
            error,
        };
        self.answer(&finding, format_args!("{}", Bare(error)));
    }

    /// Treats `text` as an error that was found: so the answer to errors can be tried.
    pub fn test_error(&self, text: &str) {
        let finding = Finding {
            function: "test_error",
            line: line!(),
            at: Place::default(),
            error: &Error::Corrupt(Place::default(), Fault::Tried),
        };
        self.answer(&finding, format_args!("{text}"));
    }

    /// One line in the log, the note on the disk, word to who watches the mount, and the policy; nothing once
    /// writing has ended.
    fn answer(&self, finding: &Finding<'_>, text: fmt::Arguments<'_>) {
        if self.has_failed() {
            return;
        }
        let (device, at) = (&self.volume.device, finding.at);
        events::error(device, at.ino, at.block, finding.error);
        damage(device, format_args!("{finding}"), text);
        let (note, policy) = (finding.note(device), self.effective().errors);
        let answered = match policy {
            ErrorPolicy::Continue => {
                self.record(&note);
                true
            }
            ErrorPolicy::RemountReadOnly | ErrorPolicy::Panic => {
                self.end_writing(finding.error, &note)
            }
        };
        if answered {
            self.answered(finding, policy);
        }
    }

    /// Who watches is told when the count of errors has changed, or would read the old one.
    fn answered(&self, finding: &Finding<'_>, policy: ErrorPolicy) {
        let device = &self.volume.device;
        device.tell_watchers(finding.error.errno(), u64::from(finding.at.ino.get()));
        if policy == ErrorPolicy::Panic {
            halt(device, format_args!("panic forced after error: {finding}"));
        }
    }

    /// Writes the note into the superblock and goes on.
    fn record(&self, note: &ErrorNote<'_>) {
        if self.is_read_only() {
            return;
        }
        self.mark_error_state();
        let mut written = self.volume.change(1, |handle| {
            self.volume
                .edit_superblock(handle, |raw| raw.note_error(note))
        });
        if written == Err(Error::ReadOnly) {
            // It is frozen: there is no transaction to wait for, and the log must stay empty.
            let quiet = self.volume.journal().and_then(Journal::quiesce);
            written =
                quiet.and_then(|quiet| self.write_superblock(&quiet, |raw| raw.note_error(note)));
        }
        if let Err(error) = written {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("the error could not be recorded: {error}"),
            );
        }
    }

    /// Ends all writing, then writes the note past the journal. `false` when somebody else is at it.
    fn end_writing(&self, error: &Error, note: &ErrorNote<'_>) -> bool {
        // Asked before: a remount that finds the writing ended makes it read-only at once.
        let read_only = self.read_only.load(Ordering::Acquire);
        if self.failed.swap(true, Ordering::AcqRel) {
            return false;
        }
        if read_only {
            return true;
        }
        log(
            Level::Error,
            &self.volume.device,
            format_args!("Remounting filesystem read-only"),
        );
        self.mark_error_state();
        let written = self.volume.journal().and_then(|journal| {
            self.write_superblock(&journal.stop(*error), |raw| raw.note_error(note))
        });
        if let Err(error) = written {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("the error could not be recorded: {error}"),
            );
        }
        true
    }

    /// The state that a clean unmount writes says from now on that there were errors.
    fn mark_error_state(&self) {
        self.state_bits.fetch_or(state::ERROR, Ordering::AcqRel);
    }

    /// [`Error::ReadOnly`], or [`Error::Shutdown`] after one, unless changes are possible.
    pub fn writable(&self) -> Result {
        if self.is_read_only() {
            return Err(self.stopped());
        }
        Ok(())
    }

    /// What everything that would change the file system fails with when nothing can be changed.
    pub(super) fn stopped(&self) -> Error {
        if self.is_shut_down() {
            Error::Shutdown
        } else {
            Error::ReadOnly
        }
    }

    /// The journal stopped by itself: that is an error like any other, but nothing goes on after it.
    #[track_caller]
    pub(super) fn abort_noticed(&self, error: &Error) {
        let device = &self.volume.device;
        if *error == Error::Shutdown {
            return;
        }
        let finding = Finding {
            function: "journal",
            line: Location::caller().line(),
            at: place(error),
            error,
        };
        events::error(device, finding.at.ino, finding.at.block, error);
        damage(
            device,
            format_args!("{finding}"),
            format_args!("Detected aborted journal: {}", Bare(error)),
        );
        if self.end_writing(error, &finding.note(device)) {
            self.answered(&finding, self.effective().errors);
        }
    }

    /// What the superblock remembers of errors.
    pub fn error_record(&self) -> Result<ErrorRecord> {
        self.volume.view_superblock(RawSuperblock::error_record)
    }
}
