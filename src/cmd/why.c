/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji why NAMESPACE/NAME`: what stands in a tenant's way. */
#include "cmd/why.h"

#include <stdio.h>

#include "api/names.h"
#include "api/status.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/strings.h"
#include "cmd/cluster_access.h"
#include "cmd/commands.h"
#include "kube/client.h"
#include "kube/resource.h"

enum { LOG_BYTES = 4096, EVENTS_TIMEOUT_MS = 10 * 1000 };

struct command_line {
	struct cluster_access access;
	const char *operator_namespace;
	char *namespace_name, *name;
};

static void command_line_free(struct command_line *line)
{
	cluster_access_close(&line->access);
	free(line->namespace_name);
	free(line->name);
}

static const char *read_log(const char *pod, const char *container, bool previous, struct arena *arena, void *argument)
{
	struct command_line *line = argument;
	FREE_CLEANUP char *path = kube_resource_path(&kube_resource_pod, line->namespace_name, pod, "log");
	FREE_CLEANUP char *lines = string_printf("%d", WHY_LOG_LINES);
	BUFFER_CLEANUP struct buffer text = { 0 };
	struct error ignored;

	path = kube_path_add_query(path, "container", container);
	path = kube_path_add_query(path, "tailLines", lines);
	path = kube_path_add_query(path, "limitBytes", "4096");
	if (previous)
		path = kube_path_add_query(path, "previous", "true");
	if (kube_client_get_raw(line->access.client, path, &text, NULL, &ignored) < 0 || text.length == 0)
		return NULL;
	return arena_strndup(arena, text.data, text.length < LOG_BYTES ? text.length : LOG_BYTES);
}

static json_t *get_or_null(struct command_line *line, const struct kube_resource *resource, const char *namespace_name, const char *name)
{
	struct error ignored;

	return string_empty(name) ? NULL : kube_client_get(line->access.client, resource, namespace_name, name, NULL, &ignored);
}

static json_t *list_or_null(struct command_line *line, const struct kube_resource *resource, const char *selector)
{
	const struct kube_list_options options = { .label_selector = selector };
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + EVENTS_TIMEOUT_MS);
	struct error ignored;

	return kube_client_list(line->access.client, resource, line->namespace_name, &options, cancel, &ignored);
}

static void print_indented(const char *text)
{
	while (*text) {
		size_t length = 0;

		while (text[length] && text[length] != '\n')
			length++;
		printf("      | %.*s\n", (int)length, text);
		text += length + (text[length] == '\n');
	}
}

static void print_text(const struct command_line *line, const struct why *why)
{
	printf("%s%s/%s is %s%s", text_style(why->ready ? STYLE_GOOD : STYLE_BAD), line->namespace_name, line->name,
	       why->ready ? "ready" : "not ready", text_style(STYLE_PLAIN));
	/* A tenant can serve as before and not be what was asked for: "not ready (Ready)" would help nobody. */
	if (*why->phase && !string_equal(why->phase, PHASE_READY))
		printf(" (%s)", why->phase);
	if (*why->endpoint)
		printf(", https://%s", why->endpoint);
	if (*why->version)
		printf(", %s", why->version);
	printf("\n");
	for (size_t i = 0; i < why->finding_count; i++) {
		const struct why_finding *finding = &why->findings[i];

		printf("\n  %s%s%s: %s\n", text_style(i == 0 ? STYLE_BAD : STYLE_DIM), finding->step, text_style(STYLE_PLAIN),
		       finding->reason);
		printf("    cause:  %s\n", finding->cause);
		if (!string_empty(finding->remedy))
			printf("    remedy: %s\n", finding->remedy);
		if (finding->log)
			print_indented(finding->log);
	}
	if (why->event_count > 0)
		printf("\n  warnings:\n");
	for (size_t i = 0; i < why->event_count; i++)
		printf("    %s\n", why->events[i]);
}

static json_t *finding_json(const struct why_finding *finding)
{
	json_t *item = json_build("{s:s,s:s,s:s,s:s}", "step", finding->step, "reason", finding->reason, "cause", finding->cause, "remedy",
	                          finding->remedy);

	json_put_string(item, "log", finding->log);
	return item;
}

static void print_json(const struct command_line *line, const struct why *why)
{
	JSON_CLEANUP json_t *result =
		json_build("{s:s,s:s,s:b,s:s,s:s,s:s,s:[],s:[]}", "namespace", line->namespace_name, "name", line->name, "ready",
	                   why->ready, "phase", why->phase, "endpoint", why->endpoint, "version", why->version, "findings", "warnings");

	if (why->finding_count > 0)
		json_object_set_new(result, "blocking", finding_json(&why->findings[0]));
	for (size_t i = 0; i < why->finding_count; i++)
		json_array_append_new(json_object_get(result, "findings"), finding_json(&why->findings[i]));
	for (size_t i = 0; i < why->event_count; i++)
		json_array_append_new(json_object_get(result, "warnings"), json_string_new(why->events[i]));
	FREE_CLEANUP char *text = json_text(result);

	printf("%s\n", text);
}

static int explain(struct command_line *line, struct error *err)
{
	ARENA_CLEANUP struct arena *arena = arena_new();
	JSON_CLEANUP json_t *tenant =
		kube_client_get(line->access.client, &kube_resource_tenant_control_plane, line->namespace_name, line->name, NULL, err);
	FREE_CLEANUP char *selector = string_printf(LABEL_NAME "=%s", line->name);
	const char *used = json_string_or(tenant, "status.storage.dataStoreName", ""),
		   *store = json_string_or(tenant, "spec.dataStore", used);
	struct why why;

	if (!tenant) {
		if (err->class == ERROR_NOT_FOUND)
			return error_set(err, ERROR_NOT_FOUND,
			                 "there is no TenantControlPlane %s/%s (`kamaji tenant list` shows those there are)",
			                 line->namespace_name, line->name);
		return -1;
	}
	JSON_CLEANUP json_t *data_store = get_or_null(line, &kube_resource_data_store, NULL, store);
	JSON_CLEANUP json_t *deployment = get_or_null(line, &kube_resource_deployment, line->namespace_name, line->name);
	JSON_CLEANUP json_t *lease = get_or_null(line, &kube_resource_lease, line->operator_namespace, LEASE_MANAGER);
	JSON_CLEANUP json_t *pods = list_or_null(line, &kube_resource_pod, selector);
	JSON_CLEANUP json_t *events = list_or_null(line, &kube_resource_event, NULL);
	const struct why_input input = { .tenant = tenant,
		                         .data_store = data_store,
		                         .deployment = deployment,
		                         .pods = pods,
		                         .events = events,
		                         .lease = lease,
		                         .data_store_name = store,
		                         .now = clock_wall_seconds(),
		                         .log = read_log,
		                         .argument = line };

	why_explain(arena, &input, &why);
	if (cluster_access_wants_json(&line->access))
		print_json(line, &why);
	else
		print_text(line, &why);
	return why.ready ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
}

static void print_help(const struct option_definition *definitions)
{
	printf("Usage: kamaji why [NAMESPACE/]NAME [OPTIONS]\n\n"
	       "Says whether a tenant is ready and, when it is not, which step blocks it, why, and what to do: from its conditions, its\n"
	       "DataStore, Deployment, pods, their logs and events.\n\nOptions:\n");
	options_print(definitions, stdout);
	printf("\nExamples:\n"
	       "  kamaji why default/sample\n"
	       "  kubectl kamaji why sample -n default -o json\n\n"
	       "Exit codes: 0 ready, 1 not ready (or it could not be found out), 2 wrong command line.\n");
}

int cmd_why(int argc, char **argv)
{
	__attribute__((cleanup(command_line_free))) struct command_line line = { .operator_namespace = "kamaji-system" };
	STRING_LIST_CLEANUP struct string_list positional = { 0 };
	const struct option_definition definitions[] = {
		CLUSTER_ACCESS_OUTPUT(line.access),
		CLUSTER_ACCESS_OPTIONS(line.access),
		{ .name = "operator-namespace",
		  .type = OPTION_STRING,
		  .target = &line.operator_namespace,
		  .help = "where the operator runs" },
		{ 0 },
	};
	struct error err = { 0 };
	bool help = false;
	int status;

	if (options_parse(definitions, argc, argv, &positional, &help, &err) < 0) {
		fprintf(stderr, "kamaji why: %s\n", err.message);
		return EXIT_CODE_USAGE;
	}
	if (help) {
		print_help(definitions);
		return EXIT_CODE_OK;
	}
	if (positional.count != 1) {
		fprintf(stderr, "kamaji why: name one tenant, as NAME or NAMESPACE/NAME\n");
		return EXIT_CODE_USAGE;
	}
	if (cluster_access_open(&line.access, &err) < 0)
		return command_fail("why", &err);
	if (cluster_access_name(&line.access, positional.items[0], &line.namespace_name, &line.name, &err) < 0) {
		fprintf(stderr, "kamaji why: %s\n", err.message);
		return EXIT_CODE_USAGE;
	}
	status = explain(&line, &err);
	return status < 0 ? command_fail("why", &err) : status;
}
