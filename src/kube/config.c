/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/strings.h"
#include "io/file.h"
#include "kube/config_internal.h"

static const char in_cluster_folder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

void kube_config_free(struct kube_config *config)
{
	if (config == NULL)
		return;
	free(config->source);
	free(config->context);
	free(config->user);
	free(config->server);
	free(config->host);
	free(config->path_prefix);
	free(config->namespace);
	free(config->ca_pem);
	free(config->certificate_pem);
	secret_free(config->key_pem);
	secret_free(config->token);
	free(config->token_file);
	free(config->tls_server_name);
	secret_free(config->proxy_url); /* may hold a password */
	free(config);
}

static bool is_loopback(const char *host)
{
	return string_equal(host, "localhost") || string_has_prefix(host, "127.") || string_equal(host, "::1");
}

int kube_config_set_server(struct kube_config *config, const char *url, struct error *err)
{
	const char *rest, *end, *port = NULL;
	int64_t number;

	if (string_has_prefix(url, "https://"))
		rest = url + 8;
	else if (string_has_prefix(url, "http://")) {
		rest = url + 7;
		config->plaintext = true;
	} else
		return error_set(err, ERROR_INVALID, "server \"%s\" does not begin with https://", url);
	if (strpbrk(rest, "?#@ \t\r\n") != NULL)
		return error_set(err, ERROR_INVALID, "server \"%s\" must be only scheme, host, port and path", url);
	end = rest + strcspn(rest, "/");
	if (*rest == '[') {
		const char *bracket = memchr(rest, ']', (size_t)(end - rest));

		if (bracket == NULL)
			return error_set(err, ERROR_INVALID, "server \"%s\": the bracket of the IPv6 address is not closed", url);
		config->host = string_ndup(rest + 1, (size_t)(bracket - rest - 1));
		port = bracket + 1 < end ? bracket + 1 : NULL;
		if (port != NULL && *port != ':')
			return error_set(err, ERROR_INVALID, "server \"%s\": only a port may follow the address", url);
	} else {
		port = memchr(rest, ':', (size_t)(end - rest));
		config->host = string_ndup(rest, (size_t)((port != NULL ? port : end) - rest));
	}
	if (config->host[0] == '\0')
		return error_set(err, ERROR_INVALID, "server \"%s\" has no host", url);
	number = config->plaintext ? 80 : 443;
	if (port != NULL) {
		FREE_CLEANUP char *text = string_ndup(port + 1, (size_t)(end - port - 1));

		if (string_to_integer(text, 1, 65535, "port of the server", &number, err) != 0)
			return error_wrap(err, "server \"%s\"", url);
	}
	config->port = (uint16_t)number;
	config->path_prefix = string_dup(end);
	while (config->path_prefix[0] != '\0' && config->path_prefix[strlen(config->path_prefix) - 1] == '/')
		config->path_prefix[strlen(config->path_prefix) - 1] = '\0';
	if (config->plaintext && !is_loopback(config->host))
		return error_set(err, ERROR_INVALID, "server \"%s\": http:// is allowed on loopback only; use https://", url);
	config->server = string_dup(url);
	return 0;
}

struct kube_config *kube_config_in_cluster(const char *folder, struct error *err)
{
	KUBE_CONFIG_CLEANUP struct kube_config *config = calloc(1, sizeof(*config));
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	const char *from = folder != NULL ? folder : in_cluster_folder;
	FREE_CLEANUP char *ca_path = string_printf("%s/ca.crt", from);
	FREE_CLEANUP char *namespace_path = string_printf("%s/namespace", from);
	FREE_CLEANUP char *url = NULL;
	BUFFER_CLEANUP struct buffer ca = { 0 }, namespace = { 0 };
	struct error ignored = { 0 };
	struct kube_config *result;

	if (config == NULL)
		abort();
	if (string_empty(host) || string_empty(port)) {
		error_set(err, ERROR_NOT_FOUND, "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
		return NULL;
	}
	url = string_printf(strchr(host, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s", host, port);
	config->source = string_dup("in-cluster");
	config->token_file = string_printf("%s/token", from);
	if (kube_config_set_server(config, url, err) != 0 || file_read(ca_path, KUBE_CONFIG_MAXIMUM_BYTES, &ca, err) != 0) {
		error_wrap(err, "in-cluster configuration");
		return NULL;
	}
	if (!file_exists(config->token_file)) {
		error_set(err, ERROR_NOT_FOUND,
		          "in-cluster configuration: %s does not exist; let the pod mount its service account token "
		          "(automountServiceAccountToken)",
		          config->token_file);
		return NULL;
	}
	config->ca_pem = buffer_take(&ca);
	if (file_read(namespace_path, 256, &namespace, &ignored) == 0 && namespace.length > 0)
		config->namespace = buffer_take(&namespace);
	else
		config->namespace = string_dup("default");
	result = config;
	config = NULL;
	return result;
}

struct kube_config *kube_config_load(const char *path, const char *context, struct error *err)
{
	const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
	FREE_CLEANUP char *standard = NULL;

	if (!string_empty(path))
		return kube_config_from_files(path, context, err);
	if (!string_empty(list))
		return kube_config_from_files(list, context, err);
	if (!string_empty(getenv("KUBERNETES_SERVICE_HOST")))
		return kube_config_in_cluster(NULL, err);
	standard = string_printf("%s/.kube/config", string_empty(home) ? "/root" : home);
	if (!file_exists(standard)) {
		error_set(err, ERROR_NOT_FOUND, "no cluster configuration: give --kubeconfig, set KUBECONFIG, run in a pod, or make %s",
		          standard);
		return NULL;
	}
	return kube_config_from_files(standard, context, err);
}
