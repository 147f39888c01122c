// SPDX-License-Identifier: GPL-2.0

//! Events of writing files. Positions and lengths are in bytes unless they are blocks by type.

use super::{code, number};
use crate::core::error::Result;
use crate::core::platform::{trace, Device};
use crate::format::units::Ino;

/// A write to the page cache maps its range.
pub fn da_write_begin(device: &Device, ino: Ino, pos: u64, len: u64) {
    emit!(da_write_begin(device.dev(), number(ino), pos, len));
}

/// The page cache took `copied` bytes of the range.
pub fn da_write_end(device: &Device, ino: Ino, pos: u64, len: u64, copied: u64) {
    emit!(da_write_end(device.dev(), number(ino), pos, len, copied));
}

/// A direct write begins; `extend` past the end of the file, `shared` among others.
pub fn dio_write(device: &Device, ino: Ino, pos: u64, len: u64, extend: bool, shared: bool) {
    emit!(dio_write(
        device.dev(),
        number(ino),
        pos,
        len,
        u32::from(extend),
        u32::from(shared)
    ));
}

/// What the kernel asks of a pass of writing back.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Pages it should write; negative is a result of writing large folios.
    pub pages: i64,
    /// Pages that were passed over.
    pub skipped: i64,
    /// The range of bytes, the end included.
    pub range: (u64, u64),
    /// Where the next pass goes on, in pages.
    pub next_page: u64,
    /// Somebody waits for it.
    pub sync: bool,
    /// It is the periodic one.
    pub periodic: bool,
    /// It goes round the file from where the last has stopped.
    pub cyclic: bool,
}

/// A pass of writing back begins.
pub fn writepages(device: &Device, ino: Ino, pass: impl FnOnce() -> Pass) {
    if trace::writepages::enabled() {
        let pass = pass();
        trace::writepages::emit(
            device.dev(),
            number(ino),
            pass.pages,
            pass.skipped,
            pass.range.0,
            pass.range.1,
            pass.next_page,
            u32::from(pass.sync),
            u32::from(pass.periodic),
            u32::from(pass.cyclic),
        );
    }
}

/// A pass of writing back has ended with `ret`, 0 or a negative errno, having written `written`
/// pages.
pub fn writepages_result(
    device: &Device,
    ino: Ino,
    ret: i32,
    written: i64,
    pass: impl FnOnce() -> Pass,
) {
    if trace::writepages_result::enabled() {
        let pass = pass();
        trace::writepages_result::emit(
            device.dev(),
            number(ino),
            ret,
            written,
            pass.skipped,
            pass.next_page,
            u32::from(pass.sync),
        );
    }
}

/// A dirty part of a locked folio is mapped.
pub fn writepage(device: &Device, ino: Ino, pos: u64, len: u32) {
    emit!(writepage(device.dev(), number(ino), pos, len));
}

/// Data is sent to the device; `ordered` if metadata has to follow.
pub fn ordered_submit(device: &Device, ino: Ino, pos: u64, len: u64, sector: u64, ordered: bool) {
    emit!(ordered_submit(
        device.dev(),
        number(ino),
        pos,
        len,
        sector,
        u32::from(ordered)
    ));
}

/// The device has answered with `error`, 0 or a negative errno.
pub fn ordered_end(device: &Device, ino: Ino, pos: u64, len: u64, error: i32) {
    emit!(ordered_end(device.dev(), number(ino), pos, len, error));
}

/// A file is being made durable; its data was written.
pub fn sync_file_enter(device: &Device, ino: Ino, datasync: bool) {
    emit!(sync_file_enter(
        device.dev(),
        number(ino),
        u32::from(datasync)
    ));
}

/// A file is durable, or not.
pub fn sync_file_exit<T>(device: &Device, ino: Ino, result: &Result<T>) {
    emit!(sync_file_exit(device.dev(), number(ino), code(result)));
}

/// All metadata is being made durable.
pub fn sync_fs(device: &Device, wait: bool) {
    emit!(sync_fs(device.dev(), u32::from(wait)));
}
