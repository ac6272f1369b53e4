/* SPDX-License-Identifier: Apache-2.0 */
#include "local/local_index.h"

#include <string.h>
#include <unistd.h>

#include "io/file.h"

enum { INDEX_BYTES_MAX = 1024 * 1024, INDEX_VERSION = 1 };

static json_t *environments(const struct local_index *index)
{
	return json_ensure_object(index->root, "environments");
}

static json_t *read_index(const char *path, struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	if (!file_exists(path))
		return json_build("{s:i, s:{}, s:{}}", "version", INDEX_VERSION, "environments", "settings");
	if (file_read(path, INDEX_BYTES_MAX, &text, err) < 0)
		return NULL;
	json_t *root = json_parse(text.data ? text.data : "", text.length, err);
	if (!root || !json_is_object(json_object_get(root, "environments")) || json_integer_or(root, "version", 0) != INDEX_VERSION) {
		json_decref(root);
		error_set(err, ERROR_CORRUPT, "%s is damaged or of another version; when no environment is up, remove it", path);
		return NULL;
	}
	return root;
}

int local_index_open(const char *state_root, bool create, struct local_index *ret_index, struct error *err)
{
	*ret_index = (struct local_index){ .lock = -1 };
	if (!create && !file_exists(state_root))
		return error_set(err, ERROR_NOT_FOUND, "no environments in %s", state_root);
	if (create && file_make_directories(state_root, 0711, err) < 0)
		return -1;
	FREE_CLEANUP char *lock_path = string_printf("%s/index.lock", state_root);
	ret_index->lock = file_lock(lock_path, true, err);
	if (ret_index->lock < 0)
		return -1;
	ret_index->path = string_printf("%s/index.json", state_root);
	ret_index->root = read_index(ret_index->path, err);
	if (!ret_index->root) {
		local_index_close(ret_index);
		return -1;
	}
	return 0;
}

int local_index_save(struct local_index *index, struct error *err)
{
	FREE_CLEANUP char *text = json_text(index->root);
	return file_write_atomic(index->path, text, strlen(text), 0600, err);
}

void local_index_close(struct local_index *index)
{
	json_decref(index->root);
	free(index->path);
	if (index->lock >= 0)
		close(index->lock);
	*index = (struct local_index){ .lock = -1 };
}

bool local_index_block(const struct local_index *index, const char *name, struct local_cidr *ret_block)
{
	struct error err;
	const char *block = json_string_at(json_object_get(environments(index), name), "block");
	return block && local_cidr_parse(block, ret_block, &err) == 0;
}

/* Name of an environment other than `name` whose block overlaps, or NULL. */
static const char *find_owner(const struct local_index *index, const char *name, struct local_cidr block)
{
	const char *other;
	json_t *value;
	struct error err;
	json_object_foreach(environments(index), other, value) {
		struct local_cidr theirs;
		const char *text = json_string_at(value, "block");
		if (!string_equal(other, name) && text && local_cidr_parse(text, &theirs, &err) == 0 && local_cidr_overlaps(theirs, block))
			return other;
	}
	return NULL;
}

static int check_block(const struct local_index *index, const char *name, struct local_cidr block, const struct local_route_list *routes,
                       struct error *err)
{
	char text[LOCAL_CIDR_TEXT_MAX], other[LOCAL_CIDR_TEXT_MAX];
	local_cidr_format(block, text);
	const char *owner = find_owner(index, name, block);
	if (owner)
		return error_set(err, ERROR_EXISTS, "the address block %s belongs to the environment '%s'", text, owner);
	const struct local_cidr *route = local_route_list_find_overlap(routes, block);
	if (route) {
		local_cidr_format(*route, other);
		return error_set(err, ERROR_EXISTS,
		                 "the address block %s overlaps the route to %s of this machine; choose another with --block", text, other);
	}
	return 0;
}

static int choose_block(const struct local_index *index, const char *name, const struct local_route_list *routes,
                        struct local_cidr *ret_block, struct error *err)
{
	for (unsigned slot = 0; slot < LOCAL_SLOT_COUNT; slot++) {
		struct error collision;
		*ret_block = local_slot_block(slot);
		if (check_block(index, name, *ret_block, routes, &collision) == 0)
			return 0;
	}
	return error_set(err, ERROR_EXHAUSTED,
	                 "every address block from 10.200.0.0/16 to 10.247.0.0/16 is in use; choose a /16 with --block");
}

int local_index_allocate(struct local_index *index, const char *name, const struct local_cidr *wanted,
                         const struct local_route_list *routes, struct local_cidr *ret_block, struct error *err)
{
	char text[LOCAL_CIDR_TEXT_MAX];
	if (local_index_block(index, name, ret_block)) {
		if (wanted && (wanted->address != ret_block->address || wanted->prefix != ret_block->prefix)) {
			local_cidr_format(*ret_block, text);
			return error_set(err, ERROR_EXISTS,
			                 "the environment '%s' already has the address block %s; 'down --purge' frees it", name, text);
		}
		return check_block(index, name, *ret_block, routes, err);
	}
	if (wanted) {
		*ret_block = *wanted;
		if (check_block(index, name, *wanted, routes, err) < 0)
			return -1;
	} else if (choose_block(index, name, routes, ret_block, err) < 0) {
		return -1;
	}
	local_cidr_format(*ret_block, text);
	json_object_set_new(environments(index), name, json_build("{s:s, s:b}", "block", text, "up", 0));
	return 0;
}

void local_index_set_up(struct local_index *index, const char *name, bool up)
{
	json_t *environment = json_object_get(environments(index), name);
	if (environment)
		json_object_set_new(environment, "up", json_boolean(up));
}

bool local_index_any_up(const struct local_index *index)
{
	const char *name;
	json_t *value;
	json_object_foreach(environments(index), name, value) {
		if (json_boolean_or(value, "up", false))
			return true;
	}
	return false;
}

void local_index_remove(struct local_index *index, const char *name)
{
	json_object_del(environments(index), name);
}

void local_index_names(const struct local_index *index, struct string_list *names)
{
	const char *name;
	json_t *value;
	json_object_foreach(environments(index), name, value) {
		string_list_add(names, name);
	}
}
