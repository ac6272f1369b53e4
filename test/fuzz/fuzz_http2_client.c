/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server's bytes, fed to the client side of an HTTP/2 connection over a socket pair. The first byte chooses what the owner does from its
 * callbacks (cancel, open more, drain, free the connection), since those paths are where lifetimes go wrong.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "net/http2_connection.h"
#include "net/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024, STREAMS = 3 };
enum { CANCEL_IN_HEADERS = 1, CANCEL_IN_DATA = 2, OPEN_IN_FINISH = 4, DRAIN_IN_HEADERS = 8, FREE_IN_DATA = 16, PAUSE = 32 };

struct run {
	unsigned choice;
	int descriptor;
	struct http2_connection *connection;
	int open; /* streams whose on_close or cancel is still due */
	bool over, closed;
	pthread_mutex_t mutex;
	pthread_cond_t condition;
};

static struct loop *loop;
static const struct http2_stream_events stream_events;

static void open_stream(struct run *run, bool body)
{
	static const struct http_header headers[] = { { ":method", "GET", false },
		                                      { ":scheme", "http", false },
		                                      { ":authority", "a", false },
		                                      { ":path", "/", false },
		                                      { "authorization", "Bearer x", true } };
	struct http2_stream *stream = http2_stream_open(run->connection, headers, 5, !body, &stream_events, run);

	run->open++;
	if (body)
		http2_stream_send(stream, "body", 4, true);
}

static void let_go(struct run *run, struct http2_stream *stream)
{
	run->open--;
	http2_stream_cancel(stream, HTTP2_CANCEL);
}

static void finish(struct run *run)
{
	http2_connection_free(run->connection);
	run->connection = NULL;
	pthread_mutex_lock(&run->mutex);
	run->over = true;
	pthread_cond_signal(&run->condition);
	pthread_mutex_unlock(&run->mutex);
}

static void on_headers(struct http2_stream *stream, const struct http_headers *headers, void *argument)
{
	struct run *run = argument;

	if (run->closed || http_headers_get(headers, ":status") == NULL)
		abort();
	if (run->choice & DRAIN_IN_HEADERS)
		http2_connection_drain(run->connection);
	if (run->choice & CANCEL_IN_HEADERS)
		let_go(run, stream);
}

static void on_data(struct http2_stream *stream, const char *bytes, size_t length, void *argument)
{
	struct run *run = argument;
	volatile char sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (char)(sum + bytes[i]);
	if (!(run->choice & PAUSE))
		http2_stream_consume(stream, length);
	if (run->choice & FREE_IN_DATA)
		finish(run);
	else if (run->choice & CANCEL_IN_DATA)
		let_go(run, stream);
}

static void on_finish(struct http2_stream *stream, const struct http_headers *trailers, void *argument)
{
	struct run *run = argument;

	if ((run->choice & OPEN_IN_FINISH) && run->open < 2 * STREAMS)
		open_stream(run, true);
}

static void on_close(struct http2_stream *stream, const struct error *err, bool unprocessed, void *argument)
{
	struct run *run = argument;

	if (--run->open < 0 || (err != NULL && err->class == ERROR_NONE))
		abort();
}

static const struct http2_stream_events stream_events = {
	.on_headers = on_headers, .on_data = on_data, .on_finish = on_finish, .on_close = on_close
};

static void on_closed(struct http2_connection *connection, const struct error *err, void *argument)
{
	struct run *run = argument;

	if (run->open != 0)
		abort();
	run->closed = true;
	finish(run);
}

static const struct http2_connection_events connection_events = { .on_closed = on_closed };

static void begin(void *argument)
{
	struct run *run = argument;
	struct http2_options options = { .loop = loop, .peer = "peer" };

	run->connection = http2_connection_new(&options, transport_plain(run->descriptor, "peer"), &connection_events, run);
	for (int i = 0; i < STREAMS; i++)
		open_stream(run, i == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .mutex = PTHREAD_MUTEX_INITIALIZER, .condition = PTHREAD_COND_INITIALIZER };
	struct error err;
	int pair[2];

	if (loop == NULL)
		loop = loop_start("fuzz", &err);
	if (loop == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		abort();
	if (size > 0)
		run.choice = data[0];
	if (size > INPUT_MAX)
		size = INPUT_MAX;
	if (size > 1)
		(void)!send(pair[1], data + 1, size - 1, MSG_NOSIGNAL);
	(void)shutdown(pair[1], SHUT_WR);
	run.descriptor = pair[0];
	loop_call(loop, begin, &run);
	pthread_mutex_lock(&run.mutex);
	while (!run.over)
		pthread_cond_wait(&run.condition, &run.mutex);
	pthread_mutex_unlock(&run.mutex);
	(void)close(pair[1]);
	return 0;
}
