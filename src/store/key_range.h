/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request's key and range_end mean (etcd's rules): no range_end is one key; range_end "\0" is every key from `key` on; otherwise
 * [key, range_end), which is empty when range_end <= key. Key "\0" with range_end "\0" is everything.
 */
#pragma once

#include <stdbool.h>

#include "store/bytes.h"

struct key_range {
	struct bytes from;
	struct bytes to; /* not used when `single` or `open` */
	bool single;
	bool open; /* no upper end */
};

static inline struct key_range key_range_of(struct bytes key, struct bytes range_end)
{
	struct key_range range = { .from = key, .to = range_end };

	range.single = range_end.length == 0;
	range.open = range_end.length == 1 && range_end.data[0] == '\0';
	return range;
}

static inline bool key_range_contains(const struct key_range *range, struct bytes key)
{
	if (range->single)
		return bytes_equal(range->from, key);
	return bytes_compare(key, range->from) >= 0 && (range->open || bytes_compare(key, range->to) < 0);
}

static inline bool key_range_empty(const struct key_range *range)
{
	return !range->single && !range->open && bytes_compare(range->to, range->from) <= 0;
}

/* True when every key of `inner` lies in `outer`. */
static inline bool key_range_covers(const struct key_range *outer, const struct key_range *inner)
{
	if (inner->single || key_range_empty(inner))
		return key_range_contains(outer, inner->from);
	if (outer->single || bytes_compare(inner->from, outer->from) < 0)
		return false;
	return outer->open || (!inner->open && bytes_compare(inner->to, outer->to) <= 0);
}
