/* SPDX-License-Identifier: Apache-2.0 */
#include "local/tenant_kubeconfig.h"

#include <string.h>

#include "base/base64.h"
#include "base/secret.h"
#include "io/file.h"
#include "local/component_fetch.h"

int tenant_kubeconfig_read(const struct cluster_tool *tool, const struct local_environment *environment, const char *tenant,
                           struct buffer *text, char **ret_path, struct error *err)
{
	FREE_CLEANUP char *namespace = NULL;
	FREE_CLEANUP char *name = NULL;
	if (local_tenant_parse(tenant, &namespace, &name, err) < 0)
		return -1;
	FREE_CLEANUP char *secret_name = string_printf("%s-admin-kubeconfig", name);
	BUFFER_SECRET_CLEANUP struct buffer encoded = { 0 };
	if (cluster_run(tool, &encoded, err, "get", "secret", "-n", namespace, secret_name, "-o", "jsonpath={.data.admin\\.conf}", NULL) <
	    0)
		return strstr(err->message, "(NotFound)")
		               ? error_set(err, ERROR_NOT_FOUND,
		                           "there is no tenant %s/%s, or it has no kubeconfig yet; 'kamaji local status' lists the tenants",
		                           namespace, name)
		               : error_wrap(err, "kubeconfig of tenant %s/%s", namespace, name);
	if (encoded.length == 0 || base64_decode(encoded.data, encoded.length, text, err) < 0)
		return error_set(err, ERROR_CORRUPT, "Secret %s/%s holds no admin.conf", namespace, secret_name);
	FREE_CLEANUP char *directory = environment_path(environment, "tenants/%s", namespace);
	*ret_path = string_printf("%s/%s.kubeconfig", directory, name);
	if (file_make_directories(directory, 0700, err) < 0)
		return -1;
	return file_write_atomic(*ret_path, text->data, text->length, 0600, err);
}

int tenant_kubeconfig_fetch(const struct local_environment *environment, const char *tenant, struct buffer *text, char **ret_path,
                            struct error *err)
{
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = component_lock_read(NULL, err);
	const struct component_fetch_options options = { .lock = lock };
	COMPONENT_FETCH_CLEANUP struct component_fetch *fetch = lock ? component_fetch_new(&options, err) : NULL;
	FREE_CLEANUP char *kubeconfig = environment_path(environment, "kubeconfig");
	const char *kubectl = fetch ? component_path(fetch, "kubernetes", NULL, "kubectl", err) : NULL;
	if (!kubectl)
		return -1;
	const struct cluster_tool tool = { .kubectl = kubectl, .kubeconfig = kubeconfig };
	return tenant_kubeconfig_read(&tool, environment, tenant, text, ret_path, err);
}
