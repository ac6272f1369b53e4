/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by grpc_server.c (listening, connections, the end), grpc_call.c (one call's life), grpc_frame.c (its messages) and grpc_plain.c. */
#pragma once

#include <pthread.h>
#include <sys/queue.h>

#include "grpc/grpc_deadline.h"
#include "grpc/grpc_server.h"
#include "grpc/grpc_status.h"
#include "net/http2_connection.h"
#include "net/http2_listener.h"
#include "net/http2_output.h"
#include "net/http_server.h"

enum { GRPC_SERVER_MESSAGE = 4 * 1024 * 1024, GRPC_HEADER = 5 };

struct grpc_connection {
	LIST_ENTRY(grpc_connection) link;
	struct grpc_server *server;
	struct http2_connection *http2;
	struct grpc_identity identity;
	char *common_name, *peer;
	LIST_HEAD(, grpc_call) calls;
	TAILQ_HEAD(, grpc_call) waiting; /* unary calls whose turn comes when answers have been taken */
	size_t input;                    /* bytes of unfinished requests */
};

/*
 *   headers --> RECEIVING --unary: END_STREAM--> (waiting) --> message() --> the service's --grpc_call_finish()--> finished
 *                         --streaming: each message--> message(), then half_closed()       --> stream closed --> ended(), freed
 * Deadline, cancellation and a lost connection lead to the end from everywhere.
 */
struct grpc_call {
	LIST_ENTRY(grpc_call) link;
	TAILQ_ENTRY(grpc_call) turn;
	struct grpc_connection *connection;
	struct http2_stream *stream;
	const struct grpc_method *method;
	void *data;
	struct grpc_deadline deadline;
	struct buffer input; /* of messages not delivered */
	size_t delivered;    /* bytes of input that are done with */
	size_t owed;         /* bytes of window to give back when the call is not held any more */
	bool known;          /* the method has been told: it will be told the end */
	bool headers_sent, finished, client_finished, half_closed_told, held, waiting, delivering;
};

struct grpc_server {
	struct grpc_server_options options;
	struct grpc_method *methods; /* sorted by path */
	struct grpc_method_statistics *method_statistics;
	struct http2_listener *listener;
	struct http_server *http1;
	struct grpc_deadlines deadlines;
	LIST_HEAD(, grpc_connection) connections;
	struct grpc_statistics statistics;
	pthread_mutex_t mutex; /* guards open */
	pthread_cond_t changed;
	unsigned open;
	bool closing;
};

/* grpc_call.c */
void grpc_connection_open_stream(struct http2_connection *http2, struct http2_stream *stream, void *argument);
void grpc_call_open(struct grpc_connection *connection, struct http2_stream *stream);
void grpc_call_expired(struct grpc_deadline *deadline, void *argument);
/* Trailers, unless it is finished already. */
void grpc_call_abort(struct grpc_call *call, int status, const char *message);
/* Tells the method and frees; the stream's events must not come any more. */
void grpc_call_end(struct grpc_call *call);
/* Unary calls that waited, as long as there is room for their answers. */
void grpc_connection_serve_waiting(struct grpc_connection *connection);

/* grpc_frame.c: received bytes become messages. */
void grpc_call_receive(struct grpc_call *call, const char *bytes, size_t length);
void grpc_call_receive_end(struct grpc_call *call);
void grpc_call_deliver(struct grpc_call *call);
void grpc_call_serve_unary(struct grpc_call *call);
void grpc_call_drop_input(struct grpc_call *call);

/* grpc_plain.c: requests that are no gRPC. */
void grpc_plain_serve(struct grpc_server *server, struct http2_stream *stream);
void grpc_plain_handler(const struct http_server_request *request, struct http_server_response *response, void *argument);
