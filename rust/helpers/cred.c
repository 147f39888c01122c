// SPDX-License-Identifier: GPL-2.0

#include <linux/cred.h>
#include <linux/uidgid.h>

/* Whether the calling task acts as user @uid of the first user namespace. */
bool rext4_helper_current_fsuid_is(uid_t uid)
{
	return uid_eq(current_fsuid(), make_kuid(&init_user_ns, uid));
}

/* Whether the calling task belongs to group @gid of the first user namespace. */
bool rext4_helper_current_in_group(gid_t gid)
{
	return in_group_p(make_kgid(&init_user_ns, gid));
}
