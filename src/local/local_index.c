/* SPDX-License-Identifier: Apache-2.0 */
#include "local/local_index.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
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

/* The last to leave removes the lock file: a lock on a file that is gone, or was made anew, is none. */
static int take_lock(const struct local_index *index, struct error *err)
{
	for (;;) {
		struct stat held, named;
		if (file_make_directories(index->folder, 0700, err) < 0)
			return -1;
		int lock = file_lock(index->lock_path, true, err);
		if (lock < 0 && err->class == ERROR_NOT_FOUND)
			continue; /* the folder was removed between the two calls */
		if (lock < 0)
			return -1;
		if (fstat(lock, &held) == 0 && stat(index->lock_path, &named) == 0 && held.st_ino == named.st_ino &&
		    held.st_dev == named.st_dev)
			return lock;
		close(lock);
	}
}

int local_index_open(const char *folder, struct local_index *ret_index, struct error *err)
{
	*ret_index = (struct local_index){ .lock = -1 };
	ret_index->folder = string_dup(folder);
	ret_index->path = string_printf("%s/local.json", folder);
	ret_index->lock_path = string_printf("%s/local.lock", folder);
	ret_index->lock = take_lock(ret_index, err);
	ret_index->root = ret_index->lock < 0 ? NULL : read_index(ret_index->path, err);
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
	bool unused = index->root && local_index_is_empty(index) && json_object_size(json_object_get(index->root, "settings")) == 0;
	if (index->lock >= 0 && unused) {
		(void)unlink(index->path);
		(void)unlink(index->lock_path);
		(void)rmdir(index->folder);
	}
	if (index->lock >= 0)
		close(index->lock);
	json_decref(index->root);
	free(index->folder);
	free(index->path);
	free(index->lock_path);
	*index = (struct local_index){ .lock = -1 };
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
		return error_set(err, ERROR_EXISTS,
		                 "the address block %s is in use by the environment '%s'; 'down' it, or take another with --block", text,
		                 owner);
	const struct local_cidr *route = local_route_list_find_overlap(routes, block);
	if (!route)
		return 0;
	local_cidr_format(*route, other);
	return error_set(err, ERROR_EXISTS,
	                 "the address block %s overlaps the route to %s of this machine; end what uses it, or take another with --block",
	                 text, other);
}

const char *local_index_elsewhere(const struct local_index *index, const char *name, const char *directory)
{
	const char *listed = json_string_at(json_object_get(environments(index), name), "directory");
	return listed && !string_equal(listed, directory) && file_exists(listed) ? listed : NULL;
}

int local_index_claim(struct local_index *index, const char *name, const char *directory, struct local_cidr block,
                      const struct local_route_list *routes, struct error *err)
{
	const char *elsewhere = local_index_elsewhere(index, name, directory);
	char text[LOCAL_CIDR_TEXT_MAX];
	if (elsewhere)
		return error_set(err, ERROR_EXISTS, "an environment '%s' is up already, in %s; choose another --name", name, elsewhere);
	if (check_block(index, name, block, routes, err) < 0)
		return -1;
	local_cidr_format(block, text);
	json_object_set_new(environments(index), name, json_build("{s:s, s:s}", "directory", directory, "block", text));
	return 0;
}

int local_index_choose(const struct local_index *index, const struct local_route_list *reserved, const struct local_route_list *routes,
                       struct local_cidr *ret_block, struct error *err)
{
	for (unsigned slot = 0; slot < LOCAL_SLOT_COUNT; slot++) {
		struct error collision;
		*ret_block = local_slot_block(slot);
		if (!local_route_list_find_overlap(reserved, *ret_block) && check_block(index, NULL, *ret_block, routes, &collision) == 0)
			return 0;
	}
	return error_set(err, ERROR_EXHAUSTED,
	                 "every address block from 10.200.0.0/16 to 10.247.0.0/16 is in use; choose a /16 with --block");
}

void local_index_release(struct local_index *index, const char *name, const char *directory)
{
	if (string_equal(json_string_at(json_object_get(environments(index), name), "directory"), directory))
		json_object_del(environments(index), name);
}

bool local_index_is_empty(const struct local_index *index)
{
	return json_object_size(environments(index)) == 0;
}
