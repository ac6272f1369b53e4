/* SPDX-License-Identifier: Apache-2.0 */
#include "local/local_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

enum { FIRST_WORKER_HOST = 9 }; /* worker 1 has the address .10 of the nodes' range */

#define ID_PREFIX "worker-"

int local_tenant_parse(const char *text, char **ret_namespace, char **ret_name, struct error *err)
{
	const char *slash = strchr(text, '/');
	FREE_CLEANUP char *namespace = slash ? string_ndup(text, (size_t)(slash - text)) : string_dup("default");
	const char *name = slash ? slash + 1 : text;
	if (!name_is_dns1123_label(namespace) || !name_is_dns1123_subdomain(name))
		return error_set(err, ERROR_INVALID, "'%.128s' is no tenant; expected NAME or NAMESPACE/NAME", text);
	*ret_namespace = string_dup(namespace);
	*ret_name = string_dup(name);
	return 0;
}

struct local_worker *local_worker_find(const struct local_worker_list *list, const char *namespace, const char *tenant, const char *name)
{
	for (size_t i = 0; i < list->count; i++) {
		struct local_worker *worker = &list->items[i];
		if (string_equal(worker->namespace, namespace) && string_equal(worker->tenant, tenant) && string_equal(worker->name, name))
			return worker;
	}
	return NULL;
}

static void free_worker(struct local_worker *worker)
{
	char *const texts[] = { worker->namespace, worker->tenant,   worker->name, worker->version,
		                worker->hosts,     worker->endpoint, worker->pods };
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		free(texts[i]);
}

/* Room for one with this number, in order. */
static struct local_worker *insert(struct local_worker_list *list, unsigned number)
{
	size_t at = 0;
	list->items = reallocarray(list->items, list->count + 1, sizeof(*list->items));
	if (!list->items)
		abort(); /* a few bytes a worker */
	while (at < list->count && list->items[at].number < number)
		at++;
	memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof(*list->items));
	list->count++;
	list->items[at] = (struct local_worker){ .number = number };
	return &list->items[at];
}

struct local_worker *local_worker_new(struct local_worker_list *list, const char *namespace, const char *tenant, const char *name,
                                      struct error *err)
{
	unsigned number = 1;
	if (strlen(name) > LOCAL_WORKER_NAME_MAX || !name_is_dns1123_label(name)) {
		error_set(err, ERROR_INVALID,
		          "the worker's name '%.64s' must be a DNS label: at most %d of a-z, 0-9 and '-', with a letter or digit at both "
		          "ends",
		          name, LOCAL_WORKER_NAME_MAX);
		return NULL;
	}
	for (size_t i = 0; i < list->count && list->items[i].number == number; i++)
		number++;
	if (number > LOCAL_WORKERS_MAX) {
		error_set(err, ERROR_EXHAUSTED, "this environment has %d workers, more are not possible", LOCAL_WORKERS_MAX);
		return NULL;
	}
	struct local_worker *worker = insert(list, number);
	worker->namespace = string_dup(namespace);
	worker->tenant = string_dup(tenant);
	worker->name = string_dup(name);
	worker->version = string_dup("");
	worker->hosts = string_dup("");
	worker->endpoint = string_dup("");
	worker->pods = string_dup("");
	return worker;
}

void local_worker_remove(struct local_worker_list *list, const struct local_worker *worker)
{
	size_t at = (size_t)(worker - list->items);
	free_worker(&list->items[at]);
	memmove(&list->items[at], &list->items[at + 1], (list->count - at - 1) * sizeof(*list->items));
	list->count--;
}

void local_worker_list_free(struct local_worker_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free_worker(&list->items[i]);
	free(list->items);
	*list = (struct local_worker_list){ 0 };
}

char *local_worker_id(const struct local_worker *worker)
{
	return string_printf(ID_PREFIX "%u", worker->number);
}

int local_worker_names(const char *environment, const struct local_worker *worker, struct local_node_names *ret_names, struct error *err)
{
	FREE_CLEANUP char *id = local_worker_id(worker);
	if (local_node_names_make(environment, id, ret_names, err) < 0)
		return -1;
	snprintf(ret_names->hostname, sizeof(ret_names->hostname), "%s", worker->name);
	return 0;
}

uint32_t local_worker_address(const struct local_address_plan *plan, const struct local_worker *worker)
{
	return plan->nodes.address + FIRST_WORKER_HOST + worker->number;
}

void local_worker_list_write(const struct local_worker_list *list, json_t *nodes)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct local_worker *worker = &list->items[i];
		FREE_CLEANUP char *id = local_worker_id(worker);
		json_t *object = worker->identity.pid > 0 ? node_identity_to_json(&worker->identity) : json_object();
		const struct {
			const char *member, *value;
		} texts[] = {
			{ "namespace", worker->namespace }, { "tenant", worker->tenant }, { "name", worker->name },
			{ "version", worker->version },     { "hosts", worker->hosts },   { "endpoint", worker->endpoint },
			{ "pods", worker->pods },
		};
		for (size_t j = 0; j < ARRAY_LENGTH(texts); j++)
			json_object_set_new(object, texts[j].member, json_string_new(texts[j].value));
		json_object_set_new(object, "joined", json_boolean(worker->joined));
		json_object_set_new(object, "leaving", json_boolean(worker->leaving));
		json_object_set_new(nodes, id, object);
	}
}

static int read_worker(const json_t *object, unsigned number, struct local_worker_list *list, struct error *err)
{
	static const char *const members[] = { "namespace", "tenant", "name", "version", "hosts", "endpoint", "pods" };
	struct local_worker read = { .number = number };
	char **const fields[] = { &read.namespace, &read.tenant, &read.name, &read.version, &read.hosts, &read.endpoint, &read.pods };
	for (size_t i = 0; i < ARRAY_LENGTH(members); i++)
		*fields[i] = string_dup(json_string_or(object, members[i], ""));
	if (string_empty(read.namespace) || string_empty(read.tenant) || !name_is_dns1123_label(read.name)) {
		free_worker(&read);
		return error_set(err, ERROR_CORRUPT, "'nodes." ID_PREFIX "%u' names no worker of a tenant", number);
	}
	read.joined = json_boolean_or(object, "joined", false);
	read.leaving = json_boolean_or(object, "leaving", false);
	node_identity_from_json(object, &read.identity);
	*insert(list, number) = read;
	return 0;
}

int local_worker_list_read(const json_t *nodes, struct local_worker_list *ret_list, struct error *err)
{
	const char *key;
	json_t *object;
	*ret_list = (struct local_worker_list){ 0 };
	json_object_foreach((json_t *)nodes, key, object) {
		int64_t number;
		if (!string_has_prefix(key, ID_PREFIX))
			continue;
		if (string_to_integer(key + strlen(ID_PREFIX), 1, LOCAL_WORKERS_MAX, "'nodes': worker", &number, err) < 0 ||
		    read_worker(object, (unsigned)number, ret_list, err) < 0) {
			err->class = ERROR_CORRUPT;
			local_worker_list_free(ret_list);
			return -1;
		}
	}
	return 0;
}
