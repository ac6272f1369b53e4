/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/names.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "cmd/tenant.h"
#include "kube/resource.h"

#define DEFAULT_VERSION "v1.36.3"

enum { POLL_MS = 500 };

struct wanted {
	const char *version, *data_store, *service_type, *address, *service_cidr, *pod_cidr, *cgroup_driver;
	int64_t replicas, port;
	bool core_dns, kube_proxy, konnectivity, wait, dry_run;
	uint64_t timeout_ms;
};

static json_t *tenant_object(const struct tenant_command *command, const struct wanted *wanted)
{
	json_t *tenant =
		json_build("{s:s,s:s,s:{s:s,s:s},s:{s:{s:{s:I},s:{s:s}},s:{s:s,s:{s:s}},s:{s:I},s:{}}}", "apiVersion", KAMAJI_API_VERSION,
	                   "kind", KAMAJI_KIND_TENANT_CONTROL_PLANE, "metadata", "name", command->tenant, "namespace",
	                   command->namespace_name, "spec", "controlPlane", "deployment", "replicas", (json_int_t)wanted->replicas,
	                   "service", "serviceType", wanted->service_type, "kubernetes", "version", wanted->version, "kubelet", "cgroupfs",
	                   wanted->cgroup_driver, "networkProfile", "port", (json_int_t)wanted->port, "addons");
	json_t *spec = json_object_get(tenant, "spec"), *addons = json_object_get(spec, "addons"),
	       *network = json_object_get(spec, "networkProfile");

	if (!string_empty(wanted->data_store))
		json_put_string(spec, "dataStore", wanted->data_store);
	if (!string_empty(wanted->address))
		json_put_string(network, "address", wanted->address);
	if (!string_empty(wanted->service_cidr))
		json_put_string(network, "serviceCidr", wanted->service_cidr);
	if (!string_empty(wanted->pod_cidr))
		json_put_string(network, "podCidr", wanted->pod_cidr);
	if (wanted->core_dns)
		json_object_set_new(addons, "coreDNS", json_object());
	if (wanted->kube_proxy)
		json_object_set_new(addons, "kubeProxy", json_object());
	if (wanted->konnectivity)
		json_object_set_new(addons, "konnectivity", json_build("{s:{s:i}}", "server", "port", 8132));
	return tenant;
}

static bool is_done(const json_t *tenant, const struct wanted *wanted)
{
	const char *phase = json_string_or(tenant, "status.kubernetesResources.version.status", "");

	if (json_integer_or(tenant, "status.observedGeneration", 0) < json_integer_or(tenant, "metadata.generation", 0))
		return false;
	return string_equal(phase, wanted->replicas == 0 ? PHASE_SLEEPING : PHASE_READY);
}

/* What it waits for, in a line. */
static void describe(const json_t *tenant, char *text, size_t size)
{
	const json_t *condition = status_condition(json_object_get(tenant, "status"), CONDITION_READY);

	(void)snprintf(text, size, "%s: %s", json_string_or(tenant, "status.kubernetesResources.version.status", "not looked at yet"),
	               json_string_or(condition, "message", "waiting for the operator"));
}

/* On a terminal one line that changes, elsewhere a line for each news. */
static void show_progress(const char *text, char *shown, size_t size, uint64_t began_ms)
{
	bool terminal = isatty(STDERR_FILENO);

	if (string_equal(text, shown) && !terminal)
		return;
	fprintf(stderr, terminal ? "\r\033[K%3llu s  %.100s" : "%3llu s  %s\n",
	        (unsigned long long)(clock_monotonic_ms() - began_ms) / 1000, text);
	(void)snprintf(shown, size, "%s", text);
}

static int wait_done(const struct tenant_command *command, const struct wanted *wanted, struct error *err)
{
	uint64_t began_ms = clock_monotonic_ms();
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, began_ms + wanted->timeout_ms);
	char text[400] = "", shown[400] = "";

	for (;;) {
		JSON_CLEANUP json_t *tenant = kube_client_get(command->access.client, &kube_resource_tenant_control_plane,
		                                              command->namespace_name, command->tenant, cancel, err);
		bool done = tenant && is_done(tenant, wanted);

		if (tenant) {
			describe(tenant, text, sizeof(text));
			show_progress(text, shown, sizeof(shown), began_ms);
		}
		if (done || (!tenant && !error_is_retriable(err)) || cancel_sleep(cancel, POLL_MS, err) < 0) {
			if (isatty(STDERR_FILENO))
				fprintf(stderr, "\n");
			if (done)
				return 0;
			return error_wrap(err, "%s/%s is not ready (%s); `kamaji why %s/%s` tells more", command->namespace_name,
			                  command->tenant, text, command->namespace_name, command->tenant);
		}
	}
}

static int create(const struct tenant_command *command, const struct wanted *wanted, struct error *err)
{
	JSON_CLEANUP json_t *tenant = tenant_object(command, wanted);

	if (wanted->dry_run) {
		bool json = cluster_access_wants_json(&command->access);
		FREE_CLEANUP char *text = json ? json_text(tenant) : yaml_text(tenant, false);

		printf("%s%s", text, json ? "\n" : "");
		return 0;
	}
	JSON_CLEANUP json_t *stored =
		kube_client_create(command->access.client, &kube_resource_tenant_control_plane, tenant, NULL, NULL, err);

	if (!stored && err->class == ERROR_EXISTS)
		return error_set(err, ERROR_EXISTS,
		                 "there is a tenant %s/%s already (`kamaji why %s/%s` tells its state, `kubectl edit` changes it)",
		                 command->namespace_name, command->tenant, command->namespace_name, command->tenant);
	if (!stored && err->class == ERROR_NOT_FOUND && strstr(err->message, "namespaces "))
		return error_set(err, ERROR_NOT_FOUND, "there is no namespace %s (`kubectl create namespace %s` makes it)",
		                 command->namespace_name, command->namespace_name);
	if (!stored)
		return -1;
	if (wanted->wait && wait_done(command, wanted, err) < 0)
		return -1;
	if (cluster_access_wants_json(&command->access)) {
		FREE_CLEANUP char *json = json_text(stored);

		printf("%s\n", json);
	} else {
		printf("tenant %s/%s %s\n", command->namespace_name, command->tenant,
		       !wanted->wait           ? "is being made"
		       : wanted->replicas == 0 ? "is there and sleeps"
		                               : "is ready");
	}
	return 0;
}

int cmd_tenant_create(int argc, char **argv)
{
	TENANT_COMMAND_CLEANUP struct tenant_command command = {
		.name = "tenant create",
		.usage = "Usage: kamaji tenant create [NAMESPACE/]NAME [OPTIONS]\n\nMakes a tenant. What has no option here can be set in "
			 "the YAML that --dry-run prints.",
		.examples = "Examples:\n"
			    "  kamaji tenant create team-a --wait\n"
			    "  kamaji tenant create team-a --version v1.35.2 --service-type LoadBalancer --konnectivity\n"
			    "  kamaji tenant create team-a --dry-run > team-a.yaml\n",
	};
	struct wanted wanted = { .version = DEFAULT_VERSION,
		                 .data_store = "",
		                 .service_type = "ClusterIP",
		                 .address = "",
		                 .service_cidr = "",
		                 .pod_cidr = "",
		                 .cgroup_driver = "systemd",
		                 .replicas = 1,
		                 .port = 6443,
		                 .core_dns = true,
		                 .kube_proxy = true,
		                 .timeout_ms = 5 * 60 * 1000 };
	const struct option_definition definitions[] = {
		{ .name = "version", .type = OPTION_STRING, .target = &wanted.version, .help = "Kubernetes version" },
		{ .name = "replicas",
		  .type = OPTION_INTEGER,
		  .target = &wanted.replicas,
		  .maximum = INT32_MAX,
		  .help = "pods of the control plane; 0: it sleeps" },
		{ .name = "datastore",
		  .type = OPTION_STRING,
		  .target = &wanted.data_store,
		  .help = "DataStore; none: the operator's default" },
		{ .name = "service-type",
		  .type = OPTION_CHOICE,
		  .target = &wanted.service_type,
		  .choices = "ClusterIP|NodePort|LoadBalancer",
		  .help = "how it is reached" },
		{ .name = "address",
		  .type = OPTION_STRING,
		  .target = &wanted.address,
		  .help = "IP address in front of it; needed with NodePort" },
		{ .name = "port",
		  .type = OPTION_INTEGER,
		  .target = &wanted.port,
		  .minimum = 1,
		  .maximum = 65535,
		  .help = "of its API server" },
		{ .name = "service-cidr", .type = OPTION_STRING, .target = &wanted.service_cidr, .help = "network of its Services" },
		{ .name = "pod-cidr", .type = OPTION_STRING, .target = &wanted.pod_cidr, .help = "network of its pods" },
		{ .name = "cgroup-driver",
		  .type = OPTION_CHOICE,
		  .target = &wanted.cgroup_driver,
		  .choices = "systemd|cgroupfs",
		  .help = "of its kubelets" },
		{ .name = "coredns", .type = OPTION_BOOLEAN, .target = &wanted.core_dns, .help = "install cluster DNS" },
		{ .name = "kube-proxy", .type = OPTION_BOOLEAN, .target = &wanted.kube_proxy, .help = "install kube-proxy" },
		{ .name = "konnectivity",
		  .type = OPTION_BOOLEAN,
		  .target = &wanted.konnectivity,
		  .help = "reach its nodes through a tunnel" },
		{ .name = "wait", .type = OPTION_BOOLEAN, .target = &wanted.wait, .help = "wait until it is ready and show how it goes" },
		{ .name = "timeout", .type = OPTION_DURATION, .target = &wanted.timeout_ms, .help = "limit of the wait" },
		{ .name = "dry-run",
		  .type = OPTION_BOOLEAN,
		  .target = &wanted.dry_run,
		  .help = "print the object instead, as YAML or with -o json as JSON" },
		CLUSTER_ACCESS_OUTPUT(command.access),
		CLUSTER_ACCESS_OPTIONS(command.access),
		{ 0 },
	};
	struct error err = { 0 };
	int code;

	if (!tenant_command_begin(&command, definitions, argc, argv, 1, &code))
		return code;
	return create(&command, &wanted, &err) < 0 ? command_fail(command.name, &err) : EXIT_CODE_OK;
}
