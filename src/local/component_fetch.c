/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_fetch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/strings.h"
#include "io/file.h"
#include "local/component_build.h"
#include "local/component_digest.h"
#include "local/component_folder.h"
#include "local/component_tar.h"
#include "local/download.h"

enum { REPORT_MS = 1000, LOCK_POLL_MS = 200, CHECKSUMS_MAX = 1024 * 1024 };

struct component_fetch {
	struct component_fetch_options options;
	struct component_cache *cache;
	struct component_folder *folder;
	struct downloader *downloader; /* made when first needed */
	bool downloads_off;
	char toolchain[COMPONENT_GO_VERSION_SIZE]; /* "" until a build was needed */
	struct string_list paths;                  /* handed out by component_path() */
	struct cancel *cancel;                     /* of the call under way */
	/* What is being taken, for reports. */
	const struct component *component;
	const struct component_file *file;
	uint64_t begun, reported; /* clock_monotonic_ms() */
};

struct component_fetch *component_fetch_new(const struct component_fetch_options *options, struct error *err)
{
	struct component_fetch *fetch = calloc(1, sizeof(*fetch));

	if (fetch == NULL)
		abort();
	fetch->options = *options;
	fetch->downloads_off = options->no_download;
	fetch->cache = component_cache_open(options->cache_root, err);
	if (fetch->cache != NULL && options->from_folder != NULL)
		fetch->folder = component_folder_open(options->from_folder, err);
	if (fetch->cache == NULL || (options->from_folder != NULL && fetch->folder == NULL)) {
		component_fetch_free(fetch);
		return NULL;
	}
	return fetch;
}

void component_fetch_free(struct component_fetch *fetch)
{
	if (fetch == NULL)
		return;
	downloader_free(fetch->downloader);
	component_folder_close(fetch->folder);
	component_cache_close(fetch->cache);
	string_list_free(&fetch->paths);
	free(fetch);
}

struct component_cache *component_fetch_cache(struct component_fetch *fetch)
{
	return fetch->cache;
}

const struct component_lock *component_fetch_lock(const struct component_fetch *fetch)
{
	return fetch->options.lock;
}

bool component_fetch_is_offline(const struct component_fetch *fetch)
{
	return fetch->downloads_off;
}

static void report(struct component_fetch *fetch, enum component_activity activity, const char *text, uint64_t done, uint64_t total)
{
	struct component_progress progress = {
		.activity = activity,
		.component = fetch->component,
		.file = fetch->file != NULL ? fetch->file->name : NULL,
		.text = text,
		.done = done,
		.total = total,
		.elapsed_ms = fetch->begun != 0 ? clock_monotonic_ms() - fetch->begun : 0,
	};

	fetch->reported = clock_monotonic_ms();
	if (fetch->options.progress != NULL)
		fetch->options.progress(fetch->options.context, &progress);
}

static void notice(struct component_fetch *fetch, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void notice(struct component_fetch *fetch, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	report(fetch, COMPONENT_ACTIVITY_NOTICE, text, 0, 0);
}

static bool time_to_report(const struct component_fetch *fetch)
{
	return clock_monotonic_ms() - fetch->reported >= REPORT_MS;
}

static int install(struct component_fetch *fetch, const struct component_file *file, const char *temporary, enum component_source source,
                   const char *detail, struct error *err)
{
	char text[320];

	if (component_cache_install(fetch->cache, fetch->component, file->name, temporary, source, detail, err) != 0)
		return -1;
	fetch->file = file;
	(void)snprintf(text, sizeof(text), "%s (%s)", component_source_name(source), detail);
	report(fetch, COMPONENT_ACTIVITY_DONE, text, 0, 0);
	return 0;
}

/* Whether the cache holds these bytes already, taken from a folder in an earlier run. */
static int is_installed(struct component_fetch *fetch, const char *path, const struct component_folder_match *match, bool *installed,
                        struct error *err)
{
	struct component_record record;
	enum component_state state;
	char sha256[COMPONENT_SHA256_SIZE];

	*installed = false;
	if (component_cache_check(fetch->cache, fetch->component, fetch->file->name, fetch->options.deep, &state, &record, err) != 0)
		return -1;
	if (state != COMPONENT_GOOD || record.source != COMPONENT_SOURCE_FOLDER)
		return 0;
	if (component_digest_file(path, sha256, NULL, err) != 0)
		return -1;
	*installed = strcmp(sha256, record.sha256) == 0 && (match->archive || !match->known || strcmp(sha256, match->sha256) == 0);
	return 0;
}

/* Source 1. *taken: the folder has it and the cache now holds these bytes. */
static int take_from_folder(struct component_fetch *fetch, bool *taken, struct error *err)
{
	FREE_CLEANUP char *temporary = NULL;
	struct component_folder_match match;
	bool found = false;

	*taken = false;
	if (fetch->folder == NULL)
		return 0;
	if (component_folder_find(fetch->folder, fetch->component, fetch->file, &found, &match, err) != 0)
		return -1;
	if (!found)
		return 0;
	/* A program is compared before it is copied, an archive can only be compared unpacked. */
	if (!match.archive && is_installed(fetch, match.path, &match, taken, err) != 0)
		return -1;
	if (*taken)
		return 0;
	report(fetch, COMPONENT_ACTIVITY_COPYING, match.path, 0, 0);
	temporary = component_cache_temporary(fetch->cache, fetch->component, fetch->file->name, err);
	if (temporary == NULL || component_folder_take(&match, fetch->file, temporary, err) != 0 ||
	    (match.archive && is_installed(fetch, temporary, &match, taken, err) != 0))
		return -1;
	if (*taken) {
		(void)unlink(temporary);
		return 0;
	}
	*taken = true;
	if (!match.known)
		notice(fetch, "%s: nothing lists its digest, so it was taken unchecked; a SHA256SUMS file beside it would be used",
		       match.path);
	return install(fetch, fetch->file, temporary, COMPONENT_SOURCE_FOLDER, match.path, err);
}

static void on_download(void *context, const struct download_progress *progress)
{
	struct component_fetch *fetch = context;

	if (time_to_report(fetch) || (progress->total != 0 && progress->done == progress->total))
		report(fetch, COMPONENT_ACTIVITY_DOWNLOADING, NULL, progress->done, progress->total);
}

/* The digest the download must have: from the lock, else from the file that the project publishes. */
static int know_digest(struct component_fetch *fetch, const char *name, char sha256[COMPONENT_SHA256_SIZE], struct error *err)
{
	const struct component_download *download = fetch->file->download;
	BUFFER_CLEANUP struct buffer text = { 0 };

	if (download->sha256[0] != '\0') {
		memcpy(sha256, download->sha256, COMPONENT_SHA256_SIZE);
		return 0;
	}
	if (downloader_text(fetch->downloader, download->checksums, CHECKSUMS_MAX, fetch->cancel, &text, err) != 0)
		return -1;
	if (component_digest_find(text.data != NULL ? text.data : "", text.length, name, sha256, err) != 0)
		return error_wrap(err, "%s", download->checksums);
	return 0;
}

/* Unpacks every file of the component that comes from this archive and is not good yet. */
static int install_members(struct component_fetch *fetch, const char *archive, const char *url, struct error *err)
{
	const struct component *component = fetch->component;
	const struct component_file *files[COMPONENT_FILE_MAX];
	struct tar_extraction members[COMPONENT_FILE_MAX] = { 0 };
	STRING_LIST_CLEANUP struct string_list temporaries = { 0 };
	enum component_state state;
	size_t count = 0;

	for (size_t i = 0; i < component->file_count; i++) {
		const struct component_file *file = &component->files[i];
		char *temporary;

		if (file->download != fetch->file->download || file->member == NULL)
			continue;
		if (component_cache_check(fetch->cache, component, file->name, fetch->options.deep, &state, NULL, err) != 0)
			return -1;
		if (state == COMPONENT_GOOD)
			continue;
		temporary = component_cache_temporary(fetch->cache, component, file->name, err);
		if (temporary == NULL)
			return -1;
		string_list_take(&temporaries, temporary);
		files[count] = file;
		members[count++] = (struct tar_extraction){ .member = file->member, .destination = temporary };
	}
	report(fetch, COMPONENT_ACTIVITY_UNPACKING, NULL, 0, 0);
	if (tar_gz_extract(archive, members, count, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (install(fetch, files[i], members[i].destination, COMPONENT_SOURCE_DOWNLOAD, url, err) != 0)
			return -1;
	}
	return 0;
}

static int download_and_install(struct component_fetch *fetch, struct error *err)
{
	const struct component_download *download = fetch->file->download;
	const char *slash = strrchr(download->url, '/');
	FREE_CLEANUP char *folder =
		string_printf("%s/downloads/%s-%s", component_cache_root(fetch->cache), fetch->component->name, fetch->component->version);
	FREE_CLEANUP char *path = string_printf("%s%s", folder, slash);
	FREE_CLEANUP char *temporary = NULL;
	char sha256[COMPONENT_SHA256_SIZE];

	if (know_digest(fetch, slash + 1, sha256, err) != 0 || file_make_directories(folder, 0755, err) != 0 ||
	    downloader_file(fetch->downloader, download->url, path, sha256, on_download, fetch, fetch->cancel, err) != 0)
		return -1;
	if (fetch->file->member != NULL) {
		int result = install_members(fetch, path, download->url, err);

		(void)unlink(path);
		(void)rmdir(folder);
		return result;
	}
	temporary = component_cache_temporary(fetch->cache, fetch->component, fetch->file->name, err);
	if (temporary == NULL)
		return -1;
	if (rename(path, temporary) != 0)
		return error_set_errno(err, errno, "move %s", path);
	(void)rmdir(folder);
	return install(fetch, fetch->file, temporary, COMPONENT_SOURCE_DOWNLOAD, download->url, err);
}

/* Source 2. Not taken, without an error: there is no download, or it cannot be reached. */
static int take_from_download(struct component_fetch *fetch, bool *taken, struct error *err)
{
	const char *otherwise = fetch->options.no_build ? "" : "; building from the pinned Go modules instead";

	*taken = false;
	if (fetch->downloads_off || fetch->file->download == NULL)
		return 0;
	if (fetch->downloader == NULL)
		fetch->downloader = downloader_new(fetch->options.allow_http, err);
	if (fetch->downloader == NULL || downloader_reach(fetch->downloader, fetch->file->download->url, fetch->cancel, err) != 0) {
		if (cancel_is_triggered(fetch->cancel))
			return -1;
		fetch->downloads_off = true;
		notice(fetch, "official downloads cannot be had (%s)%s", err->message, otherwise);
		error_clear(err);
		return 0;
	}
	report(fetch, COMPONENT_ACTIVITY_DOWNLOADING, NULL, 0, 0);
	if (download_and_install(fetch, err) == 0) {
		*taken = true;
		return 0;
	}
	/* Wrong bytes are no reason to look elsewhere, they are the reason to stop; so is a full disk. */
	if (err->class == ERROR_CORRUPT || err->class == ERROR_EXHAUSTED || err->class == ERROR_SYSTEM || fetch->options.no_build ||
	    cancel_is_triggered(fetch->cancel))
		return -1;
	notice(fetch, "%s%s", err->message, otherwise);
	error_clear(err);
	return 0;
}

static void on_build_line(const char *line, void *context)
{
	struct component_fetch *fetch = context;

	if (time_to_report(fetch))
		report(fetch, COMPONENT_ACTIVITY_BUILDING, line, 0, 0);
}

/* Source 3. */
static int take_from_build(struct component_fetch *fetch, struct error *err)
{
	FREE_CLEANUP char *log = component_cache_log_path(fetch->cache, fetch->component);
	FREE_CLEANUP char *temporary = component_cache_temporary(fetch->cache, fetch->component, fetch->file->name, err);

	if (temporary == NULL)
		return -1;
	if (fetch->toolchain[0] == '\0' && component_build_toolchain(fetch->toolchain, err) != 0)
		return -1;
	report(fetch, COMPONENT_ACTIVITY_BUILDING, NULL, 0, 0);
	if (component_build_file(fetch->component, fetch->file, fetch->options.lock->architecture, temporary, log, on_build_line, fetch,
	                         fetch->cancel, err) != 0)
		return -1;
	return install(fetch, fetch->file, temporary, COMPONENT_SOURCE_BUILD, fetch->toolchain, err);
}

static int ensure_file(struct component_fetch *fetch, struct error *err)
{
	enum component_state state;
	bool taken;

	if (cancel_check(fetch->cancel, err) != 0 || take_from_folder(fetch, &taken, err) != 0)
		return -1;
	if (taken)
		return 0;
	if (component_cache_check(fetch->cache, fetch->component, fetch->file->name, fetch->options.deep, &state, NULL, err) != 0)
		return -1;
	if (state == COMPONENT_GOOD)
		return 0;
	if (state == COMPONENT_CORRUPT) {
		FREE_CLEANUP char *path = component_cache_path(fetch->cache, fetch->component, fetch->file->name);

		notice(fetch, "%s is damaged: its bytes are not those that were installed; taking it again", path);
	}
	if (take_from_download(fetch, &taken, err) != 0)
		return -1;
	if (taken)
		return 0;
	if (fetch->options.no_build)
		return error_set(err, ERROR_NOT_FOUND, "%s cannot be had from %s, and building it is switched off", fetch->file->name,
		                 fetch->folder != NULL ? "the folder named, nor by download" : "a download");
	return take_from_build(fetch, err);
}

/* True when nothing needs to be done, decided without the lock: the usual case of a second `up`. */
static int all_good(struct component_fetch *fetch, const struct component *component, bool *good, struct error *err)
{
	enum component_state state;

	*good = fetch->folder == NULL;
	for (size_t i = 0; *good && i < component->file_count; i++) {
		if (component_cache_check(fetch->cache, component, component->files[i].name, fetch->options.deep, &state, NULL, err) != 0)
			return -1;
		*good = state == COMPONENT_GOOD;
	}
	return 0;
}

static int wait_for_lock(struct component_fetch *fetch, struct error *err)
{
	bool told = false;

	while (component_cache_lock(fetch->cache, false, err) != 0) {
		if (err->class != ERROR_EXISTS)
			return -1;
		if (!told)
			report(fetch, COMPONENT_ACTIVITY_WAITING, "another run is changing the component cache", 0, 0);
		told = true;
		if (cancel_sleep(fetch->cancel, LOCK_POLL_MS, err) != 0)
			return -1;
	}
	return 0;
}

int component_ensure(struct component_fetch *fetch, const char *name, const char *version, struct cancel *cancel, struct error *err)
{
	const struct component *component = component_lock_find(fetch->options.lock, name, version, err);
	bool good = false;
	int result = 0;

	if (component == NULL || all_good(fetch, component, &good, err) != 0)
		return -1;
	if (good)
		return 0;
	fetch->cancel = cancel;
	fetch->component = component;
	fetch->file = NULL;
	fetch->begun = 0;
	if (wait_for_lock(fetch, err) != 0)
		return -1;
	for (size_t i = 0; result == 0 && i < component->file_count; i++) {
		fetch->file = &component->files[i];
		fetch->begun = clock_monotonic_ms();
		result = ensure_file(fetch, err);
		if (result != 0)
			(void)error_wrap(err, "component %s %s", component->name, component->version);
	}
	component_cache_unlock(fetch->cache);
	fetch->cancel = NULL;
	return result;
}

int component_ensure_all(struct component_fetch *fetch, struct cancel *cancel, struct error *err)
{
	const struct component_lock *lock = fetch->options.lock;

	for (size_t i = 0; i < lock->count; i++) {
		if (lock->components[i].is_default &&
		    component_ensure(fetch, lock->components[i].name, lock->components[i].version, cancel, err) != 0)
			return -1;
	}
	return 0;
}

const char *component_path(struct component_fetch *fetch, const char *name, const char *version, const char *file, struct error *err)
{
	const struct component *component = component_lock_find(fetch->options.lock, name, version, err);

	if (component == NULL)
		return NULL;
	if (component_find_file(component, file) == NULL) {
		(void)error_set(err, ERROR_NOT_FOUND, "component %s has no file %s", name, file);
		return NULL;
	}
	string_list_take(&fetch->paths, component_cache_path(fetch->cache, component, file));
	return fetch->paths.items[fetch->paths.count - 1];
}

int component_look(struct component_fetch *fetch, const struct component *component, const char *file, enum component_state *state,
                   struct component_record *record, struct error *err)
{
	return component_cache_check(fetch->cache, component, file, fetch->options.deep, state, record, err);
}
