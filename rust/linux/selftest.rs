// SPDX-License-Identifier: GPL-2.0

//! The platform tried in a running kernel: `tools/tests/host/platform` builds it into a module of its own,
//! which overwrites the first 64 MiB of the device that is `/dev/vda`.

mod mistakes;

use super::alloc::{Arc, Vec, GFP};
use super::block::buffer::Block;
use super::block::device::{Device, WriteClass};
use super::map::{Index, RBTree};
use super::sync::{lock_class, Condvar, Mutex, SpinLock};
use super::thread::Thread;
use super::{bindings, clock, crc, log, nofs, random};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::error::from_err_ptr;
use kernel::prelude::*;

/// Fails the test that it stands in.
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            pr_err!(
                "selftest: {}:{}: {}\n",
                file!(),
                line!(),
                stringify!($condition)
            );
            return Err(EINVAL);
        }
    };
}

/// What the threads of a test share.
struct Shared {
    count: Mutex<u32>,
    changed: Condvar,
    spins: SpinLock<u32>,
    index: Index<AtomicU32>,
}

/// Runs all tests on `/dev/vda`, or makes the mistakes that it was built to make.
pub fn run() -> Result {
    // SAFETY: The path is terminated; no holder and no operations are asked for.
    let file = from_err_ptr(unsafe {
        bindings::bdev_file_open_by_path(
            c"/dev/vda".as_char_ptr(),
            bindings::BLK_OPEN_READ | bindings::BLK_OPEN_WRITE,
            ptr::null_mut(),
            ptr::null(),
        )
    })?;
    // SAFETY: The file is open until `bdev_fput`, after the last use of the device.
    let device = unsafe { Device::from_raw(bindings::file_bdev(file)) };
    let result = if cfg!(REXT4_MISTAKES) {
        mistakes::make(&device)
    } else {
        values()
            .and_then(|()| threads(&device))
            .and_then(|()| disk(&device))
    };
    drop(device);
    // SAFETY: It was opened above.
    unsafe { bindings::bdev_fput(file) };
    result
}

fn values() -> Result {
    check!(!crc::crc32c(!0, b"123456789") == 0xe306_9283);
    check!(crc::crc16(0, b"123456789") == 0xbb3d);
    check!(crc::crc32_be(!0, b"123456789") == 0x0376_e6e7);
    let _scope = nofs::NofsScope::enter();
    check!(clock::monotonic_ns() < clock::monotonic_ns() + 1);
    check!(random::random_u32() != random::random_u32() || random::random_u32() != 0);

    let mut tree = RBTree::new();
    for key in [5u32, 1, 9, 3] {
        check!(tree.insert(key, key * 10)?.is_none());
    }
    check!(tree.insert(3, 31)? == Some(30));
    check!(tree.first() == Some((&1, &10)));
    check!(tree.remove(&5) == Some(50) && tree.get(&5).is_none());
    check!(tree.iter().map(|(key, _)| *key).eq([1, 3, 9]));

    let mut block = Block::zeroed(4096)?;
    check!(block.len() == 4096 && (block.as_ptr() as usize) % 4096 == 0);
    let other = block.clone();
    check!(block.get_mut().is_none());
    drop(other);
    block.get_mut().ok_or(EINVAL)?.fill(7);
    let mut copy = block.copy()?;
    check!(copy.get_mut().is_some() && copy[4095] == 7);
    Ok(())
}

fn threads(device: &Device) -> Result {
    let shared = Shared {
        count: Mutex::new(0, lock_class!("selftest_count"))?,
        changed: Condvar::new(lock_class!("selftest_changed"))?,
        spins: SpinLock::new(0, lock_class!("selftest_spins"))?,
        index: Index::new()?,
    };
    let shared = Arc::new(shared, GFP)?;
    let mut running = Vec::new();
    for n in 0..4u64 {
        let shared = shared.clone();
        let work = move || {
            for key in 0..1000 {
                *shared.spins.lock() += 1;
                let Ok(new) = Arc::new(AtomicU32::new(0), GFP) else {
                    return;
                };
                let add = |value: &AtomicU32| {
                    value.fetch_add(1, Ordering::Relaxed);
                };
                let _ = shared
                    .index
                    .insert_or_get(key * 77 % 1000 + (n % 2) * (1 << 40), new, add);
            }
            *shared.count.lock() += 1;
            shared.changed.notify_all();
        };
        running.push(Thread::spawn("selftest", device, work)?, GFP)?;
    }
    let mut count = shared.count.lock();
    while *count < 4 {
        shared.changed.wait_idle(&mut count, 1000);
    }
    drop(count);
    running.into_iter().for_each(Thread::join);
    check!(*shared.spins.lock() == 4000);
    let mut keys = 0;
    let mut at = 0;
    while let Some(key) = shared.index.next_key(at) {
        let value = shared.index.get_with(key, |_| ()).ok_or(EINVAL)?;
        check!(value.load(Ordering::Relaxed) == 2);
        keys += 1;
        at = key + 1;
    }
    check!(keys == 2000);
    check!(shared.index.remove_if(5, |_| false).is_none());
    check!(shared.index.remove_if(5, |_| true).is_some());
    check!(shared.index.get_with(5, |_| ()).is_none());
    // A thread that is joined before it ran has run.
    let ran = Arc::new(AtomicU32::new(0), GFP)?;
    let seen = ran.clone();
    Thread::spawn("selftest-short", device, move || {
        seen.store(1, Ordering::Relaxed)
    })?
    .join();
    check!(ran.load(Ordering::Relaxed) == 1);
    Ok(())
}

fn disk(device: &Device) -> Result {
    check!(device.now().0 > 1_600_000_000);
    device.set_block_size(4096).map_err(|_| EIO)?;
    let mut blocks = Vec::new();
    // 3000 neighbours need twelve bios; then every second block.
    for at in Iterator::chain(0..3000u64, (3001..5000).step_by(2)) {
        let mut block = Block::zeroed(4096)?;
        block.get_mut().ok_or(EINVAL)?[..8].copy_from_slice(&(at ^ 0x5a5a).to_le_bytes());
        blocks.push((at, block), GFP)?;
    }
    let before = clock::monotonic_ns();
    device
        .write_blocks(&blocks, WriteClass::Journal)
        .map_err(|_| EIO)?;
    device.flush().map_err(|_| EIO)?;
    let taken = clock::monotonic_ns() - before;
    for (at, block) in blocks.iter() {
        check!(device.read_block(*at).map_err(|_| EIO)?[..] == block[..]);
    }
    let mut bytes = [0u8; 5000];
    device
        .read_bytes(4096 * 3 - 500, &mut bytes)
        .map_err(|_| EIO)?;
    check!(bytes[500..508] == (3u64 ^ 0x5a5a).to_le_bytes() && bytes[499] == 0);
    let (_, first) = blocks.first().ok_or(EINVAL)?;
    device.write_durable(9, first, true).map_err(|_| EIO)?;
    check!(device.read_block(9).map_err(|_| EIO)?[..] == first[..]);
    let end = device.size_bytes() / 4096;
    check!(device.read_block(end).is_err() && device.read_block(u64::MAX).is_err());
    check!(device.write_durable(end, first, false).is_err());
    log::log(
        log::Level::Info,
        device,
        format_args!(
            "selftest: {} blocks written in {} us",
            blocks.len(),
            taken / 1000
        ),
    );
    Ok(())
}
