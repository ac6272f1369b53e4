/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: which events are one event seen again, and how many an object may send. No I/O, clock injected. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

enum {
	EVENT_SERIES_MS = 10 * 60 * 1000, /* the same again within this is counted up */
	EVENT_BURST = 25,
	EVENT_REFILL_MS = 300 * 1000,
	EVENT_TABLE_MAXIMUM = 4096, /* then what is old is forgotten */
};

struct event_series {
	char *event_name; /* of the Event to patch; NULL until created */
	uint64_t count, last_ms;
};

/* Zero-initialise. */
struct event_series_table {
	struct map series, buckets;
};

/* Takes one of the object's tokens; false when it has none. */
bool event_series_admit(struct event_series_table *table, const char *object_key, uint64_t now_ms);
/* The series of that key, its count one higher; a new one (count 1, no name) when the last was too long ago. Borrowed until the next call. */
struct event_series *event_series_next(struct event_series_table *table, const char *series_key, uint64_t now_ms);
/* A new Event stands for the series from now on: the count begins anew at 1. */
void event_series_created(struct event_series *series, const char *event_name);
void event_series_free(struct event_series_table *table);
