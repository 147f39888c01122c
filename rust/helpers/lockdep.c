// SPDX-License-Identifier: GPL-2.0

#include <linux/lockdep.h>

void rext4_helper_lockdep_init_map_wait(struct lockdep_map *map, const char *name, struct lock_class_key *key)
{
	lockdep_init_map_wait(map, name, key, 0, LD_WAIT_SLEEP);
}

void rext4_helper_lock_map_acquire(struct lockdep_map *map)
{
	lock_map_acquire(map);
}

void rext4_helper_lock_map_release(struct lockdep_map *map)
{
	lock_map_release(map);
}
