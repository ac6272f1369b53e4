/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that belong to this program and stand beside it: in PREFIX/share and PREFIX/libexec when installed, in the build tree otherwise.
 * Found from /proc/self/exe upwards, so nothing in the program depends on where it was built or installed.
 */
#pragma once

#include "base/error.h"

/* Path of a static helper program of ours ("pause", "volume-helper"). free(). NULL with ERROR_NOT_FOUND. */
char *component_place_helper(const char *name, struct error *err);
/* /proc/self/exe resolved. free(). */
char *component_place_self(struct error *err);
