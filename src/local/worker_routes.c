/* SPDX-License-Identifier: Apache-2.0 */
/* Pods of one worker reach those of another of the same tenant over the nodes' network, as with any routed pod network. */
#include <string.h>

#include "local/worker_task.h"

#define ROUTE_PROTOCOL "222" /* a number of our own: tells these routes from the kernel's and the node's own */

static bool same_tenant(const struct local_worker *a, const struct local_worker *b)
{
	return string_equal(a->namespace, b->namespace) && string_equal(a->tenant, b->tenant);
}

/* True when another worker of the tenant has this range. */
static bool is_wanted(const struct local_worker_list *workers, const struct local_worker *self, const char *range)
{
	for (size_t i = 0; i < workers->count; i++)
		if (&workers->items[i] != self && same_tenant(&workers->items[i], self) && string_equal(workers->items[i].pods, range))
			return true;
	return false;
}

int worker_routes_plan(const char *routes_json, size_t length, const struct local_worker_list *workers, const struct local_worker *self,
                       const struct local_address_plan *plan, struct buffer *batch, struct error *err)
{
	JSON_CLEANUP json_t *routes = json_parse(routes_json, length, err);
	if (!routes)
		return error_wrap(err, "routes of worker %s", self->name);
	for (size_t i = 0; i < json_array_size(routes); i++) {
		const char *range = json_string_or(json_array_get(routes, i), "dst", "");
		if (!is_wanted(workers, self, range))
			buffer_printf(batch, "route delete %s protocol " ROUTE_PROTOCOL "\n", range);
	}
	for (size_t i = 0; i < workers->count; i++) {
		const struct local_worker *other = &workers->items[i];
		char address[LOCAL_ADDRESS_TEXT_MAX];
		if (other == self || !same_tenant(other, self) || string_empty(other->pods))
			continue;
		local_address_format(local_worker_address(plan, other), address);
		buffer_printf(batch, "route replace %s via %s protocol " ROUTE_PROTOCOL "\n", other->pods, address);
	}
	return 0;
}

int worker_routes_sync(struct local_environment *environment, const char *namespace, const char *tenant, struct error *err)
{
	static const char *const list[] = { "ip", "-j", "-4", "route", "show", "protocol", ROUTE_PROTOCOL, NULL };
	static const char *const change[] = { "ip", "-batch", "-", NULL };
	struct local_worker_list *workers = &environment->state.workers;
	for (size_t i = 0; i < workers->count; i++) {
		struct local_worker *worker = &workers->items[i];
		if (!string_equal(worker->namespace, namespace) || !string_equal(worker->tenant, tenant) ||
		    !node_identity_is_alive(&worker->identity))
			continue;
		const struct worker_task task = { .environment = environment, .worker = worker };
		BUFFER_CLEANUP struct buffer now = { .limit = CLUSTER_OUTPUT_MAX }, batch = { 0 };
		if (worker_node_run(&task, list, NULL, &now, err) < 0 ||
		    worker_routes_plan(now.length ? now.data : "[]", now.length ? now.length : 2, workers, worker, &environment->plan,
		                       &batch, err) < 0)
			return error_wrap(err, "routes between workers");
		if (batch.length && worker_node_run(&task, change, batch.data, NULL, err) < 0)
			return error_wrap(err, "routes between workers");
	}
	return 0;
}
