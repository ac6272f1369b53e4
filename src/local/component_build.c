/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"

enum { TAIL_LINES = 6, LINE_KEEP = 160, OUTPUT_MAX = 4096 };

extern char **environ;

/* The last lines of a build, and everything into the log. */
struct watcher {
	int log;
	char tail[TAIL_LINES][LINE_KEEP];
	unsigned count;
	void (*on_line)(const char *line, void *context);
	void *context;
};

static const char *go_program(void)
{
	const char *path = getenv("PATH");
	STRING_LIST_CLEANUP struct string_list folders = { 0 };

	string_list_split(&folders, path != NULL ? path : "/usr/bin:/bin", ':');
	for (size_t i = 0; i < folders.count; i++) {
		FREE_CLEANUP char *program = string_printf("%s/go", folders.items[i]);

		if (access(program, X_OK) == 0)
			return "go";
	}
	return access("/usr/local/go/bin/go", X_OK) == 0 ? "/usr/local/go/bin/go" : NULL;
}

int component_build_toolchain(char version[COMPONENT_GO_VERSION_SIZE], struct error *err)
{
	const char *go = go_program();
	const char *const arguments[] = { go, "env", "GOVERSION", NULL };
	BUFFER_CLEANUP struct buffer output = { .limit = OUTPUT_MAX };
	struct process_options options = { .arguments = arguments, .directory = "/", .output = &output, .timeout_ms = 30000 };
	size_t length;

	if (go == NULL)
		return error_set(
			err, ERROR_NOT_FOUND,
			"go is not installed, and building is the way that is left: install Go 1.26.6 or newer (https://go.dev/dl), "
			"or name a folder that holds the programs with --components-from");
	if (process_run(&options, NULL, NULL, err) != 0)
		return error_wrap(err, "ask go for its version");
	length = output.data != NULL ? strcspn(output.data, "\r\n") : 0;
	if (length == 0 || length >= COMPONENT_GO_VERSION_SIZE)
		return error_set(err, ERROR_CORRUPT, "go env GOVERSION gave no version");
	memcpy(version, output.data, length);
	version[length] = '\0';
	return 0;
}

static void on_line(const char *line, void *argument)
{
	struct watcher *watcher = argument;
	struct error ignored;

	(void)snprintf(watcher->tail[watcher->count++ % TAIL_LINES], LINE_KEEP, "%s", line);
	/* A log that cannot be written must not fail a build that works. */
	if (watcher->log >= 0 && file_write_all(watcher->log, line, strlen(line), &ignored) == 0)
		(void)file_write_all(watcher->log, "\n", 1, &ignored);
	if (watcher->on_line != NULL)
		watcher->on_line(line, watcher->context);
}

static const char *remedy(const struct component *component, const char *text)
{
	if (strstr(text, "requires go ") != NULL || strstr(text, "invalid go version") != NULL)
		return "; a newer Go is needed: install it, or allow Go to fetch it with GOTOOLCHAIN=auto";
	if (strstr(text, "C compiler") != NULL || strstr(text, "\"gcc\": executable file not found") != NULL)
		return "; a C compiler is needed: apt-get install gcc libc6-dev";
	if (component->build.needs != NULL &&
	    (strstr(text, "seccomp.h") != NULL || strstr(text, "pkg-config") != NULL || strstr(text, "-lseccomp") != NULL))
		return "; a library is missing: apt-get install libseccomp-dev pkg-config";
	if (strstr(text, "dial tcp") != NULL || strstr(text, "no such host") != NULL || strstr(text, "i/o timeout") != NULL)
		return "; the Go module proxy is not reachable: set GOPROXY, or name a folder with --components-from";
	if (strstr(text, "no space left") != NULL)
		return "; the disk is full: a first build of everything needs about 10 GB";
	return "";
}

static int explain(const struct component *component, const struct component_file *file, const struct watcher *watcher, const char *log,
                   struct error *err)
{
	BUFFER_CLEANUP struct buffer text = { 0 };
	unsigned first = watcher->count > TAIL_LINES ? watcher->count - TAIL_LINES : 0;
	struct error cause = *err;

	for (unsigned i = first; i < watcher->count; i++)
		buffer_printf(&text, "\n  %s", watcher->tail[i % TAIL_LINES]);
	(void)error_set(err, cause.class, "build %s %s (%s) failed%s; all of it is in %s%s", component->name, component->version,
	                file->name, remedy(component, text.data != NULL ? text.data : ""), log, text.data != NULL ? text.data : "");
	return -1;
}

/*
 * The caller's environment, so that GOPROXY, GOTOOLCHAIN, proxies and caches hold, without what would change the result: GOFLAGS and a
 * workspace of the user's, an experiment, another target.
 */
static void make_environment(const struct component *component, const char *architecture, struct string_list *list)
{
	static const char *const dropped[] = { "GOFLAGS=",     "GOWORK=",  "GO111MODULE=", "GOEXPERIMENT=", "GOOS=",
		                               "GOARCH=",      "GOAMD64=", "GOARM64=",     "CGO_ENABLED=",  "CGO_CFLAGS=",
		                               "CGO_LDFLAGS=", "GODEBUG=", "LC_ALL=" };

	for (char **entry = environ; *entry != NULL; entry++) {
		bool keep = true;

		for (size_t i = 0; keep && i < ARRAY_LENGTH(dropped); i++)
			keep = !string_has_prefix(*entry, dropped[i]);
		if (keep)
			string_list_add(list, *entry);
	}
	string_list_add(list, "GOFLAGS=");
	string_list_add(list, "GOWORK=off");
	string_list_add(list, "GO111MODULE=on");
	string_list_add(list, "GOOS=linux");
	string_list_printf(list, "GOARCH=%s", architecture);
	string_list_printf(list, "CGO_ENABLED=%d", component->build.cgo ? 1 : 0);
	string_list_add(list, "LC_ALL=C");
	if (getenv("HOME") == NULL && getenv("GOPATH") == NULL)
		string_list_add(list, "HOME=/root");
}

int component_build_file(const struct component *component, const struct component_file *file, const char *architecture, const char *output,
                         const char *log, void (*line)(const char *line, void *context), void *context, struct cancel *cancel,
                         struct error *err)
{
	const char *go = go_program();
	FREE_CLEANUP char *linker = string_printf("-ldflags=-s -w %s", component->build.linker_flags);
	FREE_CLEANUP char *tags = string_printf("-tags=%s", component->build.tags);
	const char *const arguments[] = { go,   "build", "-v", "-mod=readonly", "-trimpath",   "-buildvcs=false",
		                          tags, linker,  "-o", output,          file->package, NULL };
	STRING_LIST_CLEANUP struct string_list environment = { 0 };
	DESCRIPTOR_CLEANUP int descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct watcher watcher = { .log = descriptor, .on_line = line, .context = context };
	struct process_options options = { .arguments = arguments,
		                           .directory = component->build.folder,
		                           .timeout_ms = COMPONENT_BUILD_TIMEOUT_MS,
		                           .on_line = on_line,
		                           .on_line_argument = &watcher };

	if (go == NULL)
		return component_build_toolchain((char[COMPONENT_GO_VERSION_SIZE]){ 0 }, err);
	make_environment(component, architecture, &environment);
	string_list_take(&environment, NULL);
	options.environment = (const char *const *)environment.items;
	if (process_run(&options, cancel, NULL, err) == 0)
		return 0;
	(void)unlink(output);
	if (cancel_is_triggered(cancel))
		return -1;
	return explain(component, file, &watcher, log, err);
}
