/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one plaintext connection to a gRPC server. Whatever they are, the connection ends, no call is left, and each one that a
 * method was told of has ended once. The first byte says whether HTTP/2's preface is sent before the rest.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "grpc/grpc_server.h"
#include "io/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
static struct grpc_server *server;
static struct loop *loop;
static unsigned begun, ended; /* on the loop */

static void on_started(struct grpc_call *call, void *argument)
{
	begun++;
	grpc_call_set_data(call, &begun);
	grpc_call_begin(call);
}

static void on_message(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	grpc_call_send(call, bytes, length);
}

static void on_half_closed(struct grpc_call *call, void *argument)
{
	grpc_call_finish(call, 0, NULL);
}

static void on_unary(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	begun++;
	grpc_call_set_data(call, &begun);
	grpc_call_send(call, bytes, length);
	grpc_call_finish(call, length % 17, "text");
}

static void on_ended(struct grpc_call *call, void *argument)
{
	if (grpc_call_data(call) != &begun)
		abort();
	grpc_call_set_data(call, NULL);
	ended++;
}

static int on_plain(const char *path, const char *query, struct buffer *body, const char **content_type, void *argument)
{
	(void)buffer_append_string(body, path);
	return 200;
}

static void start(void)
{
	static const struct grpc_method methods[] = {
		{ .path = "/t.U/U", .message = on_unary, .ended = on_ended },
		{ .path = "/t.S/S",
		  .message = on_message,
		  .started = on_started,
		  .half_closed = on_half_closed,
		  .ended = on_ended,
		  .streaming = true },
	};
	struct grpc_server_options options = {
		.methods = methods,
		.method_count = 2,
		.maximum_message = 4096,
		.handshake_ms = 200,
		.http = on_plain,
	};
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	options.loop = loop = loop_start("fuzz", &err);
	if (loop == NULL)
		abort();
	server = grpc_server_new(&options);
}

static void check(void *argument)
{
	if (begun != ended)
		abort();
}

/* Until the server has closed: a client that sends its bytes, then its end, and reads. */
static void exchange(int descriptor, const uint8_t *bytes, size_t length)
{
	char answer[4096];

	while (length > 0) {
		struct pollfd ready = { .fd = descriptor, .events = POLLIN | POLLOUT };
		ssize_t count;

		if (poll(&ready, 1, 5000) <= 0)
			abort();
		if ((ready.revents & POLLIN) && recv(descriptor, answer, sizeof(answer), MSG_DONTWAIT) == 0)
			break;
		count = send(descriptor, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (count < 0 && (ready.revents & POLLERR))
			break;
		bytes += count > 0 ? count : 0;
		length -= count > 0 ? (size_t)count : 0;
	}
	(void)shutdown(descriptor, SHUT_WR);
	for (;;) {
		struct pollfd ready = { .fd = descriptor, .events = POLLIN };

		if (poll(&ready, 1, 5000) <= 0)
			abort(); /* the server forgot the connection */
		if (recv(descriptor, answer, sizeof(answer), MSG_DONTWAIT) <= 0)
			break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes;
	size_t head = size > 0 && data[0] % 2 == 0 ? sizeof(preface) : 0;
	int pair[2];

	if (server == NULL)
		start();
	if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return 0;
	bytes = malloc(head + size);
	if (bytes == NULL)
		abort();
	memcpy(bytes, preface, head);
	memcpy(bytes + head, data + 1, size - 1);
	grpc_server_adopt(server, pair[0]);
	exchange(pair[1], bytes, head + size - 1);
	(void)close(pair[1]);
	loop_call(loop, check, NULL);
	free(bytes);
	return 0;
}
