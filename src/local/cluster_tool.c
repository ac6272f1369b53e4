/* SPDX-License-Identifier: Apache-2.0 */
#include "local/cluster_tool.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/process.h"

struct call {
	const char *arguments[CLUSTER_ARGUMENT_MAX + 8];
	size_t count;
};

static void begin_call(const struct cluster_tool *tool, struct call *call)
{
	*call = (struct call){ .arguments = { tool->kubectl, "--kubeconfig", tool->kubeconfig }, .count = 3 };
}

static void add_argument(struct call *call, const char *argument)
{
	if (call->count < ARRAY_LENGTH(call->arguments) - 1)
		call->arguments[call->count++] = argument;
}

static int run_loud_call(const struct cluster_tool *tool, const struct call *call, const char *input, struct buffer *output,
                         struct buffer *complaints, uint64_t timeout_ms, struct error *err)
{
	struct process_options options = {
		.arguments = call->arguments,
		.input = input,
		.input_length = input ? strlen(input) : 0,
		.output = output,
		.error_output = complaints,
		.timeout_ms = timeout_ms,
	};
	complaints->limit = CLUSTER_OUTPUT_MAX;
	if (output)
		output->limit = CLUSTER_OUTPUT_MAX;
	return process_run(&options, tool->cancel, NULL, err);
}

static int run_call(const struct cluster_tool *tool, const struct call *call, const char *input, struct buffer *output, uint64_t timeout_ms,
                    struct error *err)
{
	BUFFER_CLEANUP struct buffer complaints = { 0 };
	return run_loud_call(tool, call, input, output, &complaints, timeout_ms, err);
}

int cluster_apply(const struct cluster_tool *tool, const char *documents, struct error *err)
{
	struct call call;
	begin_call(tool, &call);
	add_argument(&call, "apply");
	add_argument(&call, "--server-side");
	add_argument(&call, "--force-conflicts");
	add_argument(&call, "--field-manager=kamaji-local");
	add_argument(&call, "-f");
	add_argument(&call, "-");
	return run_call(tool, &call, documents, NULL, CLUSTER_CALL_MS, err);
}

json_t *cluster_get(const struct cluster_tool *tool, struct error *err, ...)
{
	struct call call;
	BUFFER_CLEANUP struct buffer output = { 0 };
	begin_call(tool, &call);
	add_argument(&call, "get");
	va_list arguments;
	va_start(arguments, err);
	for (const char *argument; (argument = va_arg(arguments, const char *));)
		add_argument(&call, argument);
	va_end(arguments);
	add_argument(&call, "-o");
	add_argument(&call, "json");
	if (run_call(tool, &call, NULL, &output, CLUSTER_CALL_MS, err) < 0)
		return NULL;
	return json_parse(output.data ? output.data : "", output.length, err);
}

static void begin_call_with(const struct cluster_tool *tool, struct call *call, va_list arguments)
{
	begin_call(tool, call);
	for (const char *argument; (argument = va_arg(arguments, const char *));)
		add_argument(call, argument);
}

int cluster_run(const struct cluster_tool *tool, struct buffer *output, struct error *err, ...)
{
	struct call call;
	va_list arguments;
	va_start(arguments, err);
	begin_call_with(tool, &call, arguments);
	va_end(arguments);
	return run_call(tool, &call, NULL, output, CLUSTER_CALL_MS, err);
}

int cluster_run_limited(const struct cluster_tool *tool, uint64_t timeout_ms, struct buffer *output, struct buffer *error_output,
                        struct error *err, ...)
{
	struct call call;
	BUFFER_CLEANUP struct buffer complaints = { 0 };
	va_list arguments;
	va_start(arguments, err);
	begin_call_with(tool, &call, arguments);
	va_end(arguments);
	return run_loud_call(tool, &call, NULL, output, error_output ? error_output : &complaints, timeout_ms, err);
}

static int wait_once(const struct cluster_tool *tool, const char *namespace, const char *object, const char *condition, uint64_t left_ms,
                     struct error *err)
{
	struct call call;
	FREE_CLEANUP char *wanted = string_printf("--for=%s", condition);
	FREE_CLEANUP char *timeout = string_printf("--timeout=%llus", (unsigned long long)(left_ms / 1000 + 1));
	begin_call(tool, &call);
	add_argument(&call, "wait");
	add_argument(&call, object);
	add_argument(&call, wanted);
	add_argument(&call, timeout);
	if (namespace) {
		add_argument(&call, "--namespace");
		add_argument(&call, namespace);
	}
	return run_call(tool, &call, NULL, NULL, left_ms + 2000, err);
}

static uint64_t time_left(const struct cluster_tool *tool)
{
	uint64_t deadline = cancel_deadline(tool->cancel);
	return deadline == UINT64_MAX ? CLUSTER_CALL_MS : clock_until(deadline);
}

/* Tells an interruption or a deadline of ours from what kubectl complained about. */
static int explain_wait(const struct cluster_tool *tool, const char *object, struct error *err)
{
	struct error stopped;
	if (cancel_check(tool->cancel, &stopped) < 0)
		*err = stopped;
	else if (strstr(err->message, "timed out"))
		err->class = ERROR_TIMEOUT;
	return error_wrap(err, "wait for %s", object);
}

int cluster_wait(const struct cluster_tool *tool, const char *namespace, const char *object, const char *condition, struct error *err)
{
	/* kubectl gives up at once on an object that is not there yet, so that is waited for first. */
	const char *const stages[] = { "create", condition };
	for (size_t i = 0; i < ARRAY_LENGTH(stages); i++)
		if (wait_once(tool, namespace, object, stages[i], time_left(tool), err) < 0)
			return explain_wait(tool, object, err);
	return 0;
}

int cluster_wait_rollout(const struct cluster_tool *tool, const char *namespace, const char *deployment, struct error *err)
{
	struct call call;
	uint64_t left = time_left(tool);
	FREE_CLEANUP char *timeout = string_printf("--timeout=%llus", (unsigned long long)(left / 1000 + 1));
	begin_call(tool, &call);
	add_argument(&call, "rollout");
	add_argument(&call, "status");
	add_argument(&call, deployment);
	add_argument(&call, timeout);
	add_argument(&call, "--namespace");
	add_argument(&call, namespace);
	return run_call(tool, &call, NULL, NULL, left + 2000, err) < 0 ? explain_wait(tool, deployment, err) : 0;
}
