/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConfigMap kube-system/kubeadm-config: the ClusterConfiguration as kubeadm.k8s.io/v1beta4 text, or v1beta3 for tenants below 1.31, whose
 * kubeadm reads nothing newer. The source is the configuration that is kept beside the tenant in the admin cluster, in kubeadm's internal
 * form (Go field names). Only the etcd endpoints differ: no worker dials them, and they are addresses of the admin cluster.
 */
#include "base/strings.h"
#include "base/version.h"
#include "base/yaml.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

/* What kubeadm writes for a store it knows nothing about. */
#define HIDDEN_ETCD_ENDPOINT "127.0.0.1:2379"

enum { FIRST_MINOR_OF_V1BETA4 = 31 };

/* [{"Name":n,"Value":v}] -> {n:v}, of which the last of a name counts; NULL when there is nothing. */
static json_t *arguments_map(const json_t *arguments)
{
	json_t *map = NULL;
	size_t index;
	json_t *argument;

	json_array_foreach(arguments, index, argument) {
		if (!map)
			map = json_object();
		(void)json_object_set_new(map, json_string_or(argument, "Name", ""),
		                          json_string_new(json_string_or(argument, "Value", "")));
	}
	return map;
}

/* [{"Name":n,"Value":v}] -> [{"name":n,"value":v}]; NULL when there is nothing. */
static json_t *arguments_list(const json_t *arguments)
{
	json_t *list = NULL;
	size_t index;
	json_t *argument;

	json_array_foreach(arguments, index, argument) {
		if (!list)
			list = json_array();
		(void)json_array_append_new(list, json_build("{s:s, s:s}", "name", json_string_or(argument, "Name", ""), "value",
		                                             json_string_or(argument, "Value", "")));
	}
	return list;
}

static json_t *component(const json_t *internal, bool v1beta4)
{
	const json_t *extra = json_at(internal, "ExtraArgs");
	json_t *external = json_object();
	json_t *arguments = v1beta4 ? arguments_list(extra) : arguments_map(extra);

	if (arguments)
		json_put(external, "extraArgs", arguments);
	return external;
}

static json_t *api_server(const json_t *internal, bool v1beta4)
{
	json_t *external = component(internal, v1beta4);
	json_t *names = json_at(internal, "CertSANs");

	if (json_array_size(names) > 0)
		json_put(external, "certSANs", json_incref(names));
	return external;
}

/* The three file names have no omitempty. */
static json_t *external_etcd(const json_t *internal)
{
	return json_build("{s:{s:s, s:s, s:[s], s:s}}", "external", "caFile", json_string_or(internal, "CAFile", ""), "certFile",
	                  json_string_or(internal, "CertFile", ""), "endpoints", HIDDEN_ETCD_ENDPOINT, "keyFile",
	                  json_string_or(internal, "KeyFile", ""));
}

static json_t *cluster_configuration(const json_t *internal, bool v1beta4)
{
	static const struct {
		const char *external, *internal;
		bool v1beta4; /* not in v1beta3 */
	} strings[] = {
		{ "caCertificateValidityPeriod", "CACertificateValidityPeriod", true },
		{ "certificateValidityPeriod", "CertificateValidityPeriod", true },
		{ "encryptionAlgorithm", "EncryptionAlgorithm", true },
		{ "certificatesDir", "CertificatesDir" },
		{ "clusterName", "ClusterName" },
		{ "controlPlaneEndpoint", "ControlPlaneEndpoint" },
		{ "imageRepository", "ImageRepository" },
		{ "kubernetesVersion", "KubernetesVersion" },
		{ "networking.dnsDomain", "Networking.DNSDomain" },
		{ "networking.podSubnet", "Networking.PodSubnet" },
		{ "networking.serviceSubnet", "Networking.ServiceSubnet" },
	};
	json_t *external = json_build("{s:s, s:s}", "apiVersion", v1beta4 ? "kubeadm.k8s.io/v1beta4" : "kubeadm.k8s.io/v1beta3", "kind",
	                              "ClusterConfiguration");

	for (size_t i = 0; i < ARRAY_LENGTH(strings); i++) {
		const char *value = json_string_at(internal, strings[i].internal);

		if (!string_empty(value) && (v1beta4 || !strings[i].v1beta4))
			json_put_string(external, strings[i].external, value);
	}
	json_put(external, "apiServer", api_server(json_at(internal, "APIServer"), v1beta4));
	json_put(external, "controllerManager", component(json_at(internal, "ControllerManager"), v1beta4));
	json_put(external, "scheduler", component(json_at(internal, "Scheduler"), v1beta4));
	json_put(external, "dns", json_object());
	if (v1beta4)
		json_put(external, "proxy", json_object());
	json_put(external, "etcd", external_etcd(json_at(internal, "Etcd.External")));
	return external;
}

int cluster_build_kubeadm_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	static const char role[] = "kubeadm:nodes-kubeadm-config";
	struct version version;

	if (version_parse(inputs->tenant->version, "spec.kubernetes.version", &version, err) < 0)
		return -1;
	JSON_CLEANUP json_t *configuration =
		cluster_configuration(inputs->cluster_configuration, version.major > 1 || version.minor >= FIRST_MINOR_OF_V1BETA4);
	FREE_CLEANUP char *text = yaml_text(configuration, true);
	json_t *config_map = cluster_object("v1", "ConfigMap", "kube-system", "kubeadm-config");

	json_put(config_map, "data", json_build("{s:s}", "ClusterConfiguration", text));
	(void)json_array_append_new(objects, config_map);
	(void)json_array_append_new(objects, cluster_role("kube-system", role, cluster_rule_get_config_map("kubeadm-config")));
	(void)json_array_append_new(objects, cluster_binding("kube-system", role, role,
	                                                     json_build("[o, o]", cluster_subject_group(CLUSTER_BOOTSTRAPPERS_GROUP),
	                                                                cluster_subject_group("system:nodes"))));
	return 0;
}
