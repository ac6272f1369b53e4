/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where clients of an HTTP/2 server come in: listening TCP and unix sockets, the TLS handshake within a deadline, and the choice between
 * HTTP/2 and HTTP/1.1 (ALPN; on plaintext by the first bytes, RFC 9113 section 3.4). What comes out is a transport ready for its protocol.
 * Connections are limited by number, handshakes under way included; out of descriptors, accepting pauses for a moment.
 *
 * Private to net/ and to the gRPC server.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "io/loop.h"
#include "net/tls.h"
#include "net/transport.h"

enum { HTTP2_LISTENER_ACCEPTS = 32 /* in one turn */, HTTP2_LISTENER_PAUSE_MS = 100 };

struct http2_listener;

struct http2_listener_options {
	struct loop *loop;
	unsigned maximum_connections;
	unsigned handshake_ms; /* from accept(2) until the protocol is known */
	/* The transport and one of the connections counted are the receiver's: transport_free(), http2_listener_release(). On the loop. */
	void (*on_http2)(struct transport *transport, const char *peer, void *argument);
	/* The transport is the receiver's; it is no longer counted. */
	void (*on_http1)(struct transport *transport, const char *peer, void *argument);
	void *argument;
};

struct http2_listener_statistics {
	unsigned connections; /* now */
	uint64_t accepted, refused, failed_handshakes;
};

struct http2_listener *http2_listener_new(const struct http2_listener_options *options);
/* "unix:PATH", "unix://PATH" or "IP:PORT". identity NULL: plaintext; a reference is taken. Any thread. */
int http2_listener_add(struct http2_listener *listener, const char *address, struct tls_identity *identity, struct error *err);
/* For handshakes to come, on every socket that has an identity. Any thread. */
void http2_listener_set_identity(struct http2_listener *listener, struct tls_identity *identity);
uint16_t http2_listener_port(const struct http2_listener *listener); /* of the first TCP socket; 0: none */
/* On the loop: as if accepted on a plaintext socket. Takes the descriptor. */
void http2_listener_adopt(struct http2_listener *listener, int descriptor, const char *peer);
void http2_listener_release(struct http2_listener *listener); /* on the loop: a connection given to on_http2 is gone */
void http2_listener_close(struct http2_listener *listener);   /* on the loop: no more connections; those in their handshake are dropped */
struct http2_listener_statistics http2_listener_statistics(const struct http2_listener *listener); /* on the loop */
void http2_listener_free(struct http2_listener *listener);                                         /* on the loop, closed before */
