// SPDX-License-Identifier: GPL-2.0

//! Any bytes to [`hostile::parsers::orphan_block`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::parsers::orphan_block(data));
