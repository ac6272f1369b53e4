/* SPDX-License-Identifier: Apache-2.0 */
#include "local/environment.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "local/host_cgroup.h"
#include "local/host_network.h"

enum { KILL_TIMEOUT_MS = 15000, MOUNTS_BYTES_MAX = 4 * 1024 * 1024 };

static const char *const phase_names[] = { "absent", "starting", "up", "stopping", "down" };

const char *local_phase_name(enum local_phase phase)
{
	return phase_names[phase];
}

const char *local_store_name(bool own_store)
{
	return own_store ? "kamaji" : "etcd";
}

char *local_state_write(const struct local_state *state)
{
	JSON_CLEANUP json_t *root =
		json_build("{s:i, s:s, s:b, s:s, s:{}}", "version", LOCAL_STATE_VERSION, "phase", phase_names[state->phase], "audit",
	                   state->audit, "datastore", local_store_name(state->own_store), "nodes");
	if (state->admin.pid > 0)
		json_put(root, "nodes.admin", node_identity_to_json(&state->admin));
	for (unsigned i = 0; i < state->further_count; i++) {
		FREE_CLEANUP char *id = local_admin_node_id(i + 2);
		json_object_set_new(json_object_get(root, "nodes"), id,
		                    state->further[i].pid > 0 ? node_identity_to_json(&state->further[i]) : json_object());
	}
	local_worker_list_write(&state->workers, json_object_get(root, "nodes"));
	if (state->has_block) {
		char block[LOCAL_CIDR_TEXT_MAX];
		local_cidr_format(state->block, block);
		json_put_string(root, "block", block);
	}
	if (state->times)
		json_object_set(root, "times", state->times);
	return json_text(root);
}

/* A node that is away has a record all the same. */
static void read_further(const json_t *nodes, struct local_state *state)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(state->further); i++) {
		FREE_CLEANUP char *id = local_admin_node_id(i + 2);
		const json_t *record = json_object_get(nodes, id);
		if (!record)
			return;
		node_identity_from_json(record, &state->further[i]);
		state->further_count = i + 1;
	}
}

unsigned local_state_node_count(const struct local_state *state)
{
	return state->further_count + 1;
}

struct node_identity *local_state_node(struct local_state *state, unsigned number)
{
	return number == 1 ? &state->admin : &state->further[number - 2];
}

int local_state_parse(const char *text, size_t length, struct local_state *ret_state, struct error *err)
{
	JSON_CLEANUP json_t *root = json_parse(text, length, err);
	if (!root)
		return -1;
	const char *phase = json_string_or(root, "phase", ""), *block = json_string_at(root, "block");
	struct local_cidr parsed_block = { 0 };
	if (block && (local_cidr_parse(block, &parsed_block, err) < 0 || parsed_block.prefix != 16))
		return error_set(err, ERROR_CORRUPT, "'block' is '%.32s'", block);
	if (json_integer_or(root, "version", 0) != LOCAL_STATE_VERSION)
		return error_set(err, ERROR_CORRUPT, "'version' is not %d", LOCAL_STATE_VERSION);
	for (size_t i = 0; i < ARRAY_LENGTH(phase_names); i++) {
		if (!string_equal(phase, phase_names[i]))
			continue;
		*ret_state = (struct local_state){
			.phase = (enum local_phase)i,
			.audit = json_boolean_or(root, "audit", false),
			.own_store = string_equal(json_string_or(root, "datastore", "etcd"), "kamaji"),
		};
		node_identity_from_json(json_at(root, "nodes.admin"), &ret_state->admin);
		read_further(json_object_get(root, "nodes"), ret_state);
		if (local_worker_list_read(json_object_get(root, "nodes"), &ret_state->workers, err) < 0)
			return -1;
		ret_state->has_block = block != NULL;
		ret_state->block = parsed_block;
		ret_state->times = json_incref(json_object_get(root, "times"));
		return 0;
	}
	return error_set(err, ERROR_CORRUPT, "'phase' is '%.32s'", phase);
}

void local_state_free(struct local_state *state)
{
	json_decref(state->times);
	local_worker_list_free(&state->workers);
	*state = (struct local_state){ 0 };
}

char *environment_path(const struct local_environment *environment, const char *format, ...)
{
	struct buffer text = { 0 };
	buffer_printf(&text, "%s/", environment->directory);
	va_list arguments;
	va_start(arguments, format);
	buffer_vprintf(&text, format, arguments);
	va_end(arguments);
	return buffer_take(&text);
}

char *environment_node_directory(const struct local_environment *environment, const char *node)
{
	return environment_path(environment, "nodes/%s", node);
}

static int read_state(struct local_environment *environment, bool change, struct error *err)
{
	FREE_CLEANUP char *path = environment_path(environment, "state.json");
	BUFFER_CLEANUP struct buffer text = { 0 };
	if (access(path, F_OK) < 0 && errno == EACCES)
		return error_set(err, ERROR_FORBIDDEN, "the environment in %s belongs to root: use sudo", environment->directory);
	if (!file_exists(path))
		return 0;
	if (file_read(path, LOCAL_STATE_BYTES_MAX, &text, err) < 0)
		return -1;
	if (local_state_parse(text.data ? text.data : "", text.length, &environment->state, err) == 0)
		return 0;
	if (!change)
		return error_wrap(err, "%s is damaged ('kamaji local down' or 'up' mends it)", path);
	FREE_CLEANUP char *aside = environment_path(environment, "state.json.damaged");
	environment->state = (struct local_state){ .phase = LOCAL_STARTING };
	return rename(path, aside) < 0 ? error_set_errno(err, errno, "set %s aside", path) : 0;
}

static int take_lock(struct local_environment *environment, struct error *err)
{
	if (file_make_directories(environment->directory, 0700, err) < 0)
		return -1;
	FREE_CLEANUP char *path = environment_path(environment, "lock");
	environment->lock = file_lock(path, false, err);
	if (environment->lock >= 0)
		return 0;
	if (err->class == ERROR_EXISTS)
		return error_set(err, ERROR_EXISTS, "another command is changing the environment '%s'; try again when it has ended",
		                 environment->names.name);
	return -1;
}

int environment_open(const char *root, const char *name, bool change, struct local_environment *ret_environment, struct error *err)
{
	struct local_environment *environment = ret_environment;
	*environment = (struct local_environment){ .lock = -1 };
	if (local_names_make(name, &environment->names, err) < 0)
		return -1;
	if (root[0] != '/')
		return error_set(err, ERROR_INVALID, "--state-dir must be an absolute path, not '%s'", root);
	environment->root = string_dup(root);
	environment->directory = string_printf("%s/%s", root, name);
	/* containerd's socket lies below and a socket's path is short. */
	if (strlen(environment->directory) > LOCAL_DIRECTORY_MAX) {
		error_set(err, ERROR_INVALID, "the state folder %s is longer than %d characters; choose a shorter --state-dir or --name",
		          environment->directory, LOCAL_DIRECTORY_MAX);
		goto failed;
	}
	if (host_facts_read(&environment->facts, err) < 0 || (change && take_lock(environment, err) < 0) ||
	    read_state(environment, change, err) < 0 ||
	    (environment->state.has_block && environment_set_block(environment, environment->state.block, err) < 0))
		goto failed;
	return 0;
failed:
	environment_close(environment);
	return -1;
}

void environment_close(struct local_environment *environment)
{
	free(environment->root);
	free(environment->directory);
	local_state_free(&environment->state);
	if (environment->lock >= 0)
		close(environment->lock);
	environment->root = environment->directory = NULL;
	environment->lock = -1;
}

int environment_save(struct local_environment *environment, struct error *err)
{
	FREE_CLEANUP char *path = environment_path(environment, "state.json");
	FREE_CLEANUP char *text = local_state_write(&environment->state);
	return file_write_atomic(path, text, strlen(text), 0600, err);
}

int environment_set_block(struct local_environment *environment, struct local_cidr block, struct error *err)
{
	if (local_address_plan_make(block, &environment->plan, err) < 0)
		return -1;
	environment->state.block = block;
	environment->state.has_block = true;
	return 0;
}

void environment_names(const char *root, struct string_list *names)
{
	DIR *directory = opendir(root);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		FREE_CLEANUP char *state = string_printf("%s/%s/state.json", root, entry->d_name);
		if (entry->d_name[0] != '.' && file_exists(state))
			string_list_add(names, entry->d_name);
	}
	if (directory)
		closedir(directory);
	string_list_sort(names);
}

void environment_reserved_blocks(const struct local_environment *environment, struct local_route_list *ret_blocks)
{
	STRING_LIST_CLEANUP struct string_list names = { 0 };
	environment_names(environment->root, &names);
	struct local_cidr *items = calloc(names.count + 1, sizeof(*items));
	size_t count = 0;
	if (!items)
		abort(); /* a few bytes an environment */
	for (size_t i = 0; i < names.count; i++) {
		ENVIRONMENT_CLEANUP struct local_environment other = { .lock = -1 };
		struct error err;
		if (!string_equal(names.items[i], environment->names.name) &&
		    environment_open(environment->root, names.items[i], false, &other, &err) == 0 && other.state.has_block)
			items[count++] = other.state.block;
	}
	*ret_blocks = (struct local_route_list){ .items = items, .count = count };
}

static int remove_links(struct local_environment *environment, struct error *err)
{
	FREE_CLEANUP char *path = environment_path(environment, "nodes");
	DIR *nodes = opendir(path);
	int result = 0;
	for (struct dirent *entry; nodes && result == 0 && (entry = readdir(nodes));) {
		struct local_node_names node;
		struct error unfit;
		if (entry->d_name[0] != '.' && local_node_names_make(environment->names.name, entry->d_name, &node, &unfit) == 0)
			result = host_network_detach(&node, err);
	}
	if (nodes)
		closedir(nodes);
	return result < 0 ? -1 : host_network_remove(&environment->names, err);
}

int environment_end_node(const struct local_environment *environment, const char *id, struct node_identity *identity, uint64_t grace_ms,
                         struct error *err)
{
	struct local_node_names node;
	FREE_CLEANUP char *group = string_printf("%s/%s", environment->names.cgroup, id);
	if (local_node_names_make(environment->names.name, id, &node, err) < 0 || node_identity_end(identity, grace_ms, err) < 0 ||
	    host_cgroup_kill(&environment->facts.cgroup, group, KILL_TIMEOUT_MS, err) < 0 ||
	    host_cgroup_remove(&environment->facts.cgroup, group, err) < 0)
		return -1;
	*identity = (struct node_identity){ 0 };
	return host_network_detach(&node, err);
}

int environment_sweep(struct local_environment *environment, uint64_t grace_ms, struct error *err)
{
	const char *cgroup = environment->names.cgroup;
	/* Workers before the control planes that they talk to. */
	for (size_t i = 0; i < environment->state.workers.count; i++)
		if (node_identity_end(&environment->state.workers.items[i].identity, grace_ms, err) < 0)
			return -1;
	for (unsigned number = local_state_node_count(&environment->state); number > 0; number--)
		if (node_identity_end(local_state_node(&environment->state, number), grace_ms, err) < 0)
			return -1;
	/* Whoever is still in the environment's cgroups belongs to an earlier attempt whose record was lost. */
	if (host_cgroup_kill(&environment->facts.cgroup, cgroup, KILL_TIMEOUT_MS, err) < 0 ||
	    host_cgroup_remove(&environment->facts.cgroup, cgroup, err) < 0)
		return -1;
	return remove_links(environment, err);
}

/* Mounts in our own namespace below the environment's folder. There never are any unless somebody made them by hand. */
static void find_mounts(const struct local_environment *environment, struct string_list *found)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error err;
	FREE_CLEANUP char *prefix = string_printf(" %s/", environment->directory);
	if (file_read("/proc/self/mounts", MOUNTS_BYTES_MAX, &text, &err) < 0)
		return;
	for (const char *at = text.data; (at = strstr(at, prefix)); at++)
		string_list_printf(found, "mount%.*s", (int)(1 + strcspn(at + 1, " ")), at);
}

static void find_namespace(const struct node_identity *identity, struct string_list *found)
{
	/* The kernel lets init go when every other process of its namespace has ended, and gives the namespace's number to the next one made. */
	DIR *proc = node_identity_is_alive(identity) ? opendir("/proc") : NULL;
	for (struct dirent *entry; proc && (entry = readdir(proc));) {
		struct node_identity one;
		struct error err;
		int64_t pid;
		if (string_to_integer(entry->d_name, 1, INT32_MAX, "process", &pid, &err) < 0)
			continue;
		/* Fails for one that has ended and only waits for its parent to take notice. */
		if (node_identity_read((pid_t)pid, &one, &err) == 0 && one.pid_namespace == identity->pid_namespace)
			string_list_printf(found, "process %s in the node's PID namespace", entry->d_name);
	}
	if (proc)
		closedir(proc);
}

static void find_link(const struct local_environment *environment, const char *node, struct string_list *found)
{
	struct local_node_names names;
	struct error err;
	if (local_node_names_make(environment->names.name, node, &names, &err) == 0 && host_network_has_link(names.host_link))
		string_list_printf(found, "interface %s", names.host_link);
}

void environment_leftovers(const struct local_environment *environment, struct string_list *found)
{
	const struct host_cgroup *cgroup = &environment->facts.cgroup;
	unsigned processes = host_cgroup_count(cgroup, environment->names.cgroup);
	if (processes)
		string_list_printf(found, "%u processes in cgroup %s", processes, environment->names.cgroup);
	if (host_cgroup_exists(cgroup, environment->names.cgroup))
		string_list_printf(found, "cgroup %s", environment->names.cgroup);
	find_mounts(environment, found);
	find_namespace(&environment->state.admin, found);
	find_link(environment, "admin", found);
	for (unsigned i = 0; i < environment->state.further_count; i++) {
		FREE_CLEANUP char *id = local_admin_node_id(i + 2);
		find_namespace(&environment->state.further[i], found);
		find_link(environment, id, found);
	}
	for (size_t i = 0; i < environment->state.workers.count; i++) {
		FREE_CLEANUP char *id = local_worker_id(&environment->state.workers.items[i]);
		find_namespace(&environment->state.workers.items[i].identity, found);
		find_link(environment, id, found);
	}
	host_network_leftovers(&environment->names, found);
}
