/* SPDX-License-Identifier: Apache-2.0 */
/* What the three control-plane containers have in common. */
#include <string.h>

#include "controlplane/renderer.h"

static json_t *image(const struct renderer *renderer, const struct component *component)
{
	const json_t *registry = json_object_get(renderer->tenant->deployment, "registrySettings");

	return json_string_printf("%s/%s:%s%s", json_string_or(registry, "registry", "registry.k8s.io"),
	                          json_string_or(registry, component->image_key, component->container), renderer->tenant->version,
	                          json_string_or(registry, "tagSuffix", ""));
}

/* Profile native takes away what none of the three needs. The kube-apiserver binary carries the file capability to bind low ports: without
 * that one in the bounding set it could not even be executed. */
static json_t *default_security_context(const struct component *component)
{
	json_t *context = json_build("{s:b,s:{s:[s]}}", "allowPrivilegeEscalation", 0, "capabilities", "drop", "ALL");

	if (strcmp(component->container, CONTAINER_API_SERVER) == 0)
		json_put(context, "capabilities.add", json_build("[s]", "NET_BIND_SERVICE"));
	return context;
}

static void set_security_context(const struct renderer *renderer, const struct component *component, json_t *container)
{
	const json_t *contexts = json_object_get(renderer->tenant->deployment, "containerSecurityContexts");
	const json_t *own = json_object_get(contexts, component->key);

	if (json_is_object(own))
		json_put(container, "securityContext", json_deep_copy(own));
	else if (renderer->profile == PROFILE_NATIVE && !json_is_object(contexts))
		json_put(container, "securityContext", default_security_context(component));
}

json_t *container_new(const struct renderer *renderer, const struct component *component)
{
	const json_t *resources = json_object_get(json_object_get(renderer->tenant->deployment, "resources"), component->key);
	json_t *container = json_object();
	bool always = renderer->profile == PROFILE_UPSTREAM && strcmp(component->container, CONTAINER_API_SERVER) == 0;

	json_put_string(container, "name", component->container);
	json_put(container, "image", image(renderer, component));
	/* Upstream leaves the policy of the other two to the API server, which says IfNotPresent unless the tag is "latest". */
	if (always || renderer->profile == PROFILE_NATIVE)
		json_put_string(container, "imagePullPolicy", always ? "Always" : "IfNotPresent");
	json_put(container, "command", json_build("[s]", component->container));
	json_put(container, "resources", json_is_object(resources) ? json_deep_copy(resources) : json_object());
	probes_render(renderer, component, container);
	set_security_context(renderer, component, container);
	return container;
}

json_t *mounts_new(const struct renderer *renderer, const char *key)
{
	const json_t *mounts = json_object_get(json_object_get(renderer->tenant->deployment, "additionalVolumeMounts"), key);

	return json_is_array(mounts) ? json_deep_copy(mounts) : json_array();
}

void mounts_add(json_t *mounts, const char *volume, const char *path, bool read_only)
{
	json_t *mount = json_build("{s:s,s:s}", "name", volume, "mountPath", path);

	if (read_only)
		json_put(mount, "readOnly", json_true());
	json_array_append_new(mounts, mount);
}

void mounts_add_trust(json_t *mounts)
{
	mounts_add(mounts, "etc-ca-certificates", "/etc/ca-certificates", true);
	mounts_add(mounts, "usr-share-ca-certificates", "/usr/share/ca-certificates", true);
	mounts_add(mounts, "usr-local-share-ca-certificates", "/usr/local/share/ca-certificates", true);
}

const json_t *extra_arguments(const struct renderer *renderer, const char *key)
{
	return json_object_get(json_object_get(renderer->tenant->deployment, "extraArgs"), key);
}
