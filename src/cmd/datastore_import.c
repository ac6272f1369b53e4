/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/datastore_import.h"

#include <inttypes.h>
#include <stdio.h>

#include "cmd/options.h"
#include "etcd/etcd_import.h"

static void print_help(const struct option_definition *definitions)
{
	(void)printf("Usage: kamaji datastore import FILE --data-dir DIR\n\n"
	             "Makes a store out of an etcd snapshot (what `etcdctl snapshot save` writes): all keys with their revisions, leases, "
	             "users\n"
	             "and roles. The folder must not hold a store yet. A damaged file is refused and leaves nothing behind.\n\n"
	             "Examples:\n"
	             "  kamaji datastore import backup.db --data-dir /var/lib/store\n\n"
	             "Exit codes: 0 done, 1 failed, 2 wrong usage.\n\nOptions:\n");
	options_print(definitions, stdout);
}

static void print_report(const char *file, const char *directory, const struct etcd_import_report *report)
{
	(void)printf("imported %s into %s: revision %" PRId64 ", %" PRIu64 " versions, %" PRIu64 " leases, %" PRIu64 " users, %" PRIu64
	             " roles, authentication %s\n",
	             file, directory, report->revision, report->versions, report->leases, report->users, report->roles,
	             report->auth_enabled ? "on" : "off");
	if (!report->checksum)
		(void)printf("the file carried no checksum (a copy of an etcd's own database?): only its structure was checked\n");
}

int cmd_datastore_import(int argc, char **argv)
{
	struct string_list files STRING_LIST_CLEANUP = { 0 };
	const char *directory = "default.etcd";
	const struct option_definition definitions[] = {
		{ .name = "data-dir", .type = OPTION_STRING, .target = &directory, .help = "the store's folder, made by this command" },
		{ 0 },
	};
	struct etcd_import_report report;
	struct error err = { 0 };
	bool help = false;

	if (options_parse(definitions, argc, argv, &files, &help, &err) < 0) {
		(void)fprintf(stderr, "kamaji datastore import: %s\n", err.message);
		return EXIT_CODE_USAGE;
	}
	if (help) {
		print_help(definitions);
		return EXIT_CODE_OK;
	}
	if (files.count != 1) {
		(void)fprintf(stderr, "kamaji datastore import: name one snapshot file: kamaji datastore import FILE --data-dir DIR\n");
		return EXIT_CODE_USAGE;
	}
	if (etcd_import(files.items[0], directory, &report, &err) < 0) {
		(void)fprintf(stderr, "kamaji datastore import: %s\n", err.message);
		return EXIT_CODE_FAILURE;
	}
	print_report(files.items[0], directory, &report);
	return EXIT_CODE_OK;
}
