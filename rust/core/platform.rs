// SPDX-License-Identifier: GPL-2.0

//! The one place where the two worlds meet: the same names from `linux` in the kernel and from
//! `host` everywhere else.

#[cfg(not(REXT4_KERNEL))]
pub(crate) use crate::host::{
    alloc::{memory_size, wait_for_memory, AllocError, Arc, ArcRoom, Vec, GFP},
    block::Block,
    caller, clock, crc,
    device::{Device, DeviceError, WriteClass},
    log::{damage, halt, log, Level},
    map::{Index, RBTree},
    nofs::NofsScope,
    random::random_u32,
    shortage,
    sync::{
        lock_class, teach_order, Condvar, LockClass, LockMap, LockMapGuard, Mutex, MutexGuard,
        SpinLock, SpinLockGuard,
    },
    thread::Thread,
    trace,
};

#[cfg(REXT4_KERNEL)]
pub(crate) use crate::linux::{
    alloc::{memory_size, wait_for_memory, AllocError, Arc, ArcRoom, Vec, GFP},
    block::buffer::Block,
    block::device::{Device, DeviceError, WriteClass},
    caller, clock, crc,
    log::{damage, halt, log, Level},
    map::{Index, RBTree},
    nofs::NofsScope,
    random::random_u32,
    shortage,
    sync::{
        lock_class, teach_order, Condvar, LockClass, LockMap, LockMapGuard, Mutex, MutexGuard,
        SpinLock, SpinLockGuard,
    },
    thread::Thread,
    trace,
};
