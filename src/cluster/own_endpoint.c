/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address of the tenant behind its Service `kubernetes`, in an EndpointSlice of ours beside the API server's own. All API servers of a
 * tenant advertise one address, and each takes it out of Endpoints and EndpointSlice `kubernetes` when it starts and again when it ends;
 * the others put it back within ten seconds (k8s.io/kubernetes, pkg/controlplane/controller/kubernetesservice). Meanwhile pods would reach
 * no API server, though some are there. Proxies join the slices of a Service, so that this one bridges the gap.
 */
#include "base/arena.h"
#include "base/ip.h"
#include "base/strings.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

#define MANAGED_BY_LABEL "endpointslice.kubernetes.io/managed-by"
#define MANAGED_BY "kamaji.clastix.io"

bool cluster_is_own_endpoint(const json_t *slice)
{
	const json_t *labels = json_at(slice, "metadata.labels");

	return string_equal(json_string_value(json_object_get(labels, MANAGED_BY_LABEL)), MANAGED_BY);
}

int cluster_build_own_endpoint(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	const struct tenant_control_plane *tenant = inputs->tenant;
	struct arena *arena = arena_new();
	struct endpoint assigned;
	struct ip_address address;
	json_t *slice;
	int result = endpoint_parse(arena, tenant->endpoint, &assigned, err);

	/* A name instead of an address: kube-apiserver would not have started with it. */
	if (result == 0 && ip_parse(tenant_advertised_address(tenant, &assigned), &address) == 0) {
		slice = cluster_object("discovery.k8s.io/v1", "EndpointSlice", "default", CLUSTER_OWN_ENDPOINT);
		json_put(slice, "metadata.labels",
		         json_build("{s:s, s:s}", "kubernetes.io/service-name", "kubernetes", MANAGED_BY_LABEL, MANAGED_BY));
		json_put_string(slice, "addressType", address.family == 6 ? "IPv6" : "IPv4");
		json_put(slice, "endpoints",
		         json_build("[{s:[s], s:{s:b}}]", "addresses", tenant_advertised_address(tenant, &assigned), "conditions", "ready",
		                    1));
		json_put(slice, "ports",
		         json_build("[{s:s, s:s, s:I}]", "name", "https", "protocol", "TCP", "port", (json_int_t)tenant->port));
		(void)json_array_append_new(objects, slice);
	}
	arena_free(arena);
	return result;
}
