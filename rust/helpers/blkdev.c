// SPDX-License-Identifier: GPL-2.0

#include <linux/blkdev.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
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

/* Copies bytes of one folio of the device's page cache, if that is there, has been read, and is not in use. */
bool rext4_helper_bdev_copy_cached(struct block_device *bdev, loff_t from, void *to, size_t len)
{
	struct folio *folio = __filemap_get_folio(bdev->bd_mapping, from >> PAGE_SHIFT,
						  FGP_LOCK | FGP_NOWAIT, 0);
	bool uptodate;

	if (IS_ERR(folio))
		return false;
	uptodate = folio_test_uptodate(folio);
	if (uptodate)
		memcpy_from_folio(to, folio, offset_in_folio(folio, from), len);
	folio_unlock(folio);
	folio_put(folio);
	return uptodate;
}
