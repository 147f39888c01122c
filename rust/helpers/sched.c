// SPDX-License-Identifier: GPL-2.0

#include <linux/sched.h>

/* The name of the running task; it may change while it is read, but always ends in a zero. */
const char *rext4_helper_current_comm(void)
{
	return current->comm;
}
