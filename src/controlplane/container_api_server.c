/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube-apiserver. Our flags always win; the user's follow sorted ours, in their order, repeats allowed; safe defaults give way to the
 * user's; flags that somebody else put on the live container stay.
 */
#include <string.h>

#include "controlplane/arguments.h"
#include "controlplane/deployment.h"
#include "controlplane/egress.h"
#include "controlplane/renderer.h"

/* What we set under some conditions: never somebody else's, when it is found on the live container. */
static const char *const conditional_flags[] = {
	"--etcd-prefix",
	"--etcd-compaction-interval",
	"--etcd-cafile",
	"--etcd-certfile",
	"--etcd-keyfile",
	"--etcd-servers-overrides",
	"--egress-selector-config-file",
	"--shutdown-delay-duration",
	"--authorization-mode",
};

static char *join_json(const json_t *list)
{
	struct string_list texts STRING_LIST_CLEANUP = { 0 };
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (json_is_string(item))
			string_list_add(&texts, json_string_value(item));
	return string_list_join(&texts, ",");
}

static char *join_texts(const struct string_array *texts, const char *prefix, const char *separator)
{
	struct string_list list STRING_LIST_CLEANUP = { 0 };

	for (size_t i = 0; i < texts->count; i++)
		string_list_printf(&list, "%s%s", prefix, texts->items[i]);
	return string_list_join(&list, separator);
}

static void set_overrides(const struct renderer *renderer, struct arguments *arguments)
{
	const struct step_input *input = renderer->pass->input;
	struct string_list parts STRING_LIST_CLEANUP = { 0 };

	for (size_t i = 0; i < renderer->tenant->override_count; i++) {
		char *servers FREE_CLEANUP = join_texts(&input->overrides[i].store->endpoints, "https://", ";");

		string_list_printf(&parts, "%s#%s", renderer->tenant->overrides[i].resource, servers);
	}
	if (parts.count > 0)
		arguments_set_owned(arguments, "--etcd-servers-overrides", string_list_join(&parts, ","));
}

static void set_storage(const struct renderer *renderer, struct arguments *arguments)
{
	const struct credential_result *config = &renderer->pass->state->credentials[CREDENTIAL_DATA_STORE_CONFIG];

	if (renderer->kine) {
		arguments_set(arguments, "--etcd-servers", "unix:///uds/kine");
	} else {
		arguments_set_owned(arguments, "--etcd-servers",
		                    join_texts(&renderer->pass->input->data_store.store->endpoints, "https://", ","));
		arguments_set_owned(arguments, "--etcd-prefix", string_printf("/%s", secret_data_get(&config->data, KEY_DB_SCHEMA)->value));
		arguments_set(arguments, "--etcd-compaction-interval", "0");
		arguments_set(arguments, "--etcd-cafile", PKI_FOLDER "/etcd/ca.crt");
		arguments_set(arguments, "--etcd-certfile", PKI_FOLDER "/etcd/server.crt");
		arguments_set(arguments, "--etcd-keyfile", PKI_FOLDER "/etcd/server.key");
	}
	set_overrides(renderer, arguments);
}

static void set_managed(const struct renderer *renderer, struct arguments *arguments)
{
	static const char *const fixed[][2] = {
		{ "--client-ca-file", PKI_FOLDER "/ca.crt" },
		{ "--kubelet-client-certificate", PKI_FOLDER "/apiserver-kubelet-client.crt" },
		{ "--kubelet-client-key", PKI_FOLDER "/apiserver-kubelet-client.key" },
		{ "--proxy-client-cert-file", PKI_FOLDER "/front-proxy-client.crt" },
		{ "--proxy-client-key-file", PKI_FOLDER "/front-proxy-client.key" },
		{ "--requestheader-allowed-names", "front-proxy-client" },
		{ "--requestheader-client-ca-file", PKI_FOLDER "/front-proxy-ca.crt" },
		{ "--service-account-key-file", PKI_FOLDER "/sa.pub" },
		{ "--service-account-signing-key-file", PKI_FOLDER "/sa.key" },
		{ "--tls-cert-file", PKI_FOLDER "/apiserver.crt" },
		{ "--tls-private-key-file", PKI_FOLDER "/apiserver.key" },
	};
	const struct tenant_control_plane *tenant = renderer->tenant;

	for (size_t i = 0; i < ARRAY_LENGTH(fixed); i++)
		arguments_set(arguments, fixed[i][0], fixed[i][1]);
	arguments_set(arguments, "--advertise-address", tenant_advertised_address(tenant, &renderer->pass->state->endpoint));
	arguments_set_owned(arguments, "--enable-admission-plugins", join_json(json_at(tenant->spec, "kubernetes.admissionControllers")));
	arguments_set_owned(arguments, "--service-cluster-ip-range", join_texts(&tenant->service_cidrs, "", ","));
	arguments_set_owned(arguments, "--kubelet-preferred-address-types",
	                    join_json(json_at(tenant->spec, "kubernetes.kubelet.preferredAddressTypes")));
	arguments_set_owned(arguments, "--secure-port", string_printf("%lld", (long long)tenant->port));
	set_storage(renderer, arguments);
	if (renderer->konnectivity)
		arguments_set(arguments, "--egress-selector-config-file", EGRESS_FOLDER "/" EGRESS_FILE);
}

static void set_safe(const struct renderer *renderer, const json_t *user, struct arguments *arguments)
{
	static const char *const safe[][2] = {
		{ "--allow-privileged", "true" },
		{ "--enable-bootstrap-token-auth", "true" },
		{ "--requestheader-extra-headers-prefix", "X-Remote-Extra-" },
		{ "--requestheader-group-headers", "X-Remote-Group" },
		{ "--requestheader-username-headers", "X-Remote-User" },
		{ "--service-account-issuer", "https://kubernetes.default.svc.cluster.local" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(safe); i++)
		if (!argument_list_names(user, safe[i][0]))
			arguments_set(arguments, safe[i][0], safe[i][1]);
	if (!argument_list_names(user, "--authorization-mode") && !argument_list_names(user, "--authorization-config"))
		arguments_set(arguments, "--authorization-mode", "Node,RBAC");
	/* Time for the Service to forget the pod before it stops answering; well inside the grace period of 30 s. */
	if (renderer->profile == PROFILE_NATIVE && !argument_list_names(user, "--shutdown-delay-duration"))
		arguments_set(arguments, "--shutdown-delay-duration", "5s");
}

static const json_t *live_arguments(const struct renderer *renderer)
{
	json_t *container;
	size_t i;

	json_array_foreach(json_at(renderer->pass->input->deployment, "spec.template.spec.containers"), i, container)
		if (string_equal(json_string_at(container, "name"), CONTAINER_API_SERVER))
			return json_object_get(container, "args");
	return NULL;
}

/* MD5 of the user's flags, or NULL when extraArgs is not given: recorded on the Deployment, so that removed flags are told from foreign. */
const char *api_server_arguments_digest(struct pass *pass)
{
	const json_t *given = json_object_get(pass->input->tenant->deployment, "extraArgs");
	const json_t *list = json_object_get(given, "apiServer");
	const char **texts;
	char hex[DIGEST_HEX_SIZE];
	size_t count = 0;

	if (!json_is_object(given))
		return NULL;
	texts = arena_alloc(pass->arena, (json_array_size(list) + 1) * sizeof(*texts));
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			texts[count++] = json_string_value(json_array_get(list, i));
	digest_strings_hex(texts, true, hex);
	return arena_strdup(pass->arena, hex);
}

static bool is_conditional(const char *flag)
{
	for (size_t i = 0; i < ARRAY_LENGTH(conditional_flags); i++)
		if (strcmp(flag, conditional_flags[i]) == 0)
			return true;
	return false;
}

static bool is_safe_default(const char *flag)
{
	static const char *const names[] = { "--allow-privileged",
		                             "--enable-bootstrap-token-auth",
		                             "--requestheader-extra-headers-prefix",
		                             "--requestheader-group-headers",
		                             "--requestheader-username-headers",
		                             "--service-account-issuer" };

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (strcmp(flag, names[i]) == 0)
			return true;
	return false;
}

static void keep_foreign(const struct renderer *renderer, const json_t *user, struct arguments *arguments)
{
	const json_t *annotations = json_at(renderer->pass->input->deployment, "metadata.annotations");
	const char *recorded = json_string_value(json_object_get(annotations, ANNOTATION_API_SERVER_ARGUMENTS));
	json_t *item;
	size_t i;

	if (!string_equal(recorded, api_server_arguments_digest(renderer->pass)))
		return;
	json_array_foreach(live_arguments(renderer), i, item) {
		const char *text = json_string_value(item), *equals;
		char *flag FREE_CLEANUP = text ? argument_flag(text) : NULL;

		if (!flag || arguments_has(arguments, flag) || is_conditional(flag) || is_safe_default(flag) ||
		    argument_list_names(user, flag))
			continue;
		equals = strchr(text, '=');
		arguments_set(arguments, flag, equals ? equals + 1 : "");
	}
}

static json_t *command_line(const struct renderer *renderer)
{
	const json_t *user = extra_arguments(renderer, "apiServer");
	struct arguments managed ARGUMENTS_CLEANUP = { 0 };
	struct arguments whole ARGUMENTS_CLEANUP = { 0 };
	json_t *list, *item;
	size_t i;

	set_managed(renderer, &managed);
	set_managed(renderer, &whole);
	set_safe(renderer, user, &whole);
	keep_foreign(renderer, user, &whole);
	list = arguments_sorted(&whole);
	json_array_foreach(user, i, item) {
		char *flag FREE_CLEANUP = json_is_string(item) ? argument_flag(json_string_value(item)) : NULL;

		if (flag && !arguments_has(&managed, flag))
			json_array_append(list, item);
	}
	return list;
}

json_t *container_api_server(const struct renderer *renderer)
{
	bool native = renderer->profile == PROFILE_NATIVE;
	/* A started API server is one that is ready: then its first readiness probe succeeds at once. */
	const struct component component = { "apiServer", CONTAINER_API_SERVER,          "apiServerImage",      "/livez",
		                             "/readyz",   native ? "/readyz" : "/livez", renderer->tenant->port };
	json_t *container = container_new(renderer, &component), *mounts = mounts_new(renderer, "apiServer");

	mounts_add(mounts, VOLUME_PKI, PKI_FOLDER, true);
	mounts_add_trust(mounts);
	if (renderer->konnectivity) {
		mounts_add(mounts, VOLUME_KONNECTIVITY_SOCKET, KONNECTIVITY_SOCKET_FOLDER, false);
		mounts_add(mounts, VOLUME_EGRESS, EGRESS_FOLDER, false);
	}
	if (renderer->kine)
		mounts_add(mounts, VOLUME_KINE_SOCKET, "/uds", false);
	json_put(container, "args", command_line(renderer));
	json_put(container, "volumeMounts", mounts);
	return container;
}
