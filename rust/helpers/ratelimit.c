// SPDX-License-Identifier: GPL-2.0

#include <linux/ratelimit.h>

/* Whether one more message may be printed: at most ten in a second. */
bool rext4_helper_log_allowed(void)
{
	static DEFINE_RATELIMIT_STATE(state, HZ, 10);

	return __ratelimit(&state);
}
