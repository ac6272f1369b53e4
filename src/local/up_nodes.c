/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the admin cluster: described, started with namespaces, network and cgroups, waited for. */
#include <string.h>

#include "base/clock.h"
#include "io/file.h"
#include "local/cluster_pods.h"
#include "local/host_cgroup.h"
#include "local/host_network.h"
#include "local/local_pki.h"
#include "local/node_control.h"
#include "local/up_internal.h"

enum { STOP_GRACE_MS = 10000, POLL_MS = 50, RESOLV_CONF_MAX = 64 * 1024, PROCESS_RESTARTS_MAX = 8 };

/* One node on its way. Owns its texts. */
struct start {
	struct up *up;
	unsigned number;
	char *id, *directory, *pki, *resolv_conf;
	struct node_admin_options options;
};

static void free_start(struct start *start)
{
	free(start->id);
	free(start->directory);
	free(start->pki);
	free(start->resolv_conf);
}

static int read_resolv_conf(char **ret_text, struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	/* Behind systemd-resolved the listed server is on loopback; its own list has the real ones. */
	const char *path = file_exists("/run/systemd/resolve/resolv.conf") ? "/run/systemd/resolve/resolv.conf" : "/etc/resolv.conf";
	if (file_exists(path) && file_read(path, RESOLV_CONF_MAX, &text, err) < 0)
		return -1;
	*ret_text = node_admin_resolv_conf(text.data ? text.data : "");
	return 0;
}

static int describe(struct up *up, unsigned number, struct start *start, struct error *err)
{
	const struct local_environment *environment = &up->environment;
	start->up = up;
	start->number = number;
	start->id = local_admin_node_id(number);
	start->directory = environment_node_directory(environment, start->id);
	start->pki = number == 1 ? string_dup(up->pki) : string_printf("%s/%s", up->pki, start->id);
	if (read_resolv_conf(&start->resolv_conf, err) < 0)
		return -1;
	start->options = (struct node_admin_options){
		.number = number,
		.names = environment->names,
		.plan = environment->plan,
		.facts = environment->facts,
		.programs = up->programs,
		.directory = start->directory,
		.pki = start->pki,
		.components_root = component_cache_root(component_fetch_cache(up->fetch)),
		.resolv_conf = start->resolv_conf,
		.pause_image = IMAGE_PAUSE,
		.bridge_netfilter = file_exists("/proc/sys/net/bridge/bridge-nf-call-iptables"),
		.nftables = true,
		.audit = environment->state.audit,
		.own_store = environment->state.own_store,
		.proxy_environment = &up->proxy_environment,
	};
	return local_node_names_make(environment->names.name, start->id, &start->options.node, err);
}

static int prepare_init(pid_t init, void *context, struct error *err)
{
	struct start *start = context;
	struct local_environment *environment = &start->up->environment;
	FREE_CLEANUP char *group = string_printf("%s/%s/init", environment->names.cgroup, start->id);
	if (host_cgroup_make(&environment->facts.cgroup, group, err) < 0 ||
	    host_cgroup_enter(&environment->facts.cgroup, group, init, err) < 0)
		return error_wrap(err, "cgroup of the node");
	if (host_network_attach(&environment->names, &start->options.node, init, err) < 0)
		return -1;
	return host_network_route(&environment->names, &environment->plan, local_state_node_count(&environment->state), err);
}

static int record_init(const struct node_identity *identity, void *context, struct error *err)
{
	struct start *start = context;
	*local_state_node(&start->up->environment.state, start->number) = *identity;
	return environment_save(&start->up->environment, err);
}

/* True when a node runs that was started from exactly this configuration. */
static bool is_wanted_node(const struct start *start)
{
	struct error err;
	if (!node_identity_is_alive(local_state_node(&start->up->environment.state, start->number)))
		return false;
	JSON_CLEANUP json_t *config = node_admin_config(&start->options);
	JSON_CLEANUP json_t *status = node_control_status(start->directory, &err);
	return status && !json_boolean_or(status, "stopping", false) &&
	       string_equal(json_string_at(status, "configuration"), json_string_at(config, "digest"));
}

static int run_node(struct start *start, struct error *err)
{
	/* Pod addresses of an earlier run: their network namespaces are gone, and they would never be given back. */
	FREE_CLEANUP char *leases = string_printf("%s/var/lib/cni", start->directory);
	if (node_admin_write(&start->options, err) < 0 || file_remove_tree(leases, err) < 0)
		return -1;
	const struct node_start_options options = {
		.program = start->up->options->program,
		.directory = start->directory,
		.prepare = prepare_init,
		.record = record_init,
		.context = start,
	};
	struct node_identity identity;
	return node_start(&options, &identity, err) < 0 ? error_wrap(err, "start the node") : 0;
}

static int start_admin(struct start *start, struct error *err)
{
	struct up *up = start->up;
	struct local_environment *environment = &up->environment;
	unsigned phase = progress_begin(up->options->progress, "node");
	if (is_wanted_node(start)) {
		up->result->was_running = true;
		progress_end(up->options->progress, phase, "is running");
		return 0;
	}
	bool alive = node_identity_is_alive(&environment->state.admin);
	progress_note(up->options->progress, phase, alive ? "ending the former one" : "clearing what an earlier run left");
	environment->state.phase = LOCAL_STARTING;
	if (environment_sweep(environment, STOP_GRACE_MS, err) < 0 || environment_save(environment, err) < 0 ||
	    host_network_make(&environment->names, &environment->plan, err) < 0 || run_node(start, err) < 0)
		return -1;
	progress_end(up->options->progress, phase, alive ? "started anew with the changed configuration" : "started");
	return 0;
}

static int start_further(struct start *start, struct error *err)
{
	struct up *up = start->up;
	struct local_environment *environment = &up->environment;
	const struct local_pki_options pki = { .directory = up->pki, .environment = environment->names.name, .plan = environment->plan };
	struct node_identity *identity = local_state_node(&environment->state, start->number);
	unsigned phase = progress_begin(up->options->progress, "further node");
	if (local_pki_ensure_node(&pki, start->pki, start->options.node.hostname,
	                          local_admin_node_address(&environment->plan, start->number), err) < 0)
		return -1;
	bool running = is_wanted_node(start);
	if (!running && (environment_end_node(environment, start->id, identity, STOP_GRACE_MS, err) < 0 ||
	                 environment_save(environment, err) < 0 || run_node(start, err) < 0))
		return -1;
	FREE_CLEANUP char *outcome = string_printf("%s %s", start->options.node.hostname, running ? "is running" : "started");
	progress_end(up->options->progress, phase, outcome);
	return 0;
}

int up_start_nodes(struct up *up, struct error *err)
{
	for (unsigned number = 1; number <= local_state_node_count(&up->environment.state); number++) {
		struct start start = { 0 };
		int result = describe(up, number, &start, err);
		if (result == 0)
			result = number == 1 ? start_admin(&start, err) : start_further(&start, err);
		free_start(&start);
		if (result < 0)
			return -1;
	}
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

int up_wait_process(struct up *up, unsigned number, const char *process, struct error *err)
{
	FREE_CLEANUP char *id = local_admin_node_id(number);
	FREE_CLEANUP char *directory = environment_node_directory(&up->environment, id);
	for (;;) {
		struct error silent;
		JSON_CLEANUP json_t *status = node_control_status(directory, &silent);
		const json_t *found = find_process(status, process);
		if (found && string_equal(json_string_at(found, "state"), "ready"))
			return 0;
		if (found && json_integer_or(found, "restarts", 0) >= PROCESS_RESTARTS_MAX)
			return error_set(err, ERROR_SYSTEM, "%s does not stay up: it was started %lld times, and %s", process,
			                 (long long)json_integer_or(found, "restarts", 0) + 1, json_string_or(found, "lastExit", "ended"));
		if (!status && !node_identity_is_alive(local_state_node(&up->environment.state, number)))
			return error_set(err, ERROR_SYSTEM, "the node ended while starting; see %s/log/init.log", directory);
		if (cancel_sleep(up->cancel, POLL_MS, err) < 0)
			return error_wrap(err, "wait for %s", process);
	}
}

int up_node_start_time(struct up *up, unsigned number, int64_t *ret_seconds, struct error *err)
{
	FREE_CLEANUP char *id = local_admin_node_id(number);
	FREE_CLEANUP char *directory = environment_node_directory(&up->environment, id);
	JSON_CLEANUP json_t *status = node_control_status(directory, err);
	if (!status)
		return -1;
	*ret_seconds = clock_wall_seconds() - json_integer_or(status, "uptimeSeconds", 0) - 1;
	return 0;
}

int up_wait_node(struct up *up, unsigned number, struct error *err)
{
	struct local_node_names node;
	int64_t since;
	FREE_CLEANUP char *id = local_admin_node_id(number);
	if (local_node_names_make(up->environment.names.name, id, &node, err) < 0 || up_node_start_time(up, number, &since, err) < 0)
		return -1;
	return cluster_wait_node(&up->tool, node.hostname, since, err);
}
