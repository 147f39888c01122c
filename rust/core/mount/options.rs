// SPDX-License-Identifier: GPL-2.0

//! The values of mount options. Their syntax is the VFS's matter.

use crate::format::superblock::{default_mount as default, Superblock};
use core::fmt;

pub use crate::format::superblock::ErrorPolicy;

/// Seconds a transaction stays open when nobody says otherwise.
const DEFAULT_COMMIT_SECONDS: u32 = 5;
/// Above this a commit interval makes no sense (and its milliseconds would not fit 32 bits).
const MAX_COMMIT_SECONDS: u32 = 0xffff_ffff / 1000;

/// What the user asked for; `None` where nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Nothing is to be changed (`ro`). The journal is still replayed.
    pub read_only: bool,
    /// The journal is not even replayed (`noload`, `norecovery`); only with `read_only`.
    pub no_recovery: bool,
    /// What to do on errors (`errors=`); the superblock decides if not given.
    pub errors: Option<ErrorPolicy>,
    /// Seconds between commits (`commit=`); 0 is the default.
    pub commit_interval: Option<u32>,
    /// Whether commits flush the device's cache (`barrier`, `nobarrier`).
    pub barrier: Option<bool>,
    /// Whether `data=ordered` was asked for, whatever the superblock says.
    pub ordered: bool,
    /// Whether each transaction is read back from the log and compared before it counts (`verify`).
    pub verify: bool,
}

impl MountOptions {
    /// What a mount with these options has after a remount with `change`: what that says nothing of stays as it
    /// is. Whether the journal was replayed cannot be changed any more.
    pub(super) fn changed_by(&self, change: &Self) -> Self {
        Self {
            read_only: change.read_only,
            no_recovery: self.no_recovery,
            errors: change.errors.or(self.errors),
            commit_interval: change.commit_interval.or(self.commit_interval),
            barrier: change.barrier.or(self.barrier),
            ordered: self.ordered || change.ordered,
            verify: self.verify || change.verify,
        }
    }
}

/// The options in effect, nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// See [`MountOptions::errors`].
    pub errors: ErrorPolicy,
    /// Milliseconds between commits.
    pub commit_milliseconds: u32,
    /// See [`MountOptions::barrier`].
    pub barrier: bool,
}

impl Effective {
    /// What holds on this file system with these options.
    ///
    /// A superblock without a policy means remount-ro, as for C ext4.
    pub fn new(options: &MountOptions, superblock: &Superblock) -> Self {
        let errors = options
            .errors
            .or(superblock.errors)
            .unwrap_or(ErrorPolicy::RemountReadOnly);
        let seconds = match options.commit_interval {
            None | Some(0) => DEFAULT_COMMIT_SECONDS,
            Some(seconds) => seconds.min(MAX_COMMIT_SECONDS),
        };
        let quiet = superblock.default_mount_opts & default::NOBARRIER != 0;
        Self {
            errors,
            commit_milliseconds: seconds.saturating_mul(1000),
            barrier: options.barrier.unwrap_or(!quiet),
        }
    }
}

/// What `data=journal` is among the options of the superblock.
const DATA_JOURNAL: u32 = 0x20;

/// Whether writing would have to journal data: a promise that is not kept here must not be made.
pub(super) fn wants_data_journal(options: &MountOptions, superblock: &Superblock) -> bool {
    !options.ordered && superblock.default_mount_opts & default::DATA_MODE == DATA_JOURNAL
}

/// What is said when [`wants_data_journal`].
pub(super) const NO_DATA_JOURNAL: &str =
    "the superblock asks for data=journal, which is not supported (try data=ordered)";

/// Mount options that the superblock asks for (`tune2fs -o`, `-E mount_opts`) and that are not done; it
/// prints their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ignored<'a> {
    bits: u32,
    text: &'a [u8],
}

impl<'a> Ignored<'a> {
    /// Bits of the superblock's options, what they are then, and their names.
    const NAMES: [(u32, u32, &'static str); 6] = [
        (default::BSDGROUPS, default::BSDGROUPS, "bsdgroups"),
        (default::UID16, default::UID16, "nouid32"),
        (default::DATA_MODE, DATA_JOURNAL, "data=journal"),
        (default::DATA_MODE, 0x60, "data=writeback"),
        (default::DISCARD, default::DISCARD, "discard"),
        (default::NODELALLOC, default::NODELALLOC, "nodelalloc"),
    ];

    /// Those of this superblock, if there are any.
    pub(super) fn of(superblock: &'a Superblock) -> Option<Self> {
        let mut text = superblock.mount_opts.split(|byte| *byte == 0);
        let ignored = Self {
            bits: superblock.default_mount_opts,
            text: text.next().unwrap_or(&[]),
        };
        let any = ignored.names().next().is_some() || !ignored.text.is_empty();
        any.then_some(ignored)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let all = self.bits;
        let asked = Self::NAMES
            .iter()
            .filter(move |(mask, bits, _)| all & mask == *bits);
        asked.map(|(.., name)| *name)
    }
}

impl fmt::Display for Ignored<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for name in self.names() {
            f.write_str(between)?;
            f.write_str(name)?;
            between = ", ";
        }
        if !self.text.is_empty() {
            write!(f, "{between}\"{}\"", self.text.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_done_is_named() {
        let names = |bits: u32| std::format!("{}", Ignored { bits, text: b"" });
        let done =
            default::XATTR_USER | default::ACL | default::NOBARRIER | default::BLOCK_VALIDITY;
        assert_eq!(names(done | 0x40), "");
        assert_eq!(names(0x20), "data=journal");
        assert_eq!(
            names(done | 0x60 | default::BSDGROUPS | default::NODELALLOC),
            "bsdgroups, data=writeback, nodelalloc"
        );
        let text = b"errors=panic,\n";
        let both = Ignored { bits: 0x2, text };
        assert_eq!(std::format!("{both}"), r#"bsdgroups, "errors=panic,\n""#);
    }
}
