// SPDX-License-Identifier: GPL-2.0

#include <linux/freezer.h>

/* Its result is of no use, and without CONFIG_FREEZER it has none. */
void rext4_helper_set_freezable(void)
{
	set_freezable();
}
