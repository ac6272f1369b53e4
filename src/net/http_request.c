/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking form of a request: a stream whose callbacks collect, and a thread that waits for the end. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strings.h"
#include "io/thread.h"
#include "net/http_client_internal.h"

/* Shared by the waiting thread, the loop and a cancel that may come late. */
struct waiter {
	atomic_uint references;
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	bool done; /* guarded by mutex; response and error are the caller's again once it is set */
	struct http_client *client;
	struct http_stream *stream; /* loop's thread; NULL once closed */
	struct http_response *response;
	struct error error;
	size_t limit;
};

static void waiter_unref(struct waiter *waiter)
{
	if (atomic_fetch_sub(&waiter->references, 1) != 1)
		return;
	pthread_mutex_destroy(&waiter->mutex);
	pthread_cond_destroy(&waiter->condition);
	http_client_unref(waiter->client);
	free(waiter);
}

/* The stream is closed before the waiting thread may go on. */
static void finish(struct waiter *waiter, const struct error *err)
{
	struct http_stream *stream = waiter->stream;

	waiter->stream = NULL;
	http_stream_close(stream);
	if (err != NULL)
		waiter->error = *err;
	THREAD_LOCKED(&waiter->mutex);
	waiter->done = true;
	pthread_cond_signal(&waiter->condition);
}

static void on_headers(struct http_stream *stream, int status, const struct http_headers *headers, void *argument)
{
	struct waiter *waiter = argument;

	waiter->response->status = status;
	http_headers_copy(&waiter->response->headers, headers);
}

static void on_data(struct http_stream *stream, const char *bytes, size_t length, void *argument)
{
	struct waiter *waiter = argument;
	struct error err;

	waiter->response->body.limit = waiter->limit;
	if (buffer_append(&waiter->response->body, bytes, length))
		return;
	error_set(&err, ERROR_EXHAUSTED, "answer of %s is larger than %zu bytes", http_client_authority(waiter->client), waiter->limit);
	finish(waiter, &err);
}

static void on_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *err, void *argument)
{
	struct waiter *waiter = argument;

	http_headers_copy(&waiter->response->trailers, trailers);
	finish(waiter, err);
}

static void cancel_on_loop(void *argument)
{
	struct waiter *waiter = argument;
	struct error err;

	if (waiter->stream != NULL) {
		error_set(&err, ERROR_CANCELLED, "request to %s was cancelled", http_client_authority(waiter->client));
		finish(waiter, &err);
	}
	waiter_unref(waiter);
}

static void on_cancel(void *argument)
{
	struct waiter *waiter = argument;

	atomic_fetch_add(&waiter->references, 1);
	loop_post(waiter->client->loop, cancel_on_loop, waiter);
}

static struct waiter *waiter_new(struct http_client *client, struct http_response *response, size_t limit)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));

	if (waiter == NULL)
		abort();
	atomic_init(&waiter->references, 1);
	pthread_mutex_init(&waiter->mutex, NULL);
	thread_condition_init(&waiter->condition);
	http_client_ref(client);
	waiter->client = client;
	waiter->response = response;
	waiter->limit = limit ? limit : HTTP_CLIENT_MAXIMUM_RESPONSE;
	return waiter;
}

static void wait_until_done(struct waiter *waiter)
{
	THREAD_LOCKED(&waiter->mutex);
	while (!waiter->done)
		(void)thread_condition_wait(&waiter->condition, &waiter->mutex, UINT64_MAX); /* the loop keeps the deadline */
}

int http_client_request(struct http_client *client, const struct http_request *request, struct http_response *response,
                        struct cancel *cancel, struct error *err)
{
	static const struct http_stream_callbacks callbacks = { .on_headers = on_headers, .on_data = on_data, .on_end = on_end };
	struct http_request limited = *request;
	struct cancel_callback *registration = NULL;
	struct waiter *waiter;
	uint64_t left = clock_until(cancel_deadline(cancel));
	int result = 0;

	if (loop_is_current(client->loop))
		return error_set(err, ERROR_BUG, "blocking request to %s on the loop's own thread", client->authority);
	if (cancel_check(cancel, err) != 0)
		return -1;
	if (limited.timeout_ms == 0)
		limited.timeout_ms = HTTP_CLIENT_REQUEST_TIMEOUT_MS;
	if (left < limited.timeout_ms)
		limited.timeout_ms = left > 0 ? (unsigned)left : 1;
	limited.long_lived = limited.explicit_flow = false;
	waiter = waiter_new(client, response, request->response_limit);
	waiter->stream = http_stream_new(client, &limited, &callbacks, waiter);
	http_stream_submit(waiter->stream);
	if (cancel != NULL)
		registration = cancel_register(cancel, on_cancel, waiter);
	wait_until_done(waiter);
	if (cancel != NULL)
		cancel_unregister(cancel, registration);
	if (waiter->error.class != ERROR_NONE) {
		*err = waiter->error;
		result = -1;
	}
	waiter_unref(waiter);
	return result;
}

void http_response_free(struct http_response *response)
{
	http_headers_free(&response->headers);
	http_headers_free(&response->trailers);
	buffer_free_secret(&response->body);
	*response = (struct http_response){ 0 };
}
