/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "cmd/local.h"
#include "local/environment.h"
#include "local/environment_status.h"

static const char about[] =
	"Usage: kamaji local status [OPTIONS]\n\n"
	"Shows what runs in an environment: node and processes, tenants with endpoint, version and memory, LoadBalancer addresses,\n"
	"images made here and pulled. Memory is resident memory; page cache is not counted.";
static const char examples[] =
	"Examples:\n"
	"  kamaji local status\n"
	"  kamaji local status -o json | jq .tenants\n\n"
	"Exit codes: 0 shown and the environment is up, 1 it is not up or cannot be looked at, 2 wrong command line.\n";

static double mebibytes(const json_t *object, const char *member)
{
	return (double)json_integer_or(object, member, 0) / (1024.0 * 1024.0);
}

static void print_nodes(const json_t *nodes)
{
	for (size_t i = 0; i < json_array_size(nodes); i++) {
		const json_t *node = json_array_get(nodes, i);
		if (!json_boolean_or(node, "running", false)) {
			printf("\nNODE %s (%s%s%s) is not running\n", json_string_or(node, "hostname", json_string_or(node, "name", "")),
			       json_string_or(node, "role", ""), json_string_at(node, "tenant") ? " of " : "",
			       json_string_or(node, "tenant", ""));
			continue;
		}
		printf("\nNODE %s (%s%s%s), running for %lld s, processes %.0f MiB, pods %.0f MiB\n", json_string_or(node, "hostname", ""),
		       json_string_or(node, "role", ""), json_string_at(node, "tenant") ? " of " : "", json_string_or(node, "tenant", ""),
		       (long long)json_integer_or(node, "uptimeSeconds", 0), mebibytes(node, "processBytes"), mebibytes(node, "podBytes"));
		printf("  %-24s %-9s %7s %8s %9s  %s\n", "PROCESS", "STATE", "PID", "RESTARTS", "MEMORY", "LAST EXIT");
		const json_t *processes = json_object_get(node, "processes");
		for (size_t j = 0; j < json_array_size(processes); j++) {
			const json_t *process = json_array_get(processes, j);
			printf("  %-24s %-9s %7lld %8lld %5.0f MiB  %s\n", json_string_or(process, "name", ""),
			       json_string_or(process, "state", ""), (long long)json_integer_or(process, "pid", 0),
			       (long long)json_integer_or(process, "restarts", 0), mebibytes(process, "residentBytes"),
			       json_string_or(process, "lastExit", ""));
		}
	}
}

static void print_tenants(const json_t *tenants)
{
	if (!tenants)
		return;
	printf("\n%-28s %-14s %-10s %-22s %7s %9s\n", "TENANT", "STATUS", "VERSION", "ENDPOINT", "PODS", "MEMORY");
	for (size_t i = 0; i < json_array_size(tenants); i++) {
		const json_t *tenant = json_array_get(tenants, i);
		FREE_CLEANUP char *name =
			string_printf("%s/%s", json_string_or(tenant, "namespace", ""), json_string_or(tenant, "name", ""));
		FREE_CLEANUP char *pods = string_printf("%lld/%lld", (long long)json_integer_or(tenant, "readyPods", 0),
		                                        (long long)json_integer_or(tenant, "pods", 0));
		printf("%-28s %-14s %-10s %-22s %7s %5.0f MiB\n", name, json_string_or(tenant, "status", ""),
		       json_string_or(tenant, "version", ""), json_string_or(tenant, "endpoint", ""), pods,
		       mebibytes(tenant, "memoryBytes"));
	}
	if (json_array_size(tenants) == 0)
		printf("(none)\n");
}

static void print_list(const char *title, const json_t *list)
{
	printf("  %s (%zu)\n", title, json_array_size(list));
	for (size_t i = 0; i < json_array_size(list); i++)
		printf("    %s\n", json_string_value(json_array_get(list, i)));
}

static void print_rest(const json_t *status)
{
	const json_t *balancer = json_object_get(status, "balancer");
	const json_t *addresses = json_object_get(balancer, "addresses");
	if (balancer)
		printf("\nLOADBALANCER ADDRESSES %s to %s: %s\n", json_string_or(balancer, "first", ""),
		       json_string_or(balancer, "last", ""), json_string_or(balancer, "note", ""));
	for (size_t i = 0; i < json_array_size(addresses); i++) {
		const json_t *row = json_array_get(addresses, i);
		printf("  %-40s %s\n", json_string_or(row, "service", ""), json_string_or(row, "address", ""));
	}
	const json_t *images = json_object_get(status, "images");
	if (images) {
		printf("\nIMAGES\n");
		print_list("made here from the components", json_object_get(images, "madeHere"));
		print_list("pulled", json_object_get(images, "pulled"));
	}
	printf("\nMEMORY in all: %.0f MiB\n", mebibytes(status, "memoryBytes"));
}

static void print_problems(const json_t *status)
{
	const json_t *problems = json_object_get(status, "problems");
	for (size_t i = 0; i < json_array_size(problems); i++)
		printf("PROBLEM %s\n", json_string_value(json_array_get(problems, i)));
}

static void print_table(const json_t *status)
{
	const json_t *node = json_array_get(json_object_get(status, "nodes"), 0);
	const char *phase = json_string_or(status, "phase", "");
	/* A node that was ended from outside, or by a reboot: `up` starts it again. */
	bool lost = node && string_equal(phase, "up") && !json_boolean_or(node, "running", false);
	printf("Environment %s is %s, in %s", json_string_or(status, "name", ""),
	       lost ? "stopped ('kamaji local up' starts it again)" : phase, json_string_or(status, "stateDirectory", ""));
	if (json_string_at(status, "endpoint"))
		printf(", API server %s, addresses %s", json_string_at(status, "endpoint"), json_string_or(status, "block", ""));
	printf("\n");
	print_nodes(json_object_get(status, "nodes"));
	print_tenants(json_object_get(status, "tenants"));
	if (json_object_get(status, "balancer") || json_object_get(status, "images"))
		print_rest(status);
	print_problems(status);
}

/* Somebody who looks for an environment that is not there may have given another one's name. */
static void print_others(const char *root, const char *name)
{
	STRING_LIST_CLEANUP struct string_list names = { 0 };
	environment_names(root, &names);
	printf("'kamaji local up%s%s' makes it.\n", string_equal(name, LOCAL_DEFAULT_NAME) ? "" : " --name ",
	       string_equal(name, LOCAL_DEFAULT_NAME) ? "" : name);
	if (names.count == 0)
		return;
	FREE_CLEANUP char *list = string_list_join(&names, ", ");
	printf("Environments in %s: %s (--name NAME shows one)\n", root, list);
}

int cmd_local_status(int argc, char **argv)
{
	const char *name = LOCAL_DEFAULT_NAME, *root = LOCAL_STATE_ROOT, *output = "table";
	const struct option_definition definitions[] = {
		{ .name = "name", .type = OPTION_STRING, .target = &name, .help = "name of the environment" },
		{ .name = "state-dir", .type = OPTION_STRING, .target = &root, .help = "folder that holds environments" },
		{ .name = "output", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .help = "format; also -o" },
		{ .name = "o", .type = OPTION_CHOICE, .target = &output, .choices = LOCAL_OUTPUT_CHOICES, .hidden = true },
		{ 0 },
	};
	struct error err;
	int code;
	if (!local_parse(definitions, argc, argv, NULL, about, examples, &code))
		return code;
	JSON_CLEANUP json_t *status = environment_status(root, name, &err);
	if (!status)
		return local_fail("status", &err);
	if (string_equal(output, "json")) {
		FREE_CLEANUP char *text = json_text(status);
		printf("%s\n", text);
	} else {
		print_table(status);
		if (string_equal(json_string_at(status, "phase"), local_phase_name(LOCAL_ABSENT)))
			print_others(root, name);
	}
	const json_t *node = json_array_get(json_object_get(status, "nodes"), 0);
	return string_equal(json_string_at(status, "phase"), "up") && json_boolean_or(node, "running", false) ? EXIT_CODE_OK
	                                                                                                      : EXIT_CODE_FAILURE;
}
