// SPDX-License-Identifier: GPL-2.0

#include <linux/sched/mm.h>

unsigned int rext4_helper_memalloc_nofs_save(void)
{
	return memalloc_nofs_save();
}

void rext4_helper_memalloc_nofs_restore(unsigned int flags)
{
	memalloc_nofs_restore(flags);
}
