// SPDX-License-Identifier: GPL-2.0

//! A disk on which others have left nothing at all: not even what we keep back for tree nodes.

use super::disk::{self, free_counts};
use host_core::core::error::{Error, Result};
use host_core::hostfs::HostFs;
use host_core::testing::{assert_clean, mkfs, run, TempFile};

const SIZE: u64 = 4 << 20;
/// Blocks of the preallocated file.
const UNWRITTEN: u64 = 200;
/// The nodes of its tree when every third block is written.
const NODES: u64 = 2;

/// A disk without a free block: a file that reads as zeroes, and one that fills the rest.
fn image() -> Vec<u8> {
    let empty = mkfs(SIZE, &["-b", "1024", "-J", "size=1", "-m", "0", "-N", "64"]);
    let disk = TempFile::with(&empty);
    let source = TempFile::with(&vec![0xba; SIZE as usize]);
    let commands = [
        "mkdir /world".into(),
        "write /dev/null /world/u".into(),
        format!("fallocate /world/u 0 {}", UNWRITTEN - 1),
        format!("sif /world/u size {}", UNWRITTEN << 10),
        format!("write {} /ballast", source.0.display()),
    ];
    for command in &commands {
        run("debugfs", &["-w", "-R", command], &disk.0);
    }
    // What debugfs could not write has left counts behind that e2fsck puts right.
    run("e2fsck", &["-fy"], &disk.0);
    let image = std::fs::read(&disk.0).unwrap();
    assert_eq!(free_counts(&image).0, 0);
    image
}

/// Lets `blocks` blocks become free, of which nobody can have one but for tree nodes. Without `sync`
/// they are free when the next transaction is durable.
fn give(fs: &mut HostFs, blocks: u64, sync: bool) {
    let mut size = fs.resolve("/ballast").unwrap().disk_size();
    while fs.fs.statistics().free < blocks {
        size -= 1024;
        fs.truncate("/ballast", size).unwrap();
    }
    if sync {
        fs.sync().unwrap();
    }
}

/// Every third block, so that each is three extents instead of one.
fn overwrite(fs: &mut HostFs, direct: bool) -> (u64, Result) {
    for n in (1..UNWRITTEN).step_by(3) {
        let done = if direct {
            fs.write_direct("/u", n << 10, &[n as u8; 1024])
        } else {
            fs.write("/u", n << 10, &[n as u8; 1024])
        };
        if done.is_err() {
            return (n, done);
        }
    }
    (UNWRITTEN, Ok(()))
}

/// Writes into preallocated blocks have no space promised for tree nodes but the pool, and others have
/// taken that: the sync tells of what is lost, and with a few blocks nothing is.
#[test]
fn overwriting_preallocated_blocks() {
    let image = image();
    for direct in [false, true] {
        let enough = (0..10).find(|&free| {
            let what = format!("{free} free, direct: {direct}");
            let (device, mut fs) = disk::mount(&image, |fs| give(fs, free, direct));
            let (end, done) = overwrite(&mut fs, direct);
            assert!(
                matches!(done, Ok(()) | Err(Error::NoSpace)),
                "{what}: {done:?}"
            );
            let seen = fs.tree().unwrap();
            let synced = fs.sync();
            fs.drop_caches().unwrap();
            let kept = seen == fs.tree().unwrap();
            match synced {
                Ok(()) => assert!(kept, "{what}: something is lost"),
                Err(error) => assert_eq!(error, Error::NoSpace, "{what}"),
            }
            for n in (1..end).step_by(3) {
                let at = (n as usize) << 10;
                let here = &seen["/u"].contents[at..][..1024];
                assert!(
                    here.iter().all(|byte| *byte == n as u8),
                    "{what}: block {n}"
                );
            }
            assert_eq!(fs.fs.written().delayed_blocks, 0, "{what}");
            fs.unmount().unwrap();
            assert_clean(&device.contents());
            done.is_ok() && kept
        });
        assert_eq!(enough, Some(NODES), "direct: {direct}");
    }
}
