// SPDX-License-Identifier: GPL-2.0

#include <linux/uio.h>

size_t rext4_helper_copy_to_iter(const void *from, size_t bytes, struct iov_iter *iter)
{
	return copy_to_iter(from, bytes, iter);
}

size_t rext4_helper_iov_iter_count(const struct iov_iter *iter)
{
	return iov_iter_count(iter);
}

void rext4_helper_iov_iter_truncate(struct iov_iter *iter, size_t count)
{
	iov_iter_truncate(iter, count);
}
