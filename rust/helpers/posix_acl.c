// SPDX-License-Identifier: GPL-2.0

#include <linux/posix_acl.h>

void rext4_helper_cache_no_acl(struct inode *inode)
{
	cache_no_acl(inode);
}

int rext4_helper_posix_acl_check(const struct posix_acl *acl)
{
	return posix_acl_valid(&init_user_ns, acl);
}

/* The mode of what is created in @dir; -EOPNOTSUPP when it would inherit lists. */
int rext4_helper_posix_acl_create_mode(struct inode *dir, umode_t *mode)
{
	struct posix_acl *default_acl = NULL, *acl = NULL;
	int ret = posix_acl_create(dir, mode, &default_acl, &acl);

	if (!ret && (default_acl || acl))
		ret = -EOPNOTSUPP;
	posix_acl_release(default_acl);
	posix_acl_release(acl);
	return ret;
}

void rext4_helper_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

/* Fills one entry; @id is as on the disk, and used for users and groups only. */
bool rext4_helper_posix_acl_set(struct posix_acl *acl, unsigned int index, int tag, unsigned int perm, u32 id)
{
	struct posix_acl_entry *entry = &acl->a_entries[index];

	entry->e_tag = tag;
	entry->e_perm = perm;
	switch (tag) {
	case ACL_USER:
		entry->e_uid = make_kuid(&init_user_ns, id);
		return true;
	case ACL_GROUP:
		entry->e_gid = make_kgid(&init_user_ns, id);
		return true;
	case ACL_USER_OBJ:
	case ACL_GROUP_OBJ:
	case ACL_MASK:
	case ACL_OTHER:
		return true;
	default:
		return false;
	}
}
