/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trace events of rext4.
 *
 * Units: `lblk` and `pblk` are blocks inside a file and on the disk, `len` counts blocks, `pos` and `bytes` count
 * bytes, `ino` is an inode number, `tid` a transaction. Every event begins with `dev`.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM rext4
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE rext4_trace

#if !defined(_REXT4_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _REXT4_TRACE_H

#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

/* A device was mounted. */
TRACE_EVENT(rext4_mount,
	TP_PROTO(dev_t dev, bool read_only),
	TP_ARGS(dev, read_only),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(bool, read_only)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->read_only = read_only;
	),
	TP_printk("dev %d,%d read_only %d", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->read_only)
);

#endif /* _REXT4_TRACE_H */

#include <trace/define_trace.h>
