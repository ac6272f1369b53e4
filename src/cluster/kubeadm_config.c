/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConfigMap kube-system/kubeadm-config: the ClusterConfiguration as kubeadm.k8s.io/v1beta4 text. The source is the configuration that is kept
 * beside the tenant in the admin cluster, in kubeadm's internal form (Go field names), so the two can never disagree.
 */
#include "base/strings.h"
#include "base/yaml.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

/* [{"Name":n,"Value":v}] -> [{"name":n,"value":v}]; NULL when there is nothing. */
static json_t *external_arguments(const json_t *arguments)
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

static json_t *component(const json_t *internal)
{
	json_t *external = json_object();
	json_t *arguments = external_arguments(json_at(internal, "ExtraArgs"));

	if (arguments)
		json_put(external, "extraArgs", arguments);
	return external;
}

static json_t *api_server(const json_t *internal)
{
	json_t *external = component(internal);
	json_t *names = json_at(internal, "CertSANs");

	if (json_array_size(names) > 0)
		json_put(external, "certSANs", json_incref(names));
	return external;
}

/* v1beta4 has no omitempty on the three file names. */
static json_t *external_etcd(const json_t *internal)
{
	json_t *endpoints = json_at(internal, "Endpoints");

	return json_build("{s:{s:s, s:s, s:O, s:s}}", "external", "caFile", json_string_or(internal, "CAFile", ""), "certFile",
	                  json_string_or(internal, "CertFile", ""), "endpoints", endpoints ? endpoints : json_null(), "keyFile",
	                  json_string_or(internal, "KeyFile", ""));
}

static json_t *cluster_configuration(const json_t *internal)
{
	static const struct {
		const char *external, *internal;
	} strings[] = {
		{ "caCertificateValidityPeriod", "CACertificateValidityPeriod" },
		{ "certificateValidityPeriod", "CertificateValidityPeriod" },
		{ "certificatesDir", "CertificatesDir" },
		{ "clusterName", "ClusterName" },
		{ "controlPlaneEndpoint", "ControlPlaneEndpoint" },
		{ "encryptionAlgorithm", "EncryptionAlgorithm" },
		{ "imageRepository", "ImageRepository" },
		{ "kubernetesVersion", "KubernetesVersion" },
		{ "networking.dnsDomain", "Networking.DNSDomain" },
		{ "networking.podSubnet", "Networking.PodSubnet" },
		{ "networking.serviceSubnet", "Networking.ServiceSubnet" },
	};
	json_t *external = json_build("{s:s, s:s}", "apiVersion", "kubeadm.k8s.io/v1beta4", "kind", "ClusterConfiguration");

	for (size_t i = 0; i < ARRAY_LENGTH(strings); i++) {
		const char *value = json_string_at(internal, strings[i].internal);

		if (!string_empty(value))
			json_put_string(external, strings[i].external, value);
	}
	json_put(external, "apiServer", api_server(json_at(internal, "APIServer")));
	json_put(external, "controllerManager", component(json_at(internal, "ControllerManager")));
	json_put(external, "scheduler", component(json_at(internal, "Scheduler")));
	json_put(external, "dns", json_object());
	json_put(external, "proxy", json_object());
	json_put(external, "etcd", external_etcd(json_at(internal, "Etcd.External")));
	return external;
}

int cluster_build_kubeadm_config(const struct cluster_inputs *inputs, json_t *objects, struct error *err)
{
	static const char role[] = "kubeadm:nodes-kubeadm-config";
	JSON_CLEANUP json_t *configuration = cluster_configuration(inputs->cluster_configuration);
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
