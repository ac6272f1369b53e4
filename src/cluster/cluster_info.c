/* SPDX-License-Identifier: Apache-2.0 */
/* ConfigMap kube-public/cluster-info: where a joining node finds the API server, and whom it may trust. */
#include "base/strings.h"
#include "base/yaml.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

int cluster_build_cluster_info(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	/* kubeadm prints the whole kubeconfig type: the cluster has an empty name, the other lists are null. */
	JSON_CLEANUP json_t *kubeconfig =
		json_build("{s:s, s:[{s:{s:s, s:s}, s:s}], s:n, s:s, s:s, s:n}", "apiVersion", "v1", "clusters", "cluster",
	                   "certificate-authority-data", inputs->certificate_authority, "server", inputs->server, "name", "", "contexts",
	                   "current-context", "", "kind", "Config", "users");
	FREE_CLEANUP char *text = yaml_text(kubeconfig, true);
	json_t *config_map = cluster_object("v1", "ConfigMap", "kube-public", "cluster-info");

	json_put(config_map, "data", json_build("{s:s}", "kubeconfig", text));
	(void)json_array_append_new(objects, config_map);
	return 0;
}
