/* SPDX-License-Identifier: Apache-2.0 */
#include "api_script.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/thread.h"
#include "net/http2_connection.h"
#include "net/socket.h"

struct peer {
	LIST_ENTRY(peer) link;
	struct api_script *script;
	struct http2_connection *connection;
};

struct api_call {
	TAILQ_ENTRY(api_call) link;
	struct api_script *script;
	struct http2_stream *stream; /* NULL when over; the loop's */
	struct buffer body;
	char *method, *path;
	struct http_headers headers;
	bool complete;
};

struct api_script {
	struct loop *loop;
	int listener;
	uint16_t port;
	struct loop_watch *watch;
	LIST_HEAD(, peer) peers;
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	TAILQ_HEAD(call_list, api_call) calls;
	struct api_call *taken; /* the last one given out */
	unsigned count;
};

static void on_data(struct http2_stream *stream, const char *bytes, size_t length, void *argument)
{
	struct api_call *call = argument;

	buffer_append(&call->body, bytes, length);
	http2_stream_consume(stream, length);
}

static void on_finish(struct http2_stream *stream, const struct http_headers *trailers, void *argument)
{
	struct api_call *call = argument;
	THREAD_LOCKED(&call->script->mutex);

	call->complete = true;
	call->script->count++;
	TAILQ_INSERT_TAIL(&call->script->calls, call, link);
	pthread_cond_broadcast(&call->script->condition);
}

static void on_close(struct http2_stream *stream, const struct error *err, bool unprocessed, void *argument)
{
	struct api_call *call = argument;

	call->stream = NULL;
	(void)err;
}

static const struct http2_stream_events stream_events = { .on_data = on_data, .on_finish = on_finish, .on_close = on_close };

static void on_stream(struct http2_connection *connection, struct http2_stream *stream, void *argument)
{
	struct peer *peer = argument;
	struct api_call *call = calloc(1, sizeof(*call));
	const struct http_headers *headers = http2_stream_headers(stream);
	const char *name, *value;
	size_t at = 0;

	if (call == NULL)
		abort();
	call->script = peer->script;
	call->stream = stream;
	call->method = string_dup(http_headers_get(headers, ":method"));
	call->path = string_dup(http_headers_get(headers, ":path"));
	while (http_headers_next(headers, &at, &name, &value))
		(void)http_headers_add(&call->headers, name, strlen(name), value, strlen(value));
	http2_stream_listen(stream, &stream_events, call);
}

static void on_closed(struct http2_connection *connection, const struct error *err, void *argument)
{
	struct peer *peer = argument;

	LIST_REMOVE(peer, link);
	http2_connection_free(connection);
	free(peer);
}

static void on_accept(int descriptor, unsigned events, void *argument)
{
	static const struct http2_connection_events connection_events = { .on_stream = on_stream, .on_closed = on_closed };
	struct api_script *script = argument;
	int accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct http2_options options = { .loop = script->loop, .server = true, .peer = "client" };
	struct peer *peer;

	if (accepted < 0)
		return;
	socket_tune(accepted);
	peer = calloc(1, sizeof(*peer));
	if (peer == NULL)
		abort();
	peer->script = script;
	LIST_INSERT_HEAD(&script->peers, peer, link);
	peer->connection = http2_connection_new(&options, transport_plain(accepted, "client"), &connection_events, peer);
}

static void listen_on_loop(void *argument)
{
	struct api_script *script = argument;

	script->watch = loop_watch_new(script->loop, script->listener, on_accept, script);
	loop_watch_set(script->watch, LOOP_READ);
}

struct api_script *api_script_start(struct loop *loop)
{
	struct api_script *script = calloc(1, sizeof(*script));
	struct error err = { 0 };

	if (script == NULL)
		abort();
	script->loop = loop;
	script->listener = socket_listen("127.0.0.1", 0, &err);
	if (script->listener < 0)
		abort();
	script->port = socket_local_port(script->listener);
	LIST_INIT(&script->peers);
	TAILQ_INIT(&script->calls);
	pthread_mutex_init(&script->mutex, NULL);
	thread_condition_init(&script->condition);
	loop_call(loop, listen_on_loop, script);
	return script;
}

static void forget_streams(struct api_script *script)
{
	struct api_call *call;

	TAILQ_FOREACH(call, &script->calls, link)
	call->stream = NULL;
}

static void break_on_loop(void *argument)
{
	struct api_script *script = argument;

	while (!LIST_EMPTY(&script->peers)) {
		struct peer *peer = LIST_FIRST(&script->peers);

		LIST_REMOVE(peer, link);
		http2_connection_free(peer->connection);
		free(peer);
	}
	forget_streams(script);
}

void api_script_break(struct api_script *script)
{
	loop_call(script->loop, break_on_loop, script);
}

static void stop_on_loop(void *argument)
{
	struct api_script *script = argument;

	loop_watch_free(script->watch);
	break_on_loop(script);
}

void api_script_stop(struct api_script *script)
{
	struct api_call *call;

	loop_call(script->loop, stop_on_loop, script);
	(void)close(script->listener);
	while ((call = TAILQ_FIRST(&script->calls)) != NULL) {
		TAILQ_REMOVE(&script->calls, call, link);
		buffer_free(&call->body);
		http_headers_free(&call->headers);
		free(call->method);
		free(call->path);
		free(call);
	}
	pthread_mutex_destroy(&script->mutex);
	pthread_cond_destroy(&script->condition);
	free(script);
}

struct kube_client *api_script_client(struct api_script *script, struct loop *loop, const char *token_file)
{
	FREE_CLEANUP char *server = string_printf("http://127.0.0.1:%u", script->port);
	struct kube_config config = {
		.source = (char *)(uintptr_t)"script",
		.server = server,
		.host = (char *)(uintptr_t)"127.0.0.1",
		.port = script->port,
		.path_prefix = (char *)(uintptr_t)"",
		.plaintext = true,
		.token_file = (char *)(uintptr_t)token_file,
	};
	struct error err = { 0 };
	struct kube_client *client = kube_client_new(&(struct kube_client_options){ .loop = loop, .config = &config }, &err);

	if (client == NULL) {
		(void)fprintf(stderr, "%s\n", err.message);
		abort();
	}
	return client;
}

static struct api_call *next_untaken(struct api_script *script)
{
	return script->taken == NULL ? TAILQ_FIRST(&script->calls) : TAILQ_NEXT(script->taken, link);
}

struct api_call *api_script_next(struct api_script *script)
{
	uint64_t deadline = clock_monotonic_ms() + 5000;
	struct api_call *call;
	THREAD_LOCKED(&script->mutex);

	while ((call = next_untaken(script)) == NULL && clock_until(deadline) > 0)
		(void)thread_condition_wait(&script->condition, &script->mutex, deadline);
	if (call != NULL)
		script->taken = call;
	return call;
}

bool api_script_is_quiet(struct api_script *script, unsigned milliseconds)
{
	uint64_t deadline = clock_monotonic_ms() + milliseconds;
	THREAD_LOCKED(&script->mutex);

	while (next_untaken(script) == NULL && clock_until(deadline) > 0)
		(void)thread_condition_wait(&script->condition, &script->mutex, deadline);
	return next_untaken(script) == NULL;
}

unsigned api_script_count(struct api_script *script)
{
	THREAD_LOCKED(&script->mutex);

	return script->count;
}

const char *api_call_method(const struct api_call *call)
{
	return call->method;
}

const char *api_call_path(const struct api_call *call)
{
	return call->path;
}

const char *api_call_body(const struct api_call *call)
{
	return call->body.data != NULL ? call->body.data : "";
}

const char *api_call_header(const struct api_call *call, const char *name)
{
	return http_headers_get(&call->headers, name);
}

struct action {
	struct api_call *call;
	int status; /* 0: no header */
	const char *retry_after, *bytes;
	size_t length;
	bool end, reset, over;
};

static void act(void *argument)
{
	struct action *action = argument;
	struct http2_stream *stream = action->call->stream;
	struct http_header headers[3];
	size_t count = 0;
	char status[8];

	action->over = stream == NULL;
	if (stream == NULL)
		return;
	if (action->reset) {
		http2_stream_cancel(stream, HTTP2_INTERNAL_ERROR);
		action->call->stream = NULL;
		return;
	}
	if (action->status != 0) {
		(void)snprintf(status, sizeof(status), "%d", action->status);
		headers[count++] = (struct http_header){ .name = ":status", .value = status };
		headers[count++] = (struct http_header){ .name = "content-type", .value = "application/json" };
		if (action->retry_after != NULL)
			headers[count++] = (struct http_header){ .name = "retry-after", .value = action->retry_after };
		http2_stream_respond(stream, headers, count, action->end && action->length == 0);
	}
	if (action->length > 0 || (action->end && action->status == 0))
		http2_stream_send(stream, action->bytes, action->length, action->end);
}

bool api_call_is_over(struct api_call *call)
{
	struct action action = { .call = call };

	loop_call(call->script->loop, act, &action);
	return action.over;
}

void api_call_answer(struct api_call *call, int status, const char *retry_after, const char *body)
{
	struct action action = {
		.call = call, .status = status, .retry_after = retry_after, .bytes = body, .length = strlen(body), .end = true
	};

	loop_call(call->script->loop, act, &action);
}

void api_call_begin(struct api_call *call, int status)
{
	struct action action = { .call = call, .status = status };

	loop_call(call->script->loop, act, &action);
}

void api_call_send(struct api_call *call, const char *bytes, size_t length, bool end)
{
	struct action action = { .call = call, .bytes = bytes, .length = length == SIZE_MAX ? strlen(bytes) : length, .end = end };

	loop_call(call->script->loop, act, &action);
}

void api_call_reset(struct api_call *call)
{
	struct action action = { .call = call, .reset = true };

	loop_call(call->script->loop, act, &action);
}
