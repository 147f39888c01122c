// SPDX-License-Identifier: GPL-2.0

#include <linux/workqueue.h>

struct workqueue_struct *rext4_helper_alloc_writeback_workqueue(const char *id)
{
	return alloc_workqueue("writeback-done/%s", WQ_MEM_RECLAIM | WQ_UNBOUND, 1, id);
}

void rext4_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

bool rext4_helper_queue_work(struct workqueue_struct *queue, struct work_struct *work)
{
	return queue_work(queue, work);
}
