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

void rext4_helper_fs_reclaim_acquire(gfp_t gfp)
{
	fs_reclaim_acquire(gfp);
}

void rext4_helper_fs_reclaim_release(gfp_t gfp)
{
	fs_reclaim_release(gfp);
}

void rext4_helper_memalloc_retry_wait(gfp_t gfp)
{
	memalloc_retry_wait(gfp);
}
