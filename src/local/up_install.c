/* SPDX-License-Identifier: Apache-2.0 */
/* What is put into the admin cluster: cluster DNS, storage, the operator from the manifests that every cluster uses, the DataStore. */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/secret.h"
#include "base/yaml.h"
#include "io/file.h"
#include "local/cluster_explain.h"
#include "local/cluster_pods.h"
#include "local/datastore_auth.h"
#include "local/local_pki.h"
#include "local/manifest.h"
#include "local/tenant_kubeconfig.h"
#include "local/up_internal.h"
#include "pki/pem.h"

#define OPERATOR_NAMESPACE "kamaji-system"
#define OPERATOR_DEPLOYMENT "deployment/kamaji"
#define OPERATOR_IMAGE_ANNOTATION "kamaji.clastix.io/local-image"
#define SAMPLE_NAMESPACE "default"
#define SAMPLE_NAME "sample"

static int add_ons(struct up *up, const char *folder, struct error *err)
{
	FREE_CLEANUP char *node_resolv = NULL;
	char dns[LOCAL_ADDRESS_TEXT_MAX];
	BUFFER_CLEANUP struct buffer documents = { 0 }, resolv = { 0 };
	if (file_exists("/etc/resolv.conf") && file_read("/etc/resolv.conf", MANIFEST_BYTES_MAX, &resolv, err) < 0)
		return -1;
	node_resolv = node_admin_resolv_conf(resolv.data ? resolv.data : "");
	local_address_format(up->environment.plan.dns_service, dns);
	const struct manifest_value values[] = {
		{ "COREDNS_IMAGE", IMAGE_COREDNS },
		{ "DNS_ADDRESS", dns },
		/* The plugin refuses to start without a server to forward to. */
		{ "DNS_FORWARD", node_admin_has_nameserver(node_resolv) ? "forward . /etc/resolv.conf" : "# no name server outside" },
		{ "LOCAL_PATH_IMAGE", IMAGE_LOCAL_PATH },
		{ "VOLUME_HELPER_IMAGE", IMAGE_VOLUME_HELPER },
		{ NULL, NULL },
	};
	static const char *const files[] = { "local/access.yaml", "local/coredns.yaml", "local/storage.yaml" };
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
		if (manifest_add(folder, files[i], values, &documents, err) < 0)
			return -1;
	return cluster_apply(&up->tool, documents.data, err);
}

/* base64 of a file, for a Secret; secret_free(). */
static char *encode_file(const struct up *up, const char *file, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", up->pki, file);
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 }, encoded = { 0 };
	if (file_read(path, PEM_MAXIMUM_BYTES, &text, err) < 0)
		return NULL;
	base64_encode(text.data, text.length, &encoded);
	return buffer_take(&encoded);
}

/* Objects that a webhook of the operator looks at: it may be registered a moment before it answers. */
static int apply_admitted(struct up *up, const char *documents, struct error *err)
{
	while (cluster_apply(&up->tool, documents, err) < 0) {
		struct error stopped;
		if (!strstr(err->message, "failed calling webhook"))
			return -1;
		if (cancel_sleep(up->cancel, CLUSTER_PODS_POLL_MS, &stopped) < 0)
			return -1;
	}
	return 0;
}

static int install_datastore(struct up *up, const char *folder, struct error *err)
{
	char node[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(up->environment.plan.admin_node, node);
	FREE_CLEANUP char *endpoint = string_printf("%s:%d", node, LOCAL_DATASTORE_PORT);
	SECRET_CLEANUP char *ca = encode_file(up, "datastore-ca.crt", err);
	SECRET_CLEANUP char *ca_key = ca ? encode_file(up, "datastore-ca.key", err) : NULL;
	SECRET_CLEANUP char *root = ca_key ? encode_file(up, "datastore-root.crt", err) : NULL;
	SECRET_CLEANUP char *root_key = root ? encode_file(up, "datastore-root.key", err) : NULL;
	BUFFER_SECRET_CLEANUP struct buffer documents = { 0 };
	if (!root_key)
		return -1;
	const struct manifest_value values[] = {
		{ "DATASTORE_CA", ca },
		{ "DATASTORE_CA_KEY", ca_key },
		{ "DATASTORE_ROOT", root },
		{ "DATASTORE_ROOT_KEY", root_key },
		{ "DATASTORE_ENDPOINT", endpoint },
		{ NULL, NULL },
	};
	if (manifest_add(folder, "local/datastore.yaml", values, &documents, err) < 0)
		return -1;
	return apply_admitted(up, documents.data, err);
}

static int enable_store_users(struct up *up, struct error *err)
{
	char node[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(up->environment.plan.admin_node, node);
	FREE_CLEANUP char *endpoint = string_printf("https://%s:%d", node, LOCAL_DATASTORE_PORT);
	const struct datastore_auth_options options = {
		.etcdctl = up->etcdctl, .endpoint = endpoint, .pki = up->pki, .cancel = up->cancel
	};
	if (up_wait_process(up, 1, "datastore", err) < 0)
		return -1;
	return datastore_auth_ensure(&options, err);
}

static int install_definitions(struct up *up, const char *folder, struct error *err)
{
	BUFFER_CLEANUP struct buffer documents = { 0 };
	if (manifest_add_folder(folder, "crds", &documents, err) < 0)
		return -1;
	return cluster_apply(&up->tool, documents.data, err);
}

/* Digest of the operator's image as the node has it; "" when a registry will bring it. */
static int read_operator_image(struct up *up, char digest[static IMAGE_DIGEST_SIZE], struct error *err)
{
	NODE_IMAGE_LIST_CLEANUP struct node_image_list list = { 0 };
	FREE_CLEANUP char *socket = node_admin_containerd_socket(up->node_directory);
	if (node_image_list_read(up->ctr, socket, up->cancel, &list, err) < 0)
		return -1;
	const struct node_image *image = node_image_list_find(&list, IMAGE_KAMAJI);
	snprintf(digest, IMAGE_DIGEST_SIZE, "%s", image ? image->digest : "");
	return 0;
}

/*
 * The manifests as they stand, and one annotation on the operator's pods: the image's tag stays the same when the program changes, so
 * the digest is what makes a new pod.
 */
static int apply_operator(struct up *up, const char *folder, struct error *err)
{
	BUFFER_CLEANUP struct buffer documents = { 0 };
	char digest[IMAGE_DIGEST_SIZE];
	if (manifest_add_folder(folder, "operator", &documents, err) < 0 || read_operator_image(up, digest, err) < 0)
		return -1;
	JSON_CLEANUP json_t *objects = yaml_parse_all(documents.data, documents.length, err);
	if (!objects)
		return -1;
	for (size_t i = 0; i < json_array_size(objects); i++) {
		json_t *object = json_array_get(objects, i);
		if (!string_equal(json_string_at(object, "kind"), "Deployment"))
			continue;
		json_t *annotations = json_ensure_object(object, "spec.template.metadata.annotations");
		json_object_set_new(annotations, OPERATOR_IMAGE_ANNOTATION, json_string_new(digest));
	}
	JSON_CLEANUP json_t *list = json_build("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", objects);
	FREE_CLEANUP char *text = json_text(list);
	return cluster_apply(&up->tool, text, err);
}

/* Tenants can be made once the API server trusts the operator's webhooks. */
static int wait_webhooks(struct up *up, struct error *err)
{
	static const char *const objects[] = {
		"mutatingwebhookconfiguration/kamaji-mutating-webhook-configuration",
		"validatingwebhookconfiguration/kamaji-validating-webhook-configuration",
	};
	for (size_t i = 0; i < ARRAY_LENGTH(objects); i++)
		if (cluster_wait(&up->tool, NULL, objects[i], "jsonpath={.webhooks[0].clientConfig.caBundle}", err) < 0)
			return error_wrap(err, "webhooks");
	return 0;
}

static int install_operator(struct up *up, const char *folder, struct error *err)
{
	if (apply_operator(up, folder, err) < 0)
		return error_wrap(err, "operator");
	if (cluster_wait_rollout(&up->tool, OPERATOR_NAMESPACE, OPERATOR_DEPLOYMENT, err) < 0 ||
	    cluster_wait_pods(&up->tool, OPERATOR_NAMESPACE, NULL, up->started_seconds, err) < 0) {
		cluster_explain_pods(&up->tool, OPERATOR_NAMESPACE, NULL, &up->result->reasons);
		return -1;
	}
	if (cluster_wait(&up->tool, NULL, "crd/datastores.kamaji.clastix.io", "condition=Established", err) < 0 ||
	    install_datastore(up, folder, err) < 0)
		return error_wrap(err, "DataStore");
	return wait_webhooks(up, err);
}

/* What the node began to start long before; asked last, when it is up as a rule. */
static int wait_system_pods(struct up *up, struct error *err)
{
	static const char *const namespaces[] = { "kube-system", "local-path-storage" };
	for (size_t i = 0; i < ARRAY_LENGTH(namespaces); i++) {
		if (cluster_wait_pods(&up->tool, namespaces[i], NULL, up->started_seconds, err) == 0)
			continue;
		cluster_explain_pods(&up->tool, namespaces[i], NULL, &up->result->reasons);
		return -1;
	}
	return 0;
}

static int wait_further_nodes(struct up *up, struct error *err)
{
	unsigned count = local_state_node_count(&up->environment.state);
	if (count == 1)
		return 0;
	unsigned phase = progress_begin(up->options->progress, "further nodes");
	for (unsigned number = 2; number <= count; number++)
		if (up_wait_node(up, number, err) < 0)
			return -1;
	progress_end(up->options->progress, phase, "Ready");
	return 0;
}

int up_install(struct up *up, struct error *err)
{
	struct progress *progress = up->options->progress;
	FREE_CLEANUP char *folder = manifest_folder(err);
	if (!folder)
		return -1;
	unsigned phase = progress_begin(progress, "API server");
	if (up_wait_process(up, 1, "kube-apiserver", err) < 0 || up_node_start_time(up, 1, &up->started_seconds, err) < 0)
		return -1;
	progress_end(progress, phase, up->tool.kubeconfig);
	phase = progress_begin(progress, "tenants' store");
	if (enable_store_users(up, err) < 0)
		return -1;
	progress_end(progress, phase, local_store_name(up->environment.state.own_store));
	phase = progress_begin(progress, "cluster add-ons");
	if (!up->options->without_operator && install_definitions(up, folder, err) < 0)
		return error_wrap(err, "CustomResourceDefinitions");
	/* Pods come after their images: a pull that fails is not tried again for ten seconds. */
	if (up_images_wait(up, true, err) < 0 || add_ons(up, folder, err) < 0 || up_wait_node(up, 1, err) < 0)
		return -1;
	progress_end(progress, phase, "cluster DNS, StorageClass, LoadBalancer addresses");
	if (!up->options->without_operator) {
		phase = progress_begin(progress, "operator");
		if (install_operator(up, folder, err) < 0)
			return -1;
		progress_end(progress, phase, "available");
	}
	if (wait_further_nodes(up, err) < 0)
		return -1;
	phase = progress_begin(progress, "system pods");
	if (wait_system_pods(up, err) < 0)
		return -1;
	progress_end(progress, phase, "ready");
	return 0;
}

/* The answer of the tenant's own API server, by the way that people will use. */
static int wait_tenant_answer(struct up *up, struct error *err)
{
	const struct cluster_tool tool = { .kubectl = up->tool.kubectl, .kubeconfig = up->result->sample_kubeconfig, .cancel = up->cancel };
	while (cluster_run(&tool, NULL, err, "get", "--raw=/readyz", "--request-timeout=3s", NULL) < 0)
		if (cancel_sleep(up->cancel, CLUSTER_PODS_POLL_MS, err) < 0)
			return error_wrap(err, "wait for the tenant's API server to answer");
	return 0;
}

int up_sample_tenant(struct up *up, struct error *err)
{
	FREE_CLEANUP char *folder = manifest_folder(err);
	BUFFER_CLEANUP struct buffer documents = { 0 };
	unsigned phase = progress_begin(up->options->progress, "sample tenant");
	if (!folder || manifest_add(folder, "samples/tenant.yaml", NULL, &documents, err) < 0 || up_images_wait(up, false, err) < 0 ||
	    apply_admitted(up, documents.data, err) < 0)
		return error_wrap(err, "sample tenant");
	if (cluster_wait(&up->tool, SAMPLE_NAMESPACE, "tenantcontrolplane/" SAMPLE_NAME,
	                 "jsonpath={.status.kubernetesResources.version.status}=Ready", err) < 0 ||
	    cluster_wait_pods(&up->tool, SAMPLE_NAMESPACE, "kamaji.clastix.io/name=" SAMPLE_NAME, up->started_seconds, err) < 0) {
		cluster_explain_object(&up->tool, SAMPLE_NAMESPACE, "tenantcontrolplane", SAMPLE_NAME, &up->result->reasons);
		cluster_explain_pods(&up->tool, SAMPLE_NAMESPACE, "kamaji.clastix.io/name=" SAMPLE_NAME, &up->result->reasons);
		cluster_explain_pods(&up->tool, OPERATOR_NAMESPACE, NULL, &up->result->reasons);
		return error_wrap(err, "sample tenant");
	}
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	if (tenant_kubeconfig_read(&up->tool, &up->environment, SAMPLE_NAMESPACE "/" SAMPLE_NAME, &text, &up->result->sample_kubeconfig,
	                           err) < 0 ||
	    wait_tenant_answer(up, err) < 0)
		return error_wrap(err, "sample tenant");
	progress_end(up->options->progress, phase, SAMPLE_NAMESPACE "/" SAMPLE_NAME " is Ready");
	return 0;
}
