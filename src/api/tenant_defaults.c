/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "api/tenant_control_plane.h"
#include "base/ip.h"
#include "base/strings.h"

static const char *const default_admission_controllers[] = {
	"CertificateApproval",
	"CertificateSigning",
	"CertificateSubjectRestriction",
	"DefaultIngressClass",
	"DefaultStorageClass",
	"DefaultTolerationSeconds",
	"LimitRanger",
	"MutatingAdmissionWebhook",
	"NamespaceLifecycle",
	"PersistentVolumeClaimResize",
	"Priority",
	"ResourceQuota",
	"RuntimeClass",
	"ServiceAccount",
	"StorageObjectInUseProtection",
	"TaintNodesByCondition",
	"ValidatingAdmissionWebhook",
};
static const char *const default_address_types[] = { "InternalIP", "ExternalIP", "Hostname" };

/* The member as an object, created when absent or null; NULL when it is something else. */
static json_t *object_member(json_t *parent, const char *name)
{
	json_t *member = json_object_get(parent, name);

	if (json_is_object(member))
		return member;
	if (!json_is_object(parent) || (member && !json_is_null(member)))
		return NULL;
	member = json_object();
	json_object_set_new(parent, name, member);
	return member;
}

static bool is_absent(const json_t *parent, const char *name)
{
	const json_t *member = json_object_get(parent, name);

	return json_is_object(parent) && (!member || json_is_null(member));
}

static void default_string(json_t *parent, const char *name, const char *value)
{
	if (is_absent(parent, name))
		json_object_set_new(parent, name, json_string_new(value));
}

static void default_integer(json_t *parent, const char *name, int64_t value)
{
	if (is_absent(parent, name))
		json_object_set_new(parent, name, json_integer(value));
}

static void default_strings(json_t *parent, const char *name, const char *const *values, size_t count)
{
	json_t *list;

	if (!is_absent(parent, name) && json_array_size(json_object_get(parent, name)) != 0)
		return;
	if (!is_absent(parent, name) && !json_is_array(json_object_get(parent, name)))
		return;
	list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string_new(values[i]));
	json_object_set_new(parent, name, list);
}

static void default_deployment(json_t *deployment)
{
	json_t *registry = object_member(deployment, "registrySettings");

	default_integer(deployment, "replicas", 2);
	default_string(registry, "registry", "registry.k8s.io");
	default_string(registry, "apiServerImage", "kube-apiserver");
	default_string(registry, "controllerManagerImage", "kube-controller-manager");
	default_string(registry, "schedulerImage", "kube-scheduler");
	default_string(deployment, "serviceAccountName", "default");
	if (is_absent(deployment, "strategy"))
		json_object_set_new(
			deployment, "strategy",
			json_build("{s:s,s:{s:i,s:s}}", "type", "RollingUpdate", "rollingUpdate", "maxUnavailable", 0, "maxSurge", "100%"));
}

static void default_control_plane(json_t *control_plane)
{
	json_t *item;
	size_t i;

	default_deployment(object_member(control_plane, "deployment"));
	json_array_foreach(json_at(control_plane, "service.additionalPorts"), i, item)
		default_string(item, "protocol", "TCP");
	json_array_foreach(json_at(control_plane, "gateway.parentRefs"), i, item) {
		default_string(item, "group", "gateway.networking.k8s.io");
		default_string(item, "kind", "Gateway");
	}
}

static void default_konnectivity(json_t *konnectivity)
{
	json_t *server, *agent;

	if (!json_is_object(konnectivity))
		return;
	if (is_absent(konnectivity, "server"))
		json_object_set_new(konnectivity, "server", json_build("{s:i}", "port", 8132));
	server = json_object_get(konnectivity, "server");
	default_string(server, "image", "registry.k8s.io/kas-network-proxy/proxy-server");
	agent = object_member(konnectivity, "agent");
	default_string(agent, "image", "registry.k8s.io/kas-network-proxy/proxy-agent");
	default_string(agent, "mode", "DaemonSet");
	if (is_absent(agent, "hostNetwork"))
		json_object_set_new(agent, "hostNetwork", json_false());
	if (is_absent(agent, "tolerations"))
		json_object_set_new(agent, "tolerations", json_build("[{s:s,s:s}]", "key", "CriticalAddonsOnly", "operator", "Exists"));
}

/* An empty or absent list gets the single-valued field's value. */
static void default_list_from(json_t *network, const char *list, const char *single)
{
	const char *value = json_string_or(network, single, "");

	if (!string_empty(value))
		default_strings(network, list, &value, 1);
}

/* The webhook's arithmetic: 10 (IPv4) or 16 (IPv6) is added to the last byte of the address as written, and it may wrap. */
static void default_dns_addresses(json_t *network)
{
	json_t *list, *item;
	size_t i;

	if (!json_is_object(network) || json_array_size(json_object_get(network, "dnsServiceIPs")) > 0)
		return;
	if (!is_absent(network, "dnsServiceIPs") && !json_is_array(json_object_get(network, "dnsServiceIPs")))
		return;
	list = json_array();
	json_array_foreach(json_object_get(network, "serviceCidrs"), i, item) {
		struct ip_network cidr;
		char text[IP_TEXT_SIZE];

		if (!json_is_string(item) || ip_network_parse(json_string_value(item), &cidr) != 0)
			continue;
		if (cidr.address.family == 4)
			cidr.address.bytes[3] = (uint8_t)(cidr.address.bytes[3] + 10);
		else
			cidr.address.bytes[15] = (uint8_t)(cidr.address.bytes[15] + 16);
		ip_format(&cidr.address, text);
		json_array_append_new(list, json_string_new(text));
	}
	if (json_array_size(list) > 0)
		json_object_set_new(network, "dnsServiceIPs", list);
	else
		json_decref(list);
}

static void default_network(json_t *network)
{
	default_integer(network, "port", 6443);
	default_string(network, "clusterDomain", "cluster.local");
	default_string(network, "serviceCidr", "10.96.0.0/16");
	default_string(network, "podCidr", "10.244.0.0/16");
	default_list_from(network, "serviceCidrs", "serviceCidr");
	default_list_from(network, "podCidrs", "podCidr");
	default_dns_addresses(network);
}

void tenant_default(json_t *object, const char *default_data_store)
{
	json_t *spec = object_member(object, "spec");
	json_t *kubernetes;

	if (!spec)
		return;
	if (!string_empty(default_data_store) && string_empty(json_string_or(spec, "dataStore", "")) &&
	    (is_absent(spec, "dataStore") || json_is_string(json_object_get(spec, "dataStore"))))
		json_object_set_new(spec, "dataStore", json_string_new(default_data_store));
	default_control_plane(object_member(spec, "controlPlane"));
	kubernetes = object_member(spec, "kubernetes");
	default_strings(kubernetes, "admissionControllers", default_admission_controllers, ARRAY_LENGTH(default_admission_controllers));
	default_strings(object_member(kubernetes, "kubelet"), "preferredAddressTypes", default_address_types,
	                ARRAY_LENGTH(default_address_types));
	default_network(object_member(spec, "networkProfile"));
	default_konnectivity(json_at(spec, "addons.konnectivity"));
}
