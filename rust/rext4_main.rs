// SPDX-License-Identifier: GPL-2.0

//! rext4: an ext4 file system driver.

#![deny(unsafe_code)]
// `pub` says that an item is for other layers; nothing leaves the module.
#![allow(unreachable_pub)]

use kernel::prelude::*;

mod core;
mod format;
#[allow(unsafe_code)]
mod linux;
#[path = "trace/table.rs"]
mod trace_table;

module! {
    type: Rext4,
    name: "rext4",
    authors: ["The rext4 contributors"],
    description: "ext4 file system driver in Rust",
    license: "GPL v2",
}

/// The loaded module.
struct Rext4;

impl kernel::Module for Rext4 {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        #[cfg(REXT4_SELFTEST)]
        linux::selftest::run()?;
        pr_info!("loaded\n");
        Ok(Self)
    }
}
