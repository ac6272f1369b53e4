/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji local worker add | remove TENANT NAME` */
#include <stdio.h>

#include "base/json.h"
#include "cmd/local.h"
#include "cmd/local_interrupt.h"
#include "local/component_place.h"
#include "local/environment.h"
#include "local/environment_worker.h"

static const char about_add[] = "Usage: kamaji local worker add TENANT NAME [OPTIONS]\n\n"
				"Gives a tenant (NAME or NAMESPACE/NAME) a worker node: namespaces of its own with containerd and a "
				"kubelet that joins by the real\n"
				"`kubeadm join`. Waits until the node is Ready. A second call does what the first left undone. Needs root.";
static const char examples_add[] =
	"Examples:\n"
	"  kamaji local worker add sample one\n"
	"  kamaji local worker add shop/blue two --name second\n"
	"  kamaji local worker add sample edge --host sample.example.com=10.200.0.1     where the tenant's name leads\n\n"
	"Exit codes: 0 the node is Ready, 1 failed or interrupted (call it again to continue), 2 wrong command line.\n";
static const char about_remove[] =
	"Usage: kamaji local worker remove TENANT NAME [OPTIONS]\n\n"
	"Drains a worker (evicts its pods, those without a controller too), ends it and deletes its Node. Nothing of it stays. When pods\n"
	"cannot be evicted in time, it says which and why, and the worker stays. Needs root.";
static const char examples_remove[] = "Examples:\n"
				      "  kamaji local worker remove sample one\n"
				      "  kamaji local worker remove sample one --timeout 10s --force\n\n"
				      "Exit codes: 0 nothing is left (also when there was nothing), 1 failed, 2 wrong command line.\n";

static void print_added(const struct worker_options *options, const struct worker_result *result, bool json)
{
	if (json) {
		JSON_CLEANUP json_t *object = json_build("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "namespace", result->namespace, "tenant",
		                                         result->tenant, "name", options->worker, "address", result->address, "version",
		                                         result->version, "pods", result->pods, "wasThere", result->was_there);
		FREE_CLEANUP char *text = json_text(object);
		printf("%s\n", text);
		return;
	}
	printf("Worker %s of tenant %s/%s is Ready: address %s, pods %s, %s.\n", options->worker, result->namespace, result->tenant,
	       result->address, result->pods, result->version);
}

static void print_removed(const struct worker_options *options, const struct worker_result *result, bool json)
{
	if (json) {
		JSON_CLEANUP json_t *object = json_build("{s:s, s:s, s:s, s:b}", "namespace", result->namespace, "tenant", result->tenant,
		                                         "name", options->worker, "wasAbsent", result->was_there);
		FREE_CLEANUP char *text = json_text(object);
		printf("%s\n", text);
		return;
	}
	printf(result->was_there ? "There is no worker %s of tenant %s/%s here.\n" : "Worker %s of tenant %s/%s is gone.\n",
	       options->worker, result->namespace, result->tenant);
}

static int run(bool add, struct worker_options *options, bool quiet, bool json)
{
	struct error err;
	struct progress progress;
	struct worker_result result = { 0 };
	struct local_interrupt interrupt;
	const char *title = add ? "worker add" : "worker remove";
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, UINT64_MAX);
	progress_init(&progress, stderr, quiet);
	options->cancel = cancel;
	options->progress = &progress;
	if (local_interrupt_begin(&interrupt, cancel, &err) < 0)
		return local_fail(title, &err);
	int code = add ? environment_worker_add(options, &result, &err) : environment_worker_remove(options, &result, &err);
	bool interrupted = local_interrupt_end(&interrupt);
	if (code < 0 && interrupted) {
		fprintf(stderr, "kamaji local %s: interrupted. Call it again to continue, or 'kamaji local worker remove' to clear away.\n",
		        title);
	} else if (code < 0) {
		(void)local_fail(title, &err);
		if (result.reasons.length)
			fprintf(stderr, "  What was seen:\n%s", result.reasons.data);
	} else if (add) {
		print_added(options, &result, json);
	} else {
		print_removed(options, &result, json);
	}
	worker_result_free(&result);
	return code == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
}

static int parse_and_run(bool add, int argc, char **argv)
{
	STRING_LIST_CLEANUP struct string_list positional = { 0 }, hosts = { 0 };
	struct worker_options options = {
		.name = LOCAL_DEFAULT_NAME, .state_root = LOCAL_STATE_ROOT, .hosts = &hosts, .timeout_ms = add ? 300000 : 60000
	};
	const char *output = "table";
	bool quiet = false;
	const struct option_definition definitions[] = {
		{ .name = "name", .type = OPTION_STRING, .target = &options.name, .help = "name of the environment" },
		{ .name = "state-dir", .type = OPTION_STRING, .target = &options.state_root, .help = "folder that holds environments" },
		{ .name = "timeout",
		  .type = OPTION_DURATION,
		  .target = &options.timeout_ms,
		  .minimum = 1000,
		  .maximum = 86400000,
		  .help = add ? "give up when the node is not Ready by then" : "give up when pods are not evicted by then" },
		{ .name = "endpoint",
		  .type = OPTION_STRING,
		  .target = &options.endpoint,
		  .hidden = !add,
		  .help = "HOST:PORT to join through; the tenant's own when not given" },
		{ .name = "host", .type = OPTION_LIST, .target = &hosts, .hidden = !add, .help = "NAME=ADDRESS for the node's /etc/hosts" },
		{ .name = "force",
		  .type = OPTION_BOOLEAN,
		  .target = &options.force,
		  .hidden = add,
		  .help = "remove it also when pods stay or the tenant does not answer" },
		{ .name = "quiet", .type = OPTION_BOOLEAN, .target = &quiet, .help = "no progress" },
		{ .name = "output", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .help = "format; also -o" },
		{ .name = "o", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .hidden = true },
		{ 0 },
	};
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, &positional, add ? about_add : about_remove, add ? examples_add : examples_remove, &code))
		return code;
	if (positional.count != 2) {
		fprintf(stderr, "kamaji local worker %s: expected TENANT and NAME, for example 'kamaji local worker %s sample one'\n",
		        argv[0], argv[0]);
		return EXIT_CODE_USAGE;
	}
	options.tenant = positional.items[0];
	options.worker = positional.items[1];
	FREE_CLEANUP char *program = component_place_self(&err);
	if (!program)
		return local_fail("worker", &err);
	options.program = program;
	return run(add, &options, quiet, string_equal(output, "json"));
}

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: kamaji local worker add|remove TENANT NAME [OPTIONS]\n\n"
	             "  add     give a tenant a worker node and wait until it is Ready\n"
	             "  remove  drain a worker and take it away\n\n"
	             "`kamaji local worker add --help` tells more. `kamaji local status` lists the workers.\n");
}

int cmd_local_worker(int argc, char **argv)
{
	if (argc >= 2 && (string_equal(argv[1], "add") || string_equal(argv[1], "remove")))
		return parse_and_run(string_equal(argv[1], "add"), argc - 1, argv + 1);
	bool help = argc >= 2 && (string_equal(argv[1], "--help") || string_equal(argv[1], "-h") || string_equal(argv[1], "help"));
	if (!help && argc >= 2)
		fprintf(stderr, "kamaji local worker: unknown command \"%s\"\n", argv[1]);
	print_usage(help ? stdout : stderr);
	return help ? EXIT_CODE_OK : EXIT_CODE_USAGE;
}
