// SPDX-License-Identifier: GPL-2.0

//! Memory management.

pub mod folio;
pub mod shrinker;
