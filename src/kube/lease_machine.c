/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease_machine.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"

void lease_machine_free(struct lease_machine *machine)
{
	json_decref(machine->lease);
	free(machine->observed);
	machine->lease = NULL;
	machine->observed = NULL;
}

const char *lease_machine_holder(const struct lease_machine *machine)
{
	return json_string_or(machine->lease, "spec.holderIdentity", "");
}

bool lease_machine_observe(struct lease_machine *machine, json_t *lease, uint64_t now_ms)
{
	const json_t *spec = json_object_get(lease, "spec");
	FREE_CLEANUP char *holder = string_dup(lease_machine_holder(machine));
	char *text = spec != NULL ? json_canonical(spec) : string_dup("");

	if (string_equal(text, machine->observed)) {
		free(text);
	} else {
		free(machine->observed);
		machine->observed = text;
		machine->observed_ms = now_ms;
	}
	json_incref(lease);
	json_decref(machine->lease);
	machine->lease = lease;
	return !string_equal(holder, lease_machine_holder(machine));
}

enum lease_action lease_machine_decide(const struct lease_machine *machine, uint64_t now_ms)
{
	const char *holder = lease_machine_holder(machine);
	int64_t seconds = json_integer_or(machine->lease, "spec.leaseDurationSeconds", 0);
	uint64_t duration_ms = seconds > 0 && seconds < 24 * 3600 ? (uint64_t)seconds * 1000 : machine->lease_duration_ms;

	if (machine->lease == NULL)
		return LEASE_CREATE;
	if (holder[0] == '\0' || string_equal(holder, machine->identity))
		return LEASE_UPDATE;
	return now_ms - machine->observed_ms >= duration_ms ? LEASE_UPDATE : LEASE_WAIT;
}

static json_t *writable_copy(const struct lease_machine *machine)
{
	json_t *copy;

	if (machine->lease == NULL)
		return json_build("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease", "metadata",
		                  "name", machine->name, "namespace", machine->namespace, "spec");
	copy = json_deep_copy(machine->lease);
	if (copy == NULL)
		abort();
	(void)json_object_del(json_object_get(copy, "metadata"), "managedFields");
	return copy;
}

json_t *lease_machine_claim(const struct lease_machine *machine, int64_t wall_micros)
{
	bool ours = machine->leading && string_equal(lease_machine_holder(machine), machine->identity);
	int64_t transitions = json_integer_or(machine->lease, "spec.leaseTransitions", 0);
	json_t *copy = writable_copy(machine), *spec = json_ensure_object(copy, "spec");
	char now[32];

	clock_format_rfc3339_micro(wall_micros, now, sizeof(now));
	json_object_set_new(spec, "holderIdentity", json_string_new(machine->identity));
	json_object_set_new(spec, "leaseDurationSeconds", json_integer((machine->lease_duration_ms + 999) / 1000));
	json_object_set_new(spec, "renewTime", json_string_new(now));
	if (!ours || json_string_at(spec, "acquireTime") == NULL)
		json_object_set_new(spec, "acquireTime", json_string_new(now));
	if (machine->lease == NULL)
		transitions = 0;
	else if (!ours)
		transitions++;
	json_object_set_new(spec, "leaseTransitions", json_integer(transitions));
	return copy;
}

json_t *lease_machine_release(const struct lease_machine *machine, int64_t wall_micros)
{
	json_t *copy, *spec;
	char now[32];

	if (machine->lease == NULL || !string_equal(lease_machine_holder(machine), machine->identity))
		return NULL;
	clock_format_rfc3339_micro(wall_micros, now, sizeof(now));
	copy = writable_copy(machine);
	spec = json_ensure_object(copy, "spec");
	json_object_set_new(spec, "holderIdentity", json_string_new(""));
	json_object_set_new(spec, "leaseDurationSeconds", json_integer(1));
	json_object_set_new(spec, "renewTime", json_string_new(now));
	json_object_set_new(spec, "acquireTime", json_string_new(now));
	return copy;
}
