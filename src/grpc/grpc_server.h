/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC calls served on HTTP/2 connections (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). One method table for all connections;
 * every function runs on the loop and none waits. A call lives from its headers to `ended`, which is always the last function called and is
 * called exactly once for every call that a method of the table has seen (with `started` or `message`).
 *
 * Refused without asking a method, in grpc-go's words: unknown methods (UNIMPLEMENTED), compressed messages (UNIMPLEMENTED), messages above
 * the limit (RESOURCE_EXHAUSTED), calls past their deadline (DEADLINE_EXCEEDED). GET and HEAD requests that are no gRPC, in HTTP/1.1 or
 * HTTP/2, go to options.http.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/loan.h"
#include "io/loop.h"
#include "net/tls.h"

enum {
	GRPC_SERVER_CONNECTIONS = 20000,
	GRPC_SERVER_STREAMS = 10000,
	GRPC_SERVER_PING_IDLE_MS = 60 * 1000,
	GRPC_SERVER_PING_ANSWER_MS = 20 * 1000,
	GRPC_SERVER_PING_MINIMUM_MS = 5 * 1000,   /* etcd's MinTime: three PINGs that come earlier are abuse */
	GRPC_SERVER_HANDSHAKE_MS = 20 * 1000,     /* from accept(2) to the first bytes of HTTP */
	GRPC_SERVER_METADATA = 16 * 1024,         /* bytes of a call's header block */
	GRPC_CALL_QUEUE = 512 * 1024,             /* a stream should stop sending when more is queued; `drained` follows at a quarter */
	GRPC_CONNECTION_QUEUE = 64 * 1024 * 1024, /* answers not taken by a client; above it its unary calls wait for their turn */
	GRPC_CONNECTION_INPUT = 64 * 1024 * 1024, /* unfinished requests of one connection; above it they are refused */
};

struct grpc_server;
struct grpc_call;

struct grpc_method {
	const char *path; /* "/etcdserverpb.KV/Range" */
	/*
	 * One whole message; the bytes are borrowed. A unary method gets exactly one, after the client has sent everything. A streaming one gets each as it
	 * comes; while grpc_call_hold() holds it back, the client's window closes.
	 */
	void (*message)(struct grpc_call *call, const char *bytes, size_t length, void *argument);
	void (*started)(struct grpc_call *call, void *argument);     /* streaming only, may be NULL: headers came */
	void (*half_closed)(struct grpc_call *call, void *argument); /* streaming only, may be NULL: the client will send nothing more */
	void (*drained)(struct grpc_call *call, void *argument); /* may be NULL: after more than GRPC_CALL_QUEUE, a quarter of it is left */
	void (*ended)(struct grpc_call *call, void *argument);   /* may be NULL: the call is over for whatever reason; free its data */
	void *argument;                                          /* of every function above */
	bool streaming;                                          /* the client sends a stream */
};

/* Read once, after the handshake; lives as long as the connection. */
struct grpc_identity {
	bool verified;           /* a client certificate was presented and verified */
	const char *common_name; /* its subject's CN, "" when it has none */
};

/* Zero means the default. Methods are copied, their paths are borrowed. */
struct grpc_server_options {
	struct loop *loop;
	const struct grpc_method *methods;
	size_t method_count;
	size_t maximum_message;       /* bytes of a request; larger ones are refused by number; 0: 4 MiB, as grpc-go */
	unsigned maximum_connections; /* 0: GRPC_SERVER_CONNECTIONS; also while they are in their handshake */
	unsigned maximum_streams;     /* of one connection; 0: GRPC_SERVER_STREAMS */
	unsigned ping_idle_ms;        /* silent for so long: PING; 0: GRPC_SERVER_PING_IDLE_MS */
	unsigned ping_answer_ms;      /* no byte came so long after it: dead; 0: GRPC_SERVER_PING_ANSWER_MS */
	unsigned handshake_ms;        /* 0: GRPC_SERVER_HANDSHAKE_MS */
	/* Plain HTTP on the same port for health, version and metrics: returns the status. On the loop. May be NULL: everything is 404. */
	int (*http)(const char *path, const char *query, struct buffer *body, const char **content_type, void *argument);
	void *http_argument;
};

/* Counted since the start, but for the first two. */
struct grpc_statistics {
	unsigned connections, calls;                                                                          /* now */
	uint64_t accepted, refused_connections, failed_handshakes, started_calls, received_bytes, sent_bytes; /* bytes of messages */
};

/* What became of the calls of one method, by gRPC status; a client that left counts as CANCELLED. */
enum { GRPC_STATUSES = 17 };
struct grpc_method_statistics {
	const struct grpc_method *method;
	uint64_t started, handled[GRPC_STATUSES];
};

struct grpc_server *grpc_server_new(const struct grpc_server_options *options);
/*
 * identity NULL: plaintext. "unix:PATH" (a socket that nobody listens on is replaced; removed at the end) or "IP:PORT". ERROR_EXISTS when
 * another process listens there. May be called several times. Any thread but the loop's.
 */
int grpc_server_listen(struct grpc_server *server, const char *address, struct tls_identity *identity, struct error *err);
/* For connections to come, on all listeners that have one. Any thread. */
void grpc_server_set_identity(struct grpc_server *server, struct tls_identity *identity);
uint16_t grpc_server_port(const struct grpc_server *server); /* of the first TCP listener */
/* A connection that was accepted elsewhere, plaintext; takes the descriptor (non-blocking). For tests and fuzzing; any thread. */
void grpc_server_adopt(struct grpc_server *server, int descriptor);
struct grpc_statistics grpc_server_statistics(struct grpc_server *server); /* any thread */
/* One for every method, sorted by path; lives as long as the server. On the loop. */
const struct grpc_method_statistics *grpc_server_method_statistics(const struct grpc_server *server, size_t *count);
/*
 * No new connections, GOAWAY to all; streams end as they will. After grace_ms those left are ended with UNAVAILABLE and everything is closed.
 * Any thread but the loop's.
 */
void grpc_server_free(struct grpc_server *server, unsigned grace_ms);

void grpc_call_set_data(struct grpc_call *call, void *data);
void *grpc_call_data(const struct grpc_call *call);
const struct grpc_identity *grpc_call_identity(const struct grpc_call *call);
const char *grpc_call_peer(const struct grpc_call *call);                       /* "10.0.0.1:40102" or "unix"; for people */
const char *grpc_call_metadata(const struct grpc_call *call, const char *name); /* lower-case name; NULL when absent */
/* Milliseconds of clock_monotonic_ms() at which the client gives up; UINT64_MAX when it did not say. */
uint64_t grpc_call_deadline(const struct grpc_call *call);
/* Streaming: no further `message` (nor `half_closed`) until released; what has come waits, and the client's window closes. */
void grpc_call_hold(struct grpc_call *call, bool hold);

/* Response headers go out with the first message, or now: clients of streams may wait for them. */
void grpc_call_begin(struct grpc_call *call);
void grpc_call_send(struct grpc_call *call, const void *message, size_t length);
/* The same without a copy when it is large: takes the bytes, the buffer is empty afterwards. */
void grpc_call_send_buffer(struct grpc_call *call, struct buffer *message);
/* The same from where the bytes lie; takes the loan, in every case. */
void grpc_call_send_loan(struct grpc_call *call, struct loan *loan);
/* A message in parts that are written one after the other: `length` is of all; then append exactly so many bytes. */
void grpc_call_send_begin(struct grpc_call *call, size_t length);
void grpc_call_send_part(struct grpc_call *call, const void *bytes, size_t length);
size_t grpc_call_queued(const struct grpc_call *call); /* bytes the client has not taken yet */
/*
 * Trailers; no function of the call may be used afterwards but `ended` follows, never from inside this one. status 0: message is not used
 * (NULL is fine).
 */
void grpc_call_finish(struct grpc_call *call, int status, const char *message);
