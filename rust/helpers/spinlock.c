// SPDX-License-Identifier: GPL-2.0

#include <linux/spinlock.h>

void rext4_helper___spin_lock_init(spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
# ifdef CONFIG_PREEMPT_RT
	__spin_lock_init(lock, name, key, false);
# else
	__raw_spin_lock_init(spinlock_check(lock), name, key, LD_WAIT_CONFIG);
# endif
#else
	/* Without debugging a lock has neither a name nor a class. */
	spin_lock_init(lock);
#endif
}

void rext4_helper_spin_lock(spinlock_t *lock)
{
	spin_lock(lock);
}

void rext4_helper_spin_unlock(spinlock_t *lock)
{
	spin_unlock(lock);
}
