/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/local.h"
#include "cmd/local_interrupt.h"
#include "io/file.h"
#include "local/component_place.h"
#include "local/environment.h"
#include "local/environment_up.h"
#include "local/local_address.h"
#include "local/local_names.h"

static const char about[] = "Usage: kamaji local up [OPTIONS]\n\n"
			    "Starts a Kubernetes admin cluster on this machine (each node in Linux namespaces of its own) with Kamaji in "
			    "it, or repairs what an\n"
			    "earlier, perhaps interrupted, run left. Needs root. Upstream programs are taken from --components-from, the "
			    "official downloads or a\n"
			    "build from pinned Go modules, in this order, once. For testing and learning, not for production.";

static const char examples[] = "Examples:\n"
			       "  kamaji local up                         an admin cluster with the operator\n"
			       "  kamaji local up --sample-tenant         and one tenant cluster to try\n"
			       "  kamaji local up --nodes 2               two nodes, to see one drained or lost\n"
			       "  kamaji local up --name second           another environment beside the first\n"
			       "  kamaji local up --kubernetes-version v1.35.0   images for tenants of another version, too\n\n"
			       "Exit codes: 0 running, 1 failed or interrupted (run it again to continue), 2 wrong command line.\n";

static void print_times(struct progress *progress, const char *name)
{
	JSON_CLEANUP json_t *times = progress_times(progress);
	printf("\nTime by phase (phases overlap):\n");
	for (size_t i = 0; i < json_array_size(times); i++) {
		const json_t *row = json_array_get(times, i);
		double begin = json_real_value(json_object_get(row, "beginSeconds")),
		       length = json_real_value(json_object_get(row, "seconds"));
		printf("  %-18s %6.1f s   from %5.1f to %5.1f\n", json_string_or(row, "phase", ""), length, begin, begin + length);
	}
	printf("  %-18s %6.1f s\n\nEnvironment '%s' is up (for testing and learning, not for production).\n", "all",
	       (double)progress_elapsed_ms(progress) / 1000.0, name);
}

/* The short name when a shell would find a program by it, else the whole path: what is printed must work when it is copied. */
static const char *callable(const char *name, const char *path)
{
	STRING_LIST_CLEANUP struct string_list folders = { 0 };
	const char *search = getenv("PATH");
	string_list_split(&folders, search ? search : "", ':');
	for (size_t i = 0; i < folders.count; i++) {
		FREE_CLEANUP char *candidate = string_printf("%s/%s", folders.items[i], name);
		if (access(candidate, X_OK) == 0)
			return name;
	}
	return path;
}

/* What other commands must be given to find this environment; free(). */
static char *environment_options(const struct up_options *options)
{
	bool other_name = !string_equal(options->name, LOCAL_DEFAULT_NAME);
	bool other_root = !string_equal(options->state_root, LOCAL_STATE_ROOT);
	return string_printf("%s%s%s%s", other_name ? " --name " : "", other_name ? options->name : "", other_root ? " --state-dir " : "",
	                     other_root ? options->state_root : "");
}

static void print_next(const struct up_options *options, const struct up_result *result)
{
	FREE_CLEANUP char *where = environment_options(options);
	const char *kubectl = callable("kubectl", result->kubectl), *kamaji = callable("kamaji", options->program);
	printf("\nAdmin cluster:\n  %s --kubeconfig %s get pods -A\n", kubectl, result->kubeconfig);
	if (result->sample_kubeconfig)
		printf("Sample tenant:\n  %s --kubeconfig %s get ns\n", kubectl, result->sample_kubeconfig);
	printf("More:\n  %s local status%s\n  %s local down%s\n", kamaji, where, kamaji, where);
}

static void print_log_hint(const struct up_options *options)
{
	FREE_CLEANUP char *folder = string_printf("%s/%s/nodes/admin/log", options->state_root, options->name);
	if (file_exists(folder))
		fprintf(stderr, "  Logs are in %s.\n", folder);
	fprintf(stderr, "  'kamaji local doctor' checks the machine.\n");
}

/* What is wrong in it is told before anything is looked at or made. */
static int check_command_line(const struct up_options *options, struct error *err)
{
	struct local_names names;
	struct local_cidr block;
	struct local_address_plan plan;
	if (local_names_make(options->name, &names, err) < 0)
		return error_wrap(err, "--name");
	if (options->block && (local_cidr_parse(options->block, &block, err) < 0 || local_address_plan_make(block, &plan, err) < 0))
		return error_wrap(err, "--block");
	return 0;
}

static int run_up(struct up_options *options, bool quiet)
{
	struct error err;
	struct progress progress;
	struct up_result result = { 0 };
	struct local_interrupt interrupt;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, UINT64_MAX);
	progress_init(&progress, stderr, quiet);
	options->cancel = cancel;
	options->progress = &progress;
	if (local_interrupt_begin(&interrupt, cancel, &err) < 0)
		return local_fail("up", &err);
	int code = environment_up(options, &result, &err);
	bool interrupted = local_interrupt_end(&interrupt);
	if (code == 0) {
		print_times(&progress, options->name);
		print_next(options, &result);
	} else if (interrupted) {
		FREE_CLEANUP char *where = environment_options(options);
		fprintf(stderr, "kamaji local up: interrupted. Run it again to continue, or 'kamaji local down%s' to clear away.\n", where);
	} else {
		(void)local_fail("up", &err);
		if (result.reasons.length)
			fprintf(stderr, "  What was seen:\n%s", result.reasons.data);
		if (err.class == ERROR_TIMEOUT)
			fprintf(stderr, "  The time of --wait-timeout was over; run it again to continue.\n");
		print_log_hint(options);
	}
	up_result_free(&result);
	return code == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
}

int cmd_local_up(int argc, char **argv)
{
	STRING_LIST_CLEANUP struct string_list versions = { 0 };
	struct up_options options = { .name = LOCAL_DEFAULT_NAME,
		                      .state_root = LOCAL_STATE_ROOT,
		                      .kubernetes_versions = &versions,
		                      .datastore = "",
		                      .wait_timeout_ms = 600000 };
	bool quiet = false;
	int64_t nodes = 0;
	const struct option_definition definitions[] = {
		{ .name = "name", .type = OPTION_STRING, .target = &options.name, .help = "name of the environment" },
		{ .name = "state-dir", .type = OPTION_STRING, .target = &options.state_root, .help = "folder that holds environments" },
		{ .name = "block",
		  .type = OPTION_STRING,
		  .target = &options.block,
		  .help = "a /16 for nodes, pods and Services; chosen when not given" },
		{ .name = "nodes",
		  .type = OPTION_INTEGER,
		  .target = &nodes,
		  .maximum = LOCAL_ADMIN_NODES_MAX,
		  .help = "nodes of the admin cluster, 1 to 8, the first with its control plane; 0: as many as the environment has, "
		          "one for a new one" },
		{ .name = "sample-tenant",
		  .type = OPTION_BOOLEAN,
		  .target = &options.sample_tenant,
		  .help = "make one tenant cluster and wait for it" },
		{ .name = "wait-timeout",
		  .type = OPTION_DURATION,
		  .target = &options.wait_timeout_ms,
		  .minimum = 1000,
		  .maximum = 86400000,
		  .help = "give up after this time; fetching or building components is not counted" },
		{ .name = "components-from",
		  .type = OPTION_STRING,
		  .target = &options.components_from,
		  .help = "folder with upstream programs, taken first" },
		{ .name = "no-download",
		  .type = OPTION_BOOLEAN,
		  .target = &options.no_download,
		  .help = "do not try the official downloads" },
		{ .name = "no-build", .type = OPTION_BOOLEAN, .target = &options.no_build, .help = "do not build from Go modules" },
		{ .name = "kubernetes-version",
		  .type = OPTION_LIST,
		  .target = &versions,
		  .help = "bring the images for tenants of this version, too (v1.35.0; those that components.lock has)" },
		{ .name = "datastore",
		  .type = OPTION_CHOICE,
		  .target = &options.datastore,
		  .choices = "kamaji|etcd",
		  .help = "kamaji (kamaji datastore) or etcd, for the admin cluster and the tenants; default kamaji, or what the "
		          "environment has" },
		{ .name = "audit",
		  .type = OPTION_BOOLEAN,
		  .target = &options.audit,
		  .help = "keep an audit log of the admin API server (stays on for this environment)" },
		{ .name = "without-operator",
		  .type = OPTION_BOOLEAN,
		  .target = &options.without_operator,
		  .help = "the admin cluster alone, without Kamaji" },
		{ .name = "quiet", .type = OPTION_BOOLEAN, .target = &quiet, .help = "no progress" },
		{ 0 },
	};
	int code;
	struct error err;
	if (!local_parse(definitions, argc, argv, NULL, about, examples, &code))
		return code;
	if (check_command_line(&options, &err) < 0) {
		(void)local_fail("up", &err);
		return EXIT_CODE_USAGE;
	}
	FREE_CLEANUP char *program = component_place_self(&err);
	if (!program)
		return local_fail("up", &err);
	options.program = program;
	options.nodes = (unsigned)nodes;
	return run_up(&options, quiet);
}
