/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cluster_access.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "io/loop.h"
#include "io/signals.h"

int cluster_access_open(struct cluster_access *access, struct error *err)
{
	KUBE_CONFIG_CLEANUP struct kube_config *config = kube_config_load(string_empty(access->kubeconfig) ? NULL : access->kubeconfig,
	                                                                  string_empty(access->context) ? NULL : access->context, err);

	if (!config)
		return -1;
	signals_unblock();
	log_set_level(LOG_LEVEL_ERROR);
	log_set_format(LOG_FORMAT_TEXT);
	access->default_namespace = string_dup(config->namespace);
	access->loop = loop_start("loop", err);
	if (!access->loop)
		return -1;
	access->client =
		kube_client_new(&(struct kube_client_options){ .loop = access->loop, .config = config, .metrics_host = "admin" }, err);
	return access->client ? 0 : -1;
}

void cluster_access_close(struct cluster_access *access)
{
	kube_client_unref(access->client);
	if (access->loop)
		loop_stop(access->loop);
	free(access->default_namespace);
}

int cluster_access_name(const struct cluster_access *access, const char *text, char **namespace_name, char **name, struct error *err)
{
	const char *slash = strchr(text, '/');

	if (slash) {
		*namespace_name = string_ndup(text, (size_t)(slash - text));
		*name = string_dup(slash + 1);
	} else {
		*namespace_name = string_dup(string_empty(access->namespace_name) ? access->default_namespace : access->namespace_name);
		*name = string_dup(text);
	}
	if (name_is_dns1123_label(*namespace_name) && name_is_dns1123_subdomain(*name))
		return 0;
	return error_set(err, ERROR_INVALID, "\"%s\" names no tenant; write NAME or NAMESPACE/NAME", text);
}

bool cluster_access_wants_json(const struct cluster_access *access)
{
	return string_equal(access->output, "json");
}

int command_fail(const char *command, const struct error *err)
{
	fprintf(stderr, "kamaji %s: %s\n", command, err->message);
	return EXIT_CODE_FAILURE;
}

const char *text_style(enum text_style style)
{
	static const char *const sequences[] = { "\033[0m", "\033[32m", "\033[31m", "\033[2m" };

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") ? sequences[style] : "";
}
