/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/strings.h"
#include "grpc/grpc_server_internal.h"

enum { PATH_MAXIMUM = 4096 };

static int ask(struct grpc_server *server, const char *path, const char *query, struct buffer *body, const char **content_type)
{
	if (server->options.http != NULL)
		return server->options.http(path, query, body, content_type, server->options.http_argument);
	(void)buffer_append_string(body, "404 page not found\n");
	return 404;
}

void grpc_plain_handler(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	response->status = ask(argument, request->path, request->query, &response->body, &response->content_type);
}

static void on_close(struct http2_stream *stream, const struct error *err, bool unprocessed, void *argument)
{
}

static const struct http2_stream_events events = { .on_close = on_close };

static void respond(struct http2_stream *stream, int status, const char *type, struct buffer *body, bool head)
{
	char number[12], length[24];
	const struct http_header headers[] = {
		{ ":status", number, false },
		{ "content-type", type != NULL ? type : "text/plain; charset=utf-8", false },
		{ "content-length", length, false },
		{ "x-content-type-options", "nosniff", false },
	};
	bool empty = head || body->length == 0;

	(void)snprintf(number, sizeof(number), "%d", status);
	(void)snprintf(length, sizeof(length), "%zu", body->length);
	http2_stream_respond(stream, headers, ARRAY_LENGTH(headers), empty);
	if (!empty)
		http2_stream_send_buffer(stream, body, true);
}

void grpc_plain_serve(struct grpc_server *server, struct http2_stream *stream)
{
	const struct http_headers *headers = http2_stream_headers(stream);
	const char *method = http_headers_get(headers, ":method"), *path = http_headers_get(headers, ":path"), *type = NULL;
	struct buffer body BUFFER_CLEANUP = { 0 };
	bool head = string_equal(method, "HEAD");
	char target[PATH_MAXIMUM];
	size_t length;
	int status;

	http2_stream_listen(stream, &events, NULL);
	path = path != NULL ? path : "";
	if (!head && !string_equal(method, "GET")) {
		status = string_equal(method, "POST") ? 415 : 405;
		(void)buffer_printf(&body, "%s\n", status == 415 ? "invalid gRPC request content-type" : "method not allowed");
	} else if (path[0] != '/' || strlen(path) >= sizeof(target)) {
		status = path[0] != '/' ? 400 : 414;
		(void)buffer_append_string(&body, "the path cannot be served\n");
	} else {
		length = strcspn(path, "?");
		memcpy(target, path, length);
		target[length] = '\0';
		status = ask(server, target, path[length] == '?' ? path + length + 1 : "", &body, &type);
	}
	respond(stream, status, type, &body, head);
}
