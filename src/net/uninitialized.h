/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release build zeroes every array on the stack when it comes into scope (-ftrivial-auto-var-init). For large ones that are written
 * before they are read, on paths that run for every packet, that costs more than the work itself.
 */
#pragma once

#if defined(__has_attribute) && __has_attribute(uninitialized)
#define UNINITIALIZED __attribute__((uninitialized))
#else
#define UNINITIALIZED
#endif
