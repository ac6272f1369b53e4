/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/strings.h"
#include "io/file.h"
#include "local/component_digest.h"

enum { MANIFEST_FORMAT = 1, MANIFEST_MAX = 1024 * 1024 };

struct component_cache {
	char *root;
	int lock; /* descriptor that holds the flock, -1 when not held */
};

const char *component_source_name(enum component_source source)
{
	switch (source) {
	case COMPONENT_SOURCE_FOLDER:
		return "folder";
	case COMPONENT_SOURCE_DOWNLOAD:
		return "download";
	case COMPONENT_SOURCE_BUILD:
		break;
	}
	return "build";
}

static char *default_root(struct error *err)
{
	const char *given = getenv("KAMAJI_COMPONENTS_CACHE");
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (!string_empty(given))
		return string_dup(given);
	if (!string_empty(cache) && cache[0] == '/')
		return string_printf("%s/kamaji/components", cache);
	if (!string_empty(home))
		return string_printf("%s/.cache/kamaji/components", home);
	(void)error_set(err, ERROR_INVALID, "no place for the component cache: set HOME, XDG_CACHE_HOME or KAMAJI_COMPONENTS_CACHE");
	return NULL;
}

struct component_cache *component_cache_open(const char *root, struct error *err)
{
	FREE_CLEANUP char *chosen = root != NULL ? string_dup(root) : default_root(err);
	struct component_cache *cache;
	char *absolute;

	if (chosen == NULL || file_make_directories(chosen, 0755, err) != 0)
		return NULL;
	absolute = realpath(chosen, NULL);
	if (absolute == NULL) {
		(void)error_set_errno(err, errno, "component cache %s", chosen);
		return NULL;
	}
	cache = calloc(1, sizeof(*cache));
	if (cache == NULL)
		abort();
	cache->root = absolute;
	cache->lock = -1;
	return cache;
}

void component_cache_close(struct component_cache *cache)
{
	if (cache == NULL)
		return;
	component_cache_unlock(cache);
	free(cache->root);
	free(cache);
}

const char *component_cache_root(const struct component_cache *cache)
{
	return cache->root;
}

int component_cache_lock(struct component_cache *cache, bool wait, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/lock", cache->root);

	if (cache->lock >= 0)
		return 0;
	cache->lock = file_lock(path, wait, err);
	return cache->lock >= 0 ? 0 : -1;
}

void component_cache_unlock(struct component_cache *cache)
{
	if (cache->lock >= 0)
		(void)close(cache->lock);
	cache->lock = -1;
}

static char *folder_of(const struct component_cache *cache, const struct component *component)
{
	return string_printf("%s/%s/%s", cache->root, component->name, component->version);
}

char *component_cache_path(const struct component_cache *cache, const struct component *component, const char *file)
{
	return string_printf("%s/%s/%s/bin/%s", cache->root, component->name, component->version, file);
}

char *component_cache_log_path(const struct component_cache *cache, const struct component *component)
{
	return string_printf("%s/%s/%s/build.log", cache->root, component->name, component->version);
}

/* The manifest, or an empty one when there is none or it cannot be read as one of ours: then nothing counts as installed. */
static json_t *read_manifest(const struct component_cache *cache, const struct component *component)
{
	FREE_CLEANUP char *folder = folder_of(cache, component);
	FREE_CLEANUP char *path = string_printf("%s/manifest.json", folder);
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error ignored = { 0 };
	json_t *manifest = NULL;

	if (file_read(path, MANIFEST_MAX, &text, &ignored) == 0)
		manifest = json_parse(text.data, text.length, &ignored);
	if (manifest == NULL || json_integer_or(manifest, "format", 0) != MANIFEST_FORMAT ||
	    !string_equal(json_string_at(manifest, "architecture"), component_architecture()) ||
	    !json_is_object(json_object_get(manifest, "files"))) {
		json_decref(manifest);
		manifest = json_build("{s:i, s:s, s:s, s:s, s:{}}", "format", MANIFEST_FORMAT, "component", component->name, "version",
		                      component->version, "architecture", component_architecture(), "files");
	}
	return manifest;
}

static bool parse_source(const char *text, enum component_source *source)
{
	for (int i = COMPONENT_SOURCE_FOLDER; i <= COMPONENT_SOURCE_BUILD; i++) {
		if (string_equal(text, component_source_name((enum component_source)i))) {
			*source = (enum component_source)i;
			return true;
		}
	}
	return false;
}

static bool parse_record(const json_t *entry, struct component_record *record, int64_t *modified)
{
	const char *sha256 = json_string_at(entry, "sha256");

	*record = (struct component_record){ 0 };
	if (sha256 == NULL || !component_digest_is_text(sha256) || !parse_source(json_string_at(entry, "source"), &record->source))
		return false;
	memcpy(record->sha256, sha256, sizeof(record->sha256));
	record->size = (uint64_t)json_integer_or(entry, "size", 0);
	*modified = json_integer_or(entry, "modified", 0);
	(void)snprintf(record->detail, sizeof(record->detail), "%s", json_string_or(entry, "detail", ""));
	return true;
}

static int64_t modified_of(const struct stat *info)
{
	return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

static int write_manifest(const struct component_cache *cache, const struct component *component, const json_t *manifest, struct error *err)
{
	FREE_CLEANUP char *folder = folder_of(cache, component);
	FREE_CLEANUP char *path = string_printf("%s/manifest.json", folder);
	FREE_CLEANUP char *text = json_text(manifest);

	return file_write_atomic(path, text, strlen(text), 0644, err);
}

int component_cache_check(struct component_cache *cache, const struct component *component, const char *file, bool deep,
                          enum component_state *state, struct component_record *record, struct error *err)
{
	JSON_CLEANUP json_t *manifest = read_manifest(cache, component);
	FREE_CLEANUP char *path = component_cache_path(cache, component, file);
	json_t *entry = json_object_get(json_object_get(manifest, "files"), file);
	char sha256[COMPONENT_SHA256_SIZE];
	struct component_record found;
	struct stat info;
	int64_t modified;

	*state = COMPONENT_ABSENT;
	if (!parse_record(entry, &found, &modified))
		return 0;
	if (record != NULL)
		*record = found;
	if (stat(path, &info) != 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : error_set_errno(err, errno, "look at %s", path);
	*state = COMPONENT_CORRUPT;
	if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != found.size || access(path, X_OK) != 0)
		return 0;
	if (deep || modified_of(&info) != modified) {
		if (component_digest_file(path, sha256, NULL, err) != 0)
			return -1;
		if (strcmp(sha256, found.sha256) != 0)
			return 0;
	}
	*state = COMPONENT_GOOD;
	return 0;
}

/* What killed runs left behind. A build that outlived its parent may still write there: it then writes into a file without a name. */
static void remove_stale(const char *folder, const char *file)
{
	FREE_CLEANUP char *prefix = string_printf(".%s.", file);
	DIR *stream = opendir(folder);
	struct dirent *entry;

	if (stream == NULL)
		return;
	while ((entry = readdir(stream)) != NULL) {
		if (string_has_prefix(entry->d_name, prefix) && string_has_suffix(entry->d_name, ".new"))
			(void)unlinkat(dirfd(stream), entry->d_name, 0);
	}
	(void)closedir(stream);
}

char *component_cache_temporary(struct component_cache *cache, const struct component *component, const char *file, struct error *err)
{
	FREE_CLEANUP char *folder = folder_of(cache, component);
	FREE_CLEANUP char *programs = string_printf("%s/bin", folder);

	if (file_make_directories(programs, 0755, err) != 0)
		return NULL;
	remove_stale(programs, file);
	return string_printf("%s/.%s.%ld.new", programs, file, (long)getpid());
}

/* Mode, durable bytes, digest and the time that the manifest will show. */
static int seal(const char *path, struct component_record *record, int64_t *modified, struct error *err)
{
	DESCRIPTOR_CLEANUP int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat info;

	if (descriptor < 0 || fchmod(descriptor, 0755) != 0 || fsync(descriptor) != 0 || fstat(descriptor, &info) != 0)
		return error_set_errno(err, errno, "install %s", path);
	if (!S_ISREG(info.st_mode) || info.st_size == 0)
		return error_set(err, ERROR_CORRUPT, "install %s: an empty file cannot be a program", path);
	*modified = modified_of(&info);
	return component_digest_file(path, record->sha256, &record->size, err);
}

int component_cache_install(struct component_cache *cache, const struct component *component, const char *file, const char *temporary,
                            enum component_source source, const char *detail, struct error *err)
{
	JSON_CLEANUP json_t *manifest = read_manifest(cache, component);
	FREE_CLEANUP char *path = component_cache_path(cache, component, file);
	struct component_record record = { .source = source };
	int64_t modified = 0;
	json_t *entry;

	if (seal(temporary, &record, &modified, err) != 0) {
		(void)unlink(temporary);
		return -1;
	}
	entry = json_build("{s:s, s:I, s:I, s:s}", "sha256", record.sha256, "size", (json_int_t)record.size, "modified",
	                   (json_int_t)modified, "source", component_source_name(source));
	/* Not set when the folder's name is no UTF-8. */
	(void)json_object_set_new(entry, "detail", json_string(detail));
	/*
	 * The program first: killed between the two renames, the old entry does not fit the new bytes and the file is taken again; the other
	 * order would list bytes that are not there.
	 */
	if (rename(temporary, path) != 0) {
		(void)error_set_errno(err, errno, "install %s", path);
		(void)unlink(temporary);
		json_decref(entry);
		return -1;
	}
	if (json_object_set_new(json_object_get(manifest, "files"), file, entry) != 0)
		abort();
	return write_manifest(cache, component, manifest, err);
}
