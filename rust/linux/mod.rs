// SPDX-License-Identifier: GPL-2.0

//! Safe interfaces over the kernel that the `kernel` crate does not have yet.
//!
//! The only layer with `unsafe` in it. It knows nothing of ext4.

mod bindings;
