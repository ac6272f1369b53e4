/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of TLS 1.3 after the handshake (RFC 8446 sections 5 and 7): OpenSSL does the handshake and every cipher, and its session object
 * with its certificates, key shares and buffers (about 16 KB) is freed when the traffic secrets are known. What stays is the secrets, two
 * cipher contexts and, only while a record is incomplete or unsent, its bytes. Several records are written with one system call.
 *
 * Handled after the handshake: application data, alerts, KeyUpdate (of the peer and, before the limit of section 5.5, ours). Everything
 * else ends the connection with an alert. One thread at a time. Private to net/.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/transport.h"

enum {
	TLS_RECORD_PLAIN = 16 * 1024,                  /* bytes of one record before encryption */
	TLS_RECORD_OVERHEAD = 5 + 1 + 16,              /* header, inner type, tag */
	TLS_RECORD_ENCRYPTED = TLS_RECORD_PLAIN + 256, /* longest body that may be received */
	TLS_RECORD_KEY_LIMIT = 1 << 23,                /* records with one write key; AES-GCM allows 2^24.5 */
	TLS_SECRET_MAXIMUM = 48,
};

/* The traffic secrets, as OpenSSL tells them to a key log callback. Zero them after use. */
struct tls_secrets {
	uint8_t client[TLS_SECRET_MAXIMUM], server[TLS_SECRET_MAXIMUM];
	size_t client_length, server_length;
};

struct tls_record;

/* For SSL_CTX_set_keylog_callback(): reads a line into secrets; others are passed over. */
void tls_secrets_take(struct tls_secrets *secrets, const char *line);

/*
 * Goes on where the session, a server's, stands after its handshake. NULL when it must be kept: another version than 1.3, or bytes already
 * taken from the socket. The session may be freed afterwards.
 */
struct tls_record *tls_record_new(SSL *ssl, const struct tls_secrets *secrets);
void tls_record_free(struct tls_record *record);
/* As transport_read() and transport_write(); `peer` is for texts. */
enum transport_result tls_record_read(struct tls_record *record, int descriptor, const char *peer, void *bytes, size_t size, size_t *got,
                                      struct error *err);
enum transport_result tls_record_write(struct tls_record *record, int descriptor, const char *peer, const void *bytes, size_t length,
                                       size_t *written, struct error *err);
bool tls_record_has_pending(const struct tls_record *record);
void tls_record_close(struct tls_record *record, int descriptor); /* close_notify, when nothing is unsent */
