// SPDX-License-Identifier: GPL-2.0

#include <linux/mutex.h>

void rext4_helper___mutex_init(struct mutex *mutex, const char *name, struct lock_class_key *key)
{
	__mutex_init(mutex, name, key);
}

void rext4_helper_mutex_lock(struct mutex *mutex)
{
	mutex_lock(mutex);
}

void rext4_helper_mutex_destroy(struct mutex *mutex)
{
	mutex_destroy(mutex);
}

int rext4_helper_mutex_trylock(struct mutex *mutex)
{
	return mutex_trylock(mutex);
}
