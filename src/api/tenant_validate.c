/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "api/field_problem.h"
#include "api/names.h"
#include "base/ip.h"
#include "base/strings.h"
#include "base/version.h"
#include "pki/certificate.h"

static void check_metadata(struct problem_list *list, const struct tenant_control_plane *tenant, const json_t *previous)
{
	if (!previous && !name_is_dns1035_label(tenant->name))
		problem_add(list, PROBLEM_UPSTREAM, "metadata.name",
		            "use at most 63 lower-case letters, digits and hyphens, starting with a letter", "\"%s\" cannot name a Service",
		            tenant->name);
}

/* Upstream compares with the patch number set to zero and the pre-release kept. */
static void compare_versions(struct problem_list *list, struct version wanted, const char *text, const char *previous_text)
{
	struct version supported, previous;
	struct error err;

	wanted.patch = 0;
	version_parse(KAMAJI_SUPPORTED_KUBERNETES_VERSION, "", &supported, &err);
	if (version_compare(&wanted, &supported) > 0)
		problem_add(list, PROBLEM_UPSTREAM, "spec.kubernetes.version", "use a version of at most v1.36",
		            "%s is newer than the newest supported minor version v%u.%u", text, supported.major, supported.minor);
	if (string_empty(previous_text))
		return;
	if (version_parse(previous_text, "", &previous, &err) != 0) {
		problem_add(list, PROBLEM_UPSTREAM, "spec.kubernetes.version", "create the tenant anew with a version like v1.36.0",
		            "the stored version %s cannot be read", previous_text);
		return;
	}
	previous.patch = 0;
	if (version_compare(&wanted, &previous) < 0)
		problem_add(list, PROBLEM_UPSTREAM, "spec.kubernetes.version", "keep the minor version or take the next one",
		            "%s is older than the stored version %s: a downgrade is not possible", text, previous_text);
	else if (wanted.minor > previous.minor + 1)
		problem_add(list, PROBLEM_UPSTREAM, "spec.kubernetes.version", "go one minor version at a time",
		            "from %s to %s a minor version is skipped", previous_text, text);
}

static void check_version(struct problem_list *list, const struct tenant_control_plane *tenant, const json_t *previous)
{
	struct version version;
	struct error err;

	if (version_parse(tenant->version, "spec.kubernetes.version", &version, &err) != 0) {
		problem_add(list, PROBLEM_UPSTREAM, "spec.kubernetes.version", "write it as v1.36.0", "\"%s\" is no version",
		            tenant->version);
		return;
	}
	if (strchr(tenant->version, '+'))
		problem_add(list, PROBLEM_OURS, "spec.kubernetes.version",
		            "leave out the build part, or put it into registrySettings.tagSuffix", "%s holds a '+', which no image tag can",
		            tenant->version);
	if (tenant->version[0] != 'v')
		problem_add(list, PROBLEM_HINT, "spec.kubernetes.version", "write it with a leading v",
		            "%s becomes the image tag as it is; upstream's images have tags like v1.36.0", tenant->version);
	if (!tenant->deleting)
		compare_versions(list, version, tenant->version, json_string_at(previous, "spec.kubernetes.version"));
}

static void check_address(struct problem_list *list, const char *field, const char *text)
{
	struct ip_address address;

	if (!string_empty(text) && ip_parse(text, &address) != 0)
		problem_add(list, PROBLEM_OURS, field, "write an IPv4 or IPv6 address",
		            "\"%s\" is no IP address, and certificates and flags need one", text);
}

static void check_exposure(struct problem_list *list, const struct tenant_control_plane *tenant)
{
	const char *field = "spec.networkProfile.port";
	int64_t konnectivity = json_integer_or(tenant->konnectivity, "server.port", 8132);

	if (tenant->port < 1 || tenant->port > 65535)
		problem_add(list, PROBLEM_OURS, field, "use a port from 1 to 65535", "%lld is no port", (long long)tenant->port);
	else if (tenant->service_type == SERVICE_NODE_PORT && (tenant->port < 30000 || tenant->port > 32767))
		problem_add(list, PROBLEM_HINT, field, "use a port from 30000 to 32767, or widen --service-node-port-range",
		            "%lld is also the node port and lies outside the usual range", (long long)tenant->port);
	if (tenant->service_type == SERVICE_NODE_PORT && string_empty(tenant->address))
		problem_add(list, PROBLEM_OURS, "spec.networkProfile.address",
		            "give the address of a node or of a load balancer before the nodes",
		            "a NodePort Service has no address of its own, so the tenant would never get an endpoint");
	check_address(list, "spec.networkProfile.address", tenant->address);
	check_address(list, "spec.networkProfile.advertiseAddress", tenant->advertise_address);
	if (tenant->konnectivity && (konnectivity < 1 || konnectivity > 65535))
		problem_add(list, PROBLEM_OURS, "spec.addons.konnectivity.server.port", "use a port from 1 to 65535", "%lld is no port",
		            (long long)konnectivity);
	else if (tenant->konnectivity && konnectivity == tenant->port)
		problem_add(list, PROBLEM_OURS, "spec.addons.konnectivity.server.port", "use a port of its own",
		            "%lld is the API server's port", (long long)konnectivity);
	if (tenant->ingress && tenant->gateway)
		problem_add(list, PROBLEM_UPSTREAM, "spec.controlPlane", "keep one of them", "ingress and gateway exclude each other");
	if (tenant->ingress && string_empty(tenant->ingress_hostname))
		problem_add(list, PROBLEM_OURS, "spec.controlPlane.ingress.hostname", "give the host name clients use",
		            "an Ingress needs a host name");
	if (tenant->gateway && string_empty(tenant->gateway_hostname))
		problem_add(list, PROBLEM_OURS, "spec.controlPlane.gateway.hostname", "give the host name clients use",
		            "a TLSRoute needs a host name");
}

/* Valid entries are kept in `networks`; returns their number. */
static size_t check_cidrs(struct problem_list *list, const struct string_array *cidrs, const char *field, struct ip_network networks[2])
{
	size_t count = 0;

	if (cidrs->count > 2)
		problem_add(list, PROBLEM_UPSTREAM, field, "give one, or one of each family", "%zu networks are more than two",
		            cidrs->count);
	for (size_t i = 0; i < cidrs->count && count < 2; i++) {
		if (ip_network_parse(cidrs->items[i], &networks[count]) != 0)
			problem_add(list, PROBLEM_UPSTREAM, field, "write it as 10.96.0.0/16", "\"%s\" is no network", cidrs->items[i]);
		else
			count++;
	}
	if (count == 2 && networks[0].address.family == networks[1].address.family)
		problem_add(list, PROBLEM_OURS, field, "give one, or one of each family",
		            "two networks of the same family are refused by kube-apiserver");
	return count;
}

static void check_dns_addresses(struct problem_list *list, const struct tenant_control_plane *tenant, const struct ip_network *services,
                                size_t count)
{
	const char *field = "spec.networkProfile.dnsServiceIPs";

	for (size_t i = 0; i < tenant->dns_service_ips.count; i++) {
		const char *text = tenant->dns_service_ips.items[i];
		struct ip_address address;
		bool contained = false;

		if (ip_parse(text, &address) != 0) {
			problem_add(list, PROBLEM_UPSTREAM, field, "write an IP address of the service network", "\"%s\" is no IP address",
			            text);
			continue;
		}
		for (size_t j = 0; j < count && !contained; j++)
			contained = ip_network_contains(&services[j], &address);
		if (!contained)
			problem_add(list, PROBLEM_UPSTREAM, field, "take an address inside spec.networkProfile.serviceCidrs",
			            "%s is outside the service networks", text);
	}
}

static void check_networks(struct problem_list *list, const struct tenant_control_plane *tenant)
{
	struct ip_network services[2], pods[2];
	size_t service_count = check_cidrs(list, &tenant->service_cidrs, "spec.networkProfile.serviceCidrs", services);
	size_t pod_count = check_cidrs(list, &tenant->pod_cidrs, "spec.networkProfile.podCidrs", pods);
	struct error err;

	for (size_t i = 0; i < service_count; i++)
		for (size_t j = 0; j < pod_count; j++)
			if (ip_network_overlaps(&services[i], &pods[j]))
				problem_add(list, PROBLEM_OURS, "spec.networkProfile.podCidrs", "use separate networks",
				            "the pod and service networks overlap");
	check_dns_addresses(list, tenant, services, service_count);
	for (size_t i = 0; i < tenant->certificate_names.count; i++)
		if (certificate_san_validate(tenant->certificate_names.items[i], &err) != 0)
			problem_add(list, PROBLEM_UPSTREAM, "spec.networkProfile.certSANs",
			            "write an IP address, a host name, or *. and a host name", "\"%s\" can be no subject alternative name",
			            tenant->certificate_names.items[i]);
	if (!strchr(tenant->cluster_domain, '.'))
		problem_add(list, PROBLEM_UPSTREAM, "spec.networkProfile.clusterDomain", "write it as cluster.local", "\"%s\" holds no dot",
		            tenant->cluster_domain);
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* Names of containers and volumes that every tenant's pods have: the API server refuses a second one. Those of kine depend on the data store,
 * and "kine" itself may be given on purpose. */
static bool is_reserved(const struct tenant_control_plane *tenant, const char *name)
{
	static const char *const always[] = { "kube-apiserver",
		                              "kube-scheduler",
		                              "kube-controller-manager",
		                              "etc-kubernetes-pki",
		                              "etc-ca-certificates",
		                              "usr-share-ca-certificates",
		                              "usr-local-share-ca-certificates",
		                              "scheduler-kubeconfig",
		                              "controller-manager-kubeconfig",
		                              "controller-manager-pki",
		                              NULL };
	static const char *const konnectivity[] = { "konnectivity-server", "konnectivity-uds", "egress-selector-configuration",
		                                    "konnectivity-server-kubeconfig", NULL };

	return is_one_of(name, always) || (tenant->konnectivity && is_one_of(name, konnectivity));
}

/* Each value of `key` once, and none of ours. */
static void check_unique(struct problem_list *list, const struct tenant_control_plane *tenant, const json_t *items, const char *key,
                         const char *field)
{
	for (size_t i = 0; i < json_array_size(items); i++) {
		const char *text = json_string_or(json_array_get(items, i), key, "");

		if (strcmp(key, "name") == 0 && is_reserved(tenant, text))
			problem_add(list, PROBLEM_OURS, field, "give it another name", "\"%s\" is one of the control plane's own", text);
		for (size_t j = 0; j < i; j++)
			if (!string_empty(text) && strcmp(text, json_string_or(json_array_get(items, j), key, "")) == 0)
				problem_add(list, PROBLEM_OURS, field, "give each one once", "\"%s\" is there twice", text);
	}
}

static void check_containers(struct problem_list *list, const struct tenant_control_plane *tenant, const char *member, const char *field)
{
	json_t *items = json_object_get(tenant->deployment, member), *item;
	size_t i;

	check_unique(list, tenant, items, "name", field);
	json_array_foreach(items, i, item) {
		const char *name = json_string_or(item, "name", "");

		if (!name_is_dns1123_label(name))
			problem_add(list, PROBLEM_OURS, field, "use lower-case letters, digits and hyphens",
			            "\"%s\" can be no container name", name);
		else if (string_empty(json_string_or(item, "image", "")) && strcmp(name, "kine") != 0)
			problem_add(list, PROBLEM_OURS, field, "give each container an image", "container %s has no image", name);
	}
}

static void check_deployment(struct problem_list *list, const struct tenant_control_plane *tenant)
{
	static const char *const components[] = { "apiServer", "controllerManager", "scheduler" };
	static const char *const mount_fields[] = { "spec.controlPlane.deployment.additionalVolumeMounts.apiServer",
		                                    "spec.controlPlane.deployment.additionalVolumeMounts.controllerManager",
		                                    "spec.controlPlane.deployment.additionalVolumeMounts.scheduler" };
	const char *strategy = json_string_or(tenant->deployment, "strategy.type", "RollingUpdate");
	const char *label = json_string_value(json_object_get(json_at(tenant->deployment, "podAdditionalMetadata.labels"), LABEL_NAME));

	if (tenant->replicas < 0 || tenant->replicas > INT32_MAX)
		problem_add(list, PROBLEM_UPSTREAM, "spec.controlPlane.deployment.replicas",
		            "use zero to let the tenant sleep, or one and more", "%lld is no number of replicas",
		            (long long)tenant->replicas);
	if (!string_empty(strategy) && strcmp(strategy, "RollingUpdate") != 0 && strcmp(strategy, "Recreate") != 0)
		problem_add(list, PROBLEM_OURS, "spec.controlPlane.deployment.strategy.type", "use RollingUpdate or Recreate",
		            "\"%s\" is unknown", strategy);
	if (label && strcmp(label, tenant->name) != 0)
		problem_add(list, PROBLEM_OURS, "spec.controlPlane.deployment.podAdditionalMetadata.labels", "remove the label " LABEL_NAME,
		            "the label " LABEL_NAME "=%s breaks the selector of Deployment and Service", label);
	check_containers(list, tenant, "additionalContainers", "spec.controlPlane.deployment.additionalContainers");
	check_containers(list, tenant, "additionalInitContainers", "spec.controlPlane.deployment.additionalInitContainers");
	check_unique(list, tenant, json_object_get(tenant->deployment, "additionalVolumes"), "name",
	             "spec.controlPlane.deployment.additionalVolumes");
	for (size_t i = 0; i < ARRAY_LENGTH(components); i++)
		check_unique(list, tenant, json_object_get(json_object_get(tenant->deployment, "additionalVolumeMounts"), components[i]),
		             "mountPath", mount_fields[i]);
}

enum { LABEL_VALUE_MAXIMUM = 63 };

static bool is_schema_text(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("_-.", *text))
			return false;
	return true;
}

static void check_data_stores(struct problem_list *list, const struct tenant_control_plane *tenant)
{
	static const char *const members[] = { "dataStoreSchema", "dataStoreUsername" };
	static const char *const fields[] = { "spec.dataStoreSchema", "spec.dataStoreUsername" };

	for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
		const char *text = json_string_or(tenant->spec, members[i], "");

		if (!is_schema_text(text))
			problem_add(list, PROBLEM_OURS, fields[i], "use letters, digits, '_', '-' and '.'",
			            "\"%s\" cannot name a keyspace or a user", text);
	}
	if (strlen(tenant->data_store) > LABEL_VALUE_MAXIMUM)
		problem_add(list, PROBLEM_OURS, "spec.dataStore", "give the DataStore a shorter name",
		            "\"%s\" is longer than the %d characters of a label's value, and pods carry it as one", tenant->data_store,
		            LABEL_VALUE_MAXIMUM);
	for (size_t i = 0; i < tenant->override_count; i++) {
		if (string_empty(tenant->overrides[i].resource) || string_empty(tenant->overrides[i].data_store))
			problem_add(list, PROBLEM_OURS, "spec.dataStoreOverrides", "write resource (\"/events\") and dataStore",
			            "entry %zu lacks its resource or its data store", i);
		for (size_t j = 0; j < i; j++)
			if (strcmp(tenant->overrides[i].resource, tenant->overrides[j].resource) == 0)
				problem_add(list, PROBLEM_UPSTREAM, "spec.dataStoreOverrides", "name each resource once",
				            "%s is named twice", tenant->overrides[i].resource);
	}
}

static void check_kubelet(struct problem_list *list, const struct tenant_control_plane *tenant)
{
	json_t *patch;
	size_t i;

	json_array_foreach(json_at(tenant->spec, "kubernetes.kubelet.configurationJSONPatches"), i, patch) {
		const char *path = json_string_or(patch, "path", "");

		if (path[0] != '/')
			problem_add(list, PROBLEM_OURS, "spec.kubernetes.kubelet.configurationJSONPatches", "start the path with a slash",
			            "\"%s\" is no JSON pointer", path);
	}
}

const struct field_problem *tenant_validate(struct arena *arena, const json_t *object, const json_t *previous)
{
	struct tenant_control_plane tenant;
	struct problem_list list;
	struct error err;

	problem_list_init(&list, arena);
	if (tenant_parse(arena, object, NULL, &tenant, &err) != 0) {
		problem_add(&list, PROBLEM_UPSTREAM, "metadata", "send a complete TenantControlPlane", "%s", err.message);
		return list.first;
	}
	check_metadata(&list, &tenant, previous);
	check_version(&list, &tenant, previous);
	check_exposure(&list, &tenant);
	check_networks(&list, &tenant);
	check_deployment(&list, &tenant);
	check_data_stores(&list, &tenant);
	check_kubelet(&list, &tenant);
	return list.first;
}
