/* SPDX-License-Identifier: Apache-2.0 */
/* The CoreDNS add-on, as kubeadm installs it. */
#include "base/ip.h"
#include "base/strings.h"
#include "cluster/cluster_object.h"
#include "cluster/cluster_objects.h"

#define OWNER "system:coredns"
#define DEFAULT_REPOSITORY "registry.k8s.io"
#define DEFAULT_TAG "v1.14.2" /* the version kubeadm 1.36 installs, whatever the tenant's version */

enum { DNS_HOST_INDEX = 10 }; /* kubeadm gives cluster DNS the tenth address of the first service network */

static const char corefile[] = ".:53 {\n"
			       "    errors\n"
			       "    health {\n"
			       "       lameduck 5s\n"
			       "    }\n"
			       "    ready\n"
			       "    kubernetes %1$s in-addr.arpa ip6.arpa {\n"
			       "       pods insecure\n"
			       "       fallthrough in-addr.arpa ip6.arpa\n"
			       "       ttl 30\n"
			       "    }\n"
			       "    prometheus :9153\n"
			       "    forward . /etc/resolv.conf {\n"
			       "       max_concurrent 1000\n"
			       "    }\n"
			       "    cache 30 {\n"
			       "       disable success %1$s\n"
			       "       disable denial %1$s\n"
			       "    }\n"
			       "    loop\n"
			       "    reload\n"
			       "    loadbalance\n"
			       "}\n";

/* imageTag alone is honoured too; upstream drops it unless a repository is named. */
static json_t *image(const struct tenant_control_plane *tenant)
{
	const char *repository = json_string_or(tenant->core_dns, "imageRepository", "");
	const char *tag = json_string_or(tenant->core_dns, "imageTag", "");
	bool official = !*repository || string_equal(repository, DEFAULT_REPOSITORY);

	return json_string_printf("%s/coredns:%s", official ? DEFAULT_REPOSITORY "/coredns" : repository, *tag ? tag : DEFAULT_TAG);
}

static json_t *probe(const char *path, const char *port)
{
	return json_build("{s:{s:s, s:s, s:s}}", "httpGet", "path", path, "port", port, "scheme", "HTTP");
}

static json_t *port(const char *name, int number, const char *protocol)
{
	return json_build("{s:s, s:i, s:s}", "name", name, "containerPort", number, "protocol", protocol);
}

static json_t *container(const struct tenant_control_plane *tenant)
{
	json_t *liveness = probe("/health", "liveness-probe");

	json_put(liveness, "initialDelaySeconds", json_integer(60));
	json_put(liveness, "timeoutSeconds", json_integer(5));
	json_put(liveness, "successThreshold", json_integer(1));
	json_put(liveness, "failureThreshold", json_integer(5));
	return json_build("{s:s, s:o, s:s, s:[s,s], s:[o,o,o,o,o], s:o, s:o, s:{s:{s:s}, s:{s:s, s:s}}, s:{s:b, s:{s:[s], s:[s]}, s:b},"
	                  " s:[{s:s, s:s, s:b}]}",
	                  "name", "coredns", "image", image(tenant), "imagePullPolicy", "IfNotPresent", "args", "-conf",
	                  "/etc/coredns/Corefile", "ports", port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"),
	                  port("metrics", 9153, "TCP"), port("liveness-probe", 8080, "TCP"), port("readiness-probe", 8181, "TCP"),
	                  "livenessProbe", liveness, "readinessProbe", probe("/ready", "readiness-probe"), "resources", "limits", "memory",
	                  "170Mi", "requests", "cpu", "100m", "memory", "70Mi", "securityContext", "allowPrivilegeEscalation", 0,
	                  "capabilities", "add", "NET_BIND_SERVICE", "drop", "ALL", "readOnlyRootFilesystem", 1, "volumeMounts", "name",
	                  "config-volume", "mountPath", "/etc/coredns", "readOnly", 1);
}

static json_t *pod_spec(const struct tenant_control_plane *tenant)
{
	json_t *spec = json_build("{s:s, s:s, s:[o], s:s, s:{s:s}, s:[{s:s, s:s}, {s:s, s:s}]}", "priorityClassName",
	                          "system-cluster-critical", "serviceAccountName", "coredns", "containers", container(tenant), "dnsPolicy",
	                          "Default", "nodeSelector", "kubernetes.io/os", "linux", "tolerations", "key", "CriticalAddonsOnly",
	                          "operator", "Exists", "key", "node-role.kubernetes.io/control-plane", "effect", "NoSchedule");

	json_put(spec, "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
	         json_build("[{s:i, s:{s:{s:[{s:s, s:s, s:[s]}]}, s:s}}]", "weight", 100, "podAffinityTerm", "labelSelector",
	                    "matchExpressions", "key", "k8s-app", "operator", "In", "values", "kube-dns", "topologyKey",
	                    "kubernetes.io/hostname"));
	json_put(spec, "volumes",
	         json_build("[{s:s, s:{s:s, s:[{s:s, s:s}]}}]", "name", "config-volume", "configMap", "name", "coredns", "items", "key",
	                    "Corefile", "path", "Corefile"));
	return spec;
}

static json_t *deployment(const struct tenant_control_plane *tenant)
{
	json_t *object = cluster_object("apps/v1", "Deployment", "kube-system", "coredns");

	json_put(object, "metadata.labels", json_build("{s:s}", "k8s-app", "kube-dns"));
	json_put(object, "spec",
	         json_build("{s:i, s:{s:s, s:{s:i}}, s:{s:{s:s}}, s:{s:{s:{s:s}}, s:o}}", "replicas", 2, "strategy", "type",
	                    "RollingUpdate", "rollingUpdate", "maxUnavailable", 1, "selector", "matchLabels", "k8s-app", "kube-dns",
	                    "template", "metadata", "labels", "k8s-app", "kube-dns", "spec", pod_spec(tenant)));
	return object;
}

static json_t *service_port(const char *name, int number, const char *protocol)
{
	return json_build("{s:s, s:i, s:s, s:i}", "name", name, "port", number, "protocol", protocol, "targetPort", number);
}

/* kubeadm's choice where the spec makes none. */
static int tenth_address(const struct tenant_control_plane *tenant, char text[IP_TEXT_SIZE], struct error *err)
{
	const char *cidr = tenant->service_cidrs.count > 0 ? tenant->service_cidrs.items[0] : "";
	struct ip_network network;
	struct ip_address address;

	if (ip_network_parse(cidr, &network) < 0 || ip_network_host(&network, DNS_HOST_INDEX, &address) < 0)
		return error_set(
			err, ERROR_INVALID,
			"spec.networkProfile.serviceCidrs: \"%s\" has no tenth address for cluster DNS; use a network of /28 or larger",
			cidr);
	ip_format(&address, text);
	return 0;
}

/*
 * With two DNS addresses or more the Service is dual-stack. The address is the one kubelets are told (upstream takes the tenth of the
 * network whatever the spec says); a Service that exists keeps the one it has, which cannot change.
 */
static int set_addresses(json_t *spec, const struct cluster_inputs *inputs, struct error *err)
{
	const struct string_array *wanted = &inputs->tenant->dns_service_ips;
	char text[IP_TEXT_SIZE];

	if (wanted->count >= 2) {
		json_t *addresses = json_array();

		for (size_t i = 0; i < wanted->count; i++)
			(void)json_array_append_new(addresses, json_string_new(wanted->items[i]));
		json_put_string(spec, "clusterIP", wanted->items[0]);
		json_put(spec, "clusterIPs", addresses);
		json_put_string(spec, "ipFamilyPolicy", "PreferDualStack");
		return 0;
	}
	if (inputs->dns_address || wanted->count == 1) {
		json_put_string(spec, "clusterIP", inputs->dns_address ? inputs->dns_address : wanted->items[0]);
		return 0;
	}
	if (tenth_address(inputs->tenant, text, err) < 0)
		return -1;
	json_put_string(spec, "clusterIP", text);
	return 0;
}

static json_t *service(const struct cluster_inputs *inputs, struct error *err)
{
	json_t *object = cluster_object("v1", "Service", "kube-system", "kube-dns");
	json_t *spec = json_build("{s:{s:s}, s:[o,o,o]}", "selector", "k8s-app", "kube-dns", "ports", service_port("dns", 53, "UDP"),
	                          service_port("dns-tcp", 53, "TCP"), service_port("metrics", 9153, "TCP"));

	json_put(object, "metadata.labels",
	         json_build("{s:s, s:s, s:s}", "k8s-app", "kube-dns", "kubernetes.io/cluster-service", "true", "kubernetes.io/name",
	                    "CoreDNS"));
	json_put(object, "metadata.annotations", json_build("{s:s, s:s}", "prometheus.io/port", "9153", "prometheus.io/scrape", "true"));
	json_put(object, "spec", spec);
	if (set_addresses(spec, inputs, err) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *cluster_rules(void)
{
	return json_build("[{s:[s], s:[s,s,s,s], s:[s,s]}, {s:[s], s:[s], s:[s,s]}]", "apiGroups", "", "resources", "endpoints", "services",
	                  "pods", "namespaces", "verbs", "list", "watch", "apiGroups", "discovery.k8s.io", "resources", "endpointslices",
	                  "verbs", "list", "watch");
}

static json_t *config_map(const struct tenant_control_plane *tenant)
{
	json_t *object = cluster_object("v1", "ConfigMap", "kube-system", "coredns");
	FREE_CLEANUP char *text = string_printf(corefile, tenant->cluster_domain);

	json_put(object, "data", json_build("{s:s}", "Corefile", text));
	return object;
}

int cluster_build_core_dns(const struct cluster_inputs *inputs, const char *owner_uid, json_t *objects, struct error *err)
{
	const struct tenant_control_plane *tenant = inputs->tenant;

	if (!tenant->core_dns)
		return 0;
	json_t *owner = cluster_binding(NULL, OWNER, OWNER, json_build("[o]", cluster_subject_service_account("kube-system", "coredns")));

	cluster_mark_add_on(owner, OWNER, NULL);
	(void)json_array_append_new(objects, owner);
	if (!owner_uid)
		return 0;

	json_t *dns = service(inputs, err);

	if (!dns)
		return -1;
	json_t *owned[] = {
		cluster_role(NULL, OWNER, cluster_rules()),
		cluster_object("v1", "ServiceAccount", "kube-system", "coredns"),
		config_map(tenant),
		dns,
		deployment(tenant),
	};

	for (size_t i = 0; i < ARRAY_LENGTH(owned); i++) {
		cluster_mark_add_on(owned[i], OWNER, owner_uid);
		(void)json_array_append_new(objects, owned[i]);
	}
	return 0;
}
