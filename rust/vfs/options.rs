// SPDX-License-Identifier: GPL-2.0

//! Mount options: ext4's names, with ext4's meaning where there is one here.

use crate::core::mount::{ErrorPolicy, MountOptions};
use crate::linux::fs::context::Context;
use crate::linux::fs::params::{Param, ParamSpec, ParamTable};
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// The options while they are being parsed.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(super) mount: MountOptions,
}

// What each option is, as `Param::id` tells it.
const ERRORS: u8 = 0;
const COMMIT: u8 = 1;
const BARRIER: u8 = 2;
const BARRIER_VALUE: u8 = 3;
const NOLOAD: u8 = 4;
const DATA: u8 = 5;
/// What it asks for is so in any case, or it only is about speed: without effect.
const NO_EFFECT: u8 = 6;
/// ext4 has removed it.
const REMOVED: u8 = 7;
/// Known to ext4, refused here.
const REFUSED: u8 = 8;
const VERIFY: u8 = 9;
const DATA_ERR: u8 = 10;
const DAX: u8 = 11;

/// All options. `Documentation/mount.md` says which does what.
pub(super) const TABLE: ParamTable = ParamTable::new(&[
    ParamSpec::string(c"errors", ERRORS),
    ParamSpec::u32(c"commit", COMMIT),
    ParamSpec::flag_no(c"barrier", BARRIER),
    ParamSpec::u32(c"barrier", BARRIER_VALUE),
    ParamSpec::flag(c"noload", NOLOAD),
    ParamSpec::flag(c"norecovery", NOLOAD),
    ParamSpec::string(c"data", DATA),
    ParamSpec::flag(c"verify", VERIFY),
    ParamSpec::string(c"data_err", DATA_ERR),
    ParamSpec::u32(c"auto_da_alloc", NO_EFFECT),
    ParamSpec::string(c"dax", DAX),
    // What `/proc/mounts` says of a mount that has ended comes back with a remount.
    ParamSpec::flag(c"emergency_ro", NO_EFFECT),
    ParamSpec::flag(c"shutdown", NO_EFFECT),
    ParamSpec::flag(c"delalloc", NO_EFFECT),
    ParamSpec::flag(c"auto_da_alloc", NO_EFFECT),
    ParamSpec::flag(c"noauto_da_alloc", NO_EFFECT),
    ParamSpec::flag(c"dioread_nolock", NO_EFFECT),
    ParamSpec::flag(c"nodioread_nolock", NO_EFFECT),
    ParamSpec::flag(c"dioread_lock", NO_EFFECT),
    ParamSpec::flag(c"block_validity", NO_EFFECT),
    ParamSpec::flag(c"noblock_validity", NO_EFFECT),
    ParamSpec::flag(c"journal_checksum", NO_EFFECT),
    ParamSpec::flag(c"nojournal_checksum", NO_EFFECT),
    ParamSpec::flag(c"acl", NO_EFFECT),
    ParamSpec::flag(c"user_xattr", NO_EFFECT),
    ParamSpec::flag(c"bsddf", NO_EFFECT),
    ParamSpec::flag(c"nogrpid", NO_EFFECT),
    ParamSpec::flag(c"sysvgroups", NO_EFFECT),
    ParamSpec::flag(c"nodiscard", NO_EFFECT),
    ParamSpec::flag(c"noquota", NO_EFFECT),
    ParamSpec::flag(c"debug", NO_EFFECT),
    ParamSpec::flag(c"nowarn_on_error", NO_EFFECT),
    ParamSpec::flag(c"init_itable", NO_EFFECT),
    ParamSpec::u32(c"init_itable", NO_EFFECT),
    ParamSpec::flag(c"noinit_itable", NO_EFFECT),
    ParamSpec::u32(c"stripe", NO_EFFECT),
    ParamSpec::u32(c"inode_readahead_blks", NO_EFFECT),
    ParamSpec::u32(c"journal_ioprio", NO_EFFECT),
    ParamSpec::u32(c"min_batch_time", NO_EFFECT),
    ParamSpec::u32(c"max_batch_time", NO_EFFECT),
    ParamSpec::string(c"mb_optimize_scan", NO_EFFECT),
    ParamSpec::flag(c"no_prefetch_block_bitmaps", NO_EFFECT),
    ParamSpec::flag(c"nombcache", NO_EFFECT),
    ParamSpec::flag(c"no_mbcache", NO_EFFECT),
    ParamSpec::flag(c"oldalloc", REMOVED),
    ParamSpec::flag(c"orlov", REMOVED),
    ParamSpec::flag(c"bh", REMOVED),
    ParamSpec::flag(c"nobh", REMOVED),
    ParamSpec::flag(c"i_version", REMOVED),
    ParamSpec::flag(c"mblk_io_submit", REMOVED),
    ParamSpec::flag(c"nomblk_io_submit", REMOVED),
    ParamSpec::flag(c"prefetch_block_bitmaps", REMOVED),
    ParamSpec::string(c"check", REMOVED),
    ParamSpec::flag(c"nocheck", REMOVED),
    ParamSpec::flag(c"reservation", REMOVED),
    ParamSpec::flag(c"noreservation", REMOVED),
    ParamSpec::u32(c"journal", REMOVED),
    ParamSpec::flag(c"nodelalloc", REFUSED),
    ParamSpec::flag(c"discard", REFUSED),
    ParamSpec::flag(c"usrquota", REFUSED),
    ParamSpec::flag(c"grpquota", REFUSED),
    ParamSpec::flag(c"prjquota", REFUSED),
    ParamSpec::flag(c"quota", REFUSED),
    ParamSpec::flag(c"dax", REFUSED),
    ParamSpec::flag(c"journal_async_commit", REFUSED),
    ParamSpec::flag(c"minixdf", REFUSED),
    ParamSpec::flag(c"grpid", REFUSED),
    ParamSpec::flag(c"bsdgroups", REFUSED),
    ParamSpec::u32(c"sb", REFUSED),
    ParamSpec::END,
]);

/// Takes in one option.
pub(super) fn parse(options: &mut Options, param: &Param<'_>, cx: &Context<'_>) -> Result {
    let mount = &mut options.mount;
    match param.id() {
        ERRORS => mount.errors = Some(error_policy(param, cx)?),
        COMMIT => mount.commit_interval = Some(commit_interval(param, cx)?),
        BARRIER => mount.barrier = Some(!param.is_negated()),
        BARRIER_VALUE => mount.barrier = Some(param.number() != 0),
        NOLOAD => mount.no_recovery = true,
        VERIFY => mount.verify = true,
        DATA if param.text() == b"ordered" => mount.ordered = true,
        DATA => {
            cx.error(format_args!("only data=ordered is supported"));
            return Err(EINVAL);
        }
        DATA_ERR if param.text() == b"ignore" => {}
        DATA_ERR => {
            cx.error(format_args!("only data_err=ignore is supported"));
            return Err(EINVAL);
        }
        DAX if matches!(param.text(), b"never" | b"inode") => {}
        NO_EFFECT => {}
        REMOVED => pr_warn!("Ignoring removed {} option\n", param.name()),
        _ => {
            cx.error(format_args!("the option {} is not supported", param.name()));
            return Err(EOPNOTSUPP);
        }
    }
    Ok(())
}

fn error_policy(param: &Param<'_>, cx: &Context<'_>) -> Result<ErrorPolicy> {
    match param.text() {
        b"continue" => Ok(ErrorPolicy::Continue),
        b"remount-ro" => Ok(ErrorPolicy::RemountReadOnly),
        b"panic" => Ok(ErrorPolicy::Panic),
        _ => {
            cx.error(format_args!(
                "errors= must be continue, remount-ro or panic"
            ));
            Err(EINVAL)
        }
    }
}

fn commit_interval(param: &Param<'_>, cx: &Context<'_>) -> Result<u32> {
    /// What ext4 allows: `INT_MAX` jiffies at 1000 Hz.
    const MOST: u32 = i32::MAX as u32 / 1000;
    if param.number() > MOST {
        cx.error(format_args!(
            "commit={} is more than {MOST} seconds",
            param.number()
        ));
        return Err(EINVAL);
    }
    Ok(param.number())
}
