// SPDX-License-Identifier: GPL-2.0

#include <linux/xarray.h>

void rext4_helper_xa_init(struct xarray *array)
{
	xa_init(array);
}

void rext4_helper_xa_lock(struct xarray *array)
{
	xa_lock(array);
}

void rext4_helper_xa_unlock(struct xarray *array)
{
	xa_unlock(array);
}

bool rext4_helper_xa_is_err(const void *entry)
{
	return xa_is_err(entry);
}
