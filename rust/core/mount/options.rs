// SPDX-License-Identifier: GPL-2.0

//! The values of mount options. Their syntax is the VFS's matter.

use crate::format::superblock::{default_mount, Superblock};

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
    /// Whether each transaction is read back from the log and compared before it counts (`verify`).
    pub verify: bool,
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
        let quiet = superblock.default_mount_opts & default_mount::NOBARRIER != 0;
        Self {
            errors,
            commit_milliseconds: seconds.saturating_mul(1000),
            barrier: options.barrier.unwrap_or(!quiet),
        }
    }
}
