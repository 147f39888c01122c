// SPDX-License-Identifier: GPL-2.0

//! rext4: an ext4 file system driver.

#![deny(unsafe_code)]

use kernel::prelude::*;

#[allow(unsafe_code)]
mod linux;

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
        pr_info!("loaded\n");
        Ok(Self)
    }
}
