/* SPDX-License-Identifier: Apache-2.0 */
/* The Deployment of a tenant, written once in its settled form: one creation gives one ReplicaSet. */
#include "controlplane/deployment.h"

#include <string.h>

#include "controlplane/renderer.h"

static json_t *pod_labels(const struct renderer *renderer)
{
	static const struct {
		const char *name;
		enum credential credential;
	} hashes[] = {
		{ "api-server-certificate", CREDENTIAL_API_SERVER },
		{ "api-server-kubelet-client-certificate", CREDENTIAL_KUBELET_CLIENT },
		{ "ca", CREDENTIAL_CA },
		{ "controller-manager-kubeconfig", CREDENTIAL_CONTROLLER_MANAGER_KUBECONFIG },
		{ "front-proxy-ca-certificate", CREDENTIAL_FRONT_PROXY_CA },
		{ "front-proxy-client-certificate", CREDENTIAL_FRONT_PROXY_CLIENT },
		{ "scheduler-kubeconfig", CREDENTIAL_SCHEDULER_KUBECONFIG },
		{ "service-account", CREDENTIAL_SERVICE_ACCOUNT },
	};
	json_t *labels = json_build("{s:s}", LABEL_COMPONENT, "deployment"), *value;
	const char *key;

	for (size_t i = 0; i < ARRAY_LENGTH(hashes); i++) {
		char *name FREE_CLEANUP = string_printf(LABEL_HASH_PREFIX "%s", hashes[i].name);

		json_object_set_new(labels, name, json_string_new(renderer->pass->state->credentials[hashes[i].credential].data_digest));
	}
	json_object_set_new(labels, LABEL_HASH_PREFIX "datastore", json_string_new(renderer->pass->input->data_store.store->name));
	json_object_foreach(json_at(renderer->tenant->deployment, "podAdditionalMetadata.labels"), key, value)
		if (json_is_string(value))
			json_object_set(labels, key, value);
	/* The selector's label: upstream lets the user override it, which no API server accepts. */
	json_object_set_new(labels, LABEL_NAME, json_string_new(renderer->tenant->name));
	return labels;
}

static json_t *pod_annotations(const struct renderer *renderer)
{
	const struct credential_result *credentials = renderer->pass->state->credentials;
	const json_t *user = json_at(renderer->tenant->deployment, "podAdditionalMetadata.annotations");
	json_t *annotations = json_is_object(user) ? json_deep_copy(user) : json_object();

	json_object_set_new(annotations, ANNOTATION_STORAGE_CONFIG, json_string_new(credentials[CREDENTIAL_DATA_STORE_CONFIG].checksum));
	json_object_set_new(annotations, ANNOTATION_STORAGE_CERTIFICATE,
	                    json_string_new(credentials[CREDENTIAL_DATA_STORE_CERTIFICATE].checksum));
	return annotations;
}

/* The user's containers come first. With a data store behind kine, one of that name is adopted at its place. */
static json_t *containers(const struct renderer *renderer)
{
	json_t *list = json_array(), *item;
	bool adopted = false;
	size_t i;

	json_array_foreach(json_object_get(renderer->tenant->deployment, "additionalContainers"), i, item) {
		bool is_kine = string_equal(json_string_at(item, "name"), CONTAINER_KINE);

		if (is_kine && !renderer->kine)
			continue;
		json_array_append_new(list, is_kine ? container_kine(renderer, item) : json_deep_copy(item));
		adopted = adopted || is_kine;
	}
	json_array_append_new(list, container_api_server(renderer));
	json_array_append_new(list, container_scheduler(renderer));
	json_array_append_new(list, container_controller_manager(renderer));
	if (renderer->kine && !adopted)
		json_array_append_new(list, container_kine(renderer, NULL));
	if (renderer->konnectivity)
		json_array_append_new(list, container_konnectivity(renderer));
	return list;
}

static void set_init_containers(const struct renderer *renderer, json_t *pod)
{
	const json_t *user = json_object_get(renderer->tenant->deployment, "additionalInitContainers");
	json_t *list = json_is_array(user) ? json_deep_copy(user) : json_array();

	if (renderer->kine && renderer->pass->input->data_store.store->has_tls)
		json_array_append_new(list, container_kine_permissions(renderer));
	if (json_array_size(list) > 0)
		json_put(pod, "initContainers", list);
	else
		json_decref(list);
}

static void copy_member(json_t *target, const char *name, const json_t *source, const char *source_name)
{
	const json_t *value = json_object_get(source, source_name);

	if (value && !json_is_null(value))
		json_put(target, name, json_deep_copy(value));
}

/* A constraint without a selector spreads the tenant's own pods. */
static void set_spreading(const struct renderer *renderer, json_t *pod)
{
	const json_t *user = json_object_get(renderer->tenant->deployment, "topologySpreadConstraints");
	json_t *list, *item;
	size_t i;

	if (json_array_size(user) == 0)
		return;
	list = json_deep_copy(user);
	json_array_foreach(list, i, item)
		if (json_is_object(item) && !json_is_object(json_object_get(item, "labelSelector")))
			json_put(item, "labelSelector", json_build("{s:{s:s}}", "matchLabels", LABEL_NAME, renderer->tenant->name));
	json_put(pod, "topologySpreadConstraints", list);
}

static void set_identity(const struct renderer *renderer, json_t *pod)
{
	const json_t *spec = renderer->tenant->deployment;
	const char *account = json_string_or(spec, "serviceAccountName", "default");

	if (string_empty(account))
		account = "default";
	json_put_string(pod, "serviceAccountName", account);
	copy_member(pod, "automountServiceAccountToken", spec, "automountServiceAccountToken");
	copy_member(pod, "securityContext", spec, "podSecurityContext");
	if (renderer->profile != PROFILE_NATIVE)
		return;
	/* None of our containers speaks to the admin cluster; who chose an account for a container of their own wants its token. */
	if (!json_object_get(pod, "automountServiceAccountToken") && strcmp(account, "default") == 0)
		json_put(pod, "automountServiceAccountToken", json_false());
	/* Else every Service of the namespace adds seven variables, and with a thousand tenants no process could be started. */
	json_put(pod, "enableServiceLinks", json_false());
}

static json_t *pod_spec(const struct renderer *renderer)
{
	const json_t *spec = renderer->tenant->deployment;
	const char *runtime_class = json_string_or(spec, "runtimeClassName", "");
	json_t *pod = json_object();

	set_init_containers(renderer, pod);
	json_put(pod, "containers", containers(renderer));
	json_put(pod, "volumes", volumes_render(renderer));
	copy_member(pod, "nodeSelector", spec, "nodeSelector");
	copy_member(pod, "tolerations", spec, "tolerations");
	copy_member(pod, "affinity", spec, "affinity");
	if (!string_empty(runtime_class))
		json_put_string(pod, "runtimeClassName", runtime_class);
	set_spreading(renderer, pod);
	set_identity(renderer, pod);
	return pod;
}

static json_t *strategy(const struct tenant_control_plane *tenant)
{
	const json_t *given = json_object_get(tenant->deployment, "strategy");
	const json_t *rolling = json_object_get(given, "rollingUpdate");
	const char *type = json_string_or(given, "type", "");
	json_t *result = json_object();

	if (!string_empty(type))
		json_put_string(result, "type", type);
	if (strcmp(type, "Recreate") == 0)
		return result;
	if (!json_is_object(rolling)) {
		json_put(result, "rollingUpdate", json_build("{s:i,s:s}", "maxUnavailable", 0, "maxSurge", "100%"));
		return result;
	}
	json_ensure_object(result, "rollingUpdate");
	copy_member(json_object_get(result, "rollingUpdate"), "maxUnavailable", rolling, "maxUnavailable");
	copy_member(json_object_get(result, "rollingUpdate"), "maxSurge", rolling, "maxSurge");
	return result;
}

static void set_annotations(const struct renderer *renderer, json_t *object)
{
	const json_t *live = json_at(renderer->pass->input->deployment, "metadata.annotations");
	const char *digest = api_server_arguments_digest(renderer->pass);
	json_t *annotations;

	if (digest || renderer->profile == PROFILE_NATIVE || json_object_get(live, ANNOTATION_TEMPLATE_PROFILE)) {
		annotations = json_ensure_object(object, "metadata.annotations");
		if (digest)
			json_object_set_new(annotations, ANNOTATION_API_SERVER_ARGUMENTS, json_string_new(digest));
		/* One made by upstream stays without: the annotation alone would raise the Deployment's generation. */
		if (renderer->profile == PROFILE_NATIVE || json_object_get(live, ANNOTATION_TEMPLATE_PROFILE))
			json_object_set_new(annotations, ANNOTATION_TEMPLATE_PROFILE,
			                    json_string_new(template_profile_name(renderer->profile)));
	}
}

/* Server-side apply answers a repeated key of a list with an internal error, whoever repeats it. `what` is for people. */
static int check_repeats(struct pass *pass, const json_t *items, const char *key, const char *what, struct error *err)
{
	for (size_t i = 0; i < json_array_size(items); i++)
		for (size_t j = 0; j < i; j++) {
			const char *text = json_string_or(json_array_get(items, i), key, "");

			if (string_equal(text, json_string_or(json_array_get(items, j), key, "")))
				return pass_block(pass, err, ERROR_INVALID, "InvalidSpec",
				                  "spec.controlPlane.deployment: %s \"%s\" would be there twice (rename or remove yours)",
				                  what, text);
		}
	return 0;
}

static int check_pod(struct pass *pass, const json_t *pod, struct error *err)
{
	static const char *const lists[] = { "containers", "initContainers", "volumes" };
	static const char *const words[] = { "container", "init container", "volume" };
	json_t *container;
	size_t index;

	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
		if (check_repeats(pass, json_object_get(pod, lists[i]), "name", words[i], err) != 0)
			return -1;
	json_array_foreach(json_object_get(pod, "containers"), index, container) {
		const char *what = arena_printf(pass->arena, "of container %s the mount path", json_string_or(container, "name", ""));

		if (check_repeats(pass, json_object_get(container, "volumeMounts"), "mountPath", what, err) != 0)
			return -1;
	}
	return 0;
}

int deployment_plan(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const struct renderer renderer = {
		.pass = pass,
		.tenant = tenant,
		.profile = pass_profile(pass),
		.kine = pass->input->data_store.store->driver != DATA_STORE_ETCD,
		.konnectivity = tenant->konnectivity != NULL,
	};
	json_t *object = pass_new_object(pass, "apps/v1", "Deployment", tenant->name, "deployment"), *template;

	for (size_t i = 0; i <= CREDENTIAL_DATA_STORE_CERTIFICATE; i++)
		if (!pass->state->credentials[i].ready)
			return error_set(err, ERROR_BUG, "the Deployment was planned before the Secret of step %s",
			                 credential_kinds[i].step);
	metadata_merge(object, json_object_get(tenant->deployment, "additionalMetadata"));
	set_annotations(&renderer, object);
	json_put(object, "spec",
	         json_build("{s:I,s:{s:{s:s}},s:o}", "replicas", (json_int_t)tenant->replicas, "selector", "matchLabels", LABEL_NAME,
	                    tenant->name, "strategy", strategy(tenant)));
	template = json_ensure_object(object, "spec.template");
	json_put(template, "metadata.labels", pod_labels(&renderer));
	json_put(template, "metadata.annotations", pod_annotations(&renderer));
	json_put(template, "spec", pod_spec(&renderer));
	if (check_pod(pass, json_object_get(template, "spec"), err) != 0)
		return -1;
	pass_want(pass, "deployment", OBJECT_DEPLOYMENT, tenant->name, object, pass->input->deployment);
	return 0;
}
