// SPDX-License-Identifier: GPL-2.0

//! Any bytes to [`hostile::parsers::inode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::parsers::inode(data));
