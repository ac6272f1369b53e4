/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/local_components.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/signals.h"
#include "io/thread.h"
#include "local/component_fetch.h"
#include "local/component_report.h"

enum { EXIT_USAGE = 2, SIGNAL_POLL_MS = 200 };

struct arguments {
	const char *from;
	bool list, json, offline, no_build, deep;
	char **names; /* components asked for; none: all */
	int name_count;
};

static const char usage[] =
	"Usage: kamaji local components [NAME...] [options]\n"
	"\n"
	"Makes the upstream programs of the lock file (components/components.lock) present in this machine's cache and lists them:\n"
	"from a folder, else the official download, else a build from the pinned Go modules.\n"
	"\n"
	"  --from DIR     look in this folder first (programs or official archives; SHA256SUMS beside them is obeyed)\n"
	"  --list         only list what is there\n"
	"  --offline      do not try to download\n"
	"  --no-build     do not build\n"
	"  --deep         check every digest, not only size and time\n"
	"  -o json        JSON instead of a table\n"
	"\n"
	"Examples:\n"
	"  kamaji local components --list\n"
	"  kamaji local components kubernetes etcd --no-build\n"
	"  kamaji local components --from /media/programs --offline\n"
	"\n"
	"Exit codes: 0 they are there (or were only listed), 1 one could not be had, 2 wrong command line.\n";

/* False: *code is the exit code. */
static bool parse(int argc, char **argv, struct arguments *arguments, int *code)
{
	*code = EXIT_USAGE;
	arguments->names = argv + 1;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
			(void)fputs(usage, stdout);
			*code = 0;
			return false;
		}
		if (strcmp(word, "--list") == 0)
			arguments->list = true;
		else if (strcmp(word, "--offline") == 0)
			arguments->offline = true;
		else if (strcmp(word, "--no-build") == 0)
			arguments->no_build = true;
		else if (strcmp(word, "--deep") == 0)
			arguments->deep = true;
		else if (string_has_prefix(word, "--from="))
			arguments->from = word + strlen("--from=");
		else if (strcmp(word, "--from") == 0 && i + 1 < argc)
			arguments->from = argv[++i];
		else if (strcmp(word, "-ojson") == 0 || strcmp(word, "--output=json") == 0)
			arguments->json = true;
		else if ((strcmp(word, "-o") == 0 || strcmp(word, "--output") == 0) && i + 1 < argc && strcmp(argv[i + 1], "json") == 0)
			arguments->json = ++i > 0;
		else if (word[0] != '-')
			arguments->names[arguments->name_count++] = argv[i];
		else {
			(void)fprintf(stderr, "kamaji local components: %s: unknown option, or its value is missing\n\n%s", word, usage);
			return false;
		}
	}
	return true;
}

struct watch {
	struct cancel *cancel;
	atomic_bool done;
};

/* Ctrl-C ends the build or download that is under way; what is finished stays, and the next run goes on from there. */
static void *watch_signals(void *argument)
{
	struct watch *watch = argument;

	while (!atomic_load(&watch->done)) {
		if (signals_wait(SIGNAL_POLL_MS) != 0)
			cancel_trigger(watch->cancel);
	}
	return NULL;
}

static int ensure(struct component_fetch *fetch, const struct arguments *arguments, struct cancel *cancel, struct error *err)
{
	if (arguments->name_count == 0)
		return component_ensure_all(fetch, cancel, err);
	for (int i = 0; i < arguments->name_count; i++) {
		if (component_ensure(fetch, arguments->names[i], NULL, cancel, err) != 0)
			return -1;
	}
	return 0;
}

static int ensure_watched(struct component_fetch *fetch, const struct arguments *arguments, struct error *err)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, UINT64_MAX);
	struct watch watch = { .cancel = cancel };
	pthread_t thread;
	int result;

	signals_block();
	if (thread_start(&thread, "signals", watch_signals, &watch, err) != 0)
		return -1;
	result = ensure(fetch, arguments, cancel, err);
	atomic_store(&watch.done, true);
	(void)pthread_join(thread, NULL);
	return result;
}

static bool wanted(const struct arguments *arguments, const struct component *component)
{
	for (int i = 0; i < arguments->name_count; i++) {
		if (strcmp(arguments->names[i], component->name) == 0)
			return true;
	}
	return arguments->name_count == 0;
}

static const char *state_name(enum component_state state)
{
	return state == COMPONENT_GOOD ? "present" : state == COMPONENT_CORRUPT ? "damaged" : "absent";
}

static int list_file(struct component_fetch *fetch, const struct component *component, const char *file, json_t *rows, struct error *err)
{
	const char *path = component_path(fetch, component->name, component->version, file, err);
	struct component_record record = { 0 };
	enum component_state state;
	json_t *row;

	if (path == NULL || component_look(fetch, component, file, &state, &record, err) != 0)
		return -1;
	row = json_build("{s:s, s:s, s:s, s:s, s:s}", "component", component->name, "version", component->version, "file", file, "state",
	                 state_name(state), "path", path);
	if (state != COMPONENT_ABSENT) {
		json_object_set_new(row, "source", json_string_new(component_source_name(record.source)));
		json_object_set_new(row, "detail", json_string_new(record.detail));
		json_object_set_new(row, "sha256", json_string_new(record.sha256));
		json_object_set_new(row, "size", json_integer((json_int_t)record.size));
	}
	(void)json_array_append_new(rows, row);
	return 0;
}

static void print_table(const json_t *rows)
{
	size_t index;
	json_t *row;

	(void)printf("%-24s %-10s %-9s %-9s %9s  %s\n", "FILE", "VERSION", "STATE", "FROM", "SIZE", "PATH");
	json_array_foreach((json_t *)rows, index, row) {
		double mebibytes = (double)json_integer_or(row, "size", 0) / (1024 * 1024);

		(void)printf("%-24s %-10s %-9s %-9s %7.1f M  %s\n", json_string_or(row, "file", ""), json_string_or(row, "version", ""),
		             json_string_or(row, "state", ""), json_string_or(row, "source", "-"), mebibytes,
		             json_string_or(row, "path", ""));
	}
}

static int list(struct component_fetch *fetch, const struct arguments *arguments, struct error *err)
{
	const struct component_lock *lock = component_fetch_lock(fetch);
	JSON_CLEANUP json_t *rows = json_array();
	FREE_CLEANUP char *text = NULL;

	for (size_t i = 0; i < lock->count; i++) {
		const struct component *component = &lock->components[i];

		for (size_t j = 0; wanted(arguments, component) && j < component->file_count; j++) {
			if (list_file(fetch, component, component->files[j].name, rows, err) != 0)
				return -1;
		}
	}
	if (!arguments->json) {
		print_table(rows);
		return 0;
	}
	text = json_text(rows);
	(void)puts(text);
	return 0;
}

static int run(const struct arguments *arguments, struct error *err)
{
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = component_lock_read(NULL, err);
	COMPONENT_FETCH_CLEANUP struct component_fetch *fetch = NULL;
	struct component_reporter reporter;
	struct component_fetch_options options = {
		.lock = lock,
		.from_folder = arguments->from,
		.no_download = arguments->offline,
		.no_build = arguments->no_build,
		.deep = arguments->deep,
		.progress = component_reporter_show,
		.context = &reporter,
	};

	component_reporter_init(&reporter, stderr);
	if (lock == NULL)
		return -1;
	for (int i = 0; i < arguments->name_count; i++) {
		if (component_lock_find(lock, arguments->names[i], NULL, err) == NULL)
			return -1;
	}
	fetch = component_fetch_new(&options, err);
	if (fetch == NULL)
		return -1;
	if (!arguments->list) {
		int result = ensure_watched(fetch, arguments, err);

		component_reporter_end(&reporter);
		if (result != 0)
			return -1;
	}
	return list(fetch, arguments, err);
}

int cmd_local_components(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	struct error err = { 0 };
	int code;

	if (!parse(argc, argv, &arguments, &code))
		return code;
	if (run(&arguments, &err) == 0)
		return 0;
	(void)fprintf(stderr, "kamaji local components: %s\n", err.message);
	return 1;
}
