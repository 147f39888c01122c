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
#include "completion.c"
#include "fs.c"
#include "mutex.c"
#include "ratelimit.c"
#include "sched_mm.c"
#include "spinlock.c"
#include "wait.c"
#include "xarray.c"
