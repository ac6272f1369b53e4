/* SPDX-License-Identifier: Apache-2.0 */
/* From nothing to running processes: checks, components, addresses, certificates, network, cgroups, the node's init. */
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
#include "local/node_control.h"
#include "local/up_internal.h"
#include "pki/digest.h"

enum { STOP_GRACE_MS = 10000, POLL_MS = 50, RESOLV_CONF_MAX = 64 * 1024, PROCESS_RESTARTS_MAX = 8 };

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

static int describe_node(struct up *up, struct node_admin_options *options, char **resolv_conf, struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	/* Behind systemd-resolved the listed server is on loopback; its own list has the real ones. */
	const char *path = file_exists("/run/systemd/resolve/resolv.conf") ? "/run/systemd/resolve/resolv.conf" : "/etc/resolv.conf";
	if (file_exists(path) && file_read(path, RESOLV_CONF_MAX, &text, err) < 0)
		return -1;
	*resolv_conf = node_admin_resolv_conf(text.data ? text.data : "");
	*options = (struct node_admin_options){
		.names = up->environment.names,
		.plan = up->environment.plan,
		.facts = up->environment.facts,
		.programs = up->programs,
		.directory = up->node_directory,
		.pki = up->pki,
		.components_root = component_cache_root(component_fetch_cache(up->fetch)),
		.resolv_conf = *resolv_conf,
		.pause_image = IMAGE_PAUSE,
		.bridge_netfilter = file_exists("/proc/sys/net/bridge/bridge-nf-call-iptables"),
		.nftables = true,
		.audit = up->environment.state.audit,
		.own_store = up->environment.state.own_store,
		.proxy_environment = &up->proxy_environment,
	};
	return local_node_names_make(up->environment.names.name, "admin", &options->node, err);
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

struct start_context {
	struct up *up;
	const struct node_admin_options *options;
};

static int prepare_init(pid_t init, void *context, struct error *err)
{
	struct start_context *start = context;
	struct local_environment *environment = &start->up->environment;
	FREE_CLEANUP char *group = string_printf("%s/admin/init", environment->names.cgroup);
	if (host_cgroup_make(&environment->facts.cgroup, group, err) < 0 ||
	    host_cgroup_enter(&environment->facts.cgroup, group, init, err) < 0)
		return error_wrap(err, "cgroup of the node");
	if (host_network_attach(&environment->names, &start->options->node, init, err) < 0)
		return -1;
	return host_network_route(&environment->names, &environment->plan, err);
}

static int record_init(const struct node_identity *identity, void *context, struct error *err)
{
	struct start_context *start = context;
	start->up->environment.state.admin = *identity;
	return environment_save(&start->up->environment, err);
}

/* True when a node runs that was started from exactly this configuration. */
static bool is_wanted_node(const struct up *up, const json_t *config)
{
	struct error err;
	if (!node_identity_is_alive(&up->environment.state.admin))
		return false;
	JSON_CLEANUP json_t *status = node_control_status(up->node_directory, &err);
	return status && !json_boolean_or(status, "stopping", false) &&
	       string_equal(json_string_at(status, "configuration"), json_string_at(config, "digest"));
}

int up_start_node(struct up *up, struct error *err)
{
	struct local_environment *environment = &up->environment;
	struct node_admin_options options;
	FREE_CLEANUP char *resolv_conf = NULL;
	unsigned phase = progress_begin(up->options->progress, "node");
	if (describe_node(up, &options, &resolv_conf, err) < 0)
		return -1;
	JSON_CLEANUP json_t *config = node_admin_config(&options);
	if (is_wanted_node(up, config)) {
		up->result->was_running = true;
		progress_end(up->options->progress, phase, "is running");
		return 0;
	}
	bool alive = node_identity_is_alive(&environment->state.admin);
	progress_note(up->options->progress, phase, alive ? "ending the former one" : "clearing what an earlier run left");
	environment->state.phase = LOCAL_STARTING;
	if (environment_sweep(environment, STOP_GRACE_MS, err) < 0 || environment_save(environment, err) < 0 ||
	    node_admin_write(&options, err) < 0 || host_network_make(&environment->names, &environment->plan, err) < 0)
		return -1;
	FREE_CLEANUP char *config_path = string_printf("%s/node.json", up->node_directory);
	FREE_CLEANUP char *log_path = string_printf("%s/log/init.log", up->node_directory);
	/* Pod addresses of an earlier run: their network namespaces are gone, and they would never be given back. */
	FREE_CLEANUP char *leases = string_printf("%s/var/lib/cni", up->node_directory);
	if (file_remove_tree(leases, err) < 0)
		return -1;
	struct start_context context = { up, &options };
	const struct node_start_options start = {
		.program = up->options->program,
		.config_path = config_path,
		.log_path = log_path,
		.prepare = prepare_init,
		.record = record_init,
		.context = &context,
	};
	struct node_identity identity;
	if (node_start(&start, &identity, err) < 0)
		return error_wrap(err, "start the node");
	progress_end(up->options->progress, phase, alive ? "started anew with the changed configuration" : "started");
	return 0;
}

static const json_t *find_process(const json_t *status, const char *name)
{
	const json_t *list = json_object_get(status, "processes");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (string_equal(json_string_at(json_array_get(list, i), "name"), name))
			return json_array_get(list, i);
	return NULL;
}

int up_wait_process(struct up *up, const char *process, struct error *err)
{
	for (;;) {
		struct error silent;
		JSON_CLEANUP json_t *status = node_control_status(up->node_directory, &silent);
		const json_t *found = find_process(status, process);
		if (found && string_equal(json_string_at(found, "state"), "ready"))
			return 0;
		if (found && json_integer_or(found, "restarts", 0) >= PROCESS_RESTARTS_MAX)
			return error_set(err, ERROR_SYSTEM, "%s does not stay up: it was started %lld times, and %s", process,
			                 (long long)json_integer_or(found, "restarts", 0) + 1, json_string_or(found, "lastExit", "ended"));
		if (!status && !node_identity_is_alive(&up->environment.state.admin)) {
			FREE_CLEANUP char *path = string_printf("%s/log/init.log", up->node_directory);
			return error_set(err, ERROR_SYSTEM, "the node ended while starting; see %s", path);
		}
		if (cancel_sleep(up->cancel, POLL_MS, err) < 0)
			return error_wrap(err, "wait for %s", process);
	}
}
