/* SPDX-License-Identifier: Apache-2.0 */
#include "api/tenant_control_plane.h"

#include <string.h>

#include "api/names.h"
#include "base/ip.h"
#include "base/strings.h"

static void release(void *value)
{
	json_decref(value);
}

static json_t *empty_object(struct arena *arena)
{
	json_t *object = json_object();

	arena_defer(arena, release, object);
	return object;
}

static json_t *object_or_empty(struct arena *arena, const json_t *parent, const char *path)
{
	json_t *member = json_at(parent, path);

	return json_is_object(member) ? member : empty_object(arena);
}

static struct string_array strings_at(struct arena *arena, const json_t *parent, const char *path)
{
	json_t *list = json_at(parent, path), *item;
	struct string_array result = { 0 };
	size_t i;

	if (!json_is_array(list))
		return result;
	result.items = arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*result.items));
	json_array_foreach(list, i, item)
		if (json_is_string(item))
			result.items[result.count++] = json_string_value(item);
	return result;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Upstream sorts the list as text and so loses the order of families; flags and subnets must come out the same. */
static struct string_array effective_cidrs(struct arena *arena, const json_t *network, const char *list, const char *single)
{
	struct string_array result = strings_at(arena, network, list);
	size_t kept = 0;

	if (result.count == 0) {
		const char *value = json_string_or(network, single, "");

		if (string_empty(value))
			return result;
		result.items = arena_alloc(arena, sizeof(*result.items));
		result.items[0] = value;
		result.count = 1;
		return result;
	}
	qsort(result.items, result.count, sizeof(*result.items), compare_texts);
	for (size_t i = 0; i < result.count; i++)
		if (kept == 0 || strcmp(result.items[kept - 1], result.items[i]) != 0)
			result.items[kept++] = result.items[i];
	result.count = kept;
	return result;
}

static void read_overrides(struct arena *arena, struct tenant_control_plane *tenant)
{
	json_t *list = json_object_get(tenant->spec, "dataStoreOverrides"), *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	tenant->overrides = arena_alloc(arena, json_array_size(list) * sizeof(*tenant->overrides));
	json_array_foreach(list, i, item) {
		struct data_store_override *override = &tenant->overrides[tenant->override_count++];

		override->resource = json_string_or(item, "resource", "");
		override->data_store = json_string_or(item, "dataStore", "");
	}
}

static void read_status(struct tenant_control_plane *tenant)
{
	const json_t *status = json_object_get(tenant->object, "status");
	const char *schema, *user;

	tenant->status = json_is_object(status) ? status : NULL;
	tenant->installed_version = json_string_or(status, "kubernetesResources.version.version", "");
	tenant->phase = json_string_or(status, "kubernetesResources.version.status", "");
	tenant->endpoint = json_string_or(status, "controlPlaneEndpoint", "");
	tenant->used_data_store = json_string_or(status, "storage.dataStoreName", "");
	schema = json_string_or(status, "storage.setup.schema", "");
	user = json_string_or(status, "storage.setup.user", "");
	tenant->schema = !string_empty(schema) ? schema : json_string_or(tenant->spec, "dataStoreSchema", "");
	tenant->user = !string_empty(user) ? user : json_string_or(tenant->spec, "dataStoreUsername", "");
	if (string_empty(tenant->schema))
		tenant->schema = tenant->uid;
	if (string_empty(tenant->user))
		tenant->user = tenant->uid;
}

static void read_spec(struct arena *arena, struct tenant_control_plane *tenant)
{
	const char *type = json_string_or(tenant->service, "serviceType", "ClusterIP");
	const json_t *limits = json_object_get(tenant->spec, "writePermissions");

	tenant->version = json_string_or(tenant->spec, "kubernetes.version", "");
	tenant->data_store = json_string_or(tenant->spec, "dataStore", "");
	read_overrides(arena, tenant);
	tenant->replicas = json_integer_or(tenant->deployment, "replicas", 2);
	tenant->service_type = string_equal(type, "NodePort")       ? SERVICE_NODE_PORT
	                       : string_equal(type, "LoadBalancer") ? SERVICE_LOAD_BALANCER
	                                                            : SERVICE_CLUSTER_IP;
	tenant->port = json_integer_or(tenant->network, "port", 6443);
	tenant->address = json_string_or(tenant->network, "address", "");
	tenant->advertise_address = json_string_or(tenant->network, "advertiseAddress", "");
	tenant->address_as_external_ip = json_boolean_or(tenant->network, "allowAddressAsExternalIP", false);
	tenant->cluster_domain = json_string_or(tenant->network, "clusterDomain", "cluster.local");
	tenant->service_cidrs = effective_cidrs(arena, tenant->network, "serviceCidrs", "serviceCidr");
	tenant->pod_cidrs = effective_cidrs(arena, tenant->network, "podCidrs", "podCidr");
	tenant->dns_service_ips = strings_at(arena, tenant->network, "dnsServiceIPs");
	tenant->certificate_names = strings_at(arena, tenant->network, "certSANs");
	tenant->ingress = json_at(tenant->spec, "controlPlane.ingress");
	tenant->ingress = json_is_object(tenant->ingress) ? tenant->ingress : NULL;
	tenant->gateway = json_at(tenant->spec, "controlPlane.gateway");
	tenant->gateway = json_is_object(tenant->gateway) ? tenant->gateway : NULL;
	tenant->ingress_hostname = json_string_or(tenant->ingress, "hostname", "");
	tenant->gateway_hostname = json_string_or(tenant->gateway, "hostname", "");
	tenant->konnectivity = json_at(tenant->spec, "addons.konnectivity");
	tenant->konnectivity = json_is_object(tenant->konnectivity) ? tenant->konnectivity : NULL;
	tenant->core_dns = json_at(tenant->spec, "addons.coreDNS");
	tenant->core_dns = json_is_object(tenant->core_dns) ? tenant->core_dns : NULL;
	tenant->kube_proxy = json_at(tenant->spec, "addons.kubeProxy");
	tenant->kube_proxy = json_is_object(tenant->kube_proxy) ? tenant->kube_proxy : NULL;
	tenant->write_limited = json_boolean_or(limits, "blockCreation", false) || json_boolean_or(limits, "blockUpdate", false) ||
	                        json_boolean_or(limits, "blockDeletion", false);
}

static int require_object(const json_t *object, const char *path, struct error *err)
{
	const json_t *member = json_at(object, path);

	if (!member || json_is_null(member) || json_is_object(member))
		return 0;
	return error_set(err, ERROR_INVALID, "%s must be an object", path);
}

int tenant_parse(struct arena *arena, const json_t *object, const char *default_data_store, struct tenant_control_plane *tenant,
                 struct error *err)
{
	static const char *const objects[] = { "metadata",
		                               "spec",
		                               "spec.controlPlane",
		                               "spec.controlPlane.deployment",
		                               "spec.controlPlane.service",
		                               "spec.kubernetes",
		                               "spec.kubernetes.kubelet",
		                               "spec.networkProfile",
		                               "spec.addons",
		                               "spec.writePermissions",
		                               "status" };

	memset(tenant, 0, sizeof(*tenant));
	if (!json_is_object(object))
		return error_set(err, ERROR_INVALID, "a TenantControlPlane must be an object");
	for (size_t i = 0; i < ARRAY_LENGTH(objects); i++)
		if (require_object(object, objects[i], err) != 0)
			return -1;
	tenant->object = json_deep_copy(object);
	if (!tenant->object)
		return error_set(err, ERROR_EXHAUSTED, "out of memory");
	arena_defer(arena, release, tenant->object);
	tenant_default(tenant->object, default_data_store);

	tenant->name = json_string_or(tenant->object, "metadata.name", "");
	tenant->namespace = json_string_or(tenant->object, "metadata.namespace", "");
	if (string_empty(tenant->name) || string_empty(tenant->namespace))
		return error_set(err, ERROR_INVALID, "metadata.name and metadata.namespace are required");
	tenant->uid = json_string_or(tenant->object, "metadata.uid", "");
	tenant->resource_version = json_string_or(tenant->object, "metadata.resourceVersion", "");
	tenant->generation = json_integer_or(tenant->object, "metadata.generation", 0);
	tenant->deleting = json_string_at(tenant->object, "metadata.deletionTimestamp") != NULL;
	tenant->paused = json_object_get(json_at(tenant->object, "metadata.annotations"), ANNOTATION_PAUSED) != NULL;

	tenant->spec = object_or_empty(arena, tenant->object, "spec");
	tenant->deployment = object_or_empty(arena, tenant->spec, "controlPlane.deployment");
	tenant->service = object_or_empty(arena, tenant->spec, "controlPlane.service");
	tenant->network = object_or_empty(arena, tenant->spec, "networkProfile");
	read_spec(arena, tenant);
	read_status(tenant);
	return 0;
}

int endpoint_parse(struct arena *arena, const char *text, struct endpoint *endpoint, struct error *err)
{
	char *host FREE_CLEANUP = NULL;

	if (string_empty(text))
		return error_set(err, ERROR_PENDING, "the control-plane endpoint is not known yet");
	if (string_split_host_port(text, "status.controlPlaneEndpoint", &host, &endpoint->port, err) != 0)
		return -1;
	endpoint->host = arena_strdup(arena, host);
	return 0;
}

const char *tenant_advertised_address(const struct tenant_control_plane *tenant, const struct endpoint *assigned)
{
	return string_empty(tenant->advertise_address) ? assigned->host : tenant->advertise_address;
}

const char *tenant_kubeadm_endpoint(struct arena *arena, const struct tenant_control_plane *tenant, const struct endpoint *assigned)
{
	const char *hostname = !string_empty(tenant->ingress_hostname) ? tenant->ingress_hostname : tenant->gateway_hostname;
	char text[300];

	if (!string_empty(hostname))
		return strchr(hostname, ':') ? hostname : arena_printf(arena, "%s:%u", hostname, assigned->port);
	ip_join_port(tenant_advertised_address(tenant, assigned), assigned->port, text, sizeof(text));
	return arena_strdup(arena, text);
}
