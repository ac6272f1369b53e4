/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness from the kernel; random_seed_for_test() makes it repeatable and must never be called outside tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *bytes, size_t length); /* aborts when the kernel has none */
uint64_t random_below(uint64_t bound);         /* uniform in [0, bound) */
/* "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx", 36 characters and NUL (RFC 4122 version 4). */
void random_uuid(char text[37]);
void random_seed_for_test(uint64_t seed);
