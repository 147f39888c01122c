// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of kernel headers, as functions that Rust can call.
 *
 * One file per kernel header; the helper of foo() is named rext4_helper_foo() and Rust calls it as foo().
 * Sorted alphabetically.
 */

#include <linux/compiler_types.h>

#include "bio.c"
#include "blkdev.c"
#include "compat.c"
#include "completion.c"
#include "cred.c"
#include "delayed_call.c"
#include "freezer.c"
#include "fs.c"
#include "fs_context.c"
#include "fserror.c"
#include "iomap.c"
#include "llist.c"
#include "lockdep.c"
#include "mm.c"
#include "mutex.c"
#include "pagemap.c"
#include "posix_acl.c"
#include "rcupdate.c"
#include "sched.c"
#include "sched_mm.c"
#include "sched_signal.c"
#include "slab.c"
#include "spinlock.c"
#include "uio.c"
#include "wait.c"
#include "workqueue.c"
#include "xarray.c"
