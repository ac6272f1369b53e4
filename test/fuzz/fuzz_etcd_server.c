/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of every method of the server on one connection, each with whatever message. An input is a row of calls: a byte that chooses the
 * method, two bytes of length (little-endian), the message. The server answers each with a status or is left alone by the client; it goes on.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/strings.h"
#include "etcd/etcd_int.h"
#include "io/file.h"

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4, FRAME_MAXIMUM = 16384, CALLS_MAXIMUM = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
static char in_memory[] = "/dev/shm/kamaji-fuzz-etcd-XXXXXX", on_disk[] = "/tmp/kamaji-fuzz-etcd-XXXXXX";
static const char *folder;
static struct loop *loop;
static struct store *store;
static struct etcd_server *server;

static void disk_failed(void *argument, const struct error *err)
{
	(void)fprintf(stderr, "%s\n", err->message);
	abort();
}

static void stop(void)
{
	struct error ignored;

	etcd_server_free(server, 0);
	store_close(store);
	loop_stop(loop);
	(void)file_remove_tree(folder, &ignored);
}

static void start(void)
{
	static const char *const urls[] = { "http://127.0.0.1:2379", NULL };
	struct store_options options = { .quota_bytes = 64 * 1024 * 1024, .failed = disk_failed };
	struct etcd_server_options etcd = {
		.version = "3.7.3",
		.client_urls = urls,
		.maximum_request_bytes = 64 * 1024,
		.maximum_operations = 128,
		.progress_ms = 100,
	};
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL); /* here and not in a thread, whose share would count as lost */
	/* In memory where that can be had: every change is synced. */
	if (mkdtemp(in_memory) != NULL)
		folder = in_memory;
	else if (mkdtemp(on_disk) != NULL)
		folder = on_disk;
	else
		abort();
	options.directory = folder;
	loop = loop_start("fuzz", &err);
	store = store_open(loop, &options, NULL, &err);
	etcd.loop = loop;
	etcd.store = store;
	server = store != NULL ? etcd_server_new(&etcd, &err) : NULL;
	if (server == NULL)
		abort();
	(void)atexit(stop);
}

static const char *path_of(unsigned number)
{
	static const struct {
		const struct grpc_method *methods;
		const size_t *count;
	} services[] = {
		{ etcd_kv_methods, &etcd_kv_method_count },           { etcd_watch_methods, &etcd_watch_method_count },
		{ etcd_lease_methods, &etcd_lease_method_count },     { etcd_maintenance_methods, &etcd_maintenance_method_count },
		{ etcd_cluster_methods, &etcd_cluster_method_count }, { etcd_auth_methods, &etcd_auth_method_count },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(services); i++) {
		if (number < *services[i].count)
			return services[i].methods[number].path;
		number -= (unsigned)*services[i].count;
	}
	return "/grpc.health.v1.Health/Check";
}

static void put_frame(struct buffer *out, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t length)
{
	uint8_t head[9] = { (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, (uint8_t)type, (uint8_t)flags };

	head[5] = (uint8_t)(stream >> 24);
	head[6] = (uint8_t)(stream >> 16);
	head[7] = (uint8_t)(stream >> 8);
	head[8] = (uint8_t)stream;
	(void)buffer_append(out, head, sizeof(head));
	(void)buffer_append(out, payload, length);
}

/* HPACK: a literal that is not indexed, name and value as they are. */
static void put_header(struct buffer *out, const char *name, const char *value)
{
	(void)buffer_append_char(out, 0);
	(void)buffer_append_char(out, (char)strlen(name));
	(void)buffer_append_string(out, name);
	(void)buffer_append_char(out, (char)strlen(value));
	(void)buffer_append_string(out, value);
}

static void put_call(struct buffer *out, uint32_t stream, const char *path, const uint8_t *message, size_t length)
{
	struct buffer headers BUFFER_CLEANUP = { 0 }, body BUFFER_CLEANUP = { 0 };
	const uint8_t head[] = { 0, 0, (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length };

	put_header(&headers, ":method", "POST");
	put_header(&headers, ":scheme", "http");
	put_header(&headers, ":authority", "localhost");
	put_header(&headers, ":path", path);
	put_header(&headers, "content-type", "application/grpc");
	put_header(&headers, "te", "trailers");
	put_frame(out, FRAME_HEADERS, FLAG_END_HEADERS, stream, headers.data, headers.length);
	(void)buffer_append(&body, head, sizeof(head));
	(void)buffer_append(&body, message, length);
	put_frame(out, FRAME_DATA, FLAG_END_STREAM, stream, body.data, body.length);
}

/* Sends all, then its end, and reads until the server has closed. */
static void exchange(int descriptor, const char *bytes, size_t length)
{
	char answer[16384];

	for (;;) {
		struct pollfd ready = { .fd = descriptor, .events = length > 0 ? POLLIN | POLLOUT : POLLIN };
		ssize_t count;

		if (poll(&ready, 1, 20000) <= 0)
			abort(); /* the server does not go on */
		if (length > 0 && (ready.revents & POLLOUT)) {
			count = send(descriptor, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
			bytes += count > 0 ? count : 0;
			length -= count > 0 ? (size_t)count : 0;
			if (length == 0)
				(void)shutdown(descriptor, SHUT_WR);
		}
		count = recv(descriptor, answer, sizeof(answer), MSG_DONTWAIT);
		if (count == 0 || (count < 0 && errno != EAGAIN))
			return;
	}
}

static void nothing(void *argument)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer out BUFFER_CLEANUP = { 0 };
	uint32_t stream = 1;
	int pair[2];

	if (server == NULL)
		start();
	(void)buffer_append(&out, preface, sizeof(preface));
	while (size >= 3 && stream < 2 * CALLS_MAXIMUM) {
		size_t length = data[1] | (size_t)data[2] << 8;

		length = length < size - 3 ? length : size - 3;
		length = length < FRAME_MAXIMUM - 5 ? length : FRAME_MAXIMUM - 5;
		put_call(&out, stream, path_of(data[0]), data + 3, length);
		data += 3 + length;
		size -= 3 + length;
		stream += 2;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return 0;
	grpc_server_adopt(server->grpc, pair[0]);
	exchange(pair[1], out.data, out.length);
	(void)close(pair[1]);
	loop_call(loop, nothing, NULL);
	return 0;
}
