// SPDX-License-Identifier: GPL-2.0

//! `/sys/fs/rext4/DEVICE`: what monitoring reads of a mount, under the names that ext4 gives it.

use crate::core::mount::{ErrorRecord, Filesystem, NotedError, Written};
use crate::core::platform::Arc;
use crate::linux::sysfs::{File, Text, Values};
use core::fmt::{self, Write};
use kernel::prelude::*;

/// What one mount shows.
pub(super) struct Shown(pub(super) Arc<Filesystem>);

impl Shown {
    fn record(&self) -> Result<ErrorRecord, fmt::Error> {
        self.0.error_record().map_err(|_| fmt::Error)
    }
}

/// A file with something of the record of errors.
macro_rules! error_file {
    ($name:literal, |$record:ident| $value:expr) => {
        File::readable($name, |shown: &Shown, text: &mut Text<'_>| {
            let $record = shown.record()?;
            writeln!(text, "{}", $value)
        })
    };
}

/// A file with something of what was written.
macro_rules! written_file {
    ($name:literal, $field:ident) => {
        File::readable($name, |shown: &Shown, text: &mut Text<'_>| {
            let Written { $field, .. } = shown.0.written();
            writeln!(text, "{}", $field)
        })
    };
}

/// A function's name, up to its end; a disk may hold any bytes there.
fn write_function(error: &NotedError, text: &mut Text<'_>) -> fmt::Result {
    let name = error.function.split(|&byte| byte == 0).next();
    text.write_bytes(name.unwrap_or(&[]))?;
    text.write_str("\n")
}

/// Treats what is written as an error that was found: so monitoring and the policy can be tried.
fn trigger(shown: &Shown, text: &[u8]) -> Result {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    if !text.is_empty() {
        shown.0.test_error(text);
    }
    Ok(())
}

impl Values for Shown {
    const FILES: &'static [File<Self>] = &[
        error_file!(c"errors_count", |record| record.count),
        error_file!(c"first_error_time", |record| record.first.seconds),
        error_file!(c"first_error_ino", |record| record.first.ino),
        error_file!(c"first_error_block", |record| record.first.block),
        error_file!(c"first_error_line", |record| record.first.line),
        error_file!(c"first_error_errcode", |record| record.first.code),
        File::readable(c"first_error_func", |shown, text| {
            write_function(&shown.record()?.first, text)
        }),
        error_file!(c"last_error_time", |record| record.last.seconds),
        error_file!(c"last_error_ino", |record| record.last.ino),
        error_file!(c"last_error_block", |record| record.last.block),
        error_file!(c"last_error_line", |record| record.last.line),
        error_file!(c"last_error_errcode", |record| record.last.code),
        File::readable(c"last_error_func", |shown, text| {
            write_function(&shown.record()?.last, text)
        }),
        File::readable(c"warning_count", |shown, text| {
            writeln!(text, "{}", shown.0.device().said().warnings())
        }),
        File::readable(c"msg_count", |shown, text| {
            writeln!(text, "{}", shown.0.device().said().messages())
        }),
        written_file!(c"session_write_kbytes", session_kbytes),
        written_file!(c"lifetime_write_kbytes", lifetime_kbytes),
        written_file!(c"delayed_allocation_blocks", delayed_blocks),
        File::writable(c"trigger_fs_error", trigger),
    ];
}
