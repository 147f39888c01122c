// SPDX-License-Identifier: GPL-2.0

//! The file system on the host: the same files the kernel module is built from.

#[path = "../../../rust/core/mod.rs"]
pub mod core;
#[path = "../../../rust/format/mod.rs"]
pub mod format;
#[path = "../../../rust/host/mod.rs"]
pub mod host;
pub mod hostfs;
pub mod testing;
#[path = "../../../rust/trace/table.rs"]
mod trace_table;
