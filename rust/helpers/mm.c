// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

vm_fault_t rext4_helper_vmf_fs_error(int err)
{
	return vmf_fs_error(err);
}

unsigned long rext4_helper_totalram_pages(void)
{
	return totalram_pages();
}
