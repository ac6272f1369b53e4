/* SPDX-License-Identifier: Apache-2.0 */
/* The Service of a tenant and the address it gives: every certificate, flag and kubeconfig follows from it. */
#include <string.h>

#include "base/ip.h"
#include "controlplane/pass.h"

static void add_konnectivity_port(struct pass *pass, json_t *ports)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	int64_t number = json_integer_or(tenant->konnectivity, "server.port", 8132);
	json_t *port;

	if (!tenant->konnectivity)
		return;
	port = json_build("{s:s,s:s,s:I,s:I}", "name", "konnectivity-server", "protocol", "TCP", "port", (json_int_t)number, "targetPort",
	                  (json_int_t)number);
	if (tenant->service_type == SERVICE_NODE_PORT)
		json_object_set_new(port, "nodePort", json_integer(number));
	json_array_append_new(ports, port);
}

static void add_additional_ports(const struct tenant_control_plane *tenant, json_t *ports)
{
	static const char *const members[] = { "name", "protocol", "appProtocol", "port", "targetPort" };
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(tenant->service, "additionalPorts"), i, item) {
		json_t *port = json_object();

		for (size_t j = 0; j < ARRAY_LENGTH(members); j++)
			if (json_object_get(item, members[j]))
				json_object_set(port, members[j], json_object_get(item, members[j]));
		json_array_append_new(ports, port);
	}
}

static json_t *service_ports(struct pass *pass)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	json_t *ports = json_array(), *port;

	port = json_build("{s:s,s:s,s:I,s:I}", "name", "kube-apiserver", "protocol", "TCP", "port", (json_int_t)tenant->port, "targetPort",
	                  (json_int_t)tenant->port);
	if (tenant->service_type == SERVICE_NODE_PORT)
		json_object_set_new(port, "nodePort", json_integer(tenant->port));
	json_array_append_new(ports, port);
	add_konnectivity_port(pass, ports);
	add_additional_ports(tenant, ports);
	return ports;
}

static void set_load_balancer(const struct tenant_control_plane *tenant, json_t *spec)
{
	const json_t *ranges = json_object_get(tenant->network, "loadBalancerSourceRanges");
	const char *class = json_string_or(tenant->network, "loadBalancerClass", "");

	json_put(spec, "allocateLoadBalancerNodePorts",
	         json_boolean(json_boolean_or(tenant->service, "allocateLoadBalancerNodePorts", true)));
	if (!string_empty(class))
		json_put_string(spec, "loadBalancerClass", class);
	if (json_array_size(ranges) > 0)
		json_put(spec, "loadBalancerSourceRanges", json_deep_copy(ranges));
}

int service_plan(struct pass *pass, struct error *err)
{
	static const char *const types[] = {
		[SERVICE_CLUSTER_IP] = "ClusterIP", [SERVICE_NODE_PORT] = "NodePort", [SERVICE_LOAD_BALANCER] = "LoadBalancer"
	};
	const struct tenant_control_plane *tenant = pass->input->tenant;
	json_t *object, *spec;

	if (tenant->port < 1 || tenant->port > 65535)
		return pass_block(pass, err, ERROR_INVALID, "InvalidSpec",
		                  "spec.networkProfile.port: %lld is no port; use one from 1 to 65535", (long long)tenant->port);
	object = pass_new_object(pass, "v1", "Service", tenant->name, "service");
	metadata_merge(object, json_object_get(tenant->service, "additionalMetadata"));
	spec = json_ensure_object(object, "spec");
	json_put_string(spec, "type", types[tenant->service_type]);
	json_put(spec, "selector", json_build("{s:s}", LABEL_NAME, tenant->name));
	json_put(spec, "ports", service_ports(pass));
	if (tenant->service_type == SERVICE_LOAD_BALANCER)
		set_load_balancer(tenant, spec);
	else if (tenant->address_as_external_ip && !string_empty(tenant->address))
		json_put(spec, "externalIPs", json_build("[s]", tenant->address));
	pass_want(pass, "service", OBJECT_SERVICE, tenant->name, object, pass->input->service);
	return 0;
}

/* The address a load balancer gave. Names are not supported: certificates and --advertise-address need an address. */
static const char *load_balancer_address(struct pass *pass, const json_t *service, struct error *err)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_at(service, "status.loadBalancer.ingress"), i, entry) {
		const char *ip = json_string_or(entry, "ip", "");

		if (!string_empty(ip))
			return ip;
		if (!string_empty(json_string_or(entry, "hostname", ""))) {
			pass_block(pass, err, ERROR_INVALID, "LoadBalancerHostname",
			           "the load balancer gave the host name %s, but an IP address is needed: set spec.networkProfile.address",
			           json_string_or(entry, "hostname", ""));
			return NULL;
		}
	}
	pass_block(pass, err, ERROR_PENDING, "LoadBalancerPending",
	           "the LoadBalancer Service %s has no address yet: is a load-balancer controller running? spec.networkProfile.address "
	           "also gives one",
	           pass->input->tenant->name);
	return NULL;
}

static const char *declared_address(struct pass *pass, const json_t *service, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const char *cluster_ip = json_string_or(service, "spec.clusterIP", "");

	if (!string_empty(tenant->address))
		return tenant->address;
	if (tenant->service_type == SERVICE_LOAD_BALANCER)
		return load_balancer_address(pass, service, err);
	if (tenant->service_type == SERVICE_NODE_PORT) {
		pass_block(pass, err, ERROR_PENDING, "AddressMissing",
		           "a NodePort Service has no address of its own: set spec.networkProfile.address to the address of a node");
		return NULL;
	}
	if (!string_empty(cluster_ip) && strcmp(cluster_ip, "None") != 0)
		return cluster_ip;
	pass_block(pass, err, ERROR_PENDING, "ServicePending", "the Service %s has no cluster IP yet", tenant->name);
	return NULL;
}

/* The Service's status with what upstream adds, its load balancer's ports stripped: the schema asks for an error beside each. */
static json_t *service_status(const json_t *service, const char *name, const char *namespace, int64_t port)
{
	const json_t *live = json_object_get(service, "status");
	json_t *status = json_is_object(live) ? json_deep_copy(live) : json_object(), *entry;
	size_t i;

	json_ensure_object(status, "loadBalancer");
	json_array_foreach(json_at(status, "loadBalancer.ingress"), i, entry)
		json_object_del(entry, "ports");
	json_put_string(status, "name", name);
	json_put_string(status, "namespace", namespace);
	json_put(status, "port", json_integer(port));
	return status;
}

int service_observe(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const json_t *service = pass->state->live[OBJECT_SERVICE];
	struct ip_address parsed;
	const char *address;
	char endpoint[300];

	if (!service)
		return pass_block(pass, err, ERROR_PENDING, "ServicePending", "the Service %s does not exist yet", tenant->name);
	address = declared_address(pass, service, err);
	if (!address)
		return -1;
	if (ip_parse(address, &parsed) != 0)
		return pass_block(pass, err, ERROR_INVALID, "InvalidSpec", "spec.networkProfile.address: \"%s\" is no IP address", address);
	ip_join_port(address, (uint16_t)tenant->port, endpoint, sizeof(endpoint));
	json_put_string(pass->status, "controlPlaneEndpoint", endpoint);
	status_replace(pass->status, "kubernetesResources.service", service_status(service, tenant->name, tenant->namespace, tenant->port),
	               false, pass->input->now);
	return endpoint_parse(pass->arena, endpoint, &pass->state->endpoint, err);
}

/* Beside the main Service's: what upstream records for the agents' port. */
int konnectivity_service_observe(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;

	if (tenant->konnectivity)
		status_replace(pass->status, "addons.konnectivity.service",
		               service_status(pass->state->live[OBJECT_SERVICE], tenant->name, tenant->namespace,
		                              json_integer_or(tenant->konnectivity, "server.port", 8132)),
		               false, pass->input->now);
	json_put(pass->status, "addons.konnectivity.enabled", json_boolean(tenant->konnectivity != NULL));
	return 0;
}
