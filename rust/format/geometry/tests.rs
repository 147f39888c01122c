// SPDX-License-Identifier: GPL-2.0

use super::*;

#[test]
fn powers() {
    let with_super = |n: u32| [3, 5, 7].iter().any(|base| is_power_of(n, *base));
    let found: &[u32] = &[3, 5, 7, 9, 25, 27, 49, 81, 125];
    for n in 2..200 {
        assert_eq!(with_super(n), found.contains(&n), "{n}");
    }
}
