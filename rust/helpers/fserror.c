// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/fserror.h>

/*
 * Reports an error of metadata, of the inode with that number if it is in memory. Before the mount is complete, and while
 * it ends, nobody can be watching. Does not sleep.
 */
void rext4_helper_fserror_report_ino(struct super_block *sb, u64 ino, int error)
{
	if (!(READ_ONCE(sb->s_flags) & SB_ACTIVE))
		return;
	rcu_read_lock();
	fserror_report(sb, ino ? find_inode_by_ino_rcu(sb, ino) : NULL, FSERR_METADATA, 0, 0, error, GFP_ATOMIC);
	rcu_read_unlock();
}
