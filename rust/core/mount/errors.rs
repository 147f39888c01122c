// SPDX-License-Identifier: GPL-2.0

//! What happens when the file system turns out to be damaged: one line in the log, the error fields
//! of the superblock, and the policy that `errors=` names.

use super::Filesystem;
use crate::core::error::{Error, Place, Result};
use crate::core::events;
use crate::core::platform::{clock, halt, log, Level};
use crate::format::superblock::{state, ErrorNote, ErrorPolicy};
use crate::format::units::{DiskBlock, Ino};
use core::sync::atomic::Ordering;

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

impl Filesystem {
    /// Passes a result through; damage is logged, recorded, and answered by the policy. No handle is
    /// open any more.
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
        if self.failed.load(Ordering::Acquire) {
            return Err(error);
        }
        if let Some(why) = self
            .volume
            .journal
            .as_ref()
            .and_then(|journal| journal.aborted())
        {
            self.abort_noticed(&why);
            return Err(Error::ReadOnly);
        }
        if is_damage(&error) {
            self.damaged(function, ino, &error);
        }
        Err(error)
    }

    /// Logs, records and answers one error.
    pub(super) fn damaged(&self, function: &'static str, ino: Ino, error: &Error) {
        let mut at = place(error);
        if at.ino == Ino(0) {
            at.ino = ino;
        }
        events::error(&self.volume.device, at.ino, at.block, error);
        let shown = match *error {
            Error::Corrupt(_, fault) => Error::Corrupt(at, fault),
            other => other,
        };
        log(
            Level::Damage,
            &self.volume.device,
            format_args!("{function}: {shown}"),
        );
        let (seconds, _) = clock::now();
        let note = ErrorNote {
            seconds: u64::try_from(seconds).unwrap_or(0),
            ino: (at.ino != Ino(0)).then_some(at.ino),
            block: (at.block != DiskBlock(0)).then_some(at.block),
            function,
            line: 0,
            code: code(error),
        };
        match self.effective().errors {
            ErrorPolicy::Continue => self.record(&note),
            ErrorPolicy::RemountReadOnly => self.stop(error, &note),
            ErrorPolicy::Panic => {
                self.stop(error, &note);
                halt(&self.volume.device, format_args!("{function}: {shown}"));
            }
        }
    }

    /// Writes the note into the superblock and goes on.
    fn record(&self, note: &ErrorNote<'_>) {
        if self.is_read_only() {
            return;
        }
        self.mark_error_state();
        let written = self.volume.start(1).and_then(|mut handle| {
            self.volume
                .edit_superblock(&mut handle, |raw| raw.note_error(note))
        });
        if let Err(error) = written {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("the error could not be recorded: {error}"),
            );
        }
    }

    /// Ends all writing, then writes the note past the journal.
    fn stop(&self, error: &Error, note: &ErrorNote<'_>) {
        if self.failed.swap(true, Ordering::AcqRel) || self.read_only.load(Ordering::Acquire) {
            return;
        }
        log(
            Level::Error,
            &self.volume.device,
            format_args!("remounting filesystem read-only"),
        );
        self.mark_error_state();
        if let Some(journal) = &self.volume.journal {
            journal.abort(*error);
        }
        let written = self.write_superblock(|raw| raw.note_error(note));
        if let Err(error) = written {
            log(
                Level::Error,
                &self.volume.device,
                format_args!("the error could not be recorded: {error}"),
            );
        }
    }

    /// The state that a clean unmount writes says from now on that there were errors.
    fn mark_error_state(&self) {
        self.state_bits.fetch_or(state::ERROR, Ordering::AcqRel);
    }

    /// [`Error::ReadOnly`] unless changes are possible.
    pub(super) fn writable(&self) -> Result {
        if self.is_read_only() {
            return Err(Error::ReadOnly);
        }
        Ok(())
    }

    /// The journal stopped by itself: that is an error like any other, but nothing goes on after it.
    fn abort_noticed(&self, error: &Error) {
        let (seconds, _) = clock::now();
        let note = ErrorNote {
            seconds: u64::try_from(seconds).unwrap_or(0),
            ino: None,
            block: None,
            function: "journal",
            line: 0,
            code: code(error),
        };
        log(
            Level::Error,
            &self.volume.device,
            format_args!("journal: detected aborted journal: {error}"),
        );
        self.stop(error, &note);
    }
}
