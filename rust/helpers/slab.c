// SPDX-License-Identifier: GPL-2.0

#include <linux/slab.h>

struct kmem_cache *rext4_helper_inode_cache_create(const char *name, unsigned int size, unsigned int align,
						   void (*ctor)(void *))
{
	return kmem_cache_create(name, size, align, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, ctor);
}
