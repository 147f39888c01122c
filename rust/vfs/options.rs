// SPDX-License-Identifier: GPL-2.0

//! Mount options: ext4's names, with ext4's meaning where there is one here.

use super::Rext4;
use crate::core::mount::{ErrorPolicy, MountOptions};
use crate::linux::fs::context::Context;
use crate::linux::fs::params::{Param, ParamSpec, ParamTable};
use kernel::prelude::*;

type Result<T = ()> = kernel::error::Result<T>;

/// The options while they are being parsed.
#[derive(Clone)]
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
/// Always on here.
const ALWAYS: u8 = 6;
/// Accepted by ext4 without any effect.
const IGNORED: u8 = 7;
/// Known to ext4, refused here.
const REFUSED: u8 = 8;
const VERIFY: u8 = 9;

/// All options.
pub(super) const TABLE: ParamTable = ParamTable::new(&[
    ParamSpec::string(c"errors", ERRORS),
    ParamSpec::u32(c"commit", COMMIT),
    ParamSpec::flag_no(c"barrier", BARRIER),
    ParamSpec::u32(c"barrier", BARRIER_VALUE),
    ParamSpec::flag(c"noload", NOLOAD),
    ParamSpec::flag(c"norecovery", NOLOAD),
    ParamSpec::string(c"data", DATA),
    ParamSpec::flag(c"verify", VERIFY),
    ParamSpec::flag(c"delalloc", ALWAYS),
    ParamSpec::flag(c"auto_da_alloc", ALWAYS),
    ParamSpec::flag(c"dioread_nolock", ALWAYS),
    ParamSpec::flag(c"block_validity", ALWAYS),
    ParamSpec::flag(c"journal_checksum", ALWAYS),
    ParamSpec::flag(c"acl", ALWAYS),
    ParamSpec::flag(c"user_xattr", ALWAYS),
    ParamSpec::flag(c"bsddf", ALWAYS),
    ParamSpec::flag(c"nogrpid", ALWAYS),
    ParamSpec::flag(c"sysvgroups", ALWAYS),
    ParamSpec::flag(c"nodiscard", ALWAYS),
    ParamSpec::flag(c"noquota", ALWAYS),
    ParamSpec::flag(c"oldalloc", IGNORED),
    ParamSpec::flag(c"orlov", IGNORED),
    ParamSpec::flag(c"bh", IGNORED),
    ParamSpec::flag(c"nobh", IGNORED),
    ParamSpec::flag(c"i_version", IGNORED),
    ParamSpec::flag(c"mblk_io_submit", IGNORED),
    ParamSpec::flag(c"nomblk_io_submit", IGNORED),
    ParamSpec::flag(c"prefetch_block_bitmaps", IGNORED),
    ParamSpec::flag(c"nocheck", IGNORED),
    ParamSpec::flag(c"reservation", IGNORED),
    ParamSpec::flag(c"noreservation", IGNORED),
    ParamSpec::flag(c"nodelalloc", REFUSED),
    ParamSpec::flag(c"noauto_da_alloc", REFUSED),
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
        DATA if param.text() == b"ordered" => {}
        DATA => {
            cx.error(format_args!("only data=ordered is supported"));
            return Err(EINVAL);
        }
        ALWAYS | IGNORED => {}
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

/// The options that parsing begins with.
pub(super) fn start(remount: Option<&crate::linux::fs::sb::SuperBlock<Rext4>>) -> Options {
    let mount = remount.map_or_else(MountOptions::default, |sb| sb.data().fs.options());
    Options { mount }
}
