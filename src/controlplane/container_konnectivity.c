/* SPDX-License-Identifier: Apache-2.0 */
/* konnectivity-server beside the API server; our flags win over the user's. */
#include <string.h>

#include "base/version.h"
#include "controlplane/arguments.h"
#include "controlplane/egress.h"
#include "controlplane/renderer.h"

enum { ADMIN_PORT = 8133, HEALTH_PORT = 8134 };

/* Upstream releases the proxy as v0.MINOR.0 for Kubernetes 1.MINOR. */
static json_t *image(const struct renderer *renderer, const json_t *server)
{
	const char *tag = json_string_or(server, "version", "");
	const char *name = json_string_or(server, "image", "registry.k8s.io/kas-network-proxy/proxy-server");
	struct version version = { 0 };
	struct error ignored;

	if (!string_empty(tag))
		return json_string_printf("%s:%s", name, tag);
	(void)version_parse(renderer->tenant->version, "", &version, &ignored); /* admission has seen it; zero is a visible answer */
	return json_string_printf("%s:v0.%u.0", name, version.minor);
}

static json_t *command_line(const struct renderer *renderer, const json_t *server, int64_t agent_port)
{
	static const char *const fixed[][2] = {
		{ "--admin-port", "8133" },
		{ "--agent-namespace", "kube-system" },
		{ "--agent-service-account", "konnectivity-agent" },
		{ "--authentication-audience", "system:konnectivity-server" },
		{ "--cluster-cert", PKI_FOLDER "/apiserver.crt" },
		{ "--cluster-key", PKI_FOLDER "/apiserver.key" },
		{ "--health-port", "8134" },
		{ "--kubeconfig", "/etc/kubernetes/konnectivity-server.conf" },
		{ "--mode", "grpc" },
		{ "--server-port", "0" },
		{ "--uds-name", KONNECTIVITY_SOCKET },
	};
	struct arguments arguments ARGUMENTS_CLEANUP = { 0 };

	arguments_set_list(&arguments, json_object_get(server, "extraArgs"));
	for (size_t i = 0; i < ARRAY_LENGTH(fixed); i++)
		arguments_set(&arguments, fixed[i][0], fixed[i][1]);
	arguments_set_owned(&arguments, "--agent-port", string_printf("%lld", (long long)agent_port));
	arguments_set_owned(&arguments, "--server-count", string_printf("%lld", (long long)renderer->tenant->replicas));
	return arguments_sorted(&arguments);
}

json_t *container_konnectivity(const struct renderer *renderer)
{
	const json_t *server = json_object_get(renderer->tenant->konnectivity, "server");
	const json_t *context = json_object_get(server, "securityContext"), *resources = json_object_get(server, "resources");
	int64_t agent_port = json_integer_or(server, "port", 8132);
	json_t *container = json_object(), *mounts = json_array();

	json_put_string(container, "name", CONTAINER_KONNECTIVITY);
	json_put(container, "image", image(renderer, server));
	json_put_string(container, "imagePullPolicy", renderer->profile == PROFILE_UPSTREAM ? "Always" : "IfNotPresent");
	json_put(container, "command", json_build("[s]", "/proxy-server"));
	json_put(container, "args", command_line(renderer, server, agent_port));
	json_put(container, "livenessProbe",
	         json_build("{s:{s:s,s:i,s:s},s:i,s:i,s:i,s:i,s:i}", "httpGet", "path", "/healthz", "port", HEALTH_PORT, "scheme", "HTTP",
	                    "initialDelaySeconds", 30, "timeoutSeconds", 60, "periodSeconds", 10, "successThreshold", 1, "failureThreshold",
	                    3));
	json_put(container, "ports",
	         json_build("[{s:I,s:s,s:s},{s:i,s:s,s:s},{s:i,s:s,s:s}]", "containerPort", (json_int_t)agent_port, "name", "agentport",
	                    "protocol", "TCP", "containerPort", ADMIN_PORT, "name", "adminport", "protocol", "TCP", "containerPort",
	                    HEALTH_PORT, "name", "healthport", "protocol", "TCP"));
	json_put(container, "resources", json_is_object(resources) ? json_deep_copy(resources) : json_object());
	if (json_is_object(context))
		json_put(container, "securityContext", json_deep_copy(context));
	mounts_add(mounts, VOLUME_PKI, PKI_FOLDER, true);
	mounts_add(mounts, VOLUME_KONNECTIVITY_KUBECONFIG, "/etc/kubernetes/konnectivity-server.conf", true);
	json_put_string(json_array_get(mounts, 1), "subPath", "konnectivity-server.conf");
	mounts_add(mounts, VOLUME_KONNECTIVITY_SOCKET, KONNECTIVITY_SOCKET_FOLDER, false);
	json_put(container, "volumeMounts", mounts);
	return container;
}
