/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock is YAML for its readers and a table for us: every object is read through a list of its members, so that a misspelt one is an
 * error and not a default.
 */
#include "local/component_lock.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "io/file.h"
#include "local/component_digest.h"

enum { LOCK_FORMAT = 1, TEXT_MAX = 1024, LIST_MAX = 32 };

struct reader {
	struct component_lock *lock;
	struct component *component; /* whose placeholders are filled */
	char where[160];             /* "components[2] (etcd)" */
};

const char *component_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#else
#error "no upstream binaries are known for this architecture"
#endif
}

static int refuse(const struct reader *reader, struct error *err, const char *field, const char *problem)
{
	return error_set(err, ERROR_INVALID, "%s: %s: %s", reader->where, field, problem);
}

static int check_members(const struct reader *reader, const json_t *object, const char *field, const char *const *known, struct error *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return refuse(reader, err, field, "must be a mapping");
	json_object_foreach((json_t *)object, key, value) {
		size_t i = 0;

		while (known[i] != NULL && strcmp(known[i], key) != 0)
			i++;
		if (known[i] == NULL)
			return error_set(err, ERROR_INVALID, "%s: %s: unknown member \"%.64s\"", reader->where, field, key);
	}
	return 0;
}

/* Text with {version}, {number} and {architecture} filled; in the arena. NULL with *err. */
static const char *expand(const struct reader *reader, const char *text, const char *field, struct error *err)
{
	BUFFER_CLEANUP struct buffer out = { 0 };

	while (*text != '\0') {
		const char *open = strchr(text, '{');
		const char *close = open != NULL ? strchr(open, '}') : NULL;
		const char *value = NULL;
		size_t length;

		if (open == NULL) {
			buffer_append_string(&out, text);
			break;
		}
		buffer_append(&out, text, (size_t)(open - text));
		length = close != NULL ? (size_t)(close - open) - 1 : 0;
		if (length == strlen("version") && memcmp(open + 1, "version", length) == 0)
			value = reader->component->version;
		else if (length == strlen("number") && memcmp(open + 1, "number", length) == 0)
			value = reader->component->number;
		else if (length == strlen("architecture") && memcmp(open + 1, "architecture", length) == 0)
			value = reader->lock->architecture;
		if (value == NULL) {
			(void)refuse(reader, err, field, "placeholders are {version}, {number} and {architecture}");
			return NULL;
		}
		buffer_append_string(&out, value);
		text = close + 1;
	}
	return arena_strndup(reader->lock->arena, out.data != NULL ? out.data : "", out.length);
}

/* A required or optional text member; optional and absent gives NULL with 0. */
static int read_text(const struct reader *reader, const json_t *object, const char *prefix, const char *member, bool required,
                     const char **result, struct error *err)
{
	const json_t *value = json_object_get(object, member);
	char field[128];

	(void)snprintf(field, sizeof(field), "%s%s", prefix, member);
	*result = NULL;
	if (value == NULL)
		return required ? refuse(reader, err, field, "missing") : 0;
	if (!json_is_string(value) || json_string_length(value) == 0)
		return refuse(reader, err, field, "must be a text that is not empty");
	if (json_string_length(value) > TEXT_MAX || strlen(json_string_value(value)) != json_string_length(value))
		return refuse(reader, err, field, "too long, or holds a NUL");
	*result = arena_strdup(reader->lock->arena, json_string_value(value));
	return 0;
}

static int read_bool(const struct reader *reader, const json_t *object, const char *member, bool *result, struct error *err)
{
	const json_t *value = json_object_get(object, member);

	*result = json_is_true(value);
	if (value != NULL && !json_is_boolean(value))
		return refuse(reader, err, member, "must be true or false");
	return 0;
}

static int read_digest(const struct reader *reader, const json_t *object, const char *field, char sha256[COMPONENT_SHA256_SIZE],
                       struct error *err)
{
	const json_t *value = json_object_get(object, "sha256");
	const char *text;

	sha256[0] = '\0';
	if (json_is_object(value))
		value = json_object_get(value, reader->lock->architecture);
	if (value == NULL)
		return error_set(err, ERROR_INVALID, "%s: %ssha256: missing for %s (a digest, or `unknown`)", reader->where, field,
		                 reader->lock->architecture);
	text = json_string_value(value);
	if (text != NULL && strcmp(text, "unknown") == 0)
		return 0;
	if (text == NULL || !component_digest_is_text(text))
		return error_set(err, ERROR_INVALID, "%s: %ssha256: must be 64 hexadecimal digits or `unknown`", reader->where, field);
	for (size_t i = 0; i < COMPONENT_SHA256_SIZE; i++)
		sha256[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]);
	return 0;
}

static int read_url(const struct reader *reader, const json_t *object, const char *prefix, const char *member, bool required,
                    const char **result, struct error *err)
{
	const char *text;
	char field[64];

	(void)snprintf(field, sizeof(field), "%s%s", prefix, member);
	if (read_text(reader, object, prefix, member, required, &text, err) != 0)
		return -1;
	*result = NULL;
	if (text == NULL)
		return 0;
	/* Plain http only to this machine: that is how tests serve files. */
	if (!string_has_prefix(text, "https://") && !string_has_prefix(text, "http://127.0.0.1:"))
		return refuse(reader, err, field, "must begin with https://");
	*result = expand(reader, text, field, err);
	return *result != NULL ? 0 : -1;
}

static int read_download(const struct reader *reader, const json_t *object, const char *field, const struct component_download **result,
                         struct error *err)
{
	static const char *const known[] = { "url", "checksums", "sha256", NULL };
	const json_t *value = json_object_get(object, "download");
	struct component_download *download;
	char prefix[96];

	*result = NULL;
	if (value == NULL)
		return 0;
	(void)snprintf(prefix, sizeof(prefix), "%sdownload.", field);
	if (check_members(reader, value, prefix, known, err) != 0)
		return -1;
	download = arena_alloc(reader->lock->arena, sizeof(*download));
	if (read_url(reader, value, prefix, "url", true, &download->url, err) != 0 ||
	    read_url(reader, value, prefix, "checksums", false, &download->checksums, err) != 0 ||
	    read_digest(reader, value, prefix, download->sha256, err) != 0)
		return -1;
	if (download->sha256[0] == '\0' && download->checksums == NULL)
		return error_set(err, ERROR_INVALID,
		                 "%s: %schecksums: missing: with sha256 unknown the download can be verified by nothing else",
		                 reader->where, prefix);
	*result = download;
	return 0;
}

/* Joins a list of texts; absent gives "". */
static int read_list(const struct reader *reader, const json_t *object, const char *member, const char *separator, const char **result,
                     struct error *err)
{
	const json_t *list = json_object_get(object, member);
	BUFFER_CLEANUP struct buffer out = { 0 };
	char field[64];
	size_t index;
	json_t *item;

	(void)snprintf(field, sizeof(field), "build.%s", member);
	if (list != NULL && (!json_is_array(list) || json_array_size(list) > LIST_MAX))
		return refuse(reader, err, field, "must be a list of at most 32 texts");
	json_array_foreach((json_t *)list, index, item) {
		if (!json_is_string(item) || json_string_length(item) == 0 || json_string_length(item) > TEXT_MAX)
			return refuse(reader, err, field, "every item must be a text that is not empty");
		buffer_printf(&out, "%s%s", index > 0 ? separator : "", json_string_value(item));
	}
	*result = arena_strndup(reader->lock->arena, out.data != NULL ? out.data : "", out.length);
	return 0;
}

/* Names become file names and folders of the cache. */
static bool is_plain_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-");

	return length > 0 && length <= 64 && text[length] == '\0' && text[0] != '.' && text[0] != '-';
}

static int read_build(const struct reader *reader, const json_t *object, struct component_build *build, struct error *err)
{
	static const char *const known[] = { "folder", "module", "cgo", "needs", "tags", "linker_flags", NULL };
	const json_t *value = json_object_get(object, "build");
	const char *folder;

	if (check_members(reader, value, "build", known, err) != 0 ||
	    read_text(reader, value, "build.", "folder", true, &folder, err) != 0 ||
	    read_text(reader, value, "build.", "module", true, &build->module, err) != 0 ||
	    read_text(reader, value, "build.", "needs", false, &build->needs, err) != 0 ||
	    read_bool(reader, value, "cgo", &build->cgo, err) != 0 || read_list(reader, value, "tags", ",", &build->tags, err) != 0 ||
	    read_list(reader, value, "linker_flags", " ", &build->linker_flags, err) != 0)
		return -1;
	if (folder[0] == '/' || strstr(folder, "..") != NULL)
		return refuse(reader, err, "build.folder", "must be a folder beside the lock file");
	build->folder = arena_printf(reader->lock->arena, "%s/%s", reader->lock->folder, folder);
	return 0;
}

static int read_file(const struct reader *reader, const json_t *object, size_t index, const struct component_download *shared,
                     struct component_file *file, struct error *err)
{
	static const char *const known[] = { "name", "package", "member", "download", NULL };
	const char *member;
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "files[%zu].", index);
	if (check_members(reader, object, prefix, known, err) != 0 ||
	    read_text(reader, object, prefix, "name", true, &file->name, err) != 0 ||
	    read_text(reader, object, prefix, "package", true, &file->package, err) != 0 ||
	    read_text(reader, object, prefix, "member", false, &member, err) != 0 ||
	    read_download(reader, object, prefix, &file->download, err) != 0)
		return -1;
	if (!is_plain_name(file->name))
		return refuse(reader, err, prefix, "name must be a plain file name");
	for (const struct component_file *other = reader->component->files; other < file; other++) {
		if (strcmp(other->name, file->name) == 0)
			return error_set(err, ERROR_INVALID, "%s: %sname: %s is listed twice", reader->where, prefix, file->name);
	}
	if (file->download == NULL)
		file->download = shared;
	else if (member != NULL)
		return refuse(reader, err, prefix, "member names a part of the component's archive: not together with an own download");
	if (member == NULL)
		return 0;
	if (file->download == NULL)
		return refuse(reader, err, prefix, "member without a download");
	file->member = expand(reader, member, prefix, err);
	return file->member != NULL ? 0 : -1;
}

static int read_component(struct reader *reader, const json_t *object, struct component *component, struct error *err)
{
	static const char *const known[] = { "name", "version", "default", "license", "homepage", "download", "build", "files", NULL };
	const struct component_download *shared;
	const json_t *files = json_object_get(object, "files");
	size_t plain = 0, sharing = 0;

	if (check_members(reader, object, "component", known, err) != 0 ||
	    read_text(reader, object, "", "name", true, &component->name, err) != 0)
		return -1;
	(void)snprintf(reader->where + strlen(reader->where), sizeof(reader->where) - strlen(reader->where), " (%.64s)", component->name);
	reader->component = component;
	if (read_text(reader, object, "", "version", true, &component->version, err) != 0 ||
	    read_text(reader, object, "", "license", true, &component->license, err) != 0 ||
	    read_text(reader, object, "", "homepage", true, &component->homepage, err) != 0 ||
	    read_bool(reader, object, "default", &component->is_default, err) != 0)
		return -1;
	if (!is_plain_name(component->name))
		return refuse(reader, err, "name", "must be a plain file name");
	if (!is_plain_name(component->version))
		return refuse(reader, err, "version", "must be a plain file name");
	component->number = component->version[0] == 'v' ? component->version + 1 : component->version;
	if (read_download(reader, object, "", &shared, err) != 0 || read_build(reader, object, &component->build, err) != 0)
		return -1;
	if (!json_is_array(files) || json_array_size(files) == 0 || json_array_size(files) > COMPONENT_FILE_MAX)
		return refuse(reader, err, "files", "must list 1 to 32 files");
	component->file_count = json_array_size(files);
	component->files = arena_alloc(reader->lock->arena, component->file_count * sizeof(*component->files));
	for (size_t i = 0; i < component->file_count; i++) {
		if (read_file(reader, json_array_get(files, i), i, shared, &component->files[i], err) != 0)
			return -1;
		sharing += shared != NULL && component->files[i].download == shared;
		plain += shared != NULL && component->files[i].download == shared && component->files[i].member == NULL;
	}
	if (plain > 0 && sharing > 1)
		return refuse(reader, err, "files",
		              "the component's download cannot be one file itself and hold others: give each a member");
	return 0;
}

static int check_defaults(const struct component_lock *lock, struct error *err)
{
	for (size_t i = 0; i < lock->count; i++) {
		const struct component *one = &lock->components[i];
		unsigned defaults = 0;

		for (size_t j = 0; j < lock->count; j++) {
			const struct component *other = &lock->components[j];

			if (strcmp(one->name, other->name) != 0)
				continue;
			defaults += other->is_default;
			if (j > i && strcmp(one->version, other->version) == 0)
				return error_set(err, ERROR_INVALID, "components[%zu] (%s): version %s is listed twice", j, one->name,
				                 one->version);
		}
		if (defaults != 1)
			return error_set(err, ERROR_INVALID, "%s: exactly one of its versions must have `default: true`, found %u",
			                 one->name, defaults);
	}
	return 0;
}

static int read_root(struct component_lock *lock, const json_t *root, struct error *err)
{
	static const char *const known[] = { "format", "components", NULL };
	struct reader reader = { .lock = lock, .where = "top level" };
	const json_t *components = json_object_get(root, "components");

	if (check_members(&reader, root, "document", known, err) != 0)
		return -1;
	if (json_integer_or(root, "format", 0) != LOCK_FORMAT)
		return refuse(&reader, err, "format", "this program reads format 1");
	if (!json_is_array(components) || json_array_size(components) == 0 || json_array_size(components) > COMPONENT_MAX)
		return refuse(&reader, err, "components", "must list 1 to 64 components");
	lock->count = json_array_size(components);
	lock->components = arena_alloc(lock->arena, lock->count * sizeof(*lock->components));
	for (size_t i = 0; i < lock->count; i++) {
		(void)snprintf(reader.where, sizeof(reader.where), "components[%zu]", i);
		if (read_component(&reader, json_array_get(components, i), &lock->components[i], err) != 0)
			return -1;
	}
	return check_defaults(lock, err);
}

struct component_lock *component_lock_parse(const char *text, size_t length, const char *folder, const char *architecture,
                                            struct error *err)
{
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = NULL;
	JSON_CLEANUP json_t *root = NULL;
	struct component_lock *result;
	struct arena *arena;

	if (length > COMPONENT_LOCK_BYTES_MAX) {
		(void)error_set(err, ERROR_EXHAUSTED, "the lock file is larger than %d bytes", COMPONENT_LOCK_BYTES_MAX);
		return NULL;
	}
	root = yaml_parse(text, length, err);
	if (root == NULL)
		return NULL;
	arena = arena_new();
	lock = arena_alloc(arena, sizeof(*lock));
	lock->arena = arena;
	lock->folder = arena_strdup(arena, folder);
	lock->architecture = arena_strdup(arena, architecture);
	if (read_root(lock, root, err) != 0)
		return NULL;
	result = lock;
	lock = NULL;
	return result;
}

struct component_lock *component_lock_read(const char *folder, struct error *err)
{
	FREE_CLEANUP char *found = NULL;
	FREE_CLEANUP char *path = NULL;
	FREE_CLEANUP char *absolute = NULL;
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct component_lock *lock;

	if (folder == NULL) {
		found = component_lock_folder(err);
		if (found == NULL)
			return NULL;
		folder = found;
	}
	absolute = realpath(folder, NULL);
	if (absolute == NULL) {
		(void)error_set_errno(err, errno, "components folder %s", folder);
		return NULL;
	}
	path = string_printf("%s/components.lock", absolute);
	if (file_read(path, COMPONENT_LOCK_BYTES_MAX, &text, err) != 0)
		return NULL;
	lock = component_lock_parse(text.data, text.length, absolute, component_architecture(), err);
	if (lock == NULL)
		(void)error_wrap(err, "%s", path);
	return lock;
}

void component_lock_free(struct component_lock *lock)
{
	if (lock != NULL)
		arena_free(lock->arena);
}

const struct component *component_lock_find(const struct component_lock *lock, const char *name, const char *version, struct error *err)
{
	STRING_LIST_CLEANUP struct string_list versions = { 0 };
	FREE_CLEANUP char *known = NULL;

	for (size_t i = 0; i < lock->count; i++) {
		const struct component *component = &lock->components[i];

		if (strcmp(component->name, name) != 0)
			continue;
		if (version == NULL ? component->is_default : strcmp(component->version, version) == 0)
			return component;
		string_list_add(&versions, component->version);
	}
	known = string_list_join(&versions, ", ");
	if (versions.count == 0)
		(void)error_set(err, ERROR_NOT_FOUND, "components.lock has no component %s", name);
	else
		(void)error_set(err, ERROR_NOT_FOUND, "components.lock has no %s %s; it has %s", name, version, known);
	return NULL;
}

const struct component_file *component_find_file(const struct component *component, const char *name)
{
	for (size_t i = 0; i < component->file_count; i++) {
		if (strcmp(component->files[i].name, name) == 0)
			return &component->files[i];
	}
	return NULL;
}

size_t component_kubernetes_versions(const struct component_lock *lock, const char **versions, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < lock->count; i++) {
		if (strcmp(lock->components[i].name, "kubernetes") != 0)
			continue;
		if (count < size)
			versions[count] = lock->components[i].version;
		count++;
	}
	return count;
}
