/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user may touch: the union of the permissions of all its roles. A request is allowed when one connected piece of that union holds
 * all of it; permissions that touch each other connect. A range that ends before it begins holds nothing: its start decides.
 */
#include <stdlib.h>

#include "base/strings.h"
#include "etcd/auth_int.h"

bool auth_user_is_root(const struct auth_user *user)
{
	return string_list_contains(&user->roles, AUTH_ROOT);
}

/* As etcd orders ends of ranges: empty is behind everything. */
static int compare_bound(struct bytes a, struct bytes b)
{
	if (a.length == 0 || b.length == 0)
		return (a.length == 0) - (b.length == 0);
	return bytes_compare(a, b);
}

static void set_add(struct auth_set *set, struct auth_interval interval)
{
	if (set->count == set->capacity) {
		set->capacity = set->capacity ? set->capacity * 2 : 8;
		set->items = reallocarray(set->items, set->capacity, sizeof(*set->items));
		if (set->items == NULL)
			abort();
	}
	set->items[set->count++] = interval;
}

static int compare_from(const void *a, const void *b)
{
	return compare_bound(((const struct auth_interval *)a)->from, ((const struct auth_interval *)b)->from);
}

static void set_merge(struct auth_set *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->items, set->count, sizeof(*set->items), compare_from);
	for (size_t i = 1; i < set->count; i++) {
		struct auth_interval *last = &set->items[kept], *next = &set->items[i];

		if (compare_bound(last->to, next->from) < 0)
			set->items[++kept] = *next;
		else if (compare_bound(next->to, last->to) > 0)
			last->to = next->to;
	}
	set->count = kept + 1;
}

static bool is_open(struct bytes range_end)
{
	return range_end.length == 1 && range_end.data[0] == '\0';
}

/* A single key is [key, key + NUL); the copy behind a key always ends in NUL, so the bound borrows it. */
static struct auth_interval interval_of(struct bytes key, struct bytes range_end)
{
	struct auth_interval interval = { key, range_end };

	if (range_end.length == 0)
		interval.to = (struct bytes){ key.data, key.length + 1 };
	else if (is_open(range_end))
		interval.to = (struct bytes){ "", 0 };
	return interval;
}

static void merge_roles(const struct auth_store *auth, struct auth_user *user)
{
	user->readable.count = user->writable.count = 0;
	for (size_t i = 0; i < user->roles.count; i++) {
		const struct auth_role *role = map_get(&auth->roles, user->roles.items[i]);

		for (size_t j = 0; role != NULL && j < role->count; j++) {
			struct auth_interval interval = interval_of(role->permissions[j].key, role->permissions[j].range_end);

			if (role->permissions[j].access != AUTH_WRITE)
				set_add(&user->readable, interval);
			if (role->permissions[j].access != AUTH_READ)
				set_add(&user->writable, interval);
		}
	}
	set_merge(&user->readable);
	set_merge(&user->writable);
	user->generation = auth->generation;
}

/* The last piece that begins at `from` or before. */
static const struct auth_interval *piece_at(const struct auth_set *set, struct bytes from)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_bound(set->items[middle].from, from) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &set->items[low - 1] : NULL;
}

bool auth_user_covers(const struct auth_store *auth, struct auth_user *user, struct bytes key, struct bytes range_end,
                      enum auth_access access)
{
	const struct auth_interval *piece;

	if (user->generation != auth->generation)
		merge_roles(auth, user);
	piece = piece_at(access == AUTH_READ ? &user->readable : &user->writable, key);
	if (piece == NULL || compare_bound(key, piece->to) >= 0)
		return false;
	if (range_end.length == 0)
		return true;
	if (is_open(range_end))
		return piece->to.length == 0;
	return compare_bound(range_end, piece->to) <= 0;
}
