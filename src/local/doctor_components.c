/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/strings.h"
#include "io/process.h"
#include "local/component_fetch.h"
#include "local/doctor.h"
#include "local/download.h"
#include "local/manifest.h"

enum { GO_TIMEOUT_MS = 20000 };

/* Files of default versions that the cache lacks; the first of them by name. */
static size_t count_missing(struct component_fetch *fetch, const struct component_lock *lock, const struct component **first)
{
	size_t missing = 0;
	for (size_t i = 0; i < lock->count; i++) {
		const struct component *component = &lock->components[i];
		for (size_t j = 0; component->is_default && j < component->file_count; j++) {
			enum component_state state;
			struct component_record record;
			struct error err;
			if (component_look(fetch, component, component->files[j].name, &state, &record, &err) == 0 &&
			    state == COMPONENT_GOOD)
				continue;
			if (missing++ == 0)
				*first = component;
		}
	}
	return missing;
}

static bool check_downloads(struct doctor_report *report, const struct component *component, enum doctor_state when_missing)
{
	struct error err = { 0 };
	DOWNLOADER_CLEANUP struct downloader *downloader = downloader_new(false, &err);
	const char *url = NULL;
	for (size_t i = 0; component && i < component->file_count && !url; i++)
		url = component->files[i].download ? component->files[i].download->url : NULL;
	if (downloader && url && downloader_reach(downloader, url, NULL, &err) == 0) {
		doctor_add(report, "downloads", DOCTOR_OK, "", "%s answers", url);
		return true;
	}
	doctor_add(report, "downloads", when_missing, "open the way to it, set https_proxy, or give the programs with --components-from",
	           "%s", downloader && !url ? "nothing to ask for" : err.message);
	return false;
}

static bool check_go(struct doctor_report *report, enum doctor_state when_missing)
{
	const char *const arguments[] = { "go", "version", NULL };
	BUFFER_CLEANUP struct buffer output = { 0 };
	struct process_options options = { .arguments = arguments, .output = &output, .timeout_ms = GO_TIMEOUT_MS };
	struct error err;
	if (process_run(&options, NULL, NULL, &err) == 0 && output.data) {
		doctor_add(report, "go", DOCTOR_OK, "", "%.*s", (int)strcspn(output.data, "\n"), output.data);
		return true;
	}
	doctor_add(report, "go", when_missing, "install Go from https://go.dev/dl and put it into PATH",
	           "no Go toolchain: components cannot be built here where downloads do not work");
	return false;
}

static void check_manifests(struct doctor_report *report)
{
	struct error err;
	FREE_CLEANUP char *folder = manifest_folder(&err);
	if (folder)
		doctor_add(report, "manifests", DOCTOR_OK, "", "%s", folder);
	else
		doctor_add(report, "manifests", DOCTOR_PROBLEM, "install kamaji whole, or set KAMAJI_MANIFESTS_DIR", "%s", err.message);
}

void doctor_check_components(struct doctor_report *report)
{
	struct error err;
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = component_lock_read(NULL, &err);
	const struct component_fetch_options options = { .lock = lock };
	COMPONENT_FETCH_CLEANUP struct component_fetch *fetch = lock ? component_fetch_new(&options, &err) : NULL;
	const struct component *first = NULL;
	if (!fetch) {
		doctor_add(report, "components", DOCTOR_PROBLEM, "install kamaji whole, or set KAMAJI_COMPONENTS_DIR", "%s", err.message);
		return;
	}
	check_manifests(report);
	size_t missing = count_missing(fetch, lock, &first);
	if (missing == 0) {
		doctor_add(report, "components", DOCTOR_OK, "", "all are in %s", component_cache_root(component_fetch_cache(fetch)));
		return;
	}
	/* Either of the two ways is enough. */
	bool reachable = check_downloads(report, first, DOCTOR_WARNING), buildable = check_go(report, DOCTOR_WARNING);
	doctor_add(report, "components", reachable || buildable ? DOCTOR_OK : DOCTOR_PROBLEM,
	           "see downloads and go above, or use --components-from", "%zu programs are still to be %s", missing,
	           reachable   ? "downloaded"
	           : buildable ? "built, which takes some minutes"
	                       : "had");
}
