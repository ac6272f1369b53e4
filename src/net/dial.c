/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "net/socket.h"

enum dial_phase { DIAL_RESOLVE, DIAL_CONNECT, DIAL_PROXY_SEND, DIAL_PROXY_RECEIVE, DIAL_HANDSHAKE };

struct dial {
	struct dial_options options;
	struct tls_identity *identity;
	dial_function done;
	void *argument;
	enum dial_phase phase;
	uint64_t deadline_ms;
	struct loop_timer *timer;
	struct loop_watch *watch;
	struct resolver_query query;
	bool asked, started;
	unsigned address_count, address_next;
	struct ip_address addresses[RESOLVER_MAXIMUM_ADDRESSES];
	char where[IP_TEXT_SIZE + 16]; /* the address being tried */
	int descriptor;                /* until the transport has it */
	struct transport *transport;
	struct buffer output; /* the CONNECT request; may hold the proxy's password */
	struct buffer input;  /* the proxy's answer */
	struct error last_error;
};

static void advance(struct dial *dial);
static void next_address(struct dial *dial);

/* Nothing of dial may be touched afterwards: the receiver frees it. */
static void finish(struct dial *dial, struct transport *transport, const struct error *err)
{
	loop_timer_disarm(dial->timer);
	loop_watch_free(dial->watch);
	dial->watch = NULL;
	dial->done(transport, err, dial->argument);
}

static void drop_attempt(struct dial *dial)
{
	loop_watch_free(dial->watch);
	dial->watch = NULL;
	transport_free(dial->transport);
	dial->transport = NULL;
	if (dial->descriptor >= 0)
		(void)close(dial->descriptor);
	dial->descriptor = -1;
	buffer_free_secret(&dial->output);
	buffer_free(&dial->input);
}

/* last_error is set. A certificate that does not fit is the same at every address: no use to go on. */
static void attempt_failed(struct dial *dial)
{
	drop_attempt(dial);
	if (dial->last_error.class != ERROR_TRANSIENT || dial->address_next >= dial->address_count) {
		finish(dial, NULL, &dial->last_error);
		return;
	}
	next_address(dial);
}

static void on_ready(int descriptor, unsigned events, void *argument)
{
	advance(argument);
}

static void wait_for(struct dial *dial, unsigned events)
{
	int descriptor = dial->transport != NULL ? transport_descriptor(dial->transport) : dial->descriptor;

	if (dial->watch == NULL)
		dial->watch = loop_watch_new(dial->options.loop, descriptor, on_ready, dial);
	loop_watch_set(dial->watch, events);
}

/* What is left is shared evenly by the addresses not yet tried, so that a dead first one leaves time for the others. */
static void next_address(struct dial *dial)
{
	char text[IP_TEXT_SIZE];
	uint64_t left;

	while (dial->address_next < dial->address_count) {
		const struct ip_address *address = &dial->addresses[dial->address_next++];

		left = clock_until(dial->deadline_ms) / (dial->address_count - dial->address_next + 1);
		ip_format(address, text);
		ip_join_port(text, dial->options.port, dial->where, sizeof(dial->where));
		dial->phase = DIAL_CONNECT;
		dial->descriptor = socket_connect(address, dial->options.port, &dial->last_error);
		if (dial->descriptor >= 0) {
			loop_timer_arm(dial->timer, left > 0 ? left : 1);
			wait_for(dial, LOOP_WRITE);
			return;
		}
	}
	finish(dial, NULL, &dial->last_error);
}

static void resolved(const struct ip_address *addresses, unsigned count, const struct error *err, void *argument)
{
	struct dial *dial = argument;

	dial->asked = false;
	if (err != NULL) {
		finish(dial, NULL, err);
		return;
	}
	memcpy(dial->addresses, addresses, count * sizeof(*addresses));
	dial->address_count = count;
	next_address(dial);
}

static void begin(struct dial *dial)
{
	dial->started = true;
	dial->address_count = resolver_known(dial->options.resolver, dial->addresses);
	if (dial->address_count > 0) {
		next_address(dial);
		return;
	}
	dial->asked = true;
	dial->query = (struct resolver_query){ .done = resolved, .argument = dial };
	loop_timer_arm(dial->timer, dial->options.timeout_ms);
	resolver_ask(dial->options.resolver, &dial->query);
}

static void on_timer(void *argument)
{
	struct dial *dial = argument;
	char text[300];

	if (!dial->started) {
		begin(dial);
		return;
	}
	dial_describe(dial, text, sizeof(text));
	error_set(&dial->last_error, ERROR_TRANSIENT, "%s: no answer in time", text);
	if (dial->asked)
		finish(dial, NULL, &dial->last_error);
	else
		attempt_failed(dial);
}

static bool prepare_proxy(struct dial *dial)
{
	(void)buffer_printf(&dial->output, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", dial->options.authority, dial->options.authority);
	if (dial->options.proxy_authorization != NULL)
		(void)buffer_printf(&dial->output, "Proxy-Authorization: %s\r\n", dial->options.proxy_authorization);
	return buffer_append_string(&dial->output, "\r\n");
}

/* 1 done, 0 wait, -1 failed. */
static int send_proxy(struct dial *dial)
{
	while (dial->output.length > 0) {
		ssize_t count = send(dial->descriptor, dial->output.data, dial->output.length, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN) {
			wait_for(dial, LOOP_WRITE);
			return 0;
		}
		if (count < 0) {
			error_set_errno(&dial->last_error, errno, "ask proxy %s for %s", dial->options.proxy, dial->options.authority);
			dial->last_error.class = ERROR_TRANSIENT;
			return -1;
		}
		buffer_consume(&dial->output, (size_t)count);
	}
	buffer_free_secret(&dial->output);
	return 1;
}

static int proxy_answer(struct dial *dial, const char *text, size_t length)
{
	const char *line_end = memchr(text, '\r', length);
	int shown = line_end != NULL && line_end - text < 120 ? (int)(line_end - text) : 0;

	if (length >= 12 && (memcmp(text, "HTTP/1.1 2", 10) == 0 || memcmp(text, "HTTP/1.0 2", 10) == 0))
		return 1;
	return error_set(&dial->last_error, length >= 12 && memcmp(text + 8, " 407", 4) == 0 ? ERROR_FORBIDDEN : ERROR_TRANSIENT,
	                 "proxy %s refuses CONNECT %s: %.*s", dial->options.proxy, dial->options.authority, shown, text);
}

/* Read byte by byte, once in the life of a connection: what comes after the header belongs to the target. */
static int receive_proxy(struct dial *dial)
{
	char byte;
	ssize_t count;

	for (;;) {
		count = recv(dial->descriptor, &byte, 1, 0);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN) {
			wait_for(dial, LOOP_READ);
			return 0;
		}
		if (count <= 0)
			return error_set(&dial->last_error, ERROR_TRANSIENT,
			                 "proxy %s closed the connection instead of answering CONNECT %s", dial->options.proxy,
			                 dial->options.authority);
		if (dial->input.length >= DIAL_MAXIMUM_PROXY_HEADER)
			return error_set(&dial->last_error, ERROR_TRANSIENT, "proxy %s answers with more than %d bytes of header",
			                 dial->options.proxy, DIAL_MAXIMUM_PROXY_HEADER);
		(void)buffer_append_char(&dial->input, byte);
		if (byte == '\n' && string_has_suffix(dial->input.data, "\r\n\r\n"))
			return proxy_answer(dial, dial->input.data, dial->input.length);
	}
}

/* 1: go on with the next phase, 0: wait, -1: failed. */
static int step_connect(struct dial *dial)
{
	if (socket_connect_result(dial->descriptor, dial->where, &dial->last_error) != 0)
		return -1;
	if (dial->options.proxy != NULL && prepare_proxy(dial))
		dial->phase = DIAL_PROXY_SEND;
	else
		dial->phase = DIAL_HANDSHAKE;
	return 1;
}

/* 2: the transport is ready. */
static int step_handshake(struct dial *dial)
{
	if (dial->transport == NULL) {
		int descriptor = dial->descriptor;

		loop_watch_free(dial->watch);
		dial->watch = NULL;
		dial->descriptor = -1;
		if (dial->identity == NULL)
			dial->transport = transport_plain(descriptor, dial->options.authority);
		else
			dial->transport = transport_tls(descriptor, dial->identity, dial->options.server_name, dial->options.authority,
			                                &dial->last_error);
		if (dial->transport == NULL)
			return -1;
	}
	switch (transport_handshake(dial->transport, &dial->last_error)) {
	case TRANSPORT_DONE:
		break;
	case TRANSPORT_WANT_READ:
		wait_for(dial, LOOP_READ);
		return 0;
	case TRANSPORT_WANT_WRITE:
		wait_for(dial, LOOP_WRITE);
		return 0;
	default:
		return -1;
	}
	if (dial->identity != NULL && strcmp(transport_protocol(dial->transport), "h2") != 0)
		return error_set(&dial->last_error, ERROR_TRANSIENT, "%s does not offer HTTP/2 (ALPN gave \"%s\")", dial->options.authority,
		                 transport_protocol(dial->transport));
	return 2;
}

static void advance(struct dial *dial)
{
	int outcome = 1;

	while (outcome == 1) {
		switch (dial->phase) {
		case DIAL_CONNECT:
			outcome = step_connect(dial);
			break;
		case DIAL_PROXY_SEND:
			outcome = send_proxy(dial);
			if (outcome == 1)
				dial->phase = DIAL_PROXY_RECEIVE;
			break;
		case DIAL_PROXY_RECEIVE:
			outcome = receive_proxy(dial);
			if (outcome == 1)
				dial->phase = DIAL_HANDSHAKE;
			break;
		case DIAL_HANDSHAKE:
			outcome = step_handshake(dial);
			break;
		case DIAL_RESOLVE:
			return;
		}
	}
	if (outcome < 0) {
		attempt_failed(dial);
	} else if (outcome == 2) {
		struct transport *transport = dial->transport;

		dial->transport = NULL;
		finish(dial, transport, NULL);
	}
}

struct dial *dial_start(const struct dial_options *options, dial_function done, void *argument)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (dial == NULL)
		abort();
	dial->options = *options;
	dial->identity = tls_identity_ref(options->identity);
	dial->done = done;
	dial->argument = argument;
	dial->descriptor = -1;
	dial->deadline_ms = clock_monotonic_ms() + options->timeout_ms;
	dial->timer = loop_timer_new(options->loop, on_timer, dial);
	loop_timer_arm(dial->timer, 0);
	return dial;
}

void dial_free(struct dial *dial)
{
	if (dial == NULL)
		return;
	if (dial->asked)
		resolver_forget(dial->options.resolver, &dial->query);
	drop_attempt(dial);
	loop_timer_free(dial->timer);
	tls_identity_unref(dial->identity);
	free(dial);
}

void dial_describe(const struct dial *dial, char *text, size_t size)
{
	switch (dial->phase) {
	case DIAL_RESOLVE:
		(void)snprintf(text, size, "resolving the name of %s", dial->options.proxy ? dial->options.proxy : dial->options.authority);
		break;
	case DIAL_CONNECT:
		(void)snprintf(text, size, "connecting to %s%s", dial->options.proxy ? "proxy " : "", dial->where);
		break;
	case DIAL_PROXY_SEND:
	case DIAL_PROXY_RECEIVE:
		(void)snprintf(text, size, "CONNECT %s through proxy %s", dial->options.authority, dial->options.proxy);
		break;
	case DIAL_HANDSHAKE:
		(void)snprintf(text, size, "TLS handshake with %s", dial->options.authority);
		break;
	}
}
