/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes need before they can be started: checks, components, addresses, certificates. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/file.h"
#include "local/component_place.h"
#include "local/host_cgroup.h"
#include "local/host_network.h"
#include "local/host_settings.h"
#include "local/local_index.h"
#include "local/local_pki.h"
#include "local/up_internal.h"

static int check_machine(const struct up *up, struct error *err)
{
	static const char *const tools[] = { "ip", "nft" };
	static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	if (up->environment.facts.cgroup.version == 0)
		return error_set(err, ERROR_INVALID, "no cgroup controllers are mounted; 'kamaji local doctor' tells more");
	const char *missing = host_cgroup_missing(&up->environment.facts.cgroup);
	if (missing)
		return error_set(err, ERROR_INVALID,
		                 "the cgroup controller '%s' is missing, the kubelet needs it; 'kamaji local doctor' tells more", missing);
	for (size_t i = 0; i < ARRAY_LENGTH(tools); i++) {
		bool found = false;
		for (size_t j = 0; j < ARRAY_LENGTH(folders) && !found; j++) {
			FREE_CLEANUP char *path = string_printf("%s/%s", folders[j], tools[i]);
			found = access(path, X_OK) == 0;
		}
		if (!found)
			return error_set(err, ERROR_NOT_FOUND, "the program '%s' is missing: install the packages iproute2 and nftables",
			                 tools[i]);
	}
	return 0;
}

static void show_component(void *context, const struct component_progress *event)
{
	struct up *up = context;
	const char *name = event->component ? event->component->name : "components";
	const char *file = event->file ? event->file : "";
	unsigned phase = up->components_phase;
	switch (event->activity) {
	case COMPONENT_ACTIVITY_DOWNLOADING:
		progress_note(up->options->progress, phase, "%s %s: %llu of %llu MiB", name, file, (unsigned long long)(event->done >> 20),
		              (unsigned long long)(event->total >> 20));
		break;
	case COMPONENT_ACTIVITY_BUILDING:
		progress_note(up->options->progress, phase, "building %s %s, %llu s", name, file,
		              (unsigned long long)(event->elapsed_ms / 1000));
		break;
	case COMPONENT_ACTIVITY_NOTICE:
		progress_print(up->options->progress, "     %s", event->text ? event->text : "");
		break;
	case COMPONENT_ACTIVITY_WAITING:
		progress_note(up->options->progress, phase, "another command is filling the cache");
		break;
	case COMPONENT_ACTIVITY_COPYING:
	case COMPONENT_ACTIVITY_UNPACKING:
	case COMPONENT_ACTIVITY_DONE:
		progress_note(up->options->progress, phase, "%s %s", name, file);
		break;
	}
}

static int find_programs(struct up *up, struct error *err)
{
	const struct {
		const char *component, *file;
		const char **path;
	} rows[] = {
		{ "etcd", "etcd", &up->programs.etcd },
		{ "etcd", "etcdctl", &up->etcdctl },
		{ "kubernetes", "kube-apiserver", &up->programs.kube_apiserver },
		{ "kubernetes", "kube-controller-manager", &up->programs.kube_controller_manager },
		{ "kubernetes", "kube-scheduler", &up->programs.kube_scheduler },
		{ "kubernetes", "kubelet", &up->programs.kubelet },
		{ "kubernetes", "kube-proxy", &up->programs.kube_proxy },
		{ "kubernetes", "kubectl", &up->programs.kubectl },
		{ "containerd", "containerd", &up->programs.containerd },
		{ "containerd", "ctr", &up->ctr },
		{ "runc", "runc", &up->programs.runc },
		{ "cni-plugins", "bridge", &up->programs.cni_folder },
	};
	char *slash;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (!(*rows[i].path = component_path(up->fetch, rows[i].component, NULL, rows[i].file, err)))
			return -1;
	up->cni_folder = string_dup(up->programs.cni_folder);
	if ((slash = strrchr(up->cni_folder, '/')))
		*slash = '\0';
	up->programs.cni_folder = up->cni_folder;
	up->programs.kamaji = up->options->program;
	return 0;
}

/* Beside the default versions of everything. */
static int get_wanted_versions(struct up *up, struct error *err)
{
	const struct string_list *versions = up->options->kubernetes_versions;
	for (size_t i = 0; versions && i < versions->count; i++)
		if (component_ensure(up->fetch, "kubernetes", versions->items[i], up->options->cancel, err) < 0)
			return -1;
	return 0;
}

/* Before minutes go by in building what is known. */
static int check_wanted_versions(struct up *up, struct error *err)
{
	const struct string_list *versions = up->options->kubernetes_versions;
	for (size_t i = 0; versions && i < versions->count; i++)
		if (!component_lock_find(up->lock, "kubernetes", versions->items[i], err))
			return error_wrap(err, "--kubernetes-version");
	return 0;
}

static int get_components(struct up *up, struct error *err)
{
	up->lock = component_lock_read(NULL, err);
	if (!up->lock || check_wanted_versions(up, err) < 0)
		return -1;
	const struct component_fetch_options options = {
		.lock = up->lock,
		.from_folder = up->options->components_from,
		.no_download = up->options->no_download,
		.no_build = up->options->no_build,
		.progress = show_component,
		.context = up,
	};
	up->fetch = component_fetch_new(&options, err);
	if (!up->fetch || component_ensure_all(up->fetch, up->options->cancel, err) < 0 || get_wanted_versions(up, err) < 0)
		return -1;
	return find_programs(up, err);
}

/* A new environment's block: the wanted one, or one that nobody uses, not even an environment of this folder that is down. */
static int choose_block(struct up *up, const struct local_index *index, const struct local_route_list *routes, struct error *err)
{
	struct local_environment *environment = &up->environment;
	struct local_route_list reserved = { 0 };
	struct local_cidr block;
	char text[LOCAL_CIDR_TEXT_MAX];
	bool wanted = up->options->block != NULL;
	if (wanted && local_cidr_parse(up->options->block, &block, err) < 0)
		return error_wrap(err, "--block");
	if (environment->state.has_block) {
		if (!wanted || (block.address == environment->state.block.address && block.prefix == environment->state.block.prefix))
			return 0;
		local_cidr_format(environment->state.block, text);
		return error_set(err, ERROR_EXISTS, "--block: the environment '%s' already has %s; 'kamaji local down --purge' frees it",
		                 environment->names.name, text);
	}
	environment_reserved_blocks(environment, &reserved);
	int result = 0;
	if (!wanted)
		result = local_index_choose(index, &reserved, routes, &block, err);
	else if (local_route_list_find_overlap(&reserved, block))
		result = error_set(err, ERROR_EXISTS, "--block: %s belongs to another environment in %s", up->options->block,
		                   environment->root);
	local_route_list_free(&reserved);
	return result < 0 ? -1 : environment_set_block(environment, block, err);
}

static int get_addresses(struct up *up, struct error *err)
{
	LOCAL_INDEX_CLEANUP struct local_index index = { .lock = -1 };
	struct local_route_list routes = { 0 };
	struct local_environment *environment = &up->environment;
	if (local_index_open(LOCAL_INDEX_FOLDER, &index, err) < 0 || host_network_routes(environment->names.bridge, &routes, err) < 0)
		return -1;
	bool is_new = !environment->state.has_block;
	int result = choose_block(up, &index, &routes, err);
	if (result == 0)
		result = local_index_claim(&index, environment->names.name, environment->directory, environment->state.block, &routes, err);
	local_route_list_free(&routes);
	if (result < 0) {
		environment->state.has_block = environment->state.has_block && !is_new;
		return -1;
	}
	environment->state.phase = LOCAL_STARTING;
	if (environment_save(environment, err) < 0)
		return -1;
	return host_settings_apply(&index, err); /* saves the index */
}

static void collect_proxies(struct up *up)
{
	static const char *const names[] = { "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy" };
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		const char *value = getenv(names[i]);
		if (!string_empty(value))
			string_list_printf(&up->proxy_environment, "%s=%s", names[i], value);
	}
}

int up_prepare(struct up *up, struct error *err)
{
	struct progress *progress = up->options->progress;
	struct local_node_names node;
	unsigned phase = progress_begin(progress, "checks");
	if (check_machine(up, err) < 0)
		return -1;
	progress_end(progress, phase, up->environment.facts.cgroup.version == 1 ? "cgroup v1" : "cgroup v2");
	phase = up->components_phase = progress_begin(progress, "components");
	if (get_components(up, err) < 0)
		return error_wrap(err, "components");
	/* Building the components may take longer than starting them ever should: the time begins here. */
	up->cancel = cancel_new(up->options->cancel, clock_monotonic_ms() + up->options->wait_timeout_ms);
	progress_end(progress, phase, component_cache_root(component_fetch_cache(up->fetch)));
	phase = progress_begin(progress, "certificates");
	if (get_addresses(up, err) < 0 || local_node_names_make(up->environment.names.name, "admin", &node, err) < 0)
		return -1;
	const struct local_pki_options pki = {
		.directory = up->pki, .environment = up->environment.names.name, .hostname = node.hostname, .plan = up->environment.plan
	};
	if (local_pki_ensure(&pki, err) < 0)
		return -1;
	char block[LOCAL_CIDR_TEXT_MAX];
	local_cidr_format(up->environment.plan.block, block);
	FREE_CLEANUP char *outcome = string_printf("addresses %s", block);
	progress_end(progress, phase, outcome);
	collect_proxies(up);
	return 0;
}
