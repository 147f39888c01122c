// SPDX-License-Identifier: GPL-2.0

#include <linux/sched/signal.h>

/* Whether the running task was killed and has not ended yet. */
bool rext4_helper_current_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}
