/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a tenant is not ready: what stands in its way, first the thing that has to be mended. Pure: objects in, findings out; they all live in
 * the arena.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/json.h"

enum { WHY_FINDINGS = 12, WHY_LOG_LINES = 8, WHY_PODS = 4, WHY_EVENTS = 6 };

/* What could be read; NULL: does not exist or may not be read. */
struct why_input {
	const json_t *tenant;
	const json_t *data_store;
	const json_t *deployment;
	const json_t *pods;          /* array, of this tenant */
	const json_t *events;        /* array, of its namespace */
	const json_t *lease;         /* of the operator */
	const char *data_store_name; /* "": none is named */
	int64_t now;
	/* Last lines of a container's log, or NULL. previous: of its run before. */
	const char *(*log)(const char *pod, const char *container, bool previous, struct arena *arena, void *argument);
	void *argument;
};

struct why_finding {
	const char *step;   /* "spec", "operator", "datastore", "service", "deployment", "pod NAME", ... */
	const char *reason; /* one word */
	const char *cause, *remedy;
	const char *log; /* last lines of a container, or NULL */
};

struct why {
	bool ready;
	const char *phase, *endpoint, *version;
	struct why_finding findings[WHY_FINDINGS]; /* the first one blocks */
	size_t finding_count;
	const char *events[WHY_EVENTS]; /* warnings, newest first */
	size_t event_count;
};

void why_explain(struct arena *arena, const struct why_input *input, struct why *why);
