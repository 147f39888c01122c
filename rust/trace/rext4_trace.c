// SPDX-License-Identifier: GPL-2.0
/* The one place where the events of rext4.h become code. */

#include <linux/tracepoint.h>

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "rext4.h"
