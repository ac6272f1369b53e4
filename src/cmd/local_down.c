/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cmd/local.h"
#include "local/environment.h"
#include "local/environment_down.h"

static const char about[] =
	"Usage: kamaji local down [OPTIONS]\n\n"
	"Stops an environment, also one that an interrupted command left half made. No process, mount, cgroup, interface or firewall\n"
	"rule stays. Its data stays for the next `up`, unless --purge. Needs root.";
static const char examples[] = "Examples:\n"
			       "  kamaji local down\n"
			       "  kamaji local down --name second --purge\n\n"
			       "Exit codes: 0 nothing is left (also when there was nothing), 1 failed, 2 wrong command line.\n";

int cmd_local_down(int argc, char **argv)
{
	struct progress progress;
	struct down_options options = { .name = LOCAL_DEFAULT_NAME, .state_root = LOCAL_STATE_ROOT, .progress = &progress };
	bool quiet = false;
	const struct option_definition definitions[] = {
		{ .name = "name", .type = OPTION_STRING, .target = &options.name, .help = "name of the environment" },
		{ .name = "state-dir", .type = OPTION_STRING, .target = &options.state_root, .help = "folder that holds environments" },
		{ .name = "purge", .type = OPTION_BOOLEAN, .target = &options.purge, .help = "remove its folder with all data, too" },
		{ .name = "quiet", .type = OPTION_BOOLEAN, .target = &quiet, .help = "no progress" },
		{ 0 },
	};
	struct down_result result;
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, NULL, about, examples, &code))
		return code;
	progress_init(&progress, stderr, quiet);
	code = environment_down(&options, &result, &err);
	for (size_t i = 0; i < result.notes.count; i++)
		fprintf(stderr, "kamaji local down: note: %s\n", result.notes.items[i]);
	if (code < 0)
		code = local_fail("down", &err);
	else
		printf("%s %s %s\n", result.was_absent ? "There is no environment" : "Environment", options.name,
		       result.was_absent ? "here."
		       : options.purge   ? "is gone."
		                         : "is down; its data is kept.");
	down_result_free(&result);
	return code;
}
