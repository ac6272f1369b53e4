/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes. Upstream's numbers give a starting API server 30 seconds and then kill it, so that a busy node never gets it up. Profile native
 * asks every second for up to five minutes while it starts; once it runs, readiness follows within two seconds and liveness is patient.
 */
#include <string.h>

#include "controlplane/renderer.h"

enum { PROBE_LIVENESS, PROBE_READINESS, PROBE_STARTUP, PROBE_COUNT };

struct numbers {
	int64_t initial_delay, timeout, period, success, failure;
};

static const char *const override_names[PROBE_COUNT] = { "liveness", "readiness", "startup" };
static const char *const probe_names[PROBE_COUNT] = { "livenessProbe", "readinessProbe", "startupProbe" };

static struct numbers built_in(const struct renderer *renderer, const struct component *component, int which)
{
	static const struct numbers upstream = { 0, 1, 10, 1, 3 };
	static const struct numbers native[PROBE_COUNT] = {
		[PROBE_LIVENESS] = { 0, 15, 10, 1, 8 },
		[PROBE_READINESS] = { 0, 5, 2, 1, 3 },
		[PROBE_STARTUP] = { 0, 5, 1, 1, 300 },
	};
	struct numbers numbers = renderer->profile == PROFILE_UPSTREAM ? upstream : native[which];

	/* Nobody is routed to the others: the first readiness probe after start-up is immediate, later ones may take their time. */
	if (renderer->profile == PROFILE_NATIVE && which == PROBE_READINESS && strcmp(component->container, CONTAINER_API_SERVER) != 0)
		numbers.period = 5;
	return numbers;
}

static void override(struct numbers *numbers, const json_t *spec)
{
	numbers->initial_delay = json_integer_or(spec, "initialDelaySeconds", numbers->initial_delay);
	numbers->timeout = json_integer_or(spec, "timeoutSeconds", numbers->timeout);
	numbers->period = json_integer_or(spec, "periodSeconds", numbers->period);
	numbers->success = json_integer_or(spec, "successThreshold", numbers->success);
	numbers->failure = json_integer_or(spec, "failureThreshold", numbers->failure);
}

void probes_render(const struct renderer *renderer, const struct component *component, json_t *container)
{
	const json_t *all = json_object_get(renderer->tenant->deployment, "probes");
	const json_t *own = json_object_get(all, component->key);
	const char *const paths[PROBE_COUNT] = { component->liveness_path, component->readiness_path, component->startup_path };

	for (int i = 0; i < PROBE_COUNT; i++) {
		struct numbers numbers = built_in(renderer, component, i);
		json_t *probe;

		override(&numbers, json_object_get(all, override_names[i]));
		override(&numbers, json_object_get(own, override_names[i]));
		probe = json_build("{s:{s:s,s:I,s:s},s:I,s:I,s:I,s:I}", "httpGet", "path", paths[i], "port", (json_int_t)component->port,
		                   "scheme", "HTTPS", "timeoutSeconds", (json_int_t)numbers.timeout, "periodSeconds",
		                   (json_int_t)numbers.period, "successThreshold", (json_int_t)numbers.success, "failureThreshold",
		                   (json_int_t)numbers.failure);
		if (numbers.initial_delay != 0)
			json_put(probe, "initialDelaySeconds", json_integer(numbers.initial_delay));
		json_put(container, probe_names[i], probe);
	}
}
