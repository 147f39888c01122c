// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>

void rext4_helper_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

loff_t rext4_helper_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}
