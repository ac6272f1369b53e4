/* SPDX-License-Identifier: Apache-2.0 */
/* kine translates between the API server and a SQL or NATS data store. An additional container of the user's with that name is adopted. */
#include "controlplane/arguments.h"
#include "controlplane/renderer.h"

static const char *endpoint(enum data_store_driver driver)
{
	switch (driver) {
	case DATA_STORE_MYSQL:
		return "mysql://$(DB_USER):$(DB_PASSWORD)@tcp($(DB_CONNECTION_STRING))/$(DB_SCHEMA)";
	case DATA_STORE_NATS:
		return "nats://$(DB_USER):$(DB_PASSWORD)@$(DB_CONNECTION_STRING)?bucket=$(DB_SCHEMA)&noEmbed";
	default:
		return "postgres://$(DB_USER):$(DB_PASSWORD)@$(DB_CONNECTION_STRING)/$(DB_SCHEMA)";
	}
}

static json_t *command_line(const struct renderer *renderer)
{
	const struct data_store *store = renderer->pass->input->data_store.store;
	struct arguments arguments ARGUMENTS_CLEANUP = { 0 };

	arguments_set(&arguments, "--listen-address", "unix:///uds/kine");
	if (store->has_tls) {
		arguments_set(&arguments, "--ca-file", "/certs/ca.crt");
		if (store->has_client_certificate) {
			arguments_set(&arguments, "--cert-file", "/certs/server.crt");
			arguments_set(&arguments, "--key-file", "/certs/server.key");
		}
	}
	arguments_set_list(&arguments, extra_arguments(renderer, "kine"));
	arguments_set(&arguments, "--endpoint", endpoint(store->driver));
	return arguments_sorted(&arguments);
}

/* Upstream sets the image only once: a Deployment made by it keeps what it runs. */
static const char *image(const struct renderer *renderer, const char *list, const char *name)
{
	const char *fallback = renderer->pass->input->options->kine_image;
	json_t *container;
	size_t i;

	if (renderer->profile == PROFILE_UPSTREAM)
		json_array_foreach(json_at(renderer->pass->input->deployment, list), i, container)
			if (string_equal(json_string_at(container, "name"), name))
				return json_string_or(container, "image", fallback);
	return fallback;
}

json_t *container_kine(const struct renderer *renderer, const json_t *user)
{
	const json_t *resources = json_object_get(json_object_get(renderer->tenant->deployment, "resources"), "kine");
	const char *config = renderer->pass->state->credentials[CREDENTIAL_DATA_STORE_CONFIG].name;
	json_t *container = user ? json_deep_copy(user) : json_object(), *mounts = json_array();

	json_put_string(container, "name", CONTAINER_KINE);
	if (string_empty(json_string_or(container, "image", "")))
		json_put_string(container, "image", image(renderer, "spec.template.spec.containers", CONTAINER_KINE));
	json_put(container, "command", json_build("[s]", "/bin/kine"));
	json_put(container, "args", command_line(renderer));
	json_put(container, "env", json_build("[{s:s,s:s}]", "name", "GODEBUG", "value", "x509ignoreCN=0"));
	json_put(container, "envFrom", json_build("[{s:{s:s}}]", "secretRef", "name", config));
	json_put(container, "ports", json_build("[{s:i,s:s,s:s}]", "containerPort", 2379, "name", "server", "protocol", "TCP"));
	json_put_string(container, "imagePullPolicy", renderer->profile == PROFILE_UPSTREAM ? "Always" : "IfNotPresent");
	json_put(container, "resources", json_is_object(resources) ? json_deep_copy(resources) : json_object());
	mounts_add(mounts, VOLUME_KINE_CERTIFICATES, "/certs", false);
	mounts_add(mounts, VOLUME_KINE_SOCKET, "/uds", false);
	json_put(container, "volumeMounts", mounts);
	return container;
}

/* Database clients refuse keys that others may read, and Secrets are mounted readable: kine gets copies. */
json_t *container_kine_permissions(const struct renderer *renderer)
{
	json_t *container = json_object(), *mounts = json_array();

	json_put_string(container, "name", "chmod");
	json_put_string(container, "image", image(renderer, "spec.template.spec.initContainers", "chmod"));
	json_put(container, "command", json_build("[s]", "sh"));
	json_put(container, "args", json_build("[ss]", "-c", "cp /kine/*.* /certs && chmod -R 600 /certs/*.*"));
	mounts_add(mounts, VOLUME_KINE_CONFIG, "/kine", true);
	mounts_add(mounts, VOLUME_KINE_CERTIFICATES, "/certs", false);
	json_put(container, "volumeMounts", mounts);
	return container;
}
