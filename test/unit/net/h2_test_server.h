/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/2 server for tests that misbehaves on demand, written on nghttp2 directly so that it shares no code with what it tests. One
 * thread per connection. The path chooses the behaviour; NAME?n=NUMBER gives a number where one is used:
 *
 *   /ok              200, body "hello"                    /echo          200, the request's body
 *   /header?n=x      200, the value of request header x   /big?n=        200, that many bytes 'x'
 *   /status?n=       that status, empty body              /trailers      200, body "body", trailer x-end: yes
 *   /goaway-refuse?n= the first n requests: GOAWAY below the stream, then as /ok
 *   /goaway-mid      header, 5 bytes, GOAWAY at the stream, then closes
 *   /refuse?n=       the first n requests: RST_STREAM REFUSED_STREAM, then as /ok
 *   /reset           RST_STREAM INTERNAL_ERROR            /stall         never answers
 *   /truncate        content-length 100, 10 bytes, closes /huge-header?n= a header field of n bytes
 *   /trickle?n=      n bytes, one every 10 ms             /watch         header, "one\n", then open until cancelled
 *   /freeze          stops reading and writing for good   /early         200 with END_STREAM before the body has come, RST NO_ERROR
 *   /garbage         bytes that are no HTTP/2             /close         closes without an answer
 *   /flood?n=        header, then n bytes as fast as the window allows, and stays open
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct h2_test_server;

struct h2_test_options {
	const char *certificate_pem, *key_pem, *client_ca_pem; /* certificate NULL: plaintext */
	unsigned maximum_streams;                              /* 0: 100 */
	const char *alpn;                                      /* NULL: "h2" */
	/* When set, answers every POST instead of the table above: grpc tests. body is the request's; returns text to free() and its length. */
	char *(*answer)(const char *path, const char *body, size_t length, size_t *answer_length, int *grpc_status,
	                const char **grpc_message);
};

struct h2_test_server *h2_test_server_start(const struct h2_test_options *options);
void h2_test_server_stop(struct h2_test_server *server);
uint16_t h2_test_server_port(const struct h2_test_server *server);
unsigned h2_test_server_connections(struct h2_test_server *server); /* accepted so far */
unsigned h2_test_server_open(struct h2_test_server *server);        /* open now */
unsigned h2_test_server_requests(struct h2_test_server *server);    /* header blocks seen */
unsigned h2_test_server_cancels(struct h2_test_server *server);     /* RST_STREAM CANCEL received */
unsigned h2_test_server_flooded(struct h2_test_server *server);     /* bytes of /flood given out */
