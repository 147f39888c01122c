// SPDX-License-Identifier: GPL-2.0

//! Many tasks at once on one file system, each in a directory of its own.

#[expect(dead_code, reason = "the model is for tests of one task")]
mod common;

use common::Op;
use host_core::core::mount::MountOptions;
use host_core::host::recording::Recording;
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, mkfs, Random};

#[test]
fn four_tasks() {
    for (seed, args) in [
        (1, &["-b", "1024", "-O", "orphan_file"][..]),
        (2, &["-b", "4096"]),
        (3, &["-b", "1024", "-J", "size=1"]),
    ] {
        let device = Recording::new(mkfs(64 << 20, args));
        let mut fs = HostFs::mount(device.clone(), &MountOptions::default()).unwrap();
        for task in 0..4 {
            fs.mkdir(&format!("/t{task}"), 0o755).unwrap();
        }
        // There is one inode in memory for each number, and these are the tasks' now.
        fs.drop_caches().unwrap();
        std::thread::scope(|scope| {
            for task in 0..4u64 {
                let mut mine = fs.share();
                scope.spawn(move || {
                    let mut random = Random::new(seed * 100 + task);
                    mine.chroot(&format!("/t{task}"));
                    for _ in 0..600 {
                        let op = Op::any(&mut random, 30_000);
                        if !op.is_below_itself() {
                            // What is refused is refused; damage would show below.
                            let _ = op.apply(&mut mine);
                        }
                    }
                    mine.finish().unwrap();
                });
            }
        });
        assert!(!fs.fs.has_failed());
        let before = fs.tree().unwrap();
        fs.unmount().unwrap();
        let image = device.contents();
        assert_clean(&image);
        let mut fs = HostFs::mount(Recording::new(image), &MountOptions::default()).unwrap();
        assert!(fs.tree().unwrap() == before);
        fs.unmount().unwrap();
    }
}
