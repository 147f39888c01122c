// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>

void *rext4_helper_alloc_inode_sb(struct super_block *sb, struct kmem_cache *cache)
{
	return alloc_inode_sb(sb, cache, GFP_KERNEL);
}

bool rext4_helper_dir_emit(struct dir_context *ctx, const char *name, int len, u64 ino, unsigned int type)
{
	return dir_emit(ctx, name, len, ino, type);
}

void rext4_helper_file_accessed(struct file *file)
{
	file_accessed(file);
}

/* The path of the mount that a file is opened through; NULL if it does not fit into the buffer. */
char *rext4_helper_file_mount_path(const struct file *file, char *buffer, int size)
{
	struct path path = {
		.mnt = file->f_path.mnt,
		.dentry = file->f_path.mnt->mnt_root,
	};
	char *start = d_path(&path, buffer, size);

	return IS_ERR(start) ? NULL : start;
}

ssize_t rext4_helper_generic_write_sync(struct kiocb *iocb, ssize_t count)
{
	return generic_write_sync(iocb, count);
}

gid_t rext4_helper_i_gid_read(const struct inode *inode)
{
	return i_gid_read(inode);
}

/* Both owners at once: i_uid_write() and i_gid_write(). */
void rext4_helper_i_ids_write(struct inode *inode, uid_t uid, gid_t gid)
{
	i_uid_write(inode, uid);
	i_gid_write(inode, gid);
}

loff_t rext4_helper_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

void rext4_helper_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

uid_t rext4_helper_i_uid_read(const struct inode *inode)
{
	return i_uid_read(inode);
}

/* The new owner that a change of attributes asks for, as on the disk. */
uid_t rext4_helper_iattr_uid(struct mnt_idmap *idmap, const struct inode *inode, const struct iattr *attr)
{
	return from_kuid(i_user_ns(inode), from_vfsuid(idmap, i_user_ns(inode), attr->ia_vfsuid));
}

gid_t rext4_helper_iattr_gid(struct mnt_idmap *idmap, const struct inode *inode, const struct iattr *attr)
{
	return from_kgid(i_user_ns(inode), from_vfsgid(idmap, i_user_ns(inode), attr->ia_vfsgid));
}

time64_t rext4_helper_inode_get_ctime(const struct inode *inode, u32 *nsec)
{
	*nsec = inode_get_ctime_nsec(inode);
	return inode_get_ctime_sec(inode);
}

bool rext4_helper_inode_has_lazy_times(struct inode *inode)
{
	return inode_state_read_once(inode) & I_DIRTY_TIME;
}

bool rext4_helper_inode_is_new(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}

void rext4_helper_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

void rext4_helper_inode_lock_shared(struct inode *inode)
{
	inode_lock_shared(inode);
}

void rext4_helper_inode_set_ctime(struct inode *inode, time64_t sec, long nsec)
{
	inode_set_ctime(inode, sec, nsec);
}

void rext4_helper_inode_set_cached_link(struct inode *inode, char *link, int len)
{
	inode_set_cached_link(inode, link, len);
}

bool rext4_helper_inode_trylock_shared(struct inode *inode)
{
	return inode_trylock_shared(inode);
}

void rext4_helper_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void rext4_helper_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}

int rext4_helper_inode_writers(const struct inode *inode)
{
	return atomic_read(&inode->i_writecount);
}

void rext4_helper_sb_end_intwrite(struct super_block *sb)
{
	sb_end_intwrite(sb);
}

void rext4_helper_sb_end_pagefault(struct super_block *sb)
{
	sb_end_pagefault(sb);
}

void rext4_helper_sb_start_intwrite(struct super_block *sb)
{
	sb_start_intwrite(sb);
}

void rext4_helper_sb_start_pagefault(struct super_block *sb)
{
	sb_start_pagefault(sb);
}

void rext4_helper_super_set_sysfs_name_bdev(struct super_block *sb)
{
	super_set_sysfs_name_bdev(sb);
}
