// SPDX-License-Identifier: GPL-2.0

//! rext4: an ext4 file system driver.

#![deny(unsafe_code)]
// `pub` says that an item is for other layers; nothing leaves the module.
#![allow(unreachable_pub)]

use kernel::prelude::*;

// Libraries: the host's tests and the samples use parts of them that the module does not.
pub mod core;
pub mod format;
#[allow(unsafe_code)]
pub mod linux;
#[path = "trace/table.rs"]
mod trace_table;
mod vfs;

module! {
    type: Rext4,
    name: "rext4",
    authors: ["The rext4 contributors"],
    description: "ext4 file system driver in Rust",
    license: "GPL v2",
    alias: ["fs-rext4"],
    params: {
        ext4: bool {
            default: false,
            description: "Mount ext4 by this driver, if no other has the name",
        },
        ext3: bool {
            default: false,
            description: "Mount ext3 by this driver, if no other has the name",
        },
        ext2: bool {
            default: false,
            description: "Mount ext2 by this driver, if no other has the name",
        },
    },
}

/// The loaded module: the names it is registered under.
struct Rext4 {
    _registration: linux::fs::context::Registration<vfs::Rext4>,
}

impl kernel::Module for Rext4 {
    fn init(module: &'static ThisModule) -> Result<Self> {
        #[cfg(REXT4_SELFTEST)]
        linux::selftest::run()?;
        let names = [
            (module_parameters::ext4.value(), c"ext4"),
            (module_parameters::ext3.value(), c"ext3"),
            (module_parameters::ext2.value(), c"ext2"),
        ];
        let aliases = names
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, name)| name);
        Ok(Self {
            _registration: vfs::register(module, aliases)?,
        })
    }
}
