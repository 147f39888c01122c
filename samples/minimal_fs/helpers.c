// SPDX-License-Identifier: GPL-2.0
/* The helpers once more: an object belongs to one module only. */

#include "../../rust/helpers/helpers.c"
