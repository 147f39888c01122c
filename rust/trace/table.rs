// SPDX-License-Identifier: GPL-2.0

//! Every trace event once: its name and the raw values it is given. The names and the order of the
//! values are those of `rext4.h`; `linux::trace` makes calls of them, `host::trace` nothing.

/// Hands the table to the macro `$each`.
macro_rules! for_each_event {
    ($each:ident) => {
        $each! {
            /// A device was mounted.
            fn mount(dev: u32, block_size: u32, read_only: u32);
            /// A log was replayed at mount.
            fn recover(dev: u32, transactions: u32, blocks: u32);
            /// A handle is wanted that may change so many blocks.
            fn journal_start(dev: u32, blocks: u32);
            /// A handle was opened: transaction, credits.
            fn handle_start(dev: u32, tid: u32, requested_blocks: u32);
            /// A handle was closed: life in ns, credits asked for and spent.
            fn handle_stats(dev: u32, tid: u32, interval: u64, requested_blocks: u32, dirtied_blocks: u32);
            /// A handle asked for more credits.
            fn handle_extend(dev: u32, tid: u32, buffer_credits: u32, requested_blocks: u32);
            /// A handle went on in a new transaction.
            fn handle_restart(dev: u32, tid: u32, requested_blocks: u32);
            /// The commit thread took up a transaction.
            fn start_commit(dev: u32, sync_commit: u32, tid: u32);
            /// It waits for the open handles.
            fn commit_locking(dev: u32, sync_commit: u32, tid: u32);
            /// It computes checksums and takes the versions to write.
            fn commit_flushing(dev: u32, sync_commit: u32, tid: u32);
            /// It writes the log.
            fn commit_logging(dev: u32, sync_commit: u32, tid: u32);
            /// The transaction is durable; `head` is the oldest that is not checkpointed.
            fn end_commit(dev: u32, sync_commit: u32, tid: u32, head: u32);
            /// What the commit took: times in ns.
            fn run_stats(dev: u32, tid: u32, running: u64, locked: u64, flushing: u64, logging: u64, handle_count: u32, blocks: u32, blocks_logged: u32);
            /// A checkpoint was made.
            fn checkpoint(dev: u32, result: i32);
            /// A transaction's blocks went home: time in ns, blocks written and left to newer versions.
            fn checkpoint_stats(dev: u32, tid: u32, chp_time: u64, written: u32, dropped: u32);
            /// A transaction left the log.
            fn drop_transaction(dev: u32, sync_commit: u32, tid: u32);
            /// The log's tail moved.
            fn update_log_tail(dev: u32, tail_sequence: u32, first_tid: u32, block_nr: u32, freed: u32);
            /// The journal superblock is written.
            fn write_superblock(dev: u32);
            /// A metadata block was found in memory.
            fn cache_hit(dev: u32, block: u64);
            /// A metadata block had to be read.
            fn cache_miss(dev: u32, block: u64);
            /// A run of blocks is wanted for a file.
            fn request_blocks(dev: u32, ino: u64, goal: u64, len: u32, logical: u32);
            /// A run of blocks was found: it is in flight.
            fn allocate_blocks(dev: u32, ino: u64, block: u64, goal: u64, len: u32, logical: u32);
            /// A file gets a window for its next blocks.
            fn mb_new_inode_pa(dev: u32, ino: u64, pa_pstart: u64, pa_lstart: u64, pa_len: u32);
            /// The rest of a window is given up.
            fn mb_release_inode_pa(dev: u32, block: u64, count: u32);
            /// Blocks are freed; they can be allocated after the commit.
            fn free_blocks(dev: u32, block: u64, count: u64);
            /// Freed blocks can be allocated again.
            fn mballoc_free(dev: u32, result_group: u32, result_start: u32, result_len: u32);
            /// A group's block bitmap is read into memory.
            fn mb_bitmap_load(dev: u32, group: u32);
            /// A group's inode bitmap is read into memory.
            fn load_inode_bitmap(dev: u32, group: u32);
            /// An inode number is wanted in directory `dir`.
            fn request_inode(dev: u32, dir: u64, mode: u32);
            /// An inode number was taken.
            fn allocate_inode(dev: u32, ino: u64, dir: u64, mode: u32);
            /// A block is looked up in the extent status.
            fn es_lookup_extent_enter(dev: u32, ino: u64, lblk: u32);
            /// What the extent status knew: `found` 1, or 0 if the tree has to be asked.
            fn es_lookup_extent_exit(dev: u32, ino: u64, pblk: u64, lblk: u32, len: u32, found: u32, status: u32);
            /// The extent status of blocks changed or became known.
            fn es_insert_extent(dev: u32, ino: u64, seq: u64, pblk: u64, lblk: u32, len: u32, status: u32);
            /// Blocks became delayed.
            fn es_insert_delayed_extent(dev: u32, ino: u64, seq: u64, pblk: u64, lblk: u32, len: u32, status: u32);
            /// The delayed run around a block is looked for.
            fn es_find_extent_range_enter(dev: u32, ino: u64, lblk: u32);
            /// The delayed run that was found.
            fn es_find_extent_range_exit(dev: u32, ino: u64, pblk: u64, lblk: u32, len: u32, status: u32);
            /// The extent tree is asked.
            fn ext_map_blocks_enter(dev: u32, ino: u64, lblk: u32, len: u32, flags: u32);
            /// What the extent tree said; `mflags` is a status.
            fn ext_map_blocks_exit(dev: u32, ino: u64, flags: u32, pblk: u64, lblk: u32, len: u32, mflags: u32, ret: i32);
            /// An extent was found in the tree.
            fn ext_show_extent(dev: u32, ino: u64, pblk: u64, lblk: u32, len: u32);
            /// An extent was entered in the tree.
            fn ext_insert(dev: u32, ino: u64, lblk: u32, pblk: u64, len: u32, unwritten: u32, depth: u32);
            /// Unwritten blocks became written ones.
            fn ext_convert(dev: u32, ino: u64, lblk: u32, pblk: u64, len: u32);
            /// Blocks are taken out of the tree.
            fn ext_remove_space(dev: u32, ino: u64, start: u32, end: u32, depth: u32);
            /// Space was promised to delayed blocks: all that is promised to the inode, in blocks.
            fn da_reserve_space(dev: u32, ino: u64, i_blocks: u64, reserve_blocks: u32, reserved_data_blocks: u64);
            /// Delayed blocks got their places: what is still promised to the inode, in blocks.
            fn da_update_reserve_space(dev: u32, ino: u64, i_blocks: u64, used_blocks: u32, reserved_data_blocks: u64);
            /// Delayed blocks were given up: what is still promised to the inode, in blocks.
            fn da_release_space(dev: u32, ino: u64, i_blocks: u64, freed_blocks: u32, reserved_data_blocks: u64);
            /// A part of a delayed run is about to be written.
            fn da_write_pages_extent(dev: u32, ino: u64, lblk: u64, len: u32, flags: u32);
            /// Blocks are in flight: an ordered extent.
            fn ordered_add(dev: u32, ino: u64, lblk: u32, pblk: u64, len: u32);
            /// The disk knows an ordered extent now; `fresh` 0 if its blocks were allocated, but unwritten.
            fn ordered_finish(dev: u32, ino: u64, lblk: u32, pblk: u64, len: u32, fresh: u32);
            /// An ordered extent was given up.
            fn ordered_fail(dev: u32, ino: u64, lblk: u32, pblk: u64, len: u32);
            /// A name was looked up in directory `dir`; `ino` is 0 if it is not there.
            fn lookup(dev: u32, dir: u64, ino: u64);
            /// A name of an inode is about to go.
            fn unlink_enter(dev: u32, parent: u64, ino: u64, size: u64);
            /// A name of an inode is gone, or not: `ret` is 0 or a negative errno.
            fn unlink_exit(dev: u32, ino: u64, ret: i32);
            /// An inode was read from its table.
            fn load_inode(dev: u32, ino: u64);
            /// An inode's record changes, in the open transaction.
            fn mark_inode_dirty(dev: u32, ino: u64);
            /// An inode number is free again.
            fn free_inode(dev: u32, ino: u64, mode: u32, blocks: u64);
            /// Nobody uses an inode any more.
            fn evict_inode(dev: u32, ino: u64, nlink: u32);
            /// A file is about to be cut; `blocks` are those it has.
            fn truncate_enter(dev: u32, ino: u64, blocks: u64);
            /// A file was cut.
            fn truncate_exit(dev: u32, ino: u64, blocks: u64);
            /// An inode is noted to be finished by the next mount, should this one not get to it.
            fn orphan_add(dev: u32, ino: u64);
            /// That note is gone.
            fn orphan_del(dev: u32, ino: u64);
            /// A write to the page cache maps its range.
            fn da_write_begin(dev: u32, ino: u64, pos: u64, len: u64);
            /// What of that range the page cache took.
            fn da_write_end(dev: u32, ino: u64, pos: u64, len: u64, copied: u64);
            /// A direct write begins; `extend`: past the end of the file, `shared`: among others.
            fn dio_write(dev: u32, ino: u64, pos: u64, len: u64, extend: u32, shared: u32);
            /// A pass of writing back begins.
            fn writepages(dev: u32, ino: u64, nr_to_write: i64, pages_skipped: i64, range_start: u64, range_end: u64, writeback_index: u64, sync_mode: u32, for_kupdate: u32, range_cyclic: u32);
            /// A pass of writing back has ended.
            fn writepages_result(dev: u32, ino: u64, ret: i32, pages_written: i64, pages_skipped: i64, writeback_index: u64, sync_mode: u32);
            /// A dirty part of a locked folio is mapped.
            fn writepage(dev: u32, ino: u64, pos: u64, len: u32);
            /// A file is being made durable; its data was written.
            fn sync_file_enter(dev: u32, ino: u64, datasync: u32);
            /// A file is durable, or not.
            fn sync_file_exit(dev: u32, ino: u64, ret: i32);
            /// All metadata is being made durable.
            fn sync_fs(dev: u32, wait: u32);
            /// Data is sent to the device. `ordered`: metadata has to follow.
            fn ordered_submit(dev: u32, ino: u64, pos: u64, len: u64, sector: u64, ordered: u32);
            /// The device has answered; seen by the completion worker.
            fn ordered_end(dev: u32, ino: u64, pos: u64, len: u64, error: i32);
            /// A request is sent.
            fn bio_submit(dev: u32, sector: u64, bytes: u32, op: u32);
            /// A request, with all that were chained to it, has ended.
            fn bio_end(dev: u32, sector: u64, bytes: u32, error: i32);
            /// A run was searched for; `result_len` of it, from `result_start` in `result_group`.
            fn mballoc_alloc(dev: u32, ino: u64, goal_group: u32, goal_start: u32, goal_len: u32, result_group: u32, result_start: u32, result_len: u32);
            /// A run came out of the inode's window.
            fn mballoc_prealloc(dev: u32, ino: u64, goal_group: u32, goal_start: u32, goal_len: u32, result_group: u32, result_start: u32, result_len: u32);
            /// A device was unmounted.
            fn unmount(dev: u32, clean: u32);
            /// Something on the disk cannot be, or could not be read: see the kernel log.
            fn error(dev: u32, ino: u64, block: u64, errno: i32);
        }
    };
}
pub(crate) use for_each_event;
