// SPDX-License-Identifier: GPL-2.0

//! Any bytes to [`hostile::parsers::extent_node`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::parsers::extent_node(data));
