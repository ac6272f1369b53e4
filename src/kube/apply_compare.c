/* SPDX-License-Identifier: Apache-2.0 */
/* Would applying change anything? A walk over what is desired, what we own (fieldsV1) and what is live, see apply.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/apply.h"
#include "kube/json_bytes.h"

enum { MAXIMUM_SHOWN = 80, MAXIMUM_WALK_DEPTH = 200 };

struct walk {
	const char *const *ignore;
	struct buffer *differences; /* or */
	kube_difference_visit visit;
	void *visit_argument;
	struct buffer path; /* member names with dots, no indexes: what `ignore` names */
	size_t count;
	unsigned depth;
};

/*
 * `owned` of a walk: the fieldsV1 node, or this when everything below is owned as one (the parent is a leaf of fieldsV1: atomic).
 */
static const json_t *owned_whole(void)
{
	static const json_t whole = { .type = JSON_TRUE, .refcount = (size_t)-1 };

	return &whole;
}

static void walk_value(struct walk *walk, const json_t *desired, const json_t *owned, const json_t *live);

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return hash;
}

/* The value's text, cut when long; the hash then keeps two values apart. */
static void append_shown(struct buffer *out, const json_t *value)
{
	FREE_CLEANUP char *text = value != NULL ? json_canonical(value) : string_dup("absent");

	buffer_printf(out, "%.*s", MAXIMUM_SHOWN, text);
	if (strlen(text) > MAXIMUM_SHOWN)
		buffer_printf(out, "...(%016" PRIx64 ")", hash_text(text));
}

static void report_text(struct walk *walk, const char *problem, const json_t *desired, const json_t *live)
{
	buffer_printf(walk->differences, "%s: %s", walk->path.length > 0 ? walk->path.data : "object", problem);
	if (desired != NULL) {
		buffer_append_string(walk->differences, " wanted ");
		append_shown(walk->differences, desired);
		buffer_append_string(walk->differences, ", is ");
		append_shown(walk->differences, live);
	}
	buffer_append_char(walk->differences, '\n');
}

static void report_in(struct walk *walk, const char *problem, struct kube_difference difference)
{
	walk->count++;
	difference.path = walk->path.length > 0 ? walk->path.data : "";
	if (walk->visit != NULL)
		walk->visit(&difference, walk->visit_argument);
	else
		report_text(walk, problem, difference.desired, difference.live);
}

static void report(struct walk *walk, const char *problem, const json_t *desired, const json_t *live)
{
	report_in(walk, problem, (struct kube_difference){ .kind = KUBE_VALUE_DIFFERS, .desired = desired, .live = live });
}

static void report_not_desired(struct walk *walk, const json_t *live)
{
	if (walk->visit == NULL)
		live = NULL;
	report_in(walk, "owned but no longer wanted", (struct kube_difference){ .kind = KUBE_NOT_DESIRED, .live = live });
}

static bool is_ignored(const struct walk *walk)
{
	for (size_t i = 0; walk->ignore != NULL && walk->ignore[i] != NULL; i++)
		if (walk->path.data != NULL && string_equal(walk->ignore[i], walk->path.data))
			return true;
	return false;
}

static size_t enter(struct walk *walk, const char *name)
{
	size_t length = walk->path.length;

	if (length > 0)
		buffer_append_char(&walk->path, '.');
	buffer_append_string(&walk->path, name);
	return length;
}

static void leave(struct walk *walk, size_t length)
{
	walk->path.length = length;
	walk->path.data[length] = '\0';
}

/* null, {} and []: the same as saying nothing. */
static bool is_empty(const json_t *value)
{
	return value == NULL || json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0) ||
	       (json_is_array(value) && json_array_size(value) == 0);
}

/* ---- scalars ---- */

static bool is_quantity_place(const char *path)
{
	static const char *const names[] = {
		"limits", "requests", "capacity", "allocatable", "hard", "storage", "sizeLimit", "divisor", "podFixed", "overhead",
	};
	STRING_LIST_CLEANUP struct string_list parts = { 0 };

	string_list_split(&parts, path, '.');
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (string_list_contains(&parts, names[i]))
			return true;
	return false;
}

static char *scalar_text(const json_t *value)
{
	return json_is_string(value) ? string_dup(json_string_value(value)) : json_text(value);
}

static bool scalars_equal(const json_t *a, const json_t *b, const char *path)
{
	FREE_CLEANUP char *first = NULL, *second = NULL;

	if (json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b))
		return true;
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b) && !(json_is_integer(a) && json_is_integer(b));
	if ((!json_is_string(a) && !json_is_number(a)) || (!json_is_string(b) && !json_is_number(b)))
		return false;
	first = scalar_text(a);
	second = scalar_text(b);
	if (json_typeof(a) != json_typeof(b) && string_equal(first, second))
		return true; /* 80 and "80" */
	return path != NULL && is_quantity_place(path) && kube_quantity_equal(first, second);
}

/* ---- arrays ---- */

/* Is the fieldsV1 node of an array keyed or a set? */
static bool is_associative(const json_t *owned)
{
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)owned, key, member)
		if (string_has_prefix(key, "k:") || string_has_prefix(key, "v:"))
			return true;
	return false;
}

/* Does the element have these key members? Missing ones count as the server's default unless `strict`. */
static bool has_keys(const json_t *element, const json_t *keys, bool strict)
{
	const char *name;
	json_t *wanted;

	if (!json_is_object(element))
		return false;
	json_object_foreach((json_t *)(uintptr_t)keys, name, wanted) {
		const json_t *value = json_object_get(element, name);

		if (value == NULL ? strict : !scalars_equal(wanted, value, NULL))
			return false;
	}
	return true;
}

static const json_t *find_live_by_keys(const json_t *live, const json_t *keys)
{
	json_t *element;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)live, index, element)
		if (has_keys(element, keys, true))
			return element;
	return NULL;
}

/* The element of `desired` that "k:" names, not yet used; exact keys are preferred over those completed by defaults. */
static ssize_t find_desired_by_keys(const json_t *desired, const json_t *keys, const bool *used, bool strict)
{
	json_t *element;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)desired, index, element)
		if (!used[index] && has_keys(element, keys, strict))
			return (ssize_t)index;
	return -1;
}

static ssize_t find_scalar(const json_t *array, const json_t *value)
{
	json_t *element;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)array, index, element)
		if (scalars_equal(value, element, NULL))
			return (ssize_t)index;
	return -1;
}

/* Pairs an owned row of an associative array with the desired element it stands for and compares them; false when there is none (yet). */
static bool walk_owned_row(struct walk *walk, const char *row, const json_t *owned, const json_t *desired, const json_t *live, bool *used,
                           bool strict)
{
	struct error ignored = { 0 };
	JSON_CLEANUP json_t *name = json_parse(row + 2, strlen(row + 2), &ignored);
	ssize_t at;

	if (name == NULL)
		return true; /* a row that we cannot read says nothing */
	at = row[0] == 'v' ? find_scalar(desired, name) : find_desired_by_keys(desired, name, used, strict);
	if (at < 0 || used[at])
		return at >= 0;
	used[at] = true;
	if (row[0] == 'k')
		walk_value(walk, json_array_get(desired, (size_t)at), json_object_size(owned) == 0 ? owned_whole() : owned,
		           find_live_by_keys(live, name));
	else if (find_scalar(live, name) < 0)
		report(walk, "missing:", name, NULL);
	return true;
}

/* The element that a row of fieldsV1 names. */
static const json_t *live_row(const json_t *live, const char *row)
{
	struct error ignored = { 0 };
	JSON_CLEANUP json_t *name = json_parse(row + 2, strlen(row + 2), &ignored);
	ssize_t at;

	if (name == NULL)
		return NULL;
	if (row[0] == 'k')
		return find_live_by_keys(live, name);
	at = find_scalar(live, name);
	return at < 0 ? NULL : json_array_get(live, (size_t)at);
}

static void walk_associative(struct walk *walk, const json_t *desired, const json_t *owned, const json_t *live)
{
	size_t count = json_array_size(desired), at;
	FREE_CLEANUP bool *used = calloc(count + 1, sizeof(bool));
	FREE_CLEANUP bool *paired = calloc(json_object_size(owned) + 1, sizeof(bool));
	const char *row;
	json_t *node;

	if (used == NULL || paired == NULL)
		abort();
	/* First the rows whose keys are all written out, then those whose keys the server completed by defaults. */
	for (int strict = 1; strict >= 0; strict--) {
		at = 0;
		json_object_foreach((json_t *)(uintptr_t)owned, row, node) {
			if (!paired[at] && (string_has_prefix(row, "k:") || string_has_prefix(row, "v:")))
				paired[at] = walk_owned_row(walk, row, node, desired, live, used, strict);
			at++;
		}
	}
	at = 0;
	json_object_foreach((json_t *)(uintptr_t)owned, row, node) {
		if (!paired[at++] && (string_has_prefix(row, "k:") || string_has_prefix(row, "v:"))) {
			size_t length = enter(walk, row);

			report_not_desired(walk, live_row(live, row));
			leave(walk, length);
		}
	}
	for (size_t i = 0; i < count; i++)
		if (!used[i])
			report_in(walk, "not owned yet:",
			          (struct kube_difference){
					  .kind = KUBE_NOT_OWNED, .desired = json_array_get(desired, i), .live_list = live });
}

static void walk_array(struct walk *walk, const json_t *desired, const json_t *owned, const json_t *live)
{
	size_t count = json_array_size(desired);

	if (owned != owned_whole() && is_associative(owned)) {
		walk_associative(walk, desired, owned, live);
		return;
	}
	if (!json_is_array(live) || json_array_size(live) != count) {
		if (!is_ignored(walk) && !(count == 0 && is_empty(live)))
			report(walk, "differs:", desired, live);
		return;
	}
	for (size_t i = 0; i < count; i++)
		walk_value(walk, json_array_get(desired, i), owned_whole(), json_array_get(live, i));
}

/* ---- objects ---- */

/* What identifies an object or belongs to the server is neither owned nor compared. */
static bool is_identity(const struct walk *walk, const char *name)
{
	static const char *const in_root[] = { "apiVersion", "kind", "status" };
	static const char *const in_metadata[] = {
		"name",       "namespace",         "generateName",  "uid",      "resourceVersion",
		"generation", "creationTimestamp", "managedFields", "selfLink",
	};

	if (walk->path.length == 0) {
		for (size_t i = 0; i < ARRAY_LENGTH(in_root); i++)
			if (string_equal(in_root[i], name))
				return true;
	} else if (string_equal(walk->path.data, "metadata")) {
		for (size_t i = 0; i < ARRAY_LENGTH(in_metadata); i++)
			if (string_equal(in_metadata[i], name))
				return true;
	}
	return false;
}

static void walk_member(struct walk *walk, const char *name, const json_t *desired, const json_t *owned, const json_t *live)
{
	size_t length = enter(walk, name);

	if (owned != owned_whole()) {
		FREE_CLEANUP char *field = string_printf("f:%s", name);
		const json_t *child = json_object_get(owned, field);

		if (child == NULL && !is_empty(desired))
			/* metadata itself is no field: its members are. */
			report_in(walk,
			          "not owned yet:", (struct kube_difference){ .kind = KUBE_NOT_OWNED, .desired = desired, .live = live });
		else if (child != NULL)
			walk_value(walk, desired, json_object_size(child) == 0 ? owned_whole() : child, live);
	} else
		walk_value(walk, desired, owned, live);
	leave(walk, length);
}

static void walk_object(struct walk *walk, const json_t *desired, const json_t *owned, const json_t *live)
{
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)desired, name, member)
		if (!is_identity(walk, name) && !json_is_null(member) && !(walk->path.length == 0 && string_equal(name, "metadata")))
			walk_member(walk, name, member, owned, json_object_get(live, name));
	if (owned == owned_whole())
		return;
	json_object_foreach((json_t *)(uintptr_t)owned, name, member) {
		const json_t *wanted;

		if (!string_has_prefix(name, "f:") || (walk->path.length == 0 && string_equal(name, "f:metadata")) ||
		    is_identity(walk, name + 2))
			continue;
		wanted = json_object_get(desired, name + 2);
		if (wanted == NULL || json_is_null(wanted)) {
			size_t length = enter(walk, name + 2);

			report_not_desired(walk, json_object_get(live, name + 2));
			leave(walk, length);
		}
	}
}

static void walk_value(struct walk *walk, const json_t *desired, const json_t *owned, const json_t *live)
{
	if (++walk->depth > MAXIMUM_WALK_DEPTH)
		report(walk, "is nested too deep", NULL, NULL);
	else if (json_is_object(desired)) {
		if (!json_is_object(live) && !is_empty(desired) && !is_ignored(walk))
			report(walk, "missing:", desired, live);
		else
			walk_object(walk, desired, owned, live);
	} else if (json_is_array(desired))
		walk_array(walk, desired, owned, live);
	else if (!json_is_null(desired) && !is_ignored(walk) && (live == NULL || !scalars_equal(desired, live, walk->path.data)))
		report(walk, "differs:", desired, live);
	walk->depth--;
}

static void walk_root(struct walk *walk, const json_t *desired, const json_t *live, const json_t *fields)
{
	JSON_CLEANUP json_t *nothing = json_object();
	const json_t *owned_metadata = json_object_get(fields, "f:metadata");

	walk_object(walk, desired, fields, live);
	/* metadata has no record of its own when we own nothing in it. */
	buffer_append_string(&walk->path, "metadata");
	walk_object(walk, json_object_get(desired, "metadata"), owned_metadata != NULL ? owned_metadata : nothing,
	            json_object_get(live, "metadata"));
	buffer_free(&walk->path);
}

static json_t *parse_fields(const char *owned)
{
	struct error ignored = { 0 };

	return string_empty(owned) ? NULL : kube_json_parse(owned, strlen(owned), true, &ignored);
}

size_t kube_apply_compare(const json_t *desired, const json_t *live, const char *owned, const char *const *ignore,
                          struct buffer *differences)
{
	struct walk walk = { .ignore = ignore, .differences = differences };
	JSON_CLEANUP json_t *fields = parse_fields(owned);

	if (fields == NULL)
		report(&walk, "never applied by us", NULL, NULL);
	else
		walk_root(&walk, desired, live, fields);
	return walk.count;
}

size_t kube_apply_visit_differences(const json_t *desired, const json_t *live, const char *owned, kube_difference_visit visit,
                                    void *argument)
{
	struct walk walk = { .visit = visit, .visit_argument = argument };
	JSON_CLEANUP json_t *fields = parse_fields(owned);
	JSON_CLEANUP json_t *nothing = json_object();

	walk_root(&walk, desired, live, fields != NULL ? fields : nothing);
	return walk.count;
}
