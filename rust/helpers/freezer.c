// SPDX-License-Identifier: GPL-2.0

#include <linux/freezer.h>

bool rext4_helper_set_freezable(void)
{
	return set_freezable();
}
