/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defaults at creation. Only what upstream's webhook fills is filled: the rest are the schema's defaults, which the API server sets before
 * and, inside objects that the patch creates, again after us. Missing spec.controlPlane and spec.networkProfile stay missing, so that the
 * schema says what it says.
 */
#include "base/ip.h"
#include "webhook/admission_internal.h"

static bool is_absent(const json_t *parent, const char *name)
{
	const json_t *member = json_object_get(parent, name);

	return !member || json_is_null(member);
}

static bool is_empty_list(const json_t *parent, const char *name)
{
	const json_t *member = json_object_get(parent, name);

	return is_absent(parent, name) || (json_is_array(member) && json_array_size(member) == 0);
}

static void default_replicas(json_t *control_plane)
{
	json_t *deployment = json_object_get(control_plane, "deployment");

	if (!json_is_object(control_plane))
		return;
	if (is_absent(control_plane, "deployment")) {
		deployment = json_object();
		json_object_set_new(control_plane, "deployment", deployment);
	}
	if (json_is_object(deployment) && is_absent(deployment, "replicas"))
		json_object_set_new(deployment, "replicas", json_integer(2));
}

static void default_list(json_t *network, const char *list, const char *single)
{
	const char *value = json_string_or(network, single, "");

	if (is_empty_list(network, list) && !string_empty(value))
		json_object_set_new(network, list, json_build("[s]", value));
}

/* 10 or 16 is added to the last byte of the address as written; it may wrap. False when a network cannot be read. */
static bool default_dns_addresses(json_t *network, const char **wrong)
{
	JSON_CLEANUP json_t *list = json_array();
	json_t *item;
	size_t i;

	if (!is_empty_list(network, "dnsServiceIPs"))
		return true;
	json_array_foreach(json_object_get(network, "serviceCidrs"), i, item) {
		struct ip_network cidr;
		char text[IP_TEXT_SIZE];
		size_t last;

		if (!json_is_string(item))
			return true; /* the schema's to refuse */
		if (ip_network_parse(json_string_value(item), &cidr) != 0) {
			*wrong = json_string_value(item);
			return false;
		}
		last = cidr.address.family == 4 ? 3 : 15;
		cidr.address.bytes[last] = (uint8_t)(cidr.address.bytes[last] + (cidr.address.family == 4 ? 10 : 16));
		ip_format(&cidr.address, text);
		json_array_append_new(list, json_string_new(text));
	}
	if (json_array_size(list) > 0)
		json_object_set(network, "dnsServiceIPs", list);
	return true;
}

void admission_mutate(const struct admission_request *request, struct admission_verdict *verdict)
{
	JSON_CLEANUP json_t *after = NULL;
	const char *store = request->admission->default_data_store, *wrong = NULL;
	json_t *spec, *network;

	if (!string_equal(request->operation, "CREATE"))
		return;
	after = json_deep_copy(request->object);
	spec = json_object_get(after, "spec");
	if (!json_is_object(spec))
		return;
	if (!string_empty(store) && (is_absent(spec, "dataStore") || string_equal(json_string_at(spec, "dataStore"), "")))
		json_object_set_new(spec, "dataStore", json_string_new(store));
	default_replicas(json_object_get(spec, "controlPlane"));
	network = json_object_get(spec, "networkProfile");
	if (json_is_object(network)) {
		default_list(network, "serviceCidrs", "serviceCidr");
		default_list(network, "podCidrs", "podCidr");
		if (!default_dns_addresses(network, &wrong)) {
			verdict_deny(verdict, request->arena, 403, "cannot define resulting DNS Service IP: invalid CIDR address: %s",
			             wrong);
			return;
		}
	}
	verdict->patch = json_difference(request->object, after);
}
