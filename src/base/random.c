/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t test_state;

void random_seed_for_test(uint64_t seed)
{
	test_state = seed;
}

static uint64_t next_for_test(void)
{
	uint64_t z = (test_state += 0x9e3779b97f4a7c15u); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void random_bytes(void *bytes, size_t length)
{
	unsigned char *place = bytes;

	if (test_state != 0) {
		for (size_t i = 0; i < length; i++)
			place[i] = (unsigned char)next_for_test();
		return;
	}
	while (length > 0) {
		ssize_t got = getrandom(place, length, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			abort();
		}
		place += got;
		length -= (size_t)got;
	}
}

uint64_t random_below(uint64_t bound)
{
	uint64_t value, limit;

	if (bound < 2)
		return 0;
	limit = UINT64_MAX - UINT64_MAX % bound;
	do
		random_bytes(&value, sizeof(value));
	while (value >= limit);
	return value % bound;
}

void random_uuid(char text[37])
{
	unsigned char b[16];

	random_bytes(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	(void)snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
	               b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
