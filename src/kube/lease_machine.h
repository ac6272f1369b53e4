/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the decisions of an election, without I/O or clock, as client-go's leaderelection makes them. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct lease_machine {
	const char *namespace, *name, *identity;
	unsigned lease_duration_ms;
	bool leading;
	json_t *lease;        /* as last seen or written; owned */
	char *observed;       /* its spec as text; owned */
	uint64_t observed_ms; /* when that text was first seen, monotonic */
};

enum lease_action {
	LEASE_CREATE, /* nobody made it yet */
	LEASE_UPDATE, /* ours, free or expired: write with the resourceVersion that was read */
	LEASE_WAIT,   /* another holds it */
};

void lease_machine_free(struct lease_machine *machine);
/* Takes note of what the server has (NULL: nothing). True when the holder changed. */
bool lease_machine_observe(struct lease_machine *machine, json_t *lease, uint64_t now_ms);
/* What to do about what was last observed. */
enum lease_action lease_machine_decide(const struct lease_machine *machine, uint64_t now_ms);
/* The Lease to write for CREATE or UPDATE; new reference. */
json_t *lease_machine_claim(const struct lease_machine *machine, int64_t wall_micros);
/* The Lease to write to give it up; NULL when it is not ours. */
json_t *lease_machine_release(const struct lease_machine *machine, int64_t wall_micros);
/* "" when nobody. */
const char *lease_machine_holder(const struct lease_machine *machine);
