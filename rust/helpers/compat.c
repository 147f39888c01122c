// SPDX-License-Identifier: GPL-2.0

#include <linux/compat.h>

bool rext4_helper_in_compat_syscall(void)
{
	return in_compat_syscall();
}
