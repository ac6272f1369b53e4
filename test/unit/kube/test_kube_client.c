/* SPDX-License-Identifier: Apache-2.0 */
/* Calls against a server that says what the test wants. The calls block, so each runs on a thread of its own while the test answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_script.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/thread.h"
#include "kube/client.h"

static struct loop *loop, *server_loop;
static struct api_script *script;
static struct kube_client *client;

static int setup(void **state)
{
	struct error err = { 0 };

	loop = loop_start("client", &err);
	server_loop = loop_start("server", &err);
	script = api_script_start(server_loop);
	client = api_script_client(script, loop, NULL);
	return 0;
}

static int teardown(void **state)
{
	kube_client_unref(client);
	api_script_stop(script);
	loop_stop(loop);
	loop_stop(server_loop);
	return 0;
}

enum call_kind {
	CALL_GET,
	CALL_GET_SECRET,
	CALL_LIST,
	CALL_CREATE,
	CALL_CREATE_SECRET,
	CALL_REPLACE,
	CALL_APPLY,
	CALL_MERGE,
	CALL_DELETE,
	CALL_READY,
	CALL_SERVES
};

struct call {
	pthread_t thread;
	enum call_kind kind;
	uint64_t timeout_ms;
	struct cancel *cancel;
	json_t *result;
	bool completed, served;
	int status;
	struct error err;
};

static json_t *sample(void)
{
	return json_build("{s:{s:s, s:s}, s:{s:s}}", "metadata", "name", "x", "namespace", "n", "data", "a", "b");
}

static void *run_call(void *argument)
{
	struct call *call = argument;
	JSON_CLEANUP json_t *object = sample();
	const struct kube_resource *maps = &kube_resource_config_map;

	switch (call->kind) {
	case CALL_GET:
		call->result = kube_client_get(client, maps, "n", "x", call->cancel, &call->err);
		break;
	case CALL_GET_SECRET:
		call->result = kube_client_get(client, &kube_resource_secret, "n", "x", call->cancel, &call->err);
		break;
	case CALL_LIST:
		call->result = kube_client_list(client, maps, "n", &(struct kube_list_options){ .label_selector = "a=b" }, call->cancel,
		                                &call->err);
		break;
	case CALL_CREATE:
		call->result = kube_client_create(client, maps, object, NULL, call->cancel, &call->err);
		break;
	case CALL_CREATE_SECRET:
		call->result = kube_client_create(client, &kube_resource_secret, object, NULL, call->cancel, &call->err);
		break;
	case CALL_REPLACE:
		call->result = kube_client_replace(client, maps, object, &(struct kube_write_options){ .subresource = "status" },
		                                   call->cancel, &call->err);
		break;
	case CALL_APPLY:
		call->result = kube_client_apply(client, maps, object, &(struct kube_write_options){ .force = true, .dry_run = true },
		                                 call->cancel, &call->err);
		break;
	case CALL_MERGE:
		call->result = kube_client_patch(client, maps, "n", "x", KUBE_PATCH_MERGE, json_object_get(object, "data"), NULL,
		                                 call->cancel, &call->err);
		break;
	case CALL_DELETE:
		call->status = kube_client_delete(
			client, maps, "n", "x",
			&(struct kube_delete_options){ .uid = "u", .resource_version = "7", .completed = &call->completed }, call->cancel,
			&call->err);
		break;
	case CALL_READY:
		call->status = kube_client_ready(client, call->cancel, &call->err);
		break;
	case CALL_SERVES:
		call->status = kube_client_serves(client, maps, &call->served, call->cancel, &call->err);
		break;
	}
	return NULL;
}

static struct call *begin(enum call_kind kind, uint64_t timeout_ms)
{
	struct call *call = calloc(1, sizeof(*call));
	struct error err = { 0 };

	assert_non_null(call);
	call->kind = kind;
	call->cancel = cancel_new(NULL, timeout_ms == 0 ? UINT64_MAX : clock_monotonic_ms() + timeout_ms);
	assert_int_equal(thread_start(&call->thread, "call", run_call, call, &err), 0);
	return call;
}

static void join(struct call *call)
{
	(void)pthread_join(call->thread, NULL);
}

static void end(struct call *call)
{
	json_decref(call->result);
	cancel_free(call->cancel);
	free(call);
}

static struct api_call *expect(const char *method, const char *path)
{
	struct api_call *request = api_script_next(script);

	assert_non_null(request);
	assert_string_equal(api_call_method(request), method);
	assert_string_equal(api_call_path(request), path);
	return request;
}

static const char good[] = "{\"metadata\":{\"name\":\"x\"}}";

static void check(enum call_kind kind, const char *method, const char *path, const char *content_type, const char *body)
{
	struct call *call = begin(kind, 0);
	struct api_call *request = expect(method, path);

	assert_string_equal(api_call_body(request), body);
	if (content_type != NULL)
		assert_string_equal(api_call_header(request, "content-type"), content_type);
	assert_string_equal(api_call_header(request, "accept"), "application/json");
	assert_true(string_has_prefix(api_call_header(request, "user-agent"), "kamaji/"));
	assert_null(api_call_header(request, "authorization"));
	api_call_answer(request, 200, NULL, good);
	join(call);
	assert_non_null(call->result);
	end(call);
}

static void test_requests(void **state)
{
	static const char object[] =
		"{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"},\"data\":{\"a\":\"b\"},\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}";
	static const char path[] = "/api/v1/namespaces/n/configmaps/x";

	check(CALL_GET, "GET", path, NULL, "");
	check(CALL_CREATE, "POST", "/api/v1/namespaces/n/configmaps?fieldManager=kamaji", "application/json", object);
	check(CALL_REPLACE, "PUT", "/api/v1/namespaces/n/configmaps/x/status?fieldManager=kamaji", "application/json", object);
	check(CALL_APPLY, "PATCH", "/api/v1/namespaces/n/configmaps/x?fieldManager=kamaji&force=true&dryRun=All",
	      "application/apply-patch+yaml", object);
	check(CALL_MERGE, "PATCH", "/api/v1/namespaces/n/configmaps/x?fieldManager=kamaji", "application/merge-patch+json",
	      "{\"a\":\"b\"}");
}

static void test_delete(void **state)
{
	static const char body[] = "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\","
				   "\"preconditions\":{\"uid\":\"u\",\"resourceVersion\":\"7\"}}";
	struct call *call = begin(CALL_DELETE, 0);
	struct api_call *request = expect("DELETE", "/api/v1/namespaces/n/configmaps/x");

	assert_string_equal(api_call_body(request), body);
	api_call_answer(request, 200, NULL, "{\"kind\":\"Status\",\"status\":\"Success\"}");
	join(call);
	assert_int_equal(call->status, 0);
	assert_true(call->completed);
	end(call);
	call = begin(CALL_DELETE, 0);
	api_call_answer(api_script_next(script), 200, NULL, "{\"kind\":\"ConfigMap\",\"metadata\":{\"deletionTimestamp\":\"x\"}}");
	join(call);
	assert_int_equal(call->status, 0);
	assert_false(call->completed);
	end(call);
}

static void test_list_pages(void **state)
{
	struct call *call = begin(CALL_LIST, 0);

	api_call_answer(expect("GET", "/api/v1/namespaces/n/configmaps?limit=50&labelSelector=a%3Db"), 200, NULL,
	                "{\"metadata\":{\"continue\":\"t/=\"},\"items\":[{\"metadata\":{\"name\":\"a\"}}]}");
	api_call_answer(expect("GET", "/api/v1/namespaces/n/configmaps?limit=50&labelSelector=a%3Db&continue=t%2F%3D"), 200, NULL,
	                "{\"metadata\":{},\"items\":[{\"metadata\":{\"name\":\"b\"}}]}");
	join(call);
	assert_int_equal(json_array_size(call->result), 2);
	assert_string_equal(json_string_at(json_array_get(call->result, 1), "kind"), "ConfigMap");
	end(call);
}

static void test_errors(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum error_class class;
	} cases[] = {
		{ 404, "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"not here\"}", ERROR_NOT_FOUND },
		{ 409, "{\"kind\":\"Status\",\"reason\":\"Conflict\"}", ERROR_CONFLICT },
		{ 422, "{\"kind\":\"Status\",\"reason\":\"Invalid\"}", ERROR_INVALID },
		{ 500, "boom", ERROR_TRANSIENT },
		{ 200, "{\"metadata\":", ERROR_CORRUPT },
		{ 200, "", ERROR_CORRUPT },
		{ 200, "[1]", ERROR_CORRUPT },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct call *call = begin(CALL_GET, 0);

		api_call_answer(api_script_next(script), cases[i].status, NULL, cases[i].body);
		join(call);
		assert_null(call->result);
		assert_int_equal(call->err.class, cases[i].class);
		assert_true(string_has_prefix(call->err.message, "get configmaps n/x: "));
		end(call);
	}
}

/* A body cut at every length is CORRUPT, and of a Secret not a byte is quoted. */
static void test_cut_bodies(void **state)
{
	static const char body[] = "{\"metadata\":{\"name\":\"x\"},\"data\":{\"p\":\"aHVudGVyMg==\"}}";

	for (size_t length = 0; length < sizeof(body) - 1; length++) {
		FREE_CLEANUP char *cut = string_ndup(body, length);
		struct call *call = begin(CALL_GET_SECRET, 0);

		api_call_answer(api_script_next(script), 200, NULL, cut);
		join(call);
		assert_null(call->result);
		assert_int_equal(call->err.class, ERROR_CORRUPT);
		assert_null(strstr(call->err.message, "aHV"));
		end(call);
	}
}

/* A server may quote what it could not read. */
static void test_refused_secret_is_not_quoted(void **state)
{
	struct call *call = begin(CALL_CREATE_SECRET, 0);

	api_call_answer(api_script_next(script), 500, NULL,
	                "{\"kind\":\"Status\",\"reason\":\"InternalError\",\"message\":\"got hunter2\"}");
	join(call);
	assert_int_equal(call->err.class, ERROR_TRANSIENT);
	assert_null(strstr(call->err.message, "hunter2"));
	assert_string_equal(call->err.reason, "InternalError");
	end(call);
}

static void test_throttled(void **state)
{
	struct call *call = begin(CALL_CREATE, 10000);
	uint64_t begun;

	begun = clock_monotonic_ms();
	api_call_answer(api_script_next(script), 429, "1", "");
	api_call_answer(api_script_next(script), 200, NULL, good);
	join(call);
	assert_non_null(call->result);
	assert_in_range(clock_monotonic_ms() - begun, 950, 5000);
	end(call);
	call = begin(CALL_CREATE, 10000); /* would have to wait longer than it has */
	api_call_answer(api_script_next(script), 429, "20", "");
	join(call);
	assert_int_equal(call->err.class, ERROR_TRANSIENT);
	assert_int_equal(call->err.retry_after_ms, 20000);
	end(call);
}

/* A read is tried once more after a lost connection; a write is not. */
static void test_lost_connection(void **state)
{
	struct call *call = begin(CALL_GET, 10000);

	api_call_reset(api_script_next(script));
	api_call_answer(api_script_next(script), 200, NULL, good);
	join(call);
	assert_non_null(call->result);
	end(call);
	call = begin(CALL_CREATE, 10000);
	api_call_reset(api_script_next(script));
	join(call);
	assert_int_equal(call->err.class, ERROR_TRANSIENT);
	end(call);
	assert_true(api_script_is_quiet(script, 100));
}

static void test_deadline_and_cancel(void **state)
{
	struct call *call = begin(CALL_GET, 1000);
	struct api_call *request = api_script_next(script);

	assert_non_null(request);
	join(call);
	assert_int_equal(call->err.class, ERROR_TIMEOUT);
	end(call);
	call = begin(CALL_GET, 0);
	request = api_script_next(script);
	cancel_trigger(call->cancel);
	join(call);
	assert_int_equal(call->err.class, ERROR_CANCELLED);
	end(call);
	for (int i = 0; i < 1000 && !api_call_is_over(request); i++)
		(void)usleep(1000);
	assert_true(api_call_is_over(request));
}

static void test_in_flight(void **state)
{
	enum { CALLS = KUBE_MAXIMUM_IN_FLIGHT + 3 };
	struct call *calls[CALLS];
	struct api_call *first = NULL;

	for (int i = 0; i < CALLS; i++)
		calls[i] = begin(CALL_GET, 0);
	for (int i = 0; i < KUBE_MAXIMUM_IN_FLIGHT; i++)
		first = api_script_next(script);
	assert_non_null(first);
	assert_true(api_script_is_quiet(script, 100));
	api_call_answer(first, 200, NULL, good);
	assert_non_null(first = api_script_next(script));
	assert_true(api_script_is_quiet(script, 50));
	for (int i = 0; i < CALLS; i++)
		cancel_trigger(calls[i]->cancel);
	for (int i = 0; i < CALLS; i++) {
		join(calls[i]);
		end(calls[i]);
	}
	/* A call may have found room, and sent its request, just before it was cancelled itself. */
	while (!api_script_is_quiet(script, 100))
		(void)api_script_next(script);
}

static void test_probes(void **state)
{
	struct call *call = begin(CALL_READY, 0);

	api_call_answer(expect("GET", "/readyz"), 500, NULL, "[-]etcd failed\n");
	join(call);
	assert_int_equal(call->status, -1);
	assert_non_null(strstr(call->err.message, "[-]etcd failed"));
	end(call);
	call = begin(CALL_SERVES, 0);
	api_call_answer(expect("GET", "/api/v1"), 404, NULL, "");
	join(call);
	assert_int_equal(call->status, 0);
	assert_false(call->served);
	end(call);
	call = begin(CALL_SERVES, 0);
	api_call_answer(api_script_next(script), 200, NULL, "{\"resources\":[{\"name\":\"pods\"},{\"name\":\"configmaps\"}]}");
	join(call);
	assert_true(call->served);
	end(call);
}

static void test_empty_names(void **state)
{
	struct error err = { 0 };

	assert_int_equal(kube_client_delete(client, &kube_resource_config_map, "n", "", NULL, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_BUG);
	assert_int_equal(kube_client_delete(client, &kube_resource_config_map, "", "x", NULL, NULL, &err), -1);
	assert_int_equal(kube_client_delete_collection(client, &kube_resource_config_map, NULL, NULL, NULL, NULL, &err), -1);
	assert_null(kube_client_get(client, &kube_resource_config_map, "n", NULL, NULL, &err));
	assert_true(api_script_is_quiet(script, 50));
}

static void test_token(void **state)
{
	char path[] = "/tmp/kube-token-XXXXXX";
	DESCRIPTOR_CLEANUP int descriptor = mkstemp(path);
	struct kube_client *plain = client;
	struct api_call *request;
	struct error err = { 0 };
	struct call *call;

	assert_true(descriptor >= 0);
	assert_int_equal(file_write_atomic(path, "one", 3, 0600, &err), 0);
	client = api_script_client(script, loop, path);
	call = begin(CALL_CREATE, 0);
	request = api_script_next(script);
	assert_string_equal(api_call_header(request, "authorization"), "Bearer one");
	/* Rotated while the request was under way: the 401 makes it read the new token and send again. */
	assert_int_equal(file_write_atomic(path, "two", 3, 0600, &err), 0);
	api_call_answer(request, 401, NULL, "Unauthorized");
	request = api_script_next(script);
	assert_string_equal(api_call_header(request, "authorization"), "Bearer two");
	api_call_answer(request, 401, NULL, "Unauthorized");
	join(call);
	assert_int_equal(call->err.class, ERROR_FORBIDDEN);
	end(call);
	kube_client_unref(client);
	client = plain;
	(void)unlink(path);
}

static void test_metrics(void **state)
{
	BUFFER_CLEANUP struct buffer text = { 0 };

	check(CALL_GET, "GET", "/api/v1/namespaces/n/configmaps/x", NULL, "");
	metrics_write(&text);
	assert_non_null(strstr(text.data, "rest_client_requests_total{code=\"200\",host=\"127.0.0.1:"));
	assert_non_null(strstr(text.data, "rest_client_request_duration_seconds_bucket{host=\"127.0.0.1:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_list_pages),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_cut_bodies),
		cmocka_unit_test(test_refused_secret_is_not_quoted),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_lost_connection),
		cmocka_unit_test(test_deadline_and_cancel),
		cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_empty_names),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_metrics),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
