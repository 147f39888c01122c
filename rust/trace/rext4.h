/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trace events of rext4.
 *
 * Units: `lblk` and `pblk` are blocks inside a file and on the disk, `len` and `blocks` count blocks, `pos`, `offset`
 * and `bytes` count bytes, `ino` is an inode number, `tid` and `transaction` are journal sequence numbers, times are
 * nanoseconds. Every event begins with `dev`, the device. An event that the C driver or jbd2 has under the same name
 * has the same field names.
 *
 * The table of the same events for Rust is table.rs; the compiler compares the two.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM rext4
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE rext4

#if !defined(_REXT4_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _REXT4_TRACE_H

#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

/* A device was mounted. */
TRACE_EVENT(rext4_mount,
	TP_PROTO(u32 dev, u32 block_size, u32 read_only),
	TP_ARGS(dev, block_size, read_only),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, block_size)
		__field(u32, read_only)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->block_size = block_size;
		__entry->read_only = read_only;
	),
	TP_printk("dev %d,%d block_size %u read_only %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->block_size, __entry->read_only)
);

/* A log was replayed at mount. */
TRACE_EVENT(rext4_recover,
	TP_PROTO(u32 dev, u32 transactions, u32 blocks),
	TP_ARGS(dev, transactions, blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, transactions)
		__field(u32, blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->transactions = transactions;
		__entry->blocks = blocks;
	),
	TP_printk("dev %d,%d transactions %u blocks %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->transactions, __entry->blocks)
);

/*
 * Journal handles.
 */

/* A handle is wanted that may change so many blocks. */
TRACE_EVENT(rext4_journal_start,
	TP_PROTO(u32 dev, u32 blocks),
	TP_ARGS(dev, blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->blocks = blocks;
	),
	TP_printk("dev %d,%d blocks %u", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->blocks)
);

DECLARE_EVENT_CLASS(rext4_handle_start_class,
	TP_PROTO(u32 dev, u32 tid, u32 requested_blocks),
	TP_ARGS(dev, tid, requested_blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, tid)
		__field(u32, requested_blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tid = tid;
		__entry->requested_blocks = requested_blocks;
	),
	TP_printk("dev %d,%d tid %u requested_blocks %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->tid, __entry->requested_blocks)
);

DEFINE_EVENT(rext4_handle_start_class, rext4_handle_start,
	TP_PROTO(u32 dev, u32 tid, u32 requested_blocks),
	TP_ARGS(dev, tid, requested_blocks)
);

DEFINE_EVENT(rext4_handle_start_class, rext4_handle_restart,
	TP_PROTO(u32 dev, u32 tid, u32 requested_blocks),
	TP_ARGS(dev, tid, requested_blocks)
);

TRACE_EVENT(rext4_handle_extend,
	TP_PROTO(u32 dev, u32 tid, u32 buffer_credits, u32 requested_blocks),
	TP_ARGS(dev, tid, buffer_credits, requested_blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, tid)
		__field(u32, buffer_credits)
		__field(u32, requested_blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tid = tid;
		__entry->buffer_credits = buffer_credits;
		__entry->requested_blocks = requested_blocks;
	),
	TP_printk("dev %d,%d tid %u buffer_credits %u requested_blocks %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->tid,
		  __entry->buffer_credits, __entry->requested_blocks)
);

TRACE_EVENT(rext4_handle_stats,
	TP_PROTO(u32 dev, u32 tid, u64 interval, u32 requested_blocks, u32 dirtied_blocks),
	TP_ARGS(dev, tid, interval, requested_blocks, dirtied_blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, tid)
		__field(u64, interval)
		__field(u32, requested_blocks)
		__field(u32, dirtied_blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tid = tid;
		__entry->interval = interval;
		__entry->requested_blocks = requested_blocks;
		__entry->dirtied_blocks = dirtied_blocks;
	),
	TP_printk("dev %d,%d tid %u interval %llu requested_blocks %u dirtied_blocks %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->tid, __entry->interval,
		  __entry->requested_blocks, __entry->dirtied_blocks)
);

/*
 * The commit thread.
 */

DECLARE_EVENT_CLASS(rext4_commit,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction),
	TP_ARGS(dev, sync_commit, transaction),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, sync_commit)
		__field(u32, transaction)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->sync_commit = sync_commit;
		__entry->transaction = transaction;
	),
	TP_printk("dev %d,%d transaction %u sync %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->transaction, __entry->sync_commit)
);

DEFINE_EVENT(rext4_commit, rext4_start_commit,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction),
	TP_ARGS(dev, sync_commit, transaction)
);

DEFINE_EVENT(rext4_commit, rext4_commit_locking,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction),
	TP_ARGS(dev, sync_commit, transaction)
);

DEFINE_EVENT(rext4_commit, rext4_commit_flushing,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction),
	TP_ARGS(dev, sync_commit, transaction)
);

DEFINE_EVENT(rext4_commit, rext4_commit_logging,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction),
	TP_ARGS(dev, sync_commit, transaction)
);

DEFINE_EVENT(rext4_commit, rext4_drop_transaction,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction),
	TP_ARGS(dev, sync_commit, transaction)
);

TRACE_EVENT(rext4_end_commit,
	TP_PROTO(u32 dev, u32 sync_commit, u32 transaction, u32 head_tid),
	TP_ARGS(dev, sync_commit, transaction, head_tid),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, sync_commit)
		__field(u32, transaction)
		__field(u32, head)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->sync_commit = sync_commit;
		__entry->transaction = transaction;
		__entry->head = head_tid;
	),
	TP_printk("dev %d,%d transaction %u sync %u head %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->transaction, __entry->sync_commit, __entry->head)
);

TRACE_EVENT(rext4_run_stats,
	TP_PROTO(u32 dev, u32 tid, u64 running, u64 locked, u64 flushing, u64 logging, u32 handle_count, u32 blocks,
		 u32 blocks_logged),
	TP_ARGS(dev, tid, running, locked, flushing, logging, handle_count, blocks, blocks_logged),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, tid)
		__field(u64, running)
		__field(u64, locked)
		__field(u64, flushing)
		__field(u64, logging)
		__field(u32, handle_count)
		__field(u32, blocks)
		__field(u32, blocks_logged)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tid = tid;
		__entry->running = running;
		__entry->locked = locked;
		__entry->flushing = flushing;
		__entry->logging = logging;
		__entry->handle_count = handle_count;
		__entry->blocks = blocks;
		__entry->blocks_logged = blocks_logged;
	),
	TP_printk("dev %d,%d tid %u running %llu locked %llu flushing %llu logging %llu handle_count %u blocks %u "
		  "blocks_logged %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->tid, __entry->running, __entry->locked,
		  __entry->flushing, __entry->logging, __entry->handle_count, __entry->blocks, __entry->blocks_logged)
);

TRACE_EVENT(rext4_checkpoint,
	TP_PROTO(u32 dev, s32 result),
	TP_ARGS(dev, result),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(s32, result)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->result = result;
	),
	TP_printk("dev %d,%d result %d", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->result)
);

TRACE_EVENT(rext4_checkpoint_stats,
	TP_PROTO(u32 dev, u32 tid, u64 chp_time, u32 written, u32 dropped),
	TP_ARGS(dev, tid, chp_time, written, dropped),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, tid)
		__field(u64, chp_time)
		__field(u32, written)
		__field(u32, dropped)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tid = tid;
		__entry->chp_time = chp_time;
		__entry->written = written;
		__entry->dropped = dropped;
	),
	TP_printk("dev %d,%d tid %u chp_time %llu written %u dropped %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->tid, __entry->chp_time, __entry->written,
		  __entry->dropped)
);

TRACE_EVENT(rext4_update_log_tail,
	TP_PROTO(u32 dev, u32 tail_sequence, u32 first_tid, u32 block_nr, u32 freed),
	TP_ARGS(dev, tail_sequence, first_tid, block_nr, freed),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, tail_sequence)
		__field(u32, first_tid)
		__field(u32, block_nr)
		__field(u32, freed)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->tail_sequence = tail_sequence;
		__entry->first_tid = first_tid;
		__entry->block_nr = block_nr;
		__entry->freed = freed;
	),
	TP_printk("dev %d,%d tail_sequence %u first_tid %u block_nr %u freed %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->tail_sequence, __entry->first_tid,
		  __entry->block_nr, __entry->freed)
);

TRACE_EVENT(rext4_write_superblock,
	TP_PROTO(u32 dev),
	TP_ARGS(dev),
	TP_STRUCT__entry(
		__field(dev_t, dev)
	),
	TP_fast_assign(
		__entry->dev = dev;
	),
	TP_printk("dev %d,%d", MAJOR(__entry->dev), MINOR(__entry->dev))
);

/*
 * Metadata blocks in memory.
 */

DECLARE_EVENT_CLASS(rext4_cache,
	TP_PROTO(u32 dev, u64 pblk),
	TP_ARGS(dev, pblk),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, pblk)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->pblk = pblk;
	),
	TP_printk("dev %d,%d pblk %llu", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->pblk)
);

DEFINE_EVENT(rext4_cache, rext4_cache_hit,
	TP_PROTO(u32 dev, u64 pblk),
	TP_ARGS(dev, pblk)
);

DEFINE_EVENT(rext4_cache, rext4_cache_miss,
	TP_PROTO(u32 dev, u64 pblk),
	TP_ARGS(dev, pblk)
);

/*
 * Allocation of blocks and inode numbers.
 */

/* A run of blocks is wanted for a file. */
TRACE_EVENT(rext4_request_blocks,
	TP_PROTO(u32 dev, u64 ino, u64 goal, u32 len, u32 logical),
	TP_ARGS(dev, ino, goal, len, logical),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, goal)
		__field(u32, len)
		__field(u32, logical)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->goal = goal;
		__entry->len = len;
		__entry->logical = logical;
	),
	TP_printk("dev %d,%d ino %llu goal %llu len %u logical %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->goal, __entry->len, __entry->logical)
);

/* A run of blocks was found: it is in flight. */
TRACE_EVENT(rext4_allocate_blocks,
	TP_PROTO(u32 dev, u64 ino, u64 block, u64 goal, u32 len, u32 logical),
	TP_ARGS(dev, ino, block, goal, len, logical),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, block)
		__field(u64, goal)
		__field(u32, len)
		__field(u32, logical)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->block = block;
		__entry->goal = goal;
		__entry->len = len;
		__entry->logical = logical;
	),
	TP_printk("dev %d,%d ino %llu block %llu goal %llu len %u logical %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->block, __entry->goal, __entry->len, __entry->logical)
);

/* A file gets a window for its next blocks. */
TRACE_EVENT(rext4_mb_new_inode_pa,
	TP_PROTO(u32 dev, u64 ino, u64 pa_pstart, u64 pa_lstart, u32 pa_len),
	TP_ARGS(dev, ino, pa_pstart, pa_lstart, pa_len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pa_pstart)
		__field(u64, pa_lstart)
		__field(u32, pa_len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pa_pstart = pa_pstart;
		__entry->pa_lstart = pa_lstart;
		__entry->pa_len = pa_len;
	),
	TP_printk("dev %d,%d ino %llu pa_pstart %llu pa_lstart %llu pa_len %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pa_pstart, __entry->pa_lstart, __entry->pa_len)
);

/* The rest of a window is given up. */
TRACE_EVENT(rext4_mb_release_inode_pa,
	TP_PROTO(u32 dev, u64 block, u32 count),
	TP_ARGS(dev, block, count),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, block)
		__field(u32, count)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->block = block;
		__entry->count = count;
	),
	TP_printk("dev %d,%d block %llu count %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->block, __entry->count)
);

/* Blocks are freed; they can be allocated after the commit. */
TRACE_EVENT(rext4_free_blocks,
	TP_PROTO(u32 dev, u64 block, u64 count),
	TP_ARGS(dev, block, count),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, block)
		__field(u64, count)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->block = block;
		__entry->count = count;
	),
	TP_printk("dev %d,%d block %llu count %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->block, __entry->count)
);

/* Freed blocks can be allocated again. */
TRACE_EVENT(rext4_mballoc_free,
	TP_PROTO(u32 dev, u32 result_group, u32 result_start, u32 result_len),
	TP_ARGS(dev, result_group, result_start, result_len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, result_group)
		__field(u32, result_start)
		__field(u32, result_len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->result_group = result_group;
		__entry->result_start = result_start;
		__entry->result_len = result_len;
	),
	TP_printk("dev %d,%d result_group %u result_start %u result_len %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->result_group, __entry->result_start, __entry->result_len)
);

DECLARE_EVENT_CLASS(rext4_bitmap_load,
	TP_PROTO(u32 dev, u32 group),
	TP_ARGS(dev, group),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, group)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->group = group;
	),
	TP_printk("dev %d,%d group %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->group)
);

/* A group's block bitmap is read into memory. */
DEFINE_EVENT(rext4_bitmap_load, rext4_mb_bitmap_load,
	TP_PROTO(u32 dev, u32 group),
	TP_ARGS(dev, group)
);

/* A group's inode bitmap is read into memory. */
DEFINE_EVENT(rext4_bitmap_load, rext4_load_inode_bitmap,
	TP_PROTO(u32 dev, u32 group),
	TP_ARGS(dev, group)
);

/* An inode number is wanted in directory `dir`. */
TRACE_EVENT(rext4_request_inode,
	TP_PROTO(u32 dev, u64 dir, u32 mode),
	TP_ARGS(dev, dir, mode),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, dir)
		__field(u32, mode)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->dir = dir;
		__entry->mode = mode;
	),
	TP_printk("dev %d,%d dir %llu mode %#o",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->dir, __entry->mode)
);

/* An inode number was taken. */
TRACE_EVENT(rext4_allocate_inode,
	TP_PROTO(u32 dev, u64 ino, u64 dir, u32 mode),
	TP_ARGS(dev, ino, dir, mode),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, dir)
		__field(u32, mode)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->dir = dir;
		__entry->mode = mode;
	),
	TP_printk("dev %d,%d ino %llu dir %llu mode %#o",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->dir, __entry->mode)
);

/*
 * Where the blocks of files are.
 *
 * A status is one letter each: written, unwritten, delayed, hole, in flight.
 */

#define rext4_show_status(status) __print_flags(status, "", \
	{ 1, "W" }, { 2, "U" }, { 4, "D" }, { 8, "H" }, { 16, "F" })

/* A block is looked up in the extent status. */
DECLARE_EVENT_CLASS(rext4_es_enter_class,
	TP_PROTO(u32 dev, u64 ino, u32 lblk),
	TP_ARGS(dev, ino, lblk),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, lblk)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->lblk = lblk;
	),
	TP_printk("dev %d,%d ino %llu lblk %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->lblk)
);

DEFINE_EVENT(rext4_es_enter_class, rext4_es_lookup_extent_enter,
	TP_PROTO(u32 dev, u64 ino, u32 lblk),
	TP_ARGS(dev, ino, lblk)
);

/* What the extent status knew: `found` 1, or 0 if the tree has to be asked. */
TRACE_EVENT(rext4_es_lookup_extent_exit,
	TP_PROTO(u32 dev, u64 ino, u64 pblk, u32 lblk, u32 len, u32 found, u32 status),
	TP_ARGS(dev, ino, pblk, lblk, len, found, status),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pblk)
		__field(u32, lblk)
		__field(u32, len)
		__field(u32, found)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pblk = pblk;
		__entry->lblk = lblk;
		__entry->len = len;
		__entry->found = found;
		__entry->status = status;
	),
	TP_printk("dev %d,%d ino %llu pblk %llu lblk %u len %u found %u status %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pblk, __entry->lblk, __entry->len, __entry->found, rext4_show_status(__entry->status))
);

/* The extent status of blocks changed or became known. */
DECLARE_EVENT_CLASS(rext4_es_insert_class,
	TP_PROTO(u32 dev, u64 ino, u64 seq, u64 pblk, u32 lblk, u32 len, u32 status),
	TP_ARGS(dev, ino, seq, pblk, lblk, len, status),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, seq)
		__field(u64, pblk)
		__field(u32, lblk)
		__field(u32, len)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->seq = seq;
		__entry->pblk = pblk;
		__entry->lblk = lblk;
		__entry->len = len;
		__entry->status = status;
	),
	TP_printk("dev %d,%d ino %llu seq %llu pblk %llu lblk %u len %u status %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->seq, __entry->pblk, __entry->lblk, __entry->len, rext4_show_status(__entry->status))
);

DEFINE_EVENT(rext4_es_insert_class, rext4_es_insert_extent,
	TP_PROTO(u32 dev, u64 ino, u64 seq, u64 pblk, u32 lblk, u32 len, u32 status),
	TP_ARGS(dev, ino, seq, pblk, lblk, len, status)
);

/* Blocks became delayed. */
DEFINE_EVENT(rext4_es_insert_class, rext4_es_insert_delayed_extent,
	TP_PROTO(u32 dev, u64 ino, u64 seq, u64 pblk, u32 lblk, u32 len, u32 status),
	TP_ARGS(dev, ino, seq, pblk, lblk, len, status)
);

/* The delayed run around a block is looked for. */
DEFINE_EVENT(rext4_es_enter_class, rext4_es_find_extent_range_enter,
	TP_PROTO(u32 dev, u64 ino, u32 lblk),
	TP_ARGS(dev, ino, lblk)
);

/* The delayed run that was found. */
TRACE_EVENT(rext4_es_find_extent_range_exit,
	TP_PROTO(u32 dev, u64 ino, u64 pblk, u32 lblk, u32 len, u32 status),
	TP_ARGS(dev, ino, pblk, lblk, len, status),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pblk)
		__field(u32, lblk)
		__field(u32, len)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pblk = pblk;
		__entry->lblk = lblk;
		__entry->len = len;
		__entry->status = status;
	),
	TP_printk("dev %d,%d ino %llu pblk %llu lblk %u len %u status %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pblk, __entry->lblk, __entry->len, rext4_show_status(__entry->status))
);

/* The extent tree is asked. */
TRACE_EVENT(rext4_ext_map_blocks_enter,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u32 len, u32 flags),
	TP_ARGS(dev, ino, lblk, len, flags),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, lblk)
		__field(u32, len)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->lblk = lblk;
		__entry->len = len;
		__entry->flags = flags;
	),
	TP_printk("dev %d,%d ino %llu lblk %u len %u flags %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->lblk, __entry->len, __entry->flags)
);

/* What the extent tree said; `mflags` is a status. */
TRACE_EVENT(rext4_ext_map_blocks_exit,
	TP_PROTO(u32 dev, u64 ino, u32 flags, u64 pblk, u32 lblk, u32 len, u32 mflags, s32 ret),
	TP_ARGS(dev, ino, flags, pblk, lblk, len, mflags, ret),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, flags)
		__field(u64, pblk)
		__field(u32, lblk)
		__field(u32, len)
		__field(u32, mflags)
		__field(s32, ret)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->flags = flags;
		__entry->pblk = pblk;
		__entry->lblk = lblk;
		__entry->len = len;
		__entry->mflags = mflags;
		__entry->ret = ret;
	),
	TP_printk("dev %d,%d ino %llu flags %u pblk %llu lblk %u len %u mflags %s ret %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->flags, __entry->pblk, __entry->lblk, __entry->len, rext4_show_status(__entry->mflags), __entry->ret)
);

/* An extent was found in the tree. */
TRACE_EVENT(rext4_ext_show_extent,
	TP_PROTO(u32 dev, u64 ino, u64 pblk, u32 lblk, u32 len),
	TP_ARGS(dev, ino, pblk, lblk, len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pblk)
		__field(u32, lblk)
		__field(u32, len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pblk = pblk;
		__entry->lblk = lblk;
		__entry->len = len;
	),
	TP_printk("dev %d,%d ino %llu pblk %llu lblk %u len %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pblk, __entry->lblk, __entry->len)
);

/* An extent was entered in the tree. */
TRACE_EVENT(rext4_ext_insert,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u64 pblk, u32 len, u32 unwritten, u32 depth),
	TP_ARGS(dev, ino, lblk, pblk, len, unwritten, depth),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, lblk)
		__field(u64, pblk)
		__field(u32, len)
		__field(u32, unwritten)
		__field(u32, depth)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->lblk = lblk;
		__entry->pblk = pblk;
		__entry->len = len;
		__entry->unwritten = unwritten;
		__entry->depth = depth;
	),
	TP_printk("dev %d,%d ino %llu lblk %u pblk %llu len %u unwritten %u depth %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->lblk, __entry->pblk, __entry->len, __entry->unwritten, __entry->depth)
);

/* Unwritten blocks became written ones. */
DECLARE_EVENT_CLASS(rext4_ordered_class,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u64 pblk, u32 len),
	TP_ARGS(dev, ino, lblk, pblk, len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, lblk)
		__field(u64, pblk)
		__field(u32, len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->lblk = lblk;
		__entry->pblk = pblk;
		__entry->len = len;
	),
	TP_printk("dev %d,%d ino %llu lblk %u pblk %llu len %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->lblk, __entry->pblk, __entry->len)
);

DEFINE_EVENT(rext4_ordered_class, rext4_ext_convert,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u64 pblk, u32 len),
	TP_ARGS(dev, ino, lblk, pblk, len)
);

/* Blocks are taken out of the tree. */
TRACE_EVENT(rext4_ext_remove_space,
	TP_PROTO(u32 dev, u64 ino, u32 start, u32 end, u32 depth),
	TP_ARGS(dev, ino, start, end, depth),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, start)
		__field(u32, end)
		__field(u32, depth)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->start = start;
		__entry->end = end;
		__entry->depth = depth;
	),
	TP_printk("dev %d,%d ino %llu start %u end %u depth %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->start, __entry->end, __entry->depth)
);

/* Space was promised to delayed blocks: all that is promised to the inode, in blocks. */
TRACE_EVENT(rext4_da_reserve_space,
	TP_PROTO(u32 dev, u64 ino, u64 i_blocks, u32 reserve_blocks, u64 reserved_data_blocks),
	TP_ARGS(dev, ino, i_blocks, reserve_blocks, reserved_data_blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, i_blocks)
		__field(u32, reserve_blocks)
		__field(u64, reserved_data_blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->i_blocks = i_blocks;
		__entry->reserve_blocks = reserve_blocks;
		__entry->reserved_data_blocks = reserved_data_blocks;
	),
	TP_printk("dev %d,%d ino %llu i_blocks %llu reserve_blocks %u reserved_data_blocks %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->i_blocks, __entry->reserve_blocks, __entry->reserved_data_blocks)
);

/* Delayed blocks got their places: what is still promised to the inode, in blocks. */
TRACE_EVENT(rext4_da_update_reserve_space,
	TP_PROTO(u32 dev, u64 ino, u64 i_blocks, u32 used_blocks, u64 reserved_data_blocks),
	TP_ARGS(dev, ino, i_blocks, used_blocks, reserved_data_blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, i_blocks)
		__field(u32, used_blocks)
		__field(u64, reserved_data_blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->i_blocks = i_blocks;
		__entry->used_blocks = used_blocks;
		__entry->reserved_data_blocks = reserved_data_blocks;
	),
	TP_printk("dev %d,%d ino %llu i_blocks %llu used_blocks %u reserved_data_blocks %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->i_blocks, __entry->used_blocks, __entry->reserved_data_blocks)
);

/* Delayed blocks were given up: what is still promised to the inode, in blocks. */
TRACE_EVENT(rext4_da_release_space,
	TP_PROTO(u32 dev, u64 ino, u64 i_blocks, u32 freed_blocks, u64 reserved_data_blocks),
	TP_ARGS(dev, ino, i_blocks, freed_blocks, reserved_data_blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, i_blocks)
		__field(u32, freed_blocks)
		__field(u64, reserved_data_blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->i_blocks = i_blocks;
		__entry->freed_blocks = freed_blocks;
		__entry->reserved_data_blocks = reserved_data_blocks;
	),
	TP_printk("dev %d,%d ino %llu i_blocks %llu freed_blocks %u reserved_data_blocks %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->i_blocks, __entry->freed_blocks, __entry->reserved_data_blocks)
);

/* A part of a delayed run is about to be written. */
TRACE_EVENT(rext4_da_write_pages_extent,
	TP_PROTO(u32 dev, u64 ino, u64 lblk, u32 len, u32 flags),
	TP_ARGS(dev, ino, lblk, len, flags),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, lblk)
		__field(u32, len)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->lblk = lblk;
		__entry->len = len;
		__entry->flags = flags;
	),
	TP_printk("dev %d,%d ino %llu lblk %llu len %u flags %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->lblk, __entry->len, __entry->flags)
);

/* Blocks are in flight: an ordered extent. */
DEFINE_EVENT(rext4_ordered_class, rext4_ordered_add,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u64 pblk, u32 len),
	TP_ARGS(dev, ino, lblk, pblk, len)
);

/* The disk knows an ordered extent now; `fresh` 0 if its blocks were allocated, but unwritten. */
TRACE_EVENT(rext4_ordered_finish,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u64 pblk, u32 len, u32 fresh),
	TP_ARGS(dev, ino, lblk, pblk, len, fresh),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, lblk)
		__field(u64, pblk)
		__field(u32, len)
		__field(u32, fresh)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->lblk = lblk;
		__entry->pblk = pblk;
		__entry->len = len;
		__entry->fresh = fresh;
	),
	TP_printk("dev %d,%d ino %llu lblk %u pblk %llu len %u fresh %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->lblk, __entry->pblk, __entry->len, __entry->fresh)
);

/* An ordered extent was given up. */
DEFINE_EVENT(rext4_ordered_class, rext4_ordered_fail,
	TP_PROTO(u32 dev, u64 ino, u32 lblk, u64 pblk, u32 len),
	TP_ARGS(dev, ino, lblk, pblk, len)
);

/*
 * Names and inodes.
 */

/* A name was looked up in directory `dir`; `ino` is 0 if it is not there. */
TRACE_EVENT(rext4_lookup,
	TP_PROTO(u32 dev, u64 dir, u64 ino),
	TP_ARGS(dev, dir, ino),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, dir)
		__field(u64, ino)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->dir = dir;
		__entry->ino = ino;
	),
	TP_printk("dev %d,%d dir %llu ino %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->dir, __entry->ino)
);

/* A name of an inode is about to go. */
TRACE_EVENT(rext4_unlink_enter,
	TP_PROTO(u32 dev, u64 parent, u64 ino, u64 size),
	TP_ARGS(dev, parent, ino, size),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, parent)
		__field(u64, ino)
		__field(u64, size)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->parent = parent;
		__entry->ino = ino;
		__entry->size = size;
	),
	TP_printk("dev %d,%d parent %llu ino %llu size %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->parent, __entry->ino, __entry->size)
);

/* A name of an inode is gone, or not: `ret` is 0 or a negative errno. */
DECLARE_EVENT_CLASS(rext4_result_class,
	TP_PROTO(u32 dev, u64 ino, s32 ret),
	TP_ARGS(dev, ino, ret),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(s32, ret)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->ret = ret;
	),
	TP_printk("dev %d,%d ino %llu ret %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->ret)
);

DEFINE_EVENT(rext4_result_class, rext4_unlink_exit,
	TP_PROTO(u32 dev, u64 ino, s32 ret),
	TP_ARGS(dev, ino, ret)
);

DECLARE_EVENT_CLASS(rext4_load_inode_class,
	TP_PROTO(u32 dev, u64 ino),
	TP_ARGS(dev, ino),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
	),
	TP_printk("dev %d,%d ino %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino)
);

/* An inode was read from its table. */
DEFINE_EVENT(rext4_load_inode_class, rext4_load_inode,
	TP_PROTO(u32 dev, u64 ino),
	TP_ARGS(dev, ino)
);

/* An inode's record changes, in the open transaction. */
DEFINE_EVENT(rext4_load_inode_class, rext4_mark_inode_dirty,
	TP_PROTO(u32 dev, u64 ino),
	TP_ARGS(dev, ino)
);

/* An inode number is free again. */
TRACE_EVENT(rext4_free_inode,
	TP_PROTO(u32 dev, u64 ino, u32 mode, u64 blocks),
	TP_ARGS(dev, ino, mode, blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, mode)
		__field(u64, blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->mode = mode;
		__entry->blocks = blocks;
	),
	TP_printk("dev %d,%d ino %llu mode %u blocks %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->mode, __entry->blocks)
);

/* Nobody uses an inode any more. */
TRACE_EVENT(rext4_evict_inode,
	TP_PROTO(u32 dev, u64 ino, u32 nlink),
	TP_ARGS(dev, ino, nlink),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, nlink)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->nlink = nlink;
	),
	TP_printk("dev %d,%d ino %llu nlink %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->nlink)
);

DECLARE_EVENT_CLASS(rext4_truncate_enter_class,
	TP_PROTO(u32 dev, u64 ino, u64 blocks),
	TP_ARGS(dev, ino, blocks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, blocks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->blocks = blocks;
	),
	TP_printk("dev %d,%d ino %llu blocks %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->blocks)
);

/* A file is about to be cut; `blocks` are those it has. */
DEFINE_EVENT(rext4_truncate_enter_class, rext4_truncate_enter,
	TP_PROTO(u32 dev, u64 ino, u64 blocks),
	TP_ARGS(dev, ino, blocks)
);

/* A file was cut. */
DEFINE_EVENT(rext4_truncate_enter_class, rext4_truncate_exit,
	TP_PROTO(u32 dev, u64 ino, u64 blocks),
	TP_ARGS(dev, ino, blocks)
);

/* An inode is noted to be finished by the next mount, should this one not get to it. */
DEFINE_EVENT(rext4_load_inode_class, rext4_orphan_add,
	TP_PROTO(u32 dev, u64 ino),
	TP_ARGS(dev, ino)
);

/* That note is gone. */
DEFINE_EVENT(rext4_load_inode_class, rext4_orphan_del,
	TP_PROTO(u32 dev, u64 ino),
	TP_ARGS(dev, ino)
);

/*
 * Writing files.
 */

/* A write to the page cache maps its range. */
TRACE_EVENT(rext4_da_write_begin,
	TP_PROTO(u32 dev, u64 ino, u64 pos, u64 len),
	TP_ARGS(dev, ino, pos, len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pos)
		__field(u64, len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
	),
	TP_printk("dev %d,%d ino %llu pos %llu len %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pos, __entry->len)
);

/* What of that range the page cache took. */
TRACE_EVENT(rext4_da_write_end,
	TP_PROTO(u32 dev, u64 ino, u64 pos, u64 len, u64 copied),
	TP_ARGS(dev, ino, pos, len, copied),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pos)
		__field(u64, len)
		__field(u64, copied)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
		__entry->copied = copied;
	),
	TP_printk("dev %d,%d ino %llu pos %llu len %llu copied %llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pos, __entry->len,
		  __entry->copied)
);

/* A direct write begins; `extend`: past the end of the file, `shared`: among others. */
TRACE_EVENT(rext4_dio_write,
	TP_PROTO(u32 dev, u64 ino, u64 pos, u64 len, u32 extend, u32 shared),
	TP_ARGS(dev, ino, pos, len, extend, shared),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pos)
		__field(u64, len)
		__field(u32, extend)
		__field(u32, shared)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
		__entry->extend = extend;
		__entry->shared = shared;
	),
	TP_printk("dev %d,%d ino %llu pos %llu len %llu extend %u shared %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pos, __entry->len,
		  __entry->extend, __entry->shared)
);

/* A pass of writing back begins. */
TRACE_EVENT(rext4_writepages,
	TP_PROTO(u32 dev, u64 ino, s64 nr_to_write, s64 pages_skipped, u64 range_start, u64 range_end,
		 u64 writeback_index, u32 sync_mode, u32 for_kupdate, u32 range_cyclic),
	TP_ARGS(dev, ino, nr_to_write, pages_skipped, range_start, range_end, writeback_index, sync_mode,
		for_kupdate, range_cyclic),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(s64, nr_to_write)
		__field(s64, pages_skipped)
		__field(u64, range_start)
		__field(u64, range_end)
		__field(u64, writeback_index)
		__field(u32, sync_mode)
		__field(u32, for_kupdate)
		__field(u32, range_cyclic)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->nr_to_write = nr_to_write;
		__entry->pages_skipped = pages_skipped;
		__entry->range_start = range_start;
		__entry->range_end = range_end;
		__entry->writeback_index = writeback_index;
		__entry->sync_mode = sync_mode;
		__entry->for_kupdate = for_kupdate;
		__entry->range_cyclic = range_cyclic;
	),
	TP_printk("dev %d,%d ino %llu nr_to_write %lld pages_skipped %lld range_start %llu "
		  "range_end %llu writeback_index %llu sync_mode %u for_kupdate %u range_cyclic %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->nr_to_write,
		  __entry->pages_skipped, __entry->range_start, __entry->range_end, __entry->writeback_index,
		  __entry->sync_mode, __entry->for_kupdate, __entry->range_cyclic)
);

/* A pass of writing back has ended. */
TRACE_EVENT(rext4_writepages_result,
	TP_PROTO(u32 dev, u64 ino, s32 ret, s64 pages_written, s64 pages_skipped, u64 writeback_index,
		 u32 sync_mode),
	TP_ARGS(dev, ino, ret, pages_written, pages_skipped, writeback_index, sync_mode),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(s32, ret)
		__field(s64, pages_written)
		__field(s64, pages_skipped)
		__field(u64, writeback_index)
		__field(u32, sync_mode)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->ret = ret;
		__entry->pages_written = pages_written;
		__entry->pages_skipped = pages_skipped;
		__entry->writeback_index = writeback_index;
		__entry->sync_mode = sync_mode;
	),
	TP_printk("dev %d,%d ino %llu ret %d pages_written %lld pages_skipped %lld writeback_index "
		  "%llu sync_mode %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->ret,
		  __entry->pages_written, __entry->pages_skipped, __entry->writeback_index, __entry->sync_mode)
);

/* A dirty part of a locked folio is mapped. */
TRACE_EVENT(rext4_writepage,
	TP_PROTO(u32 dev, u64 ino, u64 pos, u32 len),
	TP_ARGS(dev, ino, pos, len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pos)
		__field(u32, len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
	),
	TP_printk("dev %d,%d ino %llu pos %llu len %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pos, __entry->len)
);

/* A file is being made durable; its data was written. */
TRACE_EVENT(rext4_sync_file_enter,
	TP_PROTO(u32 dev, u64 ino, u32 datasync),
	TP_ARGS(dev, ino, datasync),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, datasync)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->datasync = datasync;
	),
	TP_printk("dev %d,%d ino %llu datasync %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->datasync)
);

/* A file is durable, or not. */
DEFINE_EVENT(rext4_result_class, rext4_sync_file_exit,
	TP_PROTO(u32 dev, u64 ino, s32 ret),
	TP_ARGS(dev, ino, ret)
);

/* All metadata is being made durable. */
TRACE_EVENT(rext4_sync_fs,
	TP_PROTO(u32 dev, u32 wait),
	TP_ARGS(dev, wait),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, wait)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->wait = wait;
	),
	TP_printk("dev %d,%d wait %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->wait)
);

/*
 * Ordered extents: data on its way, of which the disk's metadata knows nothing yet.
 */

/* Data is sent to the device. `ordered`: metadata has to follow. */
TRACE_EVENT(rext4_ordered_submit,
	TP_PROTO(u32 dev, u64 ino, u64 pos, u64 len, u64 sector, u32 ordered),
	TP_ARGS(dev, ino, pos, len, sector, ordered),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pos)
		__field(u64, len)
		__field(u64, sector)
		__field(u32, ordered)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
		__entry->sector = sector;
		__entry->ordered = ordered;
	),
	TP_printk("dev %d,%d ino %llu pos %llu len %llu sector %llu ordered %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pos, __entry->len,
		  __entry->sector, __entry->ordered)
);

/* The device has answered; seen by the completion worker. */
TRACE_EVENT(rext4_ordered_end,
	TP_PROTO(u32 dev, u64 ino, u64 pos, u64 len, s32 error),
	TP_ARGS(dev, ino, pos, len, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, pos)
		__field(u64, len)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
		__entry->error = error;
	),
	TP_printk("dev %d,%d ino %llu pos %llu len %llu error %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->pos, __entry->len,
		  __entry->error)
);

/*
 * Requests to the device. `op` are the block layer's flags.
 */

/* A request is sent. */
TRACE_EVENT(rext4_bio_submit,
	TP_PROTO(u32 dev, u64 sector, u32 bytes, u32 op),
	TP_ARGS(dev, sector, bytes, op),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u32, bytes)
		__field(u32, op)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->sector = sector;
		__entry->bytes = bytes;
		__entry->op = op;
	),
	TP_printk("dev %d,%d sector %llu bytes %u op %#x",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->sector, __entry->bytes, __entry->op)
);

/* A request, with all that were chained to it, has ended. */
TRACE_EVENT(rext4_bio_end,
	TP_PROTO(u32 dev, u64 sector, u32 bytes, s32 error),
	TP_ARGS(dev, sector, bytes, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u32, bytes)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->sector = sector;
		__entry->bytes = bytes;
		__entry->error = error;
	),
	TP_printk("dev %d,%d sector %llu bytes %u error %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->sector, __entry->bytes, __entry->error)
);

/*
 * How blocks were found.
 */

DECLARE_EVENT_CLASS(rext4_mballoc_alloc_class,
	TP_PROTO(u32 dev, u64 ino, u32 goal_group, u32 goal_start, u32 goal_len, u32 result_group,
		 u32 result_start, u32 result_len),
	TP_ARGS(dev, ino, goal_group, goal_start, goal_len, result_group, result_start, result_len),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, goal_group)
		__field(u32, goal_start)
		__field(u32, goal_len)
		__field(u32, result_group)
		__field(u32, result_start)
		__field(u32, result_len)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->goal_group = goal_group;
		__entry->goal_start = goal_start;
		__entry->goal_len = goal_len;
		__entry->result_group = result_group;
		__entry->result_start = result_start;
		__entry->result_len = result_len;
	),
	TP_printk("dev %d,%d ino %llu goal_group %u goal_start %u goal_len %u result_group %u "
		  "result_start %u result_len %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->goal_group,
		  __entry->goal_start, __entry->goal_len, __entry->result_group, __entry->result_start,
		  __entry->result_len)
);

/* A run was searched for; `result_len` of it, from `result_start` in `result_group`. */
DEFINE_EVENT(rext4_mballoc_alloc_class, rext4_mballoc_alloc,
	TP_PROTO(u32 dev, u64 ino, u32 goal_group, u32 goal_start, u32 goal_len, u32 result_group,
		 u32 result_start, u32 result_len),
	TP_ARGS(dev, ino, goal_group, goal_start, goal_len, result_group, result_start, result_len)
);

/* A run came out of the inode's window. */
DEFINE_EVENT(rext4_mballoc_alloc_class, rext4_mballoc_prealloc,
	TP_PROTO(u32 dev, u64 ino, u32 goal_group, u32 goal_start, u32 goal_len, u32 result_group,
		 u32 result_start, u32 result_len),
	TP_ARGS(dev, ino, goal_group, goal_start, goal_len, result_group, result_start, result_len)
);

/*
 * Mounting.
 */

/* A device was unmounted. */
TRACE_EVENT(rext4_unmount,
	TP_PROTO(u32 dev, u32 clean),
	TP_ARGS(dev, clean),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, clean)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->clean = clean;
	),
	TP_printk("dev %d,%d clean %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->clean)
);

/* Something on the disk cannot be, or could not be read: see the kernel log. */
TRACE_EVENT(rext4_error,
	TP_PROTO(u32 dev, u64 ino, u64 block, s32 errno),
	TP_ARGS(dev, ino, block, errno),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, block)
		__field(s32, errno)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->ino = ino;
		__entry->block = block;
		__entry->errno = errno;
	),
	TP_printk("dev %d,%d ino %llu block %llu errno %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->block, __entry->errno)
);

#endif /* _REXT4_TRACE_H */

#include <trace/define_trace.h>
