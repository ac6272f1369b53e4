/* SPDX-License-Identifier: Apache-2.0 */
/* TLSRoutes of the Gateway API: one for the API server, one for konnectivity once the first has found its parent. */
#include "controlplane/gateway.h"

#include <string.h>

static json_t *new_route(struct pass *pass, const char *name, const char *component, json_t *parents, int64_t port)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	json_t *object = pass_new_object(pass, "gateway.networking.k8s.io/v1", "TLSRoute", name, component);

	metadata_merge(object, json_object_get(tenant->gateway, "additionalMetadata"));
	if (parents)
		json_put(object, "spec.parentRefs", parents);
	json_put(object, "spec.hostnames", json_build("[s]", tenant->gateway_hostname));
	json_put(object, "spec.rules", json_build("[{s:[{s:s,s:I}]}]", "backendRefs", "name", tenant->name, "port", (json_int_t)port));
	return object;
}

static void remove_route(struct pass *pass, const char *step, const char *name, const json_t *live)
{
	if (is_controlled(pass, live))
		pass_unwant(pass, step, OBJECT_TLS_ROUTE, name, live);
}

/* Its Gateway is the main route's, so that one comes first. */
int konnectivity_route_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const char *name = names_object(pass->arena, tenant->name, SUFFIX_KONNECTIVITY_ROUTE);
	const json_t *given = json_object_get(tenant->gateway, "parentRefs");
	int64_t port = json_integer_or(tenant->konnectivity, "server.port", 8132);
	json_t *parents, *item;
	size_t i;

	(void)err;
	if (!pass->input->options->gateway_served)
		return 0;
	if (!tenant->gateway || !tenant->konnectivity) {
		remove_route(pass, "konnectivity_gateway_routes", name, pass->input->konnectivity_route);
		status_remove(pass->status, "addons.konnectivity.gateway");
		return 0;
	}
	if (json_array_size(json_at(pass->input->route, "status.parents")) != 1 || json_array_size(given) == 0)
		return 0;
	parents = json_deep_copy(given);
	json_array_foreach(parents, i, item) {
		json_put(item, "port", json_integer(port));
		json_put_string(item, "sectionName", "konnectivity-server");
	}
	pass_want(pass, "konnectivity_gateway_routes", OBJECT_TLS_ROUTE, name,
	          new_route(pass, name, "konnectivity_gateway_routes", parents, port), pass->input->konnectivity_route);
	return 0;
}

int gateway_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const json_t *parents = json_object_get(tenant->gateway, "parentRefs");

	if (!pass->input->options->gateway_served)
		return !tenant->gateway ? 0
		                        : pass_block(pass, err, ERROR_PENDING, "GatewayAPIMissing",
		                                     "spec.controlPlane.gateway: the admin cluster serves no TLSRoute of "
		                                     "gateway.networking.k8s.io/v1; install the Gateway API");
	if (!tenant->gateway) {
		remove_route(pass, "gateway_routes", tenant->name, pass->input->route);
		status_remove(pass->status, "kubernetesResources.gateway");
	} else if (string_empty(tenant->gateway_hostname)) {
		return pass_block(pass, err, ERROR_INVALID, "InvalidSpec",
		                  "spec.controlPlane.gateway.hostname: a TLSRoute needs a host name");
	} else {
		pass_want(pass, "gateway_routes", OBJECT_TLS_ROUTE, tenant->name,
		          new_route(pass, tenant->name, "gateway_routes", json_is_array(parents) ? json_deep_copy(parents) : NULL,
		                    tenant->port),
		          pass->input->route);
	}
	return 0;
}

/* Upstream keeps a route's status only while exactly one Gateway has taken it. */
static int observe_route(struct pass *pass, const json_t *route, const char *name, const char *status_path, struct error *err)
{
	const json_t *parents = json_at(route, "status.parents");
	json_t *members, *points;

	if (json_array_size(parents) == 0)
		return pass_block(
			pass, err, ERROR_PENDING, "RoutePending",
			"no Gateway has taken the TLSRoute %s yet: does a Gateway controller run, and do parentRefs name its Gateway?",
			name);
	if (json_array_size(parents) > 1)
		return pass_block(pass, err, ERROR_PENDING, "RouteAmbiguous",
		                  "more than one Gateway has taken the TLSRoute %s: name one in spec.controlPlane.gateway.parentRefs",
		                  name);
	members = json_build("{s:O,s:{s:s}}", "parents", parents, "routeRef", "name", name);
	points = access_points(pass, route);
	if (json_array_size(points) > 0)
		json_put(members, "accessPoints", points);
	else
		json_decref(points);
	status_replace(pass->status, status_path, members, false, pass->input->now);
	return 0;
}

int gateway_observe(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;

	if (!tenant->gateway || !pass->input->options->gateway_served)
		return 0;
	return observe_route(pass, pass->state->live[OBJECT_TLS_ROUTE], tenant->name, "kubernetesResources.gateway", err);
}

int konnectivity_route_observe(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;

	/* Without parentRefs there is nothing to copy, and no route. */
	if (!tenant->gateway || !tenant->konnectivity || !pass->input->options->gateway_served ||
	    json_array_size(json_object_get(tenant->gateway, "parentRefs")) == 0)
		return 0;
	return observe_route(pass, pass->state->live_konnectivity_route, names_object(pass->arena, tenant->name, SUFFIX_KONNECTIVITY_ROUTE),
	                     "addons.konnectivity.gateway", err);
}
