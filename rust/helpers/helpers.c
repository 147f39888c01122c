// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of kernel headers, as functions that Rust can call.
 *
 * One file per kernel header; the helper of foo() is named rext4_helper_foo() and Rust calls it as foo().
 * Sorted alphabetically.
 */

#include <linux/compiler_types.h>

#include "fs.c"
