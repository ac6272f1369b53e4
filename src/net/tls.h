/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS identities: what we present and whom we trust, read once from PEM into an immutable, shared OpenSSL context. Credentials rotate by
 * building a new identity and swapping the pointer (http_client_set_identity()); connections made before keep theirs alive by reference.
 * TLS 1.2 and later, ALPN "h2". Peers are always verified: there is no "insecure".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct tls_identity;

enum { TLS_MAXIMUM_PEM_BYTES = 1024 * 1024 }; /* of each PEM text */

/* PEM texts are borrowed during the call only. A length of 0 with a non-NULL pointer means strlen(). */
struct tls_client_options {
	const char *ca_pem; /* the authorities trusted, one or many; NULL: the system's store */
	size_t ca_pem_length;
	const char *certificate_pem; /* ours, with intermediates after it; NULL: none is presented */
	size_t certificate_pem_length;
	const char *key_pem; /* belongs to certificate_pem: PKCS#1, SEC 1 or PKCS#8, not encrypted */
	size_t key_pem_length;
};

struct tls_server_options {
	const char *certificate_pem, *key_pem;
	size_t certificate_pem_length, key_pem_length;
	const char *client_ca_pem; /* NULL: clients are not asked for a certificate */
	size_t client_ca_pem_length;
	bool require_client_certificate;
	bool http1; /* ALPN "http/1.1" alone; else "h2" is preferred, and what was chosen decides who serves */
};

/*
 * A new identity with one reference, or NULL: ERROR_INVALID when a PEM cannot be read (the text says which: "CA bundle", "client
 * certificate", "client key") or when key and certificate do not match. Whether a certificate has expired is not looked at here: the
 * peer decides.
 */
struct tls_identity *tls_client_identity_new(const struct tls_client_options *options, struct error *err);
struct tls_identity *tls_server_identity_new(const struct tls_server_options *options, struct error *err);
struct tls_identity *tls_identity_ref(struct tls_identity *identity); /* any thread; NULL gives NULL */
void tls_identity_unref(struct tls_identity *identity);               /* any thread; NULL is fine */

/*
 * Failed handshakes set error.reason to one of these (class ERROR_FORBIDDEN: only other credentials or time help, retry slowly), and a
 * message with the facts: "certificate of api.example:6443 has expired on 2027-01-02T03:04:05Z (subject CN=kube-apiserver)",
 * "... is signed by an authority that is not in the CA bundle (issuer CN=kubernetes-ca)", "... is valid for kubernetes, 10.96.0.1, not for
 * 10.0.0.7", "peer refused our certificate: certificate expired". Everything else is ERROR_TRANSIENT.
 */
#define TLS_REASON_EXPIRED "CertificateExpired"
#define TLS_REASON_NOT_YET_VALID "CertificateNotYetValid"
#define TLS_REASON_UNKNOWN_AUTHORITY "CertificateUnknownAuthority"
#define TLS_REASON_NAME_MISMATCH "CertificateNameMismatch"
#define TLS_REASON_INVALID "CertificateInvalid"
#define TLS_REASON_REFUSED "CertificateRefusedByPeer"

static inline void tls_identity_cleanup(struct tls_identity **identity)
{
	tls_identity_unref(*identity);
}
#define TLS_IDENTITY_CLEANUP __attribute__((cleanup(tls_identity_cleanup)))
