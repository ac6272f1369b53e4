/* SPDX-License-Identifier: Apache-2.0 */
#include "store/watch_group.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MINIMUM = 64 };

/* FNV-1a. A client that makes keys collide on purpose slows nobody down more than by as many watches of ranges. */
static uint64_t hash_bytes(uint64_t hash, struct bytes bytes)
{
	for (size_t i = 0; i < bytes.length; i++)
		hash = (hash ^ (unsigned char)bytes.data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static struct watch_group **bucket_of(const struct watch_groups *groups, struct bytes key, struct bytes range_end)
{
	uint64_t hash = hash_bytes(hash_bytes(UINT64_C(0xcbf29ce484222325), key) * 31, range_end);

	return &groups->buckets[(hash ^ hash >> 32) & (groups->bucket_count - 1)];
}

static struct watch_group *find(const struct watch_groups *groups, struct bytes key, struct bytes range_end)
{
	struct watch_group *group = groups->bucket_count > 0 ? *bucket_of(groups, key, range_end) : NULL;

	while (group != NULL && !(bytes_equal(group->range.from, key) && bytes_equal(group->range.to, range_end)))
		group = group->next;
	return group;
}

static void put_in_bucket(struct watch_groups *groups, struct watch_group *group)
{
	struct watch_group **bucket = bucket_of(groups, group->range.from, group->range.to);

	group->next = *bucket;
	*bucket = group;
}

static void grow(struct watch_groups *groups)
{
	struct watch_groups larger = *groups;

	larger.bucket_count = groups->bucket_count ? groups->bucket_count * 2 : BUCKETS_MINIMUM;
	larger.buckets = calloc(larger.bucket_count, sizeof(struct watch_group *));
	if (larger.buckets == NULL)
		abort();
	for (size_t i = 0; i < groups->bucket_count; i++) {
		struct watch_group *next;

		for (struct watch_group *group = groups->buckets[i]; group != NULL; group = next) {
			next = group->next;
			put_in_bucket(&larger, group);
		}
	}
	free(groups->buckets);
	*groups = larger;
}

static struct watch_group *new_group(struct bytes key, struct bytes range_end)
{
	struct watch_group *group = calloc(1, sizeof(*group) + key.length + range_end.length + 1);

	if (group == NULL)
		abort();
	if (key.length > 0)
		memcpy(group->bytes, key.data, key.length);
	if (range_end.length > 0)
		memcpy(group->bytes + key.length, range_end.data, range_end.length);
	group->range =
		key_range_of((struct bytes){ group->bytes, key.length }, (struct bytes){ group->bytes + key.length, range_end.length });
	return group;
}

struct watch_group *watch_group_join(struct watch_groups *groups, struct bytes key, struct bytes range_end)
{
	struct watch_group *group = find(groups, key, range_end);

	if (group == NULL) {
		if (groups->count >= groups->bucket_count)
			grow(groups);
		group = new_group(key, range_end);
		put_in_bucket(groups, group);
		groups->count++;
		if (!group->range.single) {
			group->next_range = groups->ranges;
			if (group->next_range != NULL)
				group->next_range->previous_range = group;
			groups->ranges = group;
		}
	}
	group->members++;
	return group;
}

void watch_group_leave(struct watch_groups *groups, struct watch_group *group)
{
	struct watch_group **link;

	if (--group->members > 0)
		return;
	for (link = bucket_of(groups, group->range.from, group->range.to); *link != group;)
		link = &(*link)->next;
	*link = group->next;
	if (!group->range.single) {
		*(group->previous_range != NULL ? &group->previous_range->next_range : &groups->ranges) = group->next_range;
		if (group->next_range != NULL)
			group->next_range->previous_range = group->previous_range;
	}
	groups->count--;
	event_list_free(&group->touched);
	free(group);
}

static void touch(struct watch_groups *groups, struct watch_group *group, struct space_event *event)
{
	if (group->touched.count == 0) {
		group->next_touched = groups->touched;
		groups->touched = group;
	}
	event_list_add(&group->touched, space_event_ref(event));
}

void watch_groups_touch(struct watch_groups *groups, struct space_event *event)
{
	struct bytes key = space_event_key(event);
	struct watch_group *single = find(groups, key, (struct bytes){ "", 0 });

	if (single != NULL && single->watchers != NULL)
		touch(groups, single, event);
	for (struct watch_group *group = groups->ranges; group != NULL; group = group->next_range)
		if (group->watchers != NULL && key_range_contains(&group->range, key))
			touch(groups, group, event);
}

void watch_groups_free(struct watch_groups *groups)
{
	free(groups->buckets);
	*groups = (struct watch_groups){ 0 };
}
