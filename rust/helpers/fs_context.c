// SPDX-License-Identifier: GPL-2.0

#include <linux/fs_context.h>

/* The lock classes of a type that is not in static memory. */
void rext4_helper_register_filesystem_keys(struct file_system_type *type)
{
	int level;

	lockdep_register_key(&type->s_lock_key);
	lockdep_register_key(&type->s_umount_key);
	lockdep_register_key(&type->s_vfs_rename_key);
	for (level = 0; level < SB_FREEZE_LEVELS; level++)
		lockdep_register_key(&type->s_writers_key[level]);
	lockdep_register_key(&type->i_lock_key);
	lockdep_register_key(&type->i_mutex_key);
	lockdep_register_key(&type->invalidate_lock_key);
	lockdep_register_key(&type->i_mutex_dir_key);
}

void rext4_helper_unregister_filesystem_keys(struct file_system_type *type)
{
	int level;

	lockdep_unregister_key(&type->s_lock_key);
	lockdep_unregister_key(&type->s_umount_key);
	lockdep_unregister_key(&type->s_vfs_rename_key);
	for (level = 0; level < SB_FREEZE_LEVELS; level++)
		lockdep_unregister_key(&type->s_writers_key[level]);
	lockdep_unregister_key(&type->i_lock_key);
	lockdep_unregister_key(&type->i_mutex_key);
	lockdep_unregister_key(&type->invalidate_lock_key);
	lockdep_unregister_key(&type->i_mutex_dir_key);
}

/* @args: a Rust core::fmt::Arguments, which %pA prints. */
void rext4_helper_logfc_arguments(struct fs_context *fc, char level, const void *args)
{
	logfc(fc->log.log, fc->log.prefix, level, "%pA", args);
}
