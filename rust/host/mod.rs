// SPDX-License-Identifier: GPL-2.0

//! The kernel services that `core` uses, on std: the twin of the same names in `linux`.
//!
//! It knows nothing of ext4. Where the kernel can fail (allocation), so can the signature here.
#![forbid(unsafe_code)]

pub mod alloc;
pub mod block;
pub mod caller;
pub mod clock;
pub mod crc;
pub mod device;
pub mod failing;
pub mod ledger;
mod lock_order;
pub mod log;
pub mod map;
pub mod nofs;
pub mod overlay;
pub mod random;
pub mod recording;
pub mod shortage;
pub mod sync;
pub mod thread;
pub mod trace;
