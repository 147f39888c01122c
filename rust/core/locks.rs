// SPDX-License-Identifier: GPL-2.0

//! The ranks of the locks: every lock of the file system that is held together with another.
//! `Documentation/locking.md` says what each protects.

use super::platform::{lock_class, teach_order, LockClass, LockMap};

/// An open handle. No lock, but who opens one waits for the commit thread, which waits for all that
/// are open: [`LockMap::might_wait`] where something waits for a commit.
pub static HANDLE: LockMap = LockMap::new(lock_class!("rext4_handle"));

/// Transactions that wait for a checkpoint; the commit thread's.
pub static CHECKPOINTS: LockClass = lock_class!("rext4_checkpoints");
/// The log's position; the commit thread's.
pub static LOG: LockClass = lock_class!("rext4_log");
/// The list of orphans and the orphan file's slots.
pub static ORPHANS: LockClass = lock_class!("rext4_orphans");
/// The fields of an inode.
pub static INODE: LockClass = lock_class!("rext4_inode");
/// The extent tree of an inode.
pub static MAP: LockClass = lock_class!("rext4_map");
/// The handing back of freed blocks to their groups.
pub static COLLECTING: LockClass = lock_class!("rext4_collecting");
/// The allocation state of a block group.
pub static GROUP: LockClass = lock_class!("rext4_group");
/// The version of a metadata block.
pub static BUFFER: LockClass = lock_class!("rext4_buffer");
/// The version of a block of group descriptors.
pub static DESCRIPTORS: LockClass = lock_class!("rext4_descriptors");
/// The open transaction and the counters of the journal.
pub static JOURNAL_STATE: LockClass = lock_class!("rext4_journal_state");

/// Makes lockdep report whoever takes two of them in another order than this, at the first time.
pub fn teach() {
    teach_order(&[
        CHECKPOINTS,
        LOG,
        HANDLE.class(),
        ORPHANS,
        INODE,
        MAP,
        COLLECTING,
        GROUP,
        BUFFER,
        DESCRIPTORS,
        JOURNAL_STATE,
    ]);
}
