// SPDX-License-Identifier: GPL-2.0

#include <linux/iomap.h>

void rext4_helper_iomap_bio_read_folio(struct folio *folio, const struct iomap_ops *ops)
{
	iomap_bio_read_folio(folio, ops);
}

void rext4_helper_iomap_bio_readahead(struct readahead_control *rac, const struct iomap_ops *ops)
{
	iomap_bio_readahead(rac, ops);
}

struct iomap_ioend *rext4_helper_iomap_ioend_from_bio(struct bio *bio)
{
	return iomap_ioend_from_bio(bio);
}

ssize_t rext4_helper_iomap_dio_read_simple(struct kiocb *iocb, struct iov_iter *iter, iomap_iter_begin_fn begin)
{
	return iomap_dio_read_simple(iocb, iter, begin);
}

loff_t rext4_helper_iomap_last_written_block(struct inode *inode, loff_t pos, ssize_t written)
{
	return iomap_last_written_block(inode, pos, written);
}

int rext4_helper_iomap_writepages_plugged(struct iomap_writepage_ctx *wpc)
{
	struct blk_plug plug;
	int ret;

	blk_start_plug(&plug);
	ret = iomap_writepages(wpc);
	blk_finish_plug(&plug);
	return ret;
}

void rext4_helper_bio_clear_complete_in_task(struct bio *bio)
{
	bio_clear_flag(bio, BIO_COMPLETE_IN_TASK);
}
