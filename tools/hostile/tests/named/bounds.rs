// SPDX-License-Identifier: GPL-2.0

//! What costs more than it may is seen.

use crate::disk::{Disk, SMALL};

#[test]
#[should_panic(expected = "bytes: Cost")]
fn memory_without_bounds() {
    let mut disk = Disk::new(SMALL);
    let fs = disk.mount().unwrap();
    let read = |block| fs.fs.device().read_block(block).unwrap();
    let kept: Vec<_> = (0..2048).map(read).collect();
    drop(kept);
    fs.unmount().unwrap();
}

#[test]
#[should_panic(expected = "reads: Cost")]
fn reads_without_bounds() {
    let mut disk = Disk::new(SMALL);
    let fs = disk.mount().unwrap();
    for _ in 0..300_000 {
        fs.fs.device().read_block(1).unwrap();
    }
    fs.unmount().unwrap();
}

#[test]
#[should_panic(expected = "bytes of a mount are left")]
fn memory_that_nobody_gives_back() {
    let _kept;
    let mut disk = Disk::new(SMALL);
    let fs = disk.mount().unwrap();
    _kept = fs.fs.device().read_block(1).unwrap();
    fs.unmount().unwrap();
}
