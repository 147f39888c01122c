// SPDX-License-Identifier: GPL-2.0

#include <linux/ratelimit.h>

/* Whether one more message may be printed: ten in five seconds of errors, and as many of warnings, as ext4 has it. */
bool rext4_helper_log_allowed(bool is_error)
{
	static DEFINE_RATELIMIT_STATE(errors, 5 * HZ, 10);
	static DEFINE_RATELIMIT_STATE(warnings, 5 * HZ, 10);

	return __ratelimit(is_error ? &errors : &warnings);
}
