/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes, in upstream's order. Profile upstream mounts the whole CA Secret, private key included, into the trust folders and both CA keys
 * beside the API server's; profile native gives each container what it reads: no CA key but kube-controller-manager's, which signs with it.
 */
#include "controlplane/renderer.h"

enum { SECRET_MODE = 0644 }; /* 420: users may run the containers under any uid */

static json_t *projection(const struct renderer *renderer, enum credential which, const char *const *keys, const char *folder)
{
	json_t *items = json_array();

	for (; *keys; keys++)
		json_array_append_new(items, json_build("{s:s,s:o}", "key", *keys, "path", json_string_printf("%s%s", folder, *keys)));
	return json_build("{s:{s:s,s:o}}", "secret", "name", renderer->pass->state->credentials[which].name, "items", items);
}

static json_t *projected(const char *name, json_t *sources)
{
	return json_build("{s:s,s:{s:o,s:i}}", "name", name, "projected", "sources", sources, "defaultMode", SECRET_MODE);
}

static json_t *secret_volume(const char *name, const char *secret)
{
	return json_build("{s:s,s:{s:s,s:i}}", "name", name, "secret", "secretName", secret, "defaultMode", SECRET_MODE);
}

static const char *const ca_pair[] = { KEY_CA_CERTIFICATE, KEY_CA_PRIVATE_KEY, NULL };
static const char *const ca_only[] = { KEY_CA_CERTIFICATE, NULL };
static const char *const front_ca_pair[] = { KEY_FRONT_PROXY_CA_CERTIFICATE, KEY_FRONT_PROXY_CA_PRIVATE_KEY, NULL };
static const char *const front_ca_only[] = { KEY_FRONT_PROXY_CA_CERTIFICATE, NULL };

static json_t *pki_volume(const struct renderer *renderer)
{
	static const char *const server[] = { KEY_API_SERVER_CERTIFICATE, KEY_API_SERVER_PRIVATE_KEY, NULL };
	static const char *const kubelet[] = { KEY_KUBELET_CLIENT_CERTIFICATE, KEY_KUBELET_CLIENT_PRIVATE_KEY, NULL };
	static const char *const front[] = { KEY_FRONT_PROXY_CLIENT_CERTIFICATE, KEY_FRONT_PROXY_CLIENT_PRIVATE_KEY, NULL };
	static const char *const account[] = { KEY_SERVICE_ACCOUNT_PUBLIC, KEY_SERVICE_ACCOUNT_PRIVATE, NULL };
	static const char *const store[] = { KEY_CA_CERTIFICATE, KEY_SERVER_CERTIFICATE, KEY_SERVER_PRIVATE_KEY, NULL };
	bool native = renderer->profile == PROFILE_NATIVE;
	json_t *sources = json_array();

	json_array_append_new(sources, projection(renderer, CREDENTIAL_API_SERVER, server, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_CA, native ? ca_only : ca_pair, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_KUBELET_CLIENT, kubelet, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_FRONT_PROXY_CA, native ? front_ca_only : front_ca_pair, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_FRONT_PROXY_CLIENT, front, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_SERVICE_ACCOUNT, account, ""));
	if (!renderer->kine)
		json_array_append_new(sources, projection(renderer, CREDENTIAL_DATA_STORE_CERTIFICATE, store, "etcd/"));
	return projected(VOLUME_PKI, sources);
}

static json_t *signer_volume(const struct renderer *renderer)
{
	static const char *const account[] = { KEY_SERVICE_ACCOUNT_PRIVATE, NULL };
	json_t *sources = json_array();

	json_array_append_new(sources, projection(renderer, CREDENTIAL_CA, ca_pair, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_FRONT_PROXY_CA, front_ca_only, ""));
	json_array_append_new(sources, projection(renderer, CREDENTIAL_SERVICE_ACCOUNT, account, ""));
	return projected(VOLUME_SIGNER_PKI, sources);
}

static void add_trust(const struct renderer *renderer, json_t *volumes)
{
	static const char *const names[] = { "etc-ca-certificates", "usr-share-ca-certificates", "usr-local-share-ca-certificates" };

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		json_t *volume = secret_volume(names[i], renderer->pass->state->credentials[CREDENTIAL_CA].name);

		if (renderer->profile == PROFILE_NATIVE)
			json_put(volume, "secret.items", json_build("[{s:s,s:s}]", "key", KEY_CA_CERTIFICATE, "path", KEY_CA_CERTIFICATE));
		json_array_append_new(volumes, volume);
	}
}

static void add_kine(const struct renderer *renderer, json_t *volumes)
{
	const char *certificate = renderer->pass->state->credentials[CREDENTIAL_DATA_STORE_CERTIFICATE].name;

	json_array_append_new(volumes, json_build("{s:s,s:{s:s}}", "name", VOLUME_KINE_SOCKET, "emptyDir", "medium", "Memory"));
	json_array_append_new(volumes, secret_volume(VOLUME_KINE_CONFIG, certificate));
	json_array_append_new(volumes, json_build("{s:s,s:{}}", "name", VOLUME_KINE_CERTIFICATES, "emptyDir"));
}

static void add_konnectivity(const struct renderer *renderer, json_t *volumes)
{
	const char *egress = names_object(renderer->pass->arena, renderer->tenant->name, SUFFIX_KONNECTIVITY_EGRESS);
	const char *kubeconfig = renderer->pass->state->credentials[CREDENTIAL_KONNECTIVITY_KUBECONFIG].name;

	json_array_append_new(volumes, json_build("{s:s,s:{s:s}}", "name", VOLUME_KONNECTIVITY_SOCKET, "emptyDir", "medium", "Memory"));
	json_array_append_new(
		volumes, json_build("{s:s,s:{s:s,s:i}}", "name", VOLUME_EGRESS, "configMap", "name", egress, "defaultMode", SECRET_MODE));
	json_array_append_new(volumes, secret_volume(VOLUME_KONNECTIVITY_KUBECONFIG, kubeconfig));
}

json_t *volumes_render(const struct renderer *renderer)
{
	const struct credential_result *credentials = renderer->pass->state->credentials;
	const json_t *user = json_object_get(renderer->tenant->deployment, "additionalVolumes");
	json_t *volumes = json_is_array(user) ? json_deep_copy(user) : json_array();

	json_array_append_new(volumes, pki_volume(renderer));
	if (renderer->profile == PROFILE_NATIVE)
		json_array_append_new(volumes, signer_volume(renderer));
	add_trust(renderer, volumes);
	json_array_append_new(volumes, secret_volume(VOLUME_SCHEDULER_KUBECONFIG, credentials[CREDENTIAL_SCHEDULER_KUBECONFIG].name));
	json_array_append_new(
		volumes, secret_volume(VOLUME_CONTROLLER_MANAGER_KUBECONFIG, credentials[CREDENTIAL_CONTROLLER_MANAGER_KUBECONFIG].name));
	if (renderer->kine)
		add_kine(renderer, volumes);
	if (renderer->konnectivity)
		add_konnectivity(renderer, volumes);
	return volumes;
}
