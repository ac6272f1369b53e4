/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC calls served on HTTP/2 connections (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). One method table for all connections;
 * every function runs on the loop and none waits. A call lives from its headers to `ended`, which is always the last function called.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/loop.h"
#include "net/tls.h"

struct grpc_server;
struct grpc_call;

struct grpc_method {
	const char *path; /* "/etcdserverpb.KV/Range" */
	/*
	 * One whole message; the bytes are borrowed. A unary method gets exactly one, after the client has sent everything. A streaming one gets each as it
	 * comes; while grpc_call_hold() holds it back, the client's window closes.
	 */
	void (*message)(struct grpc_call *call, const char *bytes, size_t length, void *argument);
	void (*started)(struct grpc_call *call, void *argument); /* streaming only, may be NULL: headers came */
	void (*half_closed)(struct grpc_call *call, void *argument); /* streaming only, may be NULL: the client will send nothing more */
	void (*drained)(struct grpc_call *call, void *argument); /* may be NULL: what was queued has gone down to a quarter of the limit */
	void (*ended)(struct grpc_call *call, void *argument); /* may be NULL: the call is over for whatever reason; free its data */
	void *argument;
	bool streaming; /* the client sends a stream */
};

struct grpc_identity {
	bool verified;           /* a client certificate was presented and verified */
	const char *common_name; /* its subject's CN, "" when it has none */
};

struct grpc_server_options {
	struct loop *loop;
	const struct grpc_method *methods;
	size_t method_count;
	size_t maximum_message;     /* bytes of a request; larger ones are refused by number */
	unsigned maximum_connections; /* 0: 20000 */
	unsigned maximum_streams;   /* of one connection; 0: 10000 */
	unsigned ping_idle_ms;      /* silent for so long: PING; 0: 60000 */
	/* Plain HTTP on the same port for health, version and metrics; may be NULL. */
	int (*http)(const char *path, const char *query, struct buffer *body, const char **content_type, void *argument);
	void *http_argument;
};

struct grpc_server *grpc_server_new(const struct grpc_server_options *options);
/* identity NULL: plaintext. "unix:PATH" or "HOST:PORT". Any thread but the loop's. */
int grpc_server_listen(struct grpc_server *server, const char *address, struct tls_identity *identity, struct error *err);
void grpc_server_set_identity(struct grpc_server *server, struct tls_identity *identity); /* for connections to come */
uint16_t grpc_server_port(const struct grpc_server *server); /* of the first TCP listener */
/* GOAWAY to all, streams end as they will, then everything is closed after grace_ms. Any thread but the loop's. */
void grpc_server_free(struct grpc_server *server, unsigned grace_ms);

void grpc_call_set_data(struct grpc_call *call, void *data);
void *grpc_call_data(const struct grpc_call *call);
const struct grpc_identity *grpc_call_identity(const struct grpc_call *call);
const char *grpc_call_metadata(const struct grpc_call *call, const char *name); /* NULL when absent */
/* Milliseconds of clock_monotonic_ms() at which the client gives up; UINT64_MAX when it did not say. */
uint64_t grpc_call_deadline(const struct grpc_call *call);

/* Response headers go out with the first message, or now: clients of streams may wait for them. */
void grpc_call_begin(struct grpc_call *call);
void grpc_call_send(struct grpc_call *call, const void *message, size_t length);
/* A message in parts that are written one after the other: `length` is of all; then append exactly so many bytes. */
void grpc_call_send_begin(struct grpc_call *call, size_t length);
void grpc_call_send_part(struct grpc_call *call, const void *bytes, size_t length);
size_t grpc_call_queued(const struct grpc_call *call); /* bytes the client has not taken yet */
/* Trailers; no function of the call may be used afterwards but `ended` follows. status 0: message is not used. */
void grpc_call_finish(struct grpc_call *call, int status, const char *message);
