// SPDX-License-Identifier: GPL-2.0

#include <linux/blkdev.h>
#include <linux/part_stat.h>

/* The name that %pg prints. */
void rext4_helper_bdev_format_name(char *buffer, size_t size, struct block_device *bdev)
{
	snprintf(buffer, size, "%pg", bdev);
}

unsigned int rext4_helper_bdev_dma_alignment(struct block_device *bdev)
{
	return bdev_dma_alignment(bdev);
}

unsigned int rext4_helper_bdev_logical_block_size(struct block_device *bdev)
{
	return bdev_logical_block_size(bdev);
}

loff_t rext4_helper_bdev_nr_bytes(struct block_device *bdev)
{
	return bdev_nr_bytes(bdev);
}

bool rext4_helper_bdev_read_only(struct block_device *bdev)
{
	return bdev_read_only(bdev);
}

u64 rext4_helper_bdev_sectors_written(struct block_device *bdev)
{
	return part_stat_read(bdev, sectors[STAT_WRITE]);
}
