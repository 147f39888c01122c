// SPDX-License-Identifier: GPL-2.0

//! A safe interface to the parts of Linux that a disk file system needs.
//!
//! Paths mirror `rust/kernel/`, so that a file can be proposed there. All `unsafe` code of the
//! project is below this module, and nothing here knows of any particular file system: what a file
//! system supplies comes in through traits, one for each C structure of operations.

mod bindings;

pub mod alloc;
pub mod block;
pub mod caller;
pub mod clock;
pub mod crc;
pub mod fs;
pub mod iomap;
pub mod log;
pub mod map;
pub mod mm;
pub mod nofs;
pub mod random;
#[cfg(REXT4_SELFTEST)]
pub mod selftest;
pub mod shortage;
pub mod sync;
pub mod sysfs;
pub mod thread;
pub mod trace;
