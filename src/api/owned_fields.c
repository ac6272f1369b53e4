/* SPDX-License-Identifier: Apache-2.0 */
#include "api/owned_fields.h"

#include <stdio.h>
#include <string.h>

#include "base/strings.h"

/* What identifies an item of a list, by the list's member name (patch merge keys of the Kubernetes types we write). */
static const struct {
	const char *list;
	const char *keys[2];
} merge_keys[] = {
	{ "containers", { "name" } },        { "initContainers", { "name" } },
	{ "volumes", { "name" } },           { "env", { "name" } },
	{ "volumeMounts", { "mountPath" } }, { "volumeDevices", { "devicePath" } },
	{ "imagePullSecrets", { "name" } },  { "hostAliases", { "ip" } },
	{ "ownerReferences", { "uid" } },    { "topologySpreadConstraints", { "topologyKey", "whenUnsatisfiable" } },
};
/* Fields the server drops when they hold the type's zero, though a reader may have written it. */
static const char *const dropped_when_false[] = { "readOnly", "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty" };

static bool match(const json_t *wanted, const json_t *live, const char *name, bool quantity);

static bool may_be_absent(const json_t *wanted, const char *name)
{
	if (json_is_null(wanted) || (json_is_string(wanted) && json_string_length(wanted) == 0))
		return true;
	if (json_is_object(wanted))
		return json_object_size(wanted) == 0;
	if (json_is_array(wanted))
		return json_array_size(wanted) == 0;
	if (json_is_integer(wanted))
		return json_integer_value(wanted) == 0 && strcmp(name, "replicas") != 0;
	if (json_is_false(wanted))
		for (size_t i = 0; i < ARRAY_LENGTH(dropped_when_false); i++)
			if (strcmp(name, dropped_when_false[i]) == 0)
				return true;
	return false;
}

static bool match_object(const json_t *wanted, const json_t *live, const char *name, bool quantity)
{
	bool amounts = quantity || strcmp(name, "limits") == 0 || strcmp(name, "requests") == 0;
	const char *member;
	json_t *value;

	json_object_foreach((json_t *)wanted, member, value) {
		const json_t *there = json_object_get(live, member);

		if (!there || json_is_null(there)) {
			if (!may_be_absent(value, member))
				return false;
		} else if (!match(value, there, member, amounts || strcmp(member, "sizeLimit") == 0)) {
			return false;
		}
	}
	return true;
}

static const char *const *keys_of(const char *list, const json_t *first)
{
	static const char *const container_port[] = { "containerPort", "protocol" };
	static const char *const service_port[] = { "port", "protocol" };

	for (size_t i = 0; i < ARRAY_LENGTH(merge_keys); i++)
		if (strcmp(list, merge_keys[i].list) == 0)
			return merge_keys[i].keys;
	if (strcmp(list, "ports") == 0)
		return json_object_get(first, "containerPort") ? container_port : service_port;
	return NULL;
}

static bool same_key(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

	if (strcmp(key, "protocol") == 0)
		return string_equal(x ? json_string_value(x) : "TCP", y ? json_string_value(y) : "TCP");
	return x && y && json_equal(x, y);
}

static bool match_keyed(const json_t *wanted, const json_t *live, const char *const keys[2])
{
	json_t *item, *candidate;
	size_t i, j;

	json_array_foreach(wanted, i, item) {
		bool found = false;

		json_array_foreach(live, j, candidate)
			if (same_key(item, candidate, keys[0]) && (!keys[1] || same_key(item, candidate, keys[1]))) {
				found = match(item, candidate, "", false);
				break;
			}
		if (!found)
			return false;
	}
	return true;
}

static bool match_array(const json_t *wanted, const json_t *live, const char *name)
{
	const char *const *keys = keys_of(name, json_array_get(wanted, 0));
	json_t *item;
	size_t i;

	if (keys)
		return match_keyed(wanted, live, keys);
	if (strcmp(name, "finalizers") == 0) {
		json_array_foreach(wanted, i, item) {
			bool found = false;

			for (size_t j = 0; j < json_array_size(live) && !found; j++)
				found = json_equal(item, json_array_get(live, j));
			if (!found)
				return false;
		}
		return true;
	}
	if (json_array_size(wanted) != json_array_size(live))
		return false;
	json_array_foreach(wanted, i, item)
		if (!match(item, json_array_get(live, i), "", false))
			return false;
	return true;
}

static const char *scalar_text(const json_t *value, char *space, size_t size)
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_integer(value))
		snprintf(space, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(space, size, "%.17g", json_real_value(value));
	else
		return "";
	return space;
}

static bool match(const json_t *wanted, const json_t *live, const char *name, bool quantity)
{
	char a[40], b[40];

	if (json_is_object(wanted))
		return json_is_object(live) && match_object(wanted, live, name, quantity);
	if (json_is_array(wanted))
		return json_is_array(live) && match_array(wanted, live, name);
	if (json_equal(wanted, live))
		return true;
	if (json_is_number(wanted) && json_is_number(live))
		return json_number_value(wanted) == json_number_value(live);
	return quantity && quantity_equal(scalar_text(wanted, a, sizeof(a)), scalar_text(live, b, sizeof(b)));
}

bool owned_fields_match(const json_t *wanted, const json_t *live)
{
	return wanted && live && match(wanted, live, "", false);
}

static bool stale(const json_t *fields, const json_t *wanted);

/* "k:{...}": the item of the list with these members. */
static const json_t *item_by_key(const json_t *list, const char *text)
{
	json_error_t ignored;
	json_t *key JSON_CLEANUP = json_loads(text, 0, &ignored);
	json_t *item, *value;
	const char *member;
	size_t i;

	json_array_foreach(list, i, item) {
		bool same = json_is_object(key);

		json_object_foreach(key, member, value)
			same = same && same_key(item, key, member);
		if (same)
			return item;
	}
	return NULL;
}

static bool holds_value(const json_t *list, const char *text)
{
	json_error_t ignored;
	json_t *value JSON_CLEANUP = json_loads(text, JSON_DECODE_ANY, &ignored);
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (value && json_equal(item, value))
			return true;
	return false;
}

static bool stale_entry(const char *key, const json_t *below, const json_t *wanted)
{
	const json_t *member = NULL;

	if (strncmp(key, "f:", 2) == 0)
		member = json_object_get(wanted, key + 2);
	else if (strncmp(key, "k:", 2) == 0)
		member = item_by_key(wanted, key + 2);
	else if (strncmp(key, "v:", 2) == 0)
		return !holds_value(wanted, key + 2);
	else
		return false; /* "." is the object itself; "i:" does not occur in Kubernetes types */
	return !member || stale(below, member);
}

static bool stale(const json_t *fields, const json_t *wanted)
{
	const char *key;
	json_t *below;

	if (json_is_array(wanted) || json_is_object(wanted))
		json_object_foreach((json_t *)fields, key, below)
			if (stale_entry(key, below, wanted))
				return true;
	return false;
}

bool owned_fields_stale(const json_t *wanted, const json_t *live, const char *manager)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_at(live, "metadata.managedFields"), i, entry) {
		if (!string_equal(json_string_at(entry, "manager"), manager) ||
		    !string_equal(json_string_at(entry, "operation"), "Apply") || !string_empty(json_string_or(entry, "subresource", "")))
			continue;
		if (stale(json_object_get(entry, "fieldsV1"), wanted))
			return true;
	}
	return false;
}

bool owned_fields_settled(const json_t *wanted, const json_t *live, const char *manager)
{
	return owned_fields_match(wanted, live) && !owned_fields_stale(wanted, live, manager);
}
