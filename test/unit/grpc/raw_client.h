/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC client for tests that controls every frame: one plaintext HTTP/2 connection on nghttp2, no threads, nothing happens but inside
 * raw_run(). Shares no code with the server. Failures of its own end the test program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct raw_stream {
	struct raw_stream *next;
	int32_t id;
	struct buffer sending;
	size_t sent; /* of it */
	bool send_end, deferred;
	/* Seen: */
	bool headers, ended, closed;  /* ended: END_STREAM came */
	int http_status, grpc_status; /* -1: none */
	char message[512];            /* grpc-message as it was sent */
	uint32_t code;                /* of the close */
	struct buffer body;
};

struct raw_client {
	int descriptor;
	void *session;
	struct raw_stream *streams;
	bool closed, goaway, hold_windows; /* hold_windows: nothing is given back to the server's windows */
	uint32_t goaway_code;
	char goaway_text[64];
	unsigned pongs, pings;
};

struct raw_client *raw_connect(uint16_t port);
struct raw_client *raw_connect_window(uint16_t port, uint32_t stream_window);
void raw_close(struct raw_client *client); /* at once, without GOAWAY */
/* timeout: text of grpc-timeout or NULL; extra: one more "name: value" pair or NULL. */
struct raw_stream *raw_open(struct raw_client *client, const char *path, const char *timeout, const char *name, const char *value);
struct raw_stream *raw_open_with(struct raw_client *client, const char *method, const char *path, const char *content_type);
void raw_send(struct raw_stream *stream, struct raw_client *client, const void *bytes, size_t length, bool end);
void raw_send_message(struct raw_stream *stream, struct raw_client *client, const void *message, size_t length, bool end);
void raw_reset(struct raw_stream *stream, struct raw_client *client, uint32_t code);
void raw_ping(struct raw_client *client);
void raw_release(struct raw_client *client, struct raw_stream *stream, size_t bytes); /* hold_windows: gives back */
/* Exchanges bytes until `done` says so or the time is over; returns done(). */
bool raw_run(struct raw_client *client, bool (*done)(const struct raw_client *client, const void *argument), const void *argument,
             unsigned milliseconds);
bool raw_run_stream(struct raw_client *client, const struct raw_stream *stream); /* until it is closed; 10 s at most */
void raw_idle(struct raw_client *client, unsigned milliseconds);
/* The n-th message of the body; NULL when there is none. */
const char *raw_message(const struct raw_stream *stream, unsigned n, size_t *length);
