/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/strings.h"
#include "net/socket.h"

enum { PEER_TEXT = IP_TEXT_SIZE + 16, SNIFF_AGAIN_MS = 50 };

struct entrance {
	LIST_ENTRY(entrance) link;
	struct http2_listener *listener;
	int descriptor;
	char *path; /* of a unix socket: removed at the end */
	struct tls_identity *identity;
	struct loop_watch *watch;
};

/* Accepted, not yet known what it speaks. */
struct guest {
	LIST_ENTRY(guest) link;
	struct http2_listener *listener;
	struct transport *transport;
	struct loop_watch *watch;
	struct loop_timer *deadline;
	struct loop_timer *again; /* plaintext, fewer bytes than decide: readiness would not wait for more */
	char peer[PEER_TEXT];
};

struct http2_listener {
	struct http2_listener_options options;
	LIST_HEAD(, entrance) entrances;
	LIST_HEAD(, guest) guests;
	struct loop_timer *pause; /* out of descriptors */
	struct http2_listener_statistics statistics;
	uint16_t port;
	bool closed;
};

static const char preface[] = "PRI * HTTP/2.0";

/* Frees what belongs to the guest; the transport may have moved on. */
static void guest_free(struct guest *guest)
{
	LIST_REMOVE(guest, link);
	loop_watch_free(guest->watch);
	loop_timer_free(guest->deadline);
	loop_timer_free(guest->again);
	transport_free(guest->transport);
	free(guest);
}

static void guest_fail(struct guest *guest)
{
	struct http2_listener *listener = guest->listener;

	guest_free(guest);
	listener->statistics.failed_handshakes++;
	http2_listener_release(listener);
}

static void guest_pass(struct guest *guest, bool http2)
{
	struct http2_listener *listener = guest->listener;
	struct transport *transport = guest->transport;
	char peer[PEER_TEXT];

	memcpy(peer, guest->peer, sizeof(peer));
	guest->transport = NULL;
	guest_free(guest);
	if (http2) {
		listener->options.on_http2(transport, peer, listener->options.argument);
	} else {
		http2_listener_release(listener);
		listener->options.on_http1(transport, peer, listener->options.argument);
	}
}

static bool has_hung_up(int descriptor)
{
	struct pollfd state = { .fd = descriptor, .events = POLLRDHUP };

	return poll(&state, 1, 0) > 0;
}

/* Looks at the first bytes without taking them. */
static void sniff(struct guest *guest)
{
	char bytes[sizeof(preface) - 1];
	ssize_t got = recv(transport_descriptor(guest->transport), bytes, sizeof(bytes), MSG_PEEK);

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		loop_watch_set(guest->watch, LOOP_READ);
	} else if (got <= 0) {
		guest_fail(guest);
	} else if (memcmp(bytes, preface, (size_t)got) != 0) {
		guest_pass(guest, false);
	} else if ((size_t)got < sizeof(bytes) && has_hung_up(transport_descriptor(guest->transport))) {
		guest_fail(guest);
	} else if ((size_t)got < sizeof(bytes)) {
		loop_watch_set(guest->watch, 0);
		loop_timer_arm(guest->again, SNIFF_AGAIN_MS);
	} else {
		guest_pass(guest, true);
	}
}

static void shake(struct guest *guest)
{
	struct error err;

	switch (transport_handshake(guest->transport, &err)) {
	case TRANSPORT_DONE:
		if (transport_is_tls(guest->transport))
			guest_pass(guest, strcmp(transport_protocol(guest->transport), "h2") == 0);
		else
			sniff(guest);
		break;
	case TRANSPORT_WANT_READ:
		loop_watch_set(guest->watch, LOOP_READ);
		break;
	case TRANSPORT_WANT_WRITE:
		loop_watch_set(guest->watch, LOOP_WRITE);
		break;
	default:
		guest_fail(guest);
		break;
	}
}

static void on_guest_ready(int descriptor, unsigned events, void *argument)
{
	shake(argument);
}

static void on_guest_again(void *argument)
{
	sniff(argument);
}

static void on_guest_deadline(void *argument)
{
	guest_fail(argument);
}

static void guest_new(struct http2_listener *listener, int descriptor, struct tls_identity *identity, const char *peer)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct error err;

	if (guest == NULL)
		abort();
	guest->listener = listener;
	memcpy(guest->peer, peer, strnlen(peer, sizeof(guest->peer) - 1));
	guest->transport = identity != NULL ? transport_tls(descriptor, identity, NULL, peer, &err) : transport_plain(descriptor, peer);
	guest->watch = loop_watch_new(listener->options.loop, descriptor, on_guest_ready, guest);
	guest->deadline = loop_timer_new(listener->options.loop, on_guest_deadline, guest);
	guest->again = loop_timer_new(listener->options.loop, on_guest_again, guest);
	LIST_INSERT_HEAD(&listener->guests, guest, link);
	listener->statistics.connections++;
	listener->statistics.accepted++;
	loop_timer_arm(guest->deadline, listener->options.handshake_ms);
	loop_watch_set(guest->watch, LOOP_READ);
}

void http2_listener_adopt(struct http2_listener *listener, int descriptor, const char *peer)
{
	if (listener->closed || listener->statistics.connections >= listener->options.maximum_connections) {
		listener->statistics.refused++;
		(void)close(descriptor);
		return;
	}
	guest_new(listener, descriptor, NULL, peer);
}

static void peer_text(const struct sockaddr_storage *address, char *text)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	char host[IP_TEXT_SIZE] = "";

	if (address->ss_family == AF_INET && inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host)) != NULL)
		ip_join_port(host, ntohs(four->sin_port), text, PEER_TEXT);
	else if (address->ss_family == AF_INET6 && inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host)) != NULL)
		ip_join_port(host, ntohs(six->sin6_port), text, PEER_TEXT);
	else
		memcpy(text, "unix", sizeof("unix"));
}

static void pause_accepting(struct http2_listener *listener)
{
	struct entrance *entrance;

	LIST_FOREACH(entrance, &listener->entrances, link)
	loop_watch_set(entrance->watch, 0);
	loop_timer_arm(listener->pause, HTTP2_LISTENER_PAUSE_MS);
}

static void on_pause_over(void *argument)
{
	struct http2_listener *listener = argument;
	struct entrance *entrance;

	LIST_FOREACH(entrance, &listener->entrances, link)
	loop_watch_set(entrance->watch, LOOP_READ);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct entrance *entrance)
{
	struct http2_listener *listener = entrance->listener;
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	char peer[PEER_TEXT] = "";
	int descriptor = accept4(entrance->descriptor, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (descriptor < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(listener);
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (listener->statistics.connections >= listener->options.maximum_connections) {
		listener->statistics.refused++;
		(void)close(descriptor);
		return true;
	}
	peer_text(&address, peer);
	if (entrance->path == NULL)
		socket_tune_accepted(descriptor);
	guest_new(listener, descriptor, entrance->identity, peer);
	return true;
}

static void on_acceptable(int descriptor, unsigned events, void *argument)
{
	for (unsigned i = 0; i < HTTP2_LISTENER_ACCEPTS && accept_one(argument); i++)
		;
}

static void start_on_loop(void *argument)
{
	struct http2_listener *listener = argument;

	listener->pause = loop_timer_new(listener->options.loop, on_pause_over, listener);
}

struct http2_listener *http2_listener_new(const struct http2_listener_options *options)
{
	struct http2_listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		abort();
	listener->options = *options;
	LIST_INIT(&listener->entrances);
	LIST_INIT(&listener->guests);
	loop_call(options->loop, start_on_loop, listener);
	return listener;
}

static void open_on_loop(void *argument)
{
	struct entrance *entrance = argument;
	struct http2_listener *listener = entrance->listener;

	if (listener->port == 0 && entrance->path == NULL)
		listener->port = socket_local_port(entrance->descriptor);
	LIST_INSERT_HEAD(&listener->entrances, entrance, link);
	entrance->watch = loop_watch_new(listener->options.loop, entrance->descriptor, on_acceptable, entrance);
	loop_watch_set(entrance->watch, LOOP_READ);
}

static int listen_at(const char *address, char **path, struct error *err)
{
	const char *colon = strrchr(address, ':');
	char *host FREE_CLEANUP = NULL;
	size_t length;
	int64_t port;

	if (string_has_prefix(address, "unix:")) {
		*path = string_dup(address + (string_has_prefix(address, "unix://") ? strlen("unix://") : strlen("unix:")));
		return socket_listen_unix(*path, err);
	}
	if (colon == NULL)
		return error_set(err, ERROR_INVALID, "listen on \"%s\": IP:PORT or unix:PATH is wanted", address);
	if (string_to_integer(colon + 1, 0, UINT16_MAX, "port", &port, err) != 0) /* 0: any free one */
		return error_wrap(err, "listen on \"%s\"", address);
	length = (size_t)(colon - address);
	host = length >= 2 && address[0] == '[' && address[length - 1] == ']' ? string_ndup(address + 1, length - 2)
	                                                                      : string_ndup(address, length);
	return socket_listen(string_equal(host, "localhost") ? "127.0.0.1" : host, (uint16_t)port, err);
}

int http2_listener_add(struct http2_listener *listener, const char *address, struct tls_identity *identity, struct error *err)
{
	char *path = NULL;
	int descriptor = listen_at(address, &path, err);
	struct entrance *entrance;

	if (descriptor < 0) {
		free(path);
		return -1;
	}
	entrance = calloc(1, sizeof(*entrance));
	if (entrance == NULL)
		abort();
	entrance->listener = listener;
	entrance->descriptor = descriptor;
	entrance->path = path;
	entrance->identity = tls_identity_ref(identity);
	loop_call(listener->options.loop, open_on_loop, entrance);
	return 0;
}

struct identity_change {
	struct http2_listener *listener;
	struct tls_identity *identity;
};

static void change_on_loop(void *argument)
{
	const struct identity_change *change = argument;
	struct entrance *entrance;

	LIST_FOREACH(entrance, &change->listener->entrances, link)
	{
		if (entrance->identity == NULL)
			continue;
		tls_identity_unref(entrance->identity);
		entrance->identity = tls_identity_ref(change->identity);
	}
}

void http2_listener_set_identity(struct http2_listener *listener, struct tls_identity *identity)
{
	struct identity_change change = { listener, identity };

	if (identity != NULL)
		loop_call(listener->options.loop, change_on_loop, &change);
}

uint16_t http2_listener_port(const struct http2_listener *listener)
{
	return listener->port;
}

void http2_listener_release(struct http2_listener *listener)
{
	listener->statistics.connections--;
}

struct http2_listener_statistics http2_listener_statistics(const struct http2_listener *listener)
{
	return listener->statistics;
}

void http2_listener_close(struct http2_listener *listener)
{
	struct entrance *entrance;

	listener->closed = true;
	while ((entrance = LIST_FIRST(&listener->entrances)) != NULL) {
		LIST_REMOVE(entrance, link);
		loop_watch_free(entrance->watch);
		(void)close(entrance->descriptor);
		if (entrance->path != NULL)
			(void)unlink(entrance->path);
		tls_identity_unref(entrance->identity);
		free(entrance->path);
		free(entrance);
	}
	while (!LIST_EMPTY(&listener->guests)) {
		guest_free(LIST_FIRST(&listener->guests));
		http2_listener_release(listener);
	}
}

void http2_listener_free(struct http2_listener *listener)
{
	loop_timer_free(listener->pause);
	free(listener);
}
