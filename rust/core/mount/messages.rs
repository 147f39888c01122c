// SPDX-License-Identifier: GPL-2.0

//! What the log says of a mount that works: the lines that C ext4 writes, in its words, for the programs
//! that look for them.

use super::Filesystem;
use crate::core::platform::{log, Device, Level};
use crate::format::superblock::{state, Checking};
use core::fmt;

/// A UUID as everybody writes it.
struct Uuid([u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            f.write_str(if matches!(n, 4 | 6 | 8 | 10) { "-" } else { "" })?;
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

fn info(device: &Device, message: fmt::Arguments<'_>) {
    log(Level::Info, device, message);
}

/// What a person should know before relying on a disk of which the superblock says this.
pub(super) fn advise(device: &Device, found: &Checking, now: u64) {
    let why = if found.state & state::VALID == 0 {
        "mounting unchecked fs"
    } else if found.state & state::ERROR != 0 {
        "mounting fs with errors"
    } else if found.mounts_are_due() {
        "maximal mount count reached"
    } else if found.time_is_due(now) {
        "checktime reached"
    } else {
        return;
    };
    log(
        Level::Warning,
        device,
        format_args!("warning: {why}, running e2fsck is recommended"),
    );
}

impl Filesystem {
    fn way(&self) -> &'static str {
        if self.is_read_only() {
            "ro"
        } else {
            "r/w"
        }
    }

    /// It is mounted.
    pub(super) fn say_mounted(&self) {
        let (uuid, way) = (Uuid(self.uuid()), self.way());
        let journal = match self.volume.journal {
            Some(_) => " ordered data mode",
            None => "out journal",
        };
        info(
            &self.volume.device,
            format_args!("mounted filesystem {uuid} {way} with{journal}. Quota mode: none."),
        );
    }

    /// It was remounted.
    pub(super) fn say_remounted(&self, was_read_only: bool) {
        let uuid = Uuid(self.uuid());
        let (space, way) = if was_read_only == self.is_read_only() {
            ("", "")
        } else {
            (" ", self.way())
        };
        info(
            &self.volume.device,
            format_args!("re-mounted {uuid}{space}{way}."),
        );
    }

    /// It is about to be unmounted.
    pub(super) fn say_unmounting(&self) {
        let uuid = Uuid(self.uuid());
        info(
            &self.volume.device,
            format_args!("unmounting filesystem {uuid}."),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid() {
        let uuid = Uuid(core::array::from_fn(|n| n as u8 * 16 + 1));
        assert_eq!(
            std::format!("{uuid}"),
            "01112131-4151-6171-8191-a1b1c1d1e1f1"
        );
    }
}
