// SPDX-License-Identifier: GPL-2.0

//! A list of edits, done to a small image that is then mounted and used.
//!
//! Half of the mutations know what an edit is, the others are those of bytes.
#![no_main]

use host_core::testing::Random;
use hostile::{edits, visit};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(damaged) = edits::apply(data) {
        visit::visit(&damaged);
    }
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(u64::from(seed));
    if random.below(2) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut list = match size {
        0 | 1 => edits::random_list(&mut random),
        _ => data[..size].to_vec(),
    };
    edits::push_random(&mut list, &mut random);
    let len = list.len().min(max_size);
    data[..len].copy_from_slice(&list[..len]);
    len
});
