/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenant's end of the konnectivity tunnel: an agent on the nodes, as DaemonSet or Deployment, that dials the server beside the API
 * server and shows it a token made for that audience. The server has its client certificate's user checked by token review.
 */
#include <string.h>

#include "api/names.h"
#include "base/strings.h"
#include "base/version.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

#define AGENT "konnectivity-agent"
#define SERVER_USER "system:konnectivity-server"
#define TOKEN_VOLUME "konnectivity-agent-token"
#define DEFAULT_IMAGE "registry.k8s.io/kas-network-proxy/proxy-agent"

enum { DEFAULT_PORT = 8132, HEALTH_PORT = 8134, TOKEN_SECONDS = 3600 };

static void mark(json_t *object, const struct tenant_control_plane *tenant, const char *component)
{
	json_t *labels = json_ensure_object(object, "metadata.labels");

	(void)json_object_set_new(labels, LABEL_PROJECT, json_string_new(LABEL_PROJECT_VALUE));
	(void)json_object_set_new(labels, LABEL_NAME, json_string_new(tenant->name));
	(void)json_object_set_new(labels, LABEL_COMPONENT, json_string_new(component));
}

/* Gateway host, else advertised, else assigned address: an Ingress cannot carry the tunnel. free(); NULL with PENDING before there is one. */
static char *server_host(const struct tenant_control_plane *tenant, struct error *err)
{
	char *host = NULL;
	uint16_t port;

	if (!string_empty(tenant->gateway_hostname))
		return string_ndup(tenant->gateway_hostname, strcspn(tenant->gateway_hostname, ":"));
	if (!string_empty(tenant->advertise_address))
		return string_dup(tenant->advertise_address);
	if (string_empty(tenant->endpoint)) {
		(void)error_set(err, ERROR_PENDING, "status.controlPlaneEndpoint is not known yet");
		return NULL;
	}
	return string_split_host_port(tenant->endpoint, "status.controlPlaneEndpoint", &host, &port, err) < 0 ? NULL : host;
}

/* Up to "=": what makes two arguments the same flag. "-v" and "--v" are two. */
static bool same_flag(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return length == strcspn(b, "=") && strncmp(a, b, length) == 0;
}

static void set_argument(struct string_list *arguments, const char *argument)
{
	for (size_t i = 0; i < arguments->count; i++) {
		if (same_flag(arguments->items[i], argument)) {
			free(arguments->items[i]);
			arguments->items[i] = string_dup(argument);
			return;
		}
	}
	string_list_add(arguments, argument);
}

/* The user's arguments win; the whole list is sorted bytewise. */
static json_t *agent_arguments(const struct tenant_control_plane *tenant, const char *host)
{
	STRING_LIST_CLEANUP struct string_list arguments = { 0 };
	json_t *list = json_array(), *extra;
	size_t index;

	string_list_add(&arguments, "--admin-server-port=8133");
	string_list_add(&arguments, "--ca-cert=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
	string_list_printf(&arguments, "--health-server-port=%d", HEALTH_PORT);
	string_list_add(&arguments, "--logtostderr=true");
	string_list_printf(&arguments, "--proxy-server-host=%s", host);
	string_list_printf(&arguments, "--proxy-server-port=%lld",
	                   (long long)json_integer_or(tenant->konnectivity, "server.port", DEFAULT_PORT));
	string_list_add(&arguments, "--service-account-token-path=/var/run/secrets/tokens/" TOKEN_VOLUME);
	string_list_add(&arguments, "-v=8");
	json_array_foreach(json_at(tenant->konnectivity, "agent.extraArgs"), index, extra) {
		if (!string_empty(json_string_value(extra)))
			set_argument(&arguments, json_string_value(extra));
	}
	string_list_sort(&arguments);
	for (size_t i = 0; i < arguments.count; i++)
		(void)json_array_append_new(list, json_string_new(arguments.items[i]));
	return list;
}

static json_t *image(const struct tenant_control_plane *tenant, struct error *err)
{
	const char *name = json_string_or(tenant->konnectivity, "agent.image", ""),
		   *tag = json_string_or(tenant->konnectivity, "agent.version", "");
	struct version version;

	if (string_empty(name))
		name = DEFAULT_IMAGE;
	if (!string_empty(tag))
		return json_string_printf("%s:%s", name, tag);
	if (version_parse(tenant->version, "spec.kubernetes.version", &version, err) < 0)
		return NULL;
	return json_string_printf("%s:v0.%u.0", name, version.minor);
}

static json_t *container(const struct tenant_control_plane *tenant, const char *host, struct error *err)
{
	json_t *reference = image(tenant, err);

	if (!reference)
		return NULL;
	return json_build("{s:s, s:o, s:[s], s:o, s:{s:{s:s, s:i, s:s}, s:i, s:i, s:i, s:i}, s:[{s:s, s:s}]}", "name", AGENT, "image",
	                  reference, "command", "/proxy-agent", "args", agent_arguments(tenant, host), "livenessProbe", "httpGet", "path",
	                  "/healthz", "port", HEALTH_PORT, "scheme", "HTTP", "initialDelaySeconds", 15, "timeoutSeconds", 15,
	                  "periodSeconds", 10, "failureThreshold", 3, "volumeMounts", "name", TOKEN_VOLUME, "mountPath",
	                  "/var/run/secrets/tokens");
}

static json_t *token_volume(void)
{
	return json_build("{s:s, s:{s:[{s:{s:s, s:i, s:s}}]}}", "name", TOKEN_VOLUME, "projected", "sources", "serviceAccountToken",
	                  "audience", SERVER_USER, "expirationSeconds", TOKEN_SECONDS, "path", TOKEN_VOLUME);
}

static json_t *pod_spec(const struct tenant_control_plane *tenant, const char *host, struct error *err)
{
	const json_t *tolerations = json_at(tenant->konnectivity, "agent.tolerations");
	json_t *agent = container(tenant, host, err);
	json_t *spec;

	if (!agent)
		return NULL;
	spec = json_build("{s:s, s:s, s:[o], s:{s:s}, s:[o]}", "priorityClassName", "system-cluster-critical", "serviceAccountName", AGENT,
	                  "containers", agent, "nodeSelector", "kubernetes.io/os", "linux", "volumes", token_volume());
	if (json_array_size(tolerations) > 0)
		json_put(spec, "tolerations", json_deep_copy(tolerations));
	if (json_boolean_or(tenant->konnectivity, "agent.hostNetwork", false))
		json_put(spec, "hostNetwork", json_true());
	return spec;
}

const char *cluster_konnectivity_mode(const struct tenant_control_plane *tenant)
{
	return string_equal(json_string_at(tenant->konnectivity, "agent.mode"), "Deployment") ? "Deployment" : "DaemonSet";
}

static json_t *workload(const struct tenant_control_plane *tenant, struct error *err)
{
	const char *mode = cluster_konnectivity_mode(tenant);
	const json_t *replicas = json_at(tenant->konnectivity, "agent.replicas");
	FREE_CLEANUP char *host = server_host(tenant, err);
	json_t *spec = host ? pod_spec(tenant, host, err) : NULL, *object;

	if (!spec)
		return NULL;
	object = cluster_object("apps/v1", mode, "kube-system", AGENT);
	mark(object, tenant, "konnectivity-agent");
	json_put(object, "spec",
	         json_build("{s:{s:{s:s}}, s:{s:{s:{s:s}}, s:o}}", "selector", "matchLabels", "k8s-app", AGENT, "template", "metadata",
	                    "labels", "k8s-app", AGENT, "spec", spec));
	if (string_equal(mode, "Deployment") && json_is_integer(replicas))
		json_put(object, "spec.replicas", json_integer(json_integer_value(replicas)));
	return object;
}

int cluster_build_konnectivity_agent(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	const struct tenant_control_plane *tenant = inputs->tenant;
	json_t *agent, *account, *binding, *labels;

	if (!tenant->konnectivity)
		return 0;
	agent = workload(tenant, err);
	if (!agent)
		return -1;
	account = cluster_object("v1", "ServiceAccount", "kube-system", AGENT);
	mark(account, tenant, "konnectivity-sa");
	binding = cluster_binding(NULL, SERVER_USER, "system:auth-delegator", json_build("[o]", cluster_subject_user(SERVER_USER)));
	mark(binding, tenant, "konnectivity-clusterrolebinding");
	labels = json_ensure_object(binding, "metadata.labels");
	(void)json_object_set_new(labels, "kubernetes.io/cluster-service", json_string_new("true"));
	(void)json_object_set_new(labels, "addonmanager.kubernetes.io/mode", json_string_new("Reconcile"));
	(void)json_array_append_new(objects, account);
	(void)json_array_append_new(objects, binding);
	(void)json_array_append_new(objects, agent);
	return 0;
}
