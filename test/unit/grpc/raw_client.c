/* SPDX-License-Identifier: Apache-2.0 */
#include "raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"

static void need(bool fine, const char *what)
{
	if (fine)
		return;
	(void)fprintf(stderr, "raw client: %s: %s\n", what, strerror(errno));
	abort();
}

static struct raw_stream *find(struct raw_client *client, int32_t id)
{
	for (struct raw_stream *stream = client->streams; stream != NULL; stream = stream->next)
		if (stream->id == id)
			return stream;
	return NULL;
}

static int number_of(const uint8_t *text)
{
	struct error err;
	int64_t number;

	return string_to_integer((const char *)text, 0, INT32_MAX, "number", &number, &err) == 0 ? (int)number : -1;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value,
                     size_t value_length, uint8_t flags, void *argument)
{
	struct raw_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (stream == NULL)
		return 0;
	stream->headers = true;
	if (strcmp((const char *)name, ":status") == 0)
		stream->http_status = number_of(value);
	else if (strcmp((const char *)name, "grpc-status") == 0)
		stream->grpc_status = number_of(value);
	else if (strcmp((const char *)name, "grpc-message") == 0)
		(void)snprintf(stream->message, sizeof(stream->message), "%s", (const char *)value);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct raw_client *client = argument;
	struct raw_stream *stream = frame->hd.stream_id > 0 ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		client->goaway = true;
		client->goaway_code = frame->goaway.error_code;
		(void)snprintf(client->goaway_text, sizeof(client->goaway_text), "%.*s", (int)frame->goaway.opaque_data_len,
		               frame->goaway.opaque_data_len > 0 ? (const char *)frame->goaway.opaque_data : "");
	}
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
		client->pongs++;
	else if (frame->hd.type == NGHTTP2_PING)
		client->pings++;
	if (stream != NULL && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		stream->ended = true;
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length, void *argument)
{
	struct raw_client *client = argument;
	struct raw_stream *stream = nghttp2_session_get_stream_user_data(session, id);

	if (stream != NULL)
		(void)buffer_append(&stream->body, bytes, length);
	if (!client->hold_windows)
		(void)nghttp2_session_consume(session, id, length);
	else
		(void)nghttp2_session_consume_connection(session, length);
	return 0;
}

static int on_closed(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
	struct raw_stream *stream = find(argument, id);

	if (stream != NULL) {
		stream->closed = true;
		stream->code = code;
	}
	return 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *place, size_t size, uint32_t *flags, nghttp2_data_source *source,
                       void *argument)
{
	struct raw_stream *stream = source->ptr;
	size_t left = stream->sending.length - stream->sent, length = left < size ? left : size;

	if (length > 0)
		memcpy(place, stream->sending.data + stream->sent, length);
	stream->sent += length;
	if (stream->sent == stream->sending.length && stream->send_end)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (length == 0) {
		stream->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)length;
}

struct raw_client *raw_connect(uint16_t port)
{
	return raw_connect_window(port, 0);
}

struct raw_client *raw_connect_window(uint16_t port, uint32_t stream_window)
{
	struct raw_client *client = calloc(1, sizeof(*client));
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	nghttp2_settings_entry window = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, stream_window };
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;
	nghttp2_option *option;
	int one = 1;

	need(client != NULL, "memory");
	client->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(connect(client->descriptor, (struct sockaddr *)&at, sizeof(at)) == 0, "connect");
	(void)setsockopt(client->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	need(fcntl(client->descriptor, F_SETFL, O_NONBLOCK) == 0, "fcntl");
	need(nghttp2_session_callbacks_new(&callbacks) == 0, "nghttp2");
	need(nghttp2_option_new(&option) == 0, "nghttp2");
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_peer_max_concurrent_streams(option, 20000);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_closed);
	need(nghttp2_session_client_new2(&session, callbacks, client, option) == 0, "nghttp2");
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	client->session = session;
	need(nghttp2_submit_settings(session, 0, &window, stream_window ? 1 : 0) == 0, "settings");
	return client;
}

void raw_close(struct raw_client *client)
{
	while (client->streams != NULL) {
		struct raw_stream *stream = client->streams;

		client->streams = stream->next;
		buffer_free(&stream->sending);
		buffer_free(&stream->body);
		free(stream);
	}
	nghttp2_session_del(client->session);
	(void)close(client->descriptor);
	free(client);
}

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){ .name = (uint8_t *)name, .namelen = strlen(name), .value = (uint8_t *)value, .valuelen = strlen(value) };
}

static struct raw_stream *submit(struct raw_client *client, const nghttp2_nv *fields, size_t count)
{
	struct raw_stream *stream = calloc(1, sizeof(*stream));
	nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = on_read };

	need(stream != NULL, "memory");
	stream->http_status = stream->grpc_status = -1;
	stream->id = nghttp2_submit_request(client->session, NULL, fields, count, &provider, stream);
	need(stream->id > 0, "submit");
	stream->next = client->streams;
	client->streams = stream;
	return stream;
}

struct raw_stream *raw_open(struct raw_client *client, const char *path, const char *timeout, const char *name, const char *value)
{
	nghttp2_nv fields[9] = { field(":method", "POST"),
		                 field(":scheme", "http"),
		                 field(":path", path),
		                 field(":authority", "test"),
		                 field("content-type", "application/grpc"),
		                 field("te", "trailers") };
	size_t count = 6;

	if (timeout != NULL)
		fields[count++] = field("grpc-timeout", timeout);
	if (name != NULL)
		fields[count++] = field(name, value);
	return submit(client, fields, count);
}

struct raw_stream *raw_open_with(struct raw_client *client, const char *method, const char *path, const char *content_type)
{
	nghttp2_nv fields[5] = { field(":method", method), field(":scheme", "http"), field(":path", path), field(":authority", "test") };

	if (content_type != NULL)
		fields[4] = field("content-type", content_type);
	return submit(client, fields, content_type != NULL ? 5 : 4);
}

void raw_send(struct raw_stream *stream, struct raw_client *client, const void *bytes, size_t length, bool end)
{
	(void)buffer_append(&stream->sending, bytes, length);
	stream->send_end = stream->send_end || end;
	if (stream->deferred)
		(void)nghttp2_session_resume_data(client->session, stream->id);
	stream->deferred = false;
}

void raw_send_message(struct raw_stream *stream, struct raw_client *client, const void *message, size_t length, bool end)
{
	const unsigned char header[5] = { 0, (unsigned char)(length >> 24), (unsigned char)(length >> 16), (unsigned char)(length >> 8),
		                          (unsigned char)length };

	raw_send(stream, client, header, sizeof(header), end && length == 0);
	if (length > 0)
		raw_send(stream, client, message, length, end);
}

void raw_reset(struct raw_stream *stream, struct raw_client *client, uint32_t code)
{
	(void)nghttp2_submit_rst_stream(client->session, 0, stream->id, code);
}

void raw_ping(struct raw_client *client)
{
	(void)nghttp2_submit_ping(client->session, 0, NULL);
}

void raw_release(struct raw_client *client, struct raw_stream *stream, size_t bytes)
{
	(void)nghttp2_session_consume_stream(client->session, stream->id, bytes);
}

static void write_all(struct raw_client *client)
{
	const uint8_t *bytes;
	ssize_t length;

	while (!client->closed && (length = nghttp2_session_mem_send(client->session, &bytes)) > 0) {
		while (length > 0) {
			struct pollfd ready = { .fd = client->descriptor, .events = POLLOUT };
			ssize_t sent = send(client->descriptor, bytes, (size_t)length, MSG_NOSIGNAL);

			if (sent < 0 && errno != EAGAIN) {
				client->closed = true;
				return;
			}
			if (sent < 0) {
				(void)poll(&ready, 1, 100);
				continue;
			}
			bytes += sent;
			length -= sent;
		}
	}
}

static void read_some(struct raw_client *client)
{
	static uint8_t bytes[256 * 1024];
	ssize_t got = recv(client->descriptor, bytes, sizeof(bytes), 0);

	if (got == 0 || (got < 0 && errno != EAGAIN))
		client->closed = true;
	else if (got > 0)
		need(nghttp2_session_mem_recv(client->session, bytes, (size_t)got) == got, "the server's bytes");
}

bool raw_run(struct raw_client *client, bool (*done)(const struct raw_client *client, const void *argument), const void *argument,
             unsigned milliseconds)
{
	uint64_t end = clock_monotonic_ms() + milliseconds;

	for (;;) {
		struct pollfd ready = { .fd = client->descriptor, .events = POLLIN };
		uint64_t now = clock_monotonic_ms();

		write_all(client);
		if (done != NULL && done(client, argument))
			return true;
		if (client->closed || now >= end)
			return done != NULL && done(client, argument);
		(void)poll(&ready, 1, (int)(end - now));
		if (ready.revents != 0)
			read_some(client);
	}
}

static bool stream_closed(const struct raw_client *client, const void *argument)
{
	return ((const struct raw_stream *)argument)->closed;
}

bool raw_run_stream(struct raw_client *client, const struct raw_stream *stream)
{
	return raw_run(client, stream_closed, stream, 10 * 1000);
}

void raw_idle(struct raw_client *client, unsigned milliseconds)
{
	(void)raw_run(client, NULL, NULL, milliseconds);
}

const char *raw_message(const struct raw_stream *stream, unsigned n, size_t *length)
{
	const unsigned char *at = (const unsigned char *)stream->body.data;
	size_t left = stream->body.length;

	for (;; n--) {
		if (left < 5)
			return NULL;
		*length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
		if (left - 5 < *length)
			return NULL;
		if (n == 0)
			return (const char *)at + 5;
		at += 5 + *length;
		left -= 5 + *length;
	}
}
