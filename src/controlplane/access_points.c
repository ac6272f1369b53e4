/* SPDX-License-Identifier: Apache-2.0 */
/* status...gateway.accessPoints: from a route's parents over the Gateways' listeners to URLs. */
#include <string.h>

#include "api/status.h"
#include "controlplane/gateway.h"

static bool is_true(const json_t *status, const char *type)
{
	return string_equal(json_string_at(status_condition(status, type), "status"), "True");
}

static const json_t *find_gateway(const struct pass *pass, const json_t *reference, const char *namespace)
{
	const struct step_input *input = pass->input;

	if (!string_equal(json_string_or(reference, "kind", "Gateway"), "Gateway") ||
	    !string_equal(json_string_or(reference, "group", "gateway.networking.k8s.io"), "gateway.networking.k8s.io"))
		return NULL;
	for (size_t i = 0; i < input->gateway_count; i++)
		if (string_equal(json_string_at(input->gateways[i], "metadata.name"), json_string_at(reference, "name")) &&
		    string_equal(json_string_at(input->gateways[i], "metadata.namespace"),
		                 json_string_or(reference, "namespace", namespace)))
			return input->gateways[i];
	return NULL;
}

static bool is_meant(const json_t *listener, const json_t *reference)
{
	const char *section = json_string_or(reference, "sectionName", "");
	int64_t port = json_integer_or(reference, "port", 0);

	return string_equal(json_string_at(listener, "protocol"), "TLS") &&
	       (string_empty(section) || string_equal(json_string_at(listener, "name"), section)) &&
	       (port == 0 || port == json_integer_or(listener, "port", 0));
}

json_t *access_points(const struct pass *pass, const json_t *route)
{
	const char *namespace = json_string_or(route, "metadata.namespace", pass->input->tenant->namespace);
	const char *hostname = json_string_or(route, "spec.hostnames[0]", pass->input->tenant->gateway_hostname);
	json_t *points = json_array(), *parent, *listener;
	size_t i, j;

	json_array_foreach(json_at(route, "status.parents"), i, parent) {
		const json_t *reference = json_object_get(parent, "parentRef"), *gateway = find_gateway(pass, reference, namespace);

		if (!gateway || !is_true(parent, "Accepted") || !is_true(json_object_get(gateway, "status"), "Programmed"))
			continue;
		json_array_foreach(json_at(gateway, "spec.listeners"), j, listener) {
			int64_t port = json_integer_or(listener, "port", 0);
			char *url FREE_CLEANUP = string_printf("https://%s:%lld", hostname, (long long)port);

			if (is_meant(listener, reference))
				json_array_append_new(
					points, json_build("{s:s,s:s,s:I}", "type", "Hostname", "value", url, "port", (json_int_t)port));
		}
	}
	return points;
}
