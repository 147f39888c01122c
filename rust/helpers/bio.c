// SPDX-License-Identifier: GPL-2.0

#include <linux/bio.h>

struct bio *rext4_helper_bio_alloc(struct block_device *bdev, unsigned short nr_vecs, blk_opf_t opf, gfp_t gfp)
{
	return bio_alloc(bdev, nr_vecs, opf, gfp);
}
