/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_config.h"

#include "io/file.h"

#include <string.h>

struct reader {
	struct arena *arena;
	struct error *err;
};

static const char *read_text(struct reader *reader, const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	if (!text) {
		error_set(reader->err, ERROR_INVALID, "'%s' is missing or not a string", member);
		return NULL;
	}
	return arena_strdup(reader->arena, text);
}

/* NULL-terminated copy of a list of strings; an absent list is empty. */
static char **read_list(struct reader *reader, const json_t *object, const char *member)
{
	const json_t *list = json_object_get(object, member);
	size_t count = json_array_size(list);
	char **items = arena_alloc(reader->arena, (count + 1) * sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (!text) {
			error_set(reader->err, ERROR_INVALID, "'%s' must be a list of strings", member);
			return NULL;
		}
		items[i] = arena_strdup(reader->arena, text);
	}
	return items;
}

static int read_probe(struct reader *reader, const json_t *object, struct node_process *process)
{
	static const char *const kinds[] = { [NODE_PROBE_UNIX] = "unix", [NODE_PROBE_TCP] = "tcp", [NODE_PROBE_EXEC] = "exec" };
	const json_t *ready = json_object_get(object, "ready");
	if (!ready)
		return 0;
	const char *kind = json_string_or(ready, "kind", "");
	for (size_t i = NODE_PROBE_UNIX; i <= NODE_PROBE_EXEC; i++)
		if (string_equal(kind, kinds[i]))
			process->probe = (enum node_probe_kind)i;
	switch (process->probe) {
	case NODE_PROBE_UNIX:
	case NODE_PROBE_TCP:
		process->probe_target = read_text(reader, ready, "target");
		return process->probe_target ? 0 : -1;
	case NODE_PROBE_EXEC:
		process->probe_argv = read_list(reader, ready, "argv");
		if (process->probe_argv && !process->probe_argv[0])
			return error_set(reader->err, ERROR_INVALID, "'ready.argv' is empty");
		return process->probe_argv ? 0 : -1;
	case NODE_PROBE_NONE:
		break;
	}
	return error_set(reader->err, ERROR_INVALID, "'ready.kind' is '%.32s', expected unix, tcp or exec", kind);
}

static int read_after(struct reader *reader, const json_t *object, const struct node_config *config, struct node_process *process)
{
	const json_t *list = json_object_get(object, "after");
	if (json_array_size(list) > NODE_AFTER_MAX)
		return error_set(reader->err, ERROR_EXHAUSTED, "'after' names more than %d processes", NODE_AFTER_MAX);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		size_t found = 0;
		while (found < config->process_count && !string_equal(config->processes[found].name, name))
			found++;
		if (found == config->process_count)
			return error_set(reader->err, ERROR_INVALID, "'after' names '%.64s', which is no earlier process",
			                 name ? name : "");
		process->after[process->after_count++] = found;
	}
	return 0;
}

static int read_process(struct reader *reader, const json_t *object, struct node_config *config)
{
	if (config->process_count == NODE_PROCESS_MAX)
		return error_set(reader->err, ERROR_EXHAUSTED, "more than %d processes", NODE_PROCESS_MAX);
	struct node_process *process = &config->processes[config->process_count];
	process->name = read_text(reader, object, "name");
	process->argv = read_list(reader, object, "argv");
	process->environment = read_list(reader, object, "environment");
	if (!process->name || !process->argv || !process->environment)
		return -1;
	if (!name_is_dns1123_label(process->name))
		return error_set(reader->err, ERROR_INVALID, "process name '%.64s' is not a DNS label", process->name);
	for (size_t i = 0; i < config->process_count; i++)
		if (string_equal(config->processes[i].name, process->name))
			return error_set(reader->err, ERROR_INVALID, "two processes are called '%s'", process->name);
	if (!process->argv[0] || process->argv[0][0] != '/')
		return error_set(reader->err, ERROR_INVALID, "'argv' of %s must begin with an absolute path", process->name);
	const char *needs = json_string_at(object, "needs");
	process->needs = needs ? arena_strdup(reader->arena, needs) : NULL;
	process->stop_last = json_boolean_or(object, "stopLast", false);
	if (read_probe(reader, object, process) < 0 || read_after(reader, object, config, process) < 0)
		return error_wrap(reader->err, "process %s", process->name);
	config->process_count++;
	return 0;
}

static int read_binds(struct reader *reader, const json_t *root, struct node_config *config)
{
	const json_t *list = json_object_get(root, "binds");
	config->bind_count = json_array_size(list);
	config->binds = arena_alloc(reader->arena, (config->bind_count + 1) * sizeof(*config->binds));
	for (size_t i = 0; i < config->bind_count; i++) {
		const json_t *object = json_array_get(list, i);
		struct node_bind *bind = &config->binds[i];
		bind->from = read_text(reader, object, "from");
		bind->to = read_text(reader, object, "to");
		if (!bind->from || !bind->to)
			return error_wrap(reader->err, "binds[%zu]", i);
		if (bind->from[0] != '/' || bind->to[0] != '/' || strstr(bind->to, "/.."))
			return error_set(reader->err, ERROR_INVALID, "binds[%zu]: '%s' and '%s' must be absolute paths", i, bind->from,
			                 bind->to);
		bind->read_only = json_boolean_or(object, "readOnly", false);
	}
	return 0;
}

int node_config_parse(const char *text, size_t length, struct arena *arena, struct node_config *ret_config, struct error *err)
{
	JSON_CLEANUP json_t *root = json_parse(text, length, err);
	if (!root)
		return error_wrap(err, "node configuration");
	struct reader reader = { .arena = arena, .err = err };
	struct node_config *config = ret_config;
	*config = (struct node_config){ 0 };
	const struct {
		const char *member;
		const char **field;
	} texts[] = {
		{ "name", &config->name },           { "role", &config->role },   { "hostname", &config->hostname },
		{ "directory", &config->directory }, { "link", &config->link },   { "address", &config->address },
		{ "gateway", &config->gateway },     { "hosts", &config->hosts }, { "resolvConf", &config->resolv_conf },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (!(*texts[i].field = read_text(&reader, root, texts[i].member)))
			return error_wrap(err, "node configuration");
	config->digest = arena_strdup(arena, json_string_or(root, "digest", ""));
	config->bridge_netfilter = json_boolean_or(root, "bridgeNetfilter", false);
	config->modules_folder = json_boolean_or(root, "modulesFolder", false);
	config->firewall = arena_strdup(arena, json_string_or(root, "firewall", ""));
	config->routes = read_list(&reader, root, "routes");
	if (!config->routes || read_binds(&reader, root, config) < 0)
		return error_wrap(err, "node configuration");
	const json_t *processes = json_object_get(root, "processes");
	for (size_t i = 0; i < json_array_size(processes); i++)
		if (read_process(&reader, json_array_get(processes, i), config) < 0)
			return error_wrap(err, "node configuration");
	return 0;
}

json_t *node_config_process_new(const char *name, const struct string_list *argv)
{
	json_t *list = json_array();
	for (size_t i = 0; i < argv->count; i++)
		json_array_append_new(list, json_string_new(argv->items[i]));
	return json_build("{s:s, s:o}", "name", name, "argv", list);
}

int node_config_make_folders(const char *directory, const char *const *folders, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		FREE_CLEANUP char *path = string_printf("%s/%s", directory, folders[i]);
		if (file_make_directories(path, 0755, err) < 0)
			return -1;
	}
	return 0;
}

int node_config_write(const char *directory, const char *file, const char *text, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", directory, file);
	return file_write_atomic(path, text, strlen(text), 0600, err);
}
