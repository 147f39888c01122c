// SPDX-License-Identifier: GPL-2.0

//! The file system on the host: the same files the kernel module is built from.

#[path = "../../../rust/format/mod.rs"]
pub mod format;
