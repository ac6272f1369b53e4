/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One change of one key, as watchers see it. Refcounted and shared by the ring and every stream; a wire layer above may keep its
 * encodings here so that an event is encoded once however many watch it. Engine thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/blob.h"

struct space_event {
	uint32_t references;
	bool deleted;
	bool was_live; /* just before; one transaction may delete a key and put it again */
	int64_t mod_revision;
	int64_t create_revision, version, lease; /* 0 when deleted */
	uint64_t id;
	struct blob *value; /* NULL when deleted */
	/* The version before this revision, version 0 when there was none. */
	int64_t previous_mod_revision, previous_create_revision, previous_version, previous_lease;
	uint64_t previous_id;
	uint32_t previous_length;
	struct blob *previous_value;                  /* NULL until somebody needs it */
	struct blob *encoded, *encoded_with_previous; /* of the layer above */
	uint32_t key_length;
	char key[];
};

struct space_event *space_event_new(struct bytes key);
struct space_event *space_event_ref(struct space_event *event);
void space_event_unref(struct space_event *event);
void space_event_forget_encodings(struct space_event *event); /* they can be made again */

static inline struct bytes space_event_key(const struct space_event *event)
{
	return (struct bytes){ event->key, event->key_length };
}
