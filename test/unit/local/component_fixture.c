/* SPDX-License-Identifier: Apache-2.0 */
#include "component_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/strings.h"
#include "io/file.h"

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	abort();
}

char *fixture_folder(void)
{
	const char *base = getenv("TMPDIR");
	char *folder = string_printf("%s/kamaji-test-XXXXXX", base != NULL ? base : "/tmp");

	must(mkdtemp(folder) != NULL, "mkdtemp");
	return folder;
}

void fixture_remove(char *folder)
{
	struct error err;

	must(file_remove_tree(folder, &err) == 0, folder);
	free(folder);
}

void fixture_write(const char *folder, const char *name, const void *bytes, size_t length)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, name);
	struct error err;

	must(file_write_atomic(path, bytes, length, 0644, &err) == 0, path);
}

bool fixture_exists(const char *folder, const char *name)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, name);

	return access(path, F_OK) == 0;
}

char *fixture_read(const char *folder, const char *name)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, name);
	struct buffer text = { 0 };
	struct error err;

	must(file_read(path, 64 * 1024 * 1024, &text, &err) == 0, path);
	return buffer_take(&text);
}

void fixture_tar_member(struct buffer *out, const char *path, char type, const void *bytes, size_t length)
{
	char header[512] = { 0 };
	static const char zeros[512];
	unsigned sum = 0;

	must(strlen(path) <= 100, "fixture path");
	memcpy(header, path, strlen(path));
	(void)snprintf(header + 100, 8, "%07o", 0755);
	(void)snprintf(header + 108, 8, "%07o", 0);
	(void)snprintf(header + 116, 8, "%07o", 0);
	(void)snprintf(header + 124, 12, "%011zo", length);
	(void)snprintf(header + 136, 12, "%011o", 0);
	header[156] = type;
	memcpy(header + 257, "ustar\00000", 8);
	memset(header + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(header); i++)
		sum += (unsigned char)header[i];
	(void)snprintf(header + 148, 8, "%06o", sum);
	header[155] = ' ';
	buffer_append(out, header, sizeof(header));
	buffer_append(out, bytes, length);
	buffer_append(out, zeros, (512 - length % 512) % 512);
}

void fixture_tar_end(struct buffer *out)
{
	static const char zeros[1024];

	buffer_append(out, zeros, sizeof(zeros));
}

void fixture_gzip(const struct buffer *in, struct buffer *out)
{
	z_stream stream = { 0 };
	uLong bound;
	char *room;

	must(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
	bound = deflateBound(&stream, in->length) + 64;
	room = buffer_reserve(out, bound);
	stream.next_in = (unsigned char *)in->data;
	stream.avail_in = (unsigned)in->length;
	stream.next_out = (unsigned char *)room;
	stream.avail_out = (unsigned)bound;
	must(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate");
	out->length += stream.total_out;
	(void)deflateEnd(&stream);
}

static void send_all(int client, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t sent = send(client, at, length, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		at += sent;
		length -= (size_t)sent;
	}
}

static void reply_body(struct fixture_server *server, int client, const char *request, bool head)
{
	const char *range = strstr(request, "Range: bytes=");
	size_t from = range != NULL && !server->ignore_range ? strtoul(range + strlen("Range: bytes="), NULL, 10) : 0;
	char header[256];
	size_t send_length;

	if (!head)
		atomic_fetch_add(&server->requests, 1);
	if (!head && range != NULL)
		atomic_fetch_add(&server->ranged, 1);
	if (from > server->length || (from == server->length && range != NULL && !server->ignore_range)) {
		static const char out_of_range[] = "HTTP/1.1 416 Range\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

		send_all(client, out_of_range, strlen(out_of_range));
		return;
	}
	(void)snprintf(header, sizeof(header), "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
	               from > 0 ? "206 Partial Content" : "200 OK", server->length - from);
	send_all(client, header, strlen(header));
	if (head)
		return;
	send_length = server->length - from;
	if (server->cut_after != 0 && send_length > server->cut_after)
		send_length = server->cut_after;
	send_all(client, server->body + from, send_length);
}

static void reply_text(int client, const char *status, const char *text)
{
	FREE_CLEANUP char *reply =
		string_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status, strlen(text), text);

	send_all(client, reply, strlen(reply));
}

static bool asks_for(const char *request, const char *path)
{
	const char *at = strchr(request, ' ');

	return path != NULL && at != NULL && strncmp(at + 1, path, strlen(path)) == 0 && at[1 + strlen(path)] == ' ';
}

static void serve(struct fixture_server *server, int client)
{
	char request[4096] = { 0 };
	size_t length = 0;

	while (length < sizeof(request) - 1 && strstr(request, "\r\n\r\n") == NULL) {
		ssize_t got = recv(client, request + length, sizeof(request) - 1 - length, 0);

		if (got <= 0)
			return;
		length += (size_t)got;
		request[length] = '\0';
	}
	if (asks_for(request, server->path))
		reply_body(server, client, request, strncmp(request, "HEAD ", 5) == 0);
	else if (asks_for(request, server->sums_path))
		reply_text(client, "200 OK", server->sums);
	else
		reply_text(client, "404 Not Found", "");
}

static void *run(void *argument)
{
	struct fixture_server *server = argument;

	while (!atomic_load(&server->stop)) {
		struct pollfd ready = { .fd = server->listener, .events = POLLIN };
		int client;

		if (poll(&ready, 1, 20) <= 0)
			continue;
		client = accept(server->listener, NULL, NULL);
		if (client < 0)
			continue;
		serve(server, client);
		(void)shutdown(client, SHUT_RDWR);
		(void)close(client);
	}
	return NULL;
}

void fixture_server_start(struct fixture_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(server->listener >= 0 && bind(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	             listen(server->listener, 16) == 0 && getsockname(server->listener, (struct sockaddr *)&address, &length) == 0,
	     "listen");
	server->port = ntohs(address.sin_port);
	must(pthread_create(&server->thread, NULL, run, server) == 0, "pthread_create");
}

void fixture_server_stop(struct fixture_server *server)
{
	atomic_store(&server->stop, true);
	(void)pthread_join(server->thread, NULL);
	(void)close(server->listener);
}
