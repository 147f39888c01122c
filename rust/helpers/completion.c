// SPDX-License-Identifier: GPL-2.0

#include <linux/completion.h>

void rext4_helper_init_completion(struct completion *completion)
{
	init_completion(completion);
}
