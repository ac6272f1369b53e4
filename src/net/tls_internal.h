/* SPDX-License-Identifier: Apache-2.0 */
/* What net/transport.c needs of an identity, and the texts of failed handshakes. Private to net/. */
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_record.h"

/* What a handshake found wrong with the peer's certificate; filled by the verify callback through SSL_set_app_data(). */
struct tls_verification {
	const char *peer;           /* "host:port" for texts; borrowed */
	const char *wanted;         /* name or IP to verify */
	struct error error;         /* class NONE while nothing is wrong */
	struct tls_secrets secrets; /* server only */
};

SSL_CTX *tls_identity_context(struct tls_identity *identity);
bool tls_identity_wants_http1(const struct tls_identity *identity);

int tls_verify_callback(int good, X509_STORE_CTX *store);
/*
 * Sets the error of a failed SSL call from the verification, the peer's alert or OpenSSL's queue (which is emptied). `doing` is
 * "TLS handshake with host:port".
 */
int tls_set_error(struct error *err, const struct tls_verification *verification, int ssl_error, int saved_errno, const char *doing);
