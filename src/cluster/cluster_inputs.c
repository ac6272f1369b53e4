/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster_inputs.h"

#include <string.h>

#include "base/secret.h"
#include "base/strings.h"
#include "base/yaml.h"

/* The tree holds client keys: the strings are zeroed before they are freed. */
static void forget_users(json_t *kubeconfig)
{
	size_t index;
	json_t *user;

	json_array_foreach(json_at(kubeconfig, "users"), index, user) {
		static const char *const names[] = { "user.client-key-data", "user.token", "user.password" };

		for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
			json_t *value = json_at(user, names[i]);

			if (json_is_string(value))
				secret_zero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
		}
	}
}

static int read_kubeconfig(struct cluster_inputs *inputs, const char *text, size_t length, struct error *err)
{
	JSON_CLEANUP json_t *kubeconfig = yaml_parse(text, length, err);

	if (!kubeconfig)
		return error_wrap(err, "admin kubeconfig");

	json_t *cluster = json_at(kubeconfig, "clusters[0].cluster");
	const char *server = json_string_at(cluster, "server");
	const char *authority = json_string_at(cluster, "certificate-authority-data");

	forget_users(kubeconfig);
	if (string_empty(server) || string_empty(authority))
		return error_set(err, ERROR_CORRUPT, "admin kubeconfig: clusters[0].cluster lacks server or certificate-authority-data");
	inputs->server = string_dup(server);
	inputs->certificate_authority = string_dup(authority);
	return 0;
}

int cluster_inputs_read(struct cluster_inputs *inputs, const struct tenant_control_plane *tenant, const json_t *kubeadm_config_map,
                        const char *kubeconfig, size_t kubeconfig_length, struct error *err)
{
	const char *configuration = json_string_at(kubeadm_config_map, "data.ClusterConfiguration");

	memset(inputs, 0, sizeof(*inputs));
	if (!configuration)
		return error_set(err, ERROR_NOT_FOUND, "kubeadm ConfigMap has no key ClusterConfiguration");
	inputs->cluster_configuration = json_parse(configuration, strlen(configuration), err);
	if (!inputs->cluster_configuration) {
		error_wrap(err, "kubeadm ConfigMap: ClusterConfiguration");
		goto failed;
	}
	if (read_kubeconfig(inputs, kubeconfig, kubeconfig_length, err) < 0)
		goto failed;
	inputs->tenant = tenant;
	return 0;
failed:
	cluster_inputs_free(inputs);
	return -1;
}

void cluster_inputs_free(struct cluster_inputs *inputs)
{
	json_decref(inputs->cluster_configuration);
	free(inputs->server);
	free(inputs->certificate_authority);
	memset(inputs, 0, sizeof(*inputs));
}
