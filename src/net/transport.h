/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected, non-blocking byte stream: plain TCP or TLS. One thread at a time. Private to net/. After TRANSPORT_FAILED only
 * transport_free() makes sense.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "net/tls.h"

enum transport_result {
	TRANSPORT_DONE,
	TRANSPORT_WANT_READ,
	TRANSPORT_WANT_WRITE,
	TRANSPORT_CLOSED, /* the peer ended its side in good order (read only) */
	TRANSPORT_FAILED, /* err is set */
};

struct transport;

/* Takes the descriptor, also on failure. `peer` ("host:port") is for error texts. */
struct transport *transport_plain(int descriptor, const char *peer);
/* Client side when server_name is given (a name or an IP, verified), else server side. Then call transport_handshake(). */
struct transport *transport_tls(int descriptor, struct tls_identity *identity, const char *server_name, const char *peer,
                                struct error *err);
void transport_free(struct transport *transport); /* sends close_notify when it can, closes the descriptor */
int transport_descriptor(const struct transport *transport);

enum transport_result transport_handshake(struct transport *transport, struct error *err);
/* After the handshake: "h2", "http/1.1" or "" (none, or plain). */
const char *transport_protocol(const struct transport *transport);

bool transport_is_tls(const struct transport *transport);
/*
 * Server role, after the handshake: true when the client presented a certificate, which was verified; *common_name is its subject's last CN
 * (free(); "" when it has none). Works once.
 */
bool transport_take_identity(struct transport *transport, char **common_name);

enum transport_result transport_read(struct transport *transport, void *bytes, size_t size, size_t *got, struct error *err);
/* *written may be less than length with TRANSPORT_DONE. */
enum transport_result transport_write(struct transport *transport, const void *bytes, size_t length, size_t *written, struct error *err);
/* Bytes were taken from the socket and not yet given out: read again without waiting for readiness. */
bool transport_has_pending(const struct transport *transport);
