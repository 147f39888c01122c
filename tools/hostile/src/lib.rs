// SPDX-License-Identifier: GPL-2.0

//! Disks that want to do harm: what is fuzzed, and what makes damaged images.
//!
//! A damaged image is a seed image, which mkfs and this driver make when they are needed, and a list
//! of edits. [`places`] knows where the structures of a seed are, [`edits`] reads a list of edits from
//! any bytes, [`seal`] makes their checksums right again, [`visit`] mounts the result and does a little
//! of everything; [`fixed`] knows what may be in the blocks of fixed metadata afterwards. [`parsers`] does the same to each parser of `format` alone.

pub mod edits;
pub mod fixed;
pub mod overlay;
pub mod parsers;
pub mod places;
pub mod seal;
pub mod seeds;
pub mod visit;
