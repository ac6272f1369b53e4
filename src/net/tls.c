/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_internal.h"

struct tls_identity {
	atomic_uint references;
	SSL_CTX *context;
	bool http1;
};

static const unsigned char alpn_http2[] = { 2, 'h', '2' };
static const unsigned char alpn_both[] = { 2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };
static const unsigned char alpn_http1[] = { 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };

static void context_cleanup(SSL_CTX **context)
{
	SSL_CTX_free(*context);
}
static void bio_cleanup(BIO **bio)
{
	BIO_free(*bio);
}
static void key_cleanup(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
static void certificate_cleanup(X509 **certificate)
{
	X509_free(*certificate);
}
#define CLEANUP(function) __attribute__((cleanup(function)))

static const char *queue_text(char *text, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	if (reason != NULL)
		(void)snprintf(text, size, "%s", reason);
	else
		(void)snprintf(text, size, "error %lx", code);
	ERR_clear_error();
	return text;
}

static BIO *pem_open(const char *pem, size_t length, const char *what, struct error *err)
{
	BIO *bio;

	if (length == 0)
		length = strlen(pem);
	if (length > TLS_MAXIMUM_PEM_BYTES) {
		error_set(err, ERROR_EXHAUSTED, "%s: more than %d bytes", what, TLS_MAXIMUM_PEM_BYTES);
		return NULL;
	}
	bio = BIO_new_mem_buf(pem, (int)length);
	if (bio == NULL)
		abort();
	return bio;
}

/* True when PEM_read stopped because nothing more is there, not because a block is damaged. */
static bool pem_ended(void)
{
	unsigned long code = ERR_peek_last_error();
	bool ended = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

	if (ended)
		ERR_clear_error();
	return ended;
}

static int load_authorities(SSL_CTX *context, const char *pem, size_t length, const char *what, bool announce, struct error *err)
{
	BIO *bio CLEANUP(bio_cleanup) = pem_open(pem, length, what, err);
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	unsigned count = 0;
	char text[120];

	if (bio == NULL)
		return -1;
	for (;;) {
		X509 *certificate CLEANUP(certificate_cleanup) = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		if (certificate == NULL)
			break;
		if (X509_STORE_add_cert(store, certificate) != 1 || (announce && SSL_CTX_add_client_CA(context, certificate) != 1))
			return error_set(err, ERROR_INVALID, "%s: certificate %u: %s", what, count + 1, queue_text(text, sizeof(text)));
		count++;
	}
	if (!pem_ended())
		return error_set(err, ERROR_INVALID, "%s: certificate %u cannot be read: %s", what, count + 1,
		                 queue_text(text, sizeof(text)));
	if (count == 0)
		return error_set(err, ERROR_INVALID, "%s: holds no PEM certificate", what);
	/* As in Go, any certificate of the bundle is an anchor, also an intermediate one. */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
	return 0;
}

static int load_chain(SSL_CTX *context, const char *pem, size_t length, const char *what, struct error *err)
{
	BIO *bio CLEANUP(bio_cleanup) = pem_open(pem, length, what, err);
	X509 *leaf CLEANUP(certificate_cleanup) = NULL;
	char text[120];

	if (bio == NULL)
		return -1;
	leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (leaf == NULL)
		return error_set(err, ERROR_INVALID, "%s: cannot be read as PEM: %s", what, queue_text(text, sizeof(text)));
	if (SSL_CTX_use_certificate(context, leaf) != 1)
		return error_set(err, ERROR_INVALID, "%s: %s", what, queue_text(text, sizeof(text)));
	for (;;) {
		X509 *intermediate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		if (intermediate == NULL)
			break;
		if (SSL_CTX_add0_chain_cert(context, intermediate) != 1) {
			X509_free(intermediate);
			return error_set(err, ERROR_INVALID, "%s: %s", what, queue_text(text, sizeof(text)));
		}
	}
	if (!pem_ended())
		return error_set(err, ERROR_INVALID, "%s: an intermediate certificate cannot be read: %s", what,
		                 queue_text(text, sizeof(text)));
	return 0;
}

/* Keys with a pass phrase are refused: nobody is there to type it. */
static int no_pass_phrase(char *buffer, int size, int writing, void *argument)
{
	return -1;
}

static int load_pair(SSL_CTX *context, const char *certificate, size_t certificate_length, const char *key, size_t key_length,
                     const char *who, struct error *err)
{
	EVP_PKEY *private_key CLEANUP(key_cleanup) = NULL;
	BIO *bio CLEANUP(bio_cleanup) = NULL;
	char what[64], text[120];

	(void)snprintf(what, sizeof(what), "%s certificate", who);
	if (certificate == NULL || key == NULL)
		return error_set(err, ERROR_INVALID, "%s certificate and key are needed together", who);
	if (load_chain(context, certificate, certificate_length, what, err) != 0)
		return -1;
	(void)snprintf(what, sizeof(what), "%s key", who);
	bio = pem_open(key, key_length, what, err);
	if (bio == NULL)
		return -1;
	private_key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
	if (private_key == NULL)
		return error_set(err, ERROR_INVALID, "%s: cannot be read as PEM: %s", what, queue_text(text, sizeof(text)));
	if (SSL_CTX_use_PrivateKey(context, private_key) != 1 || SSL_CTX_check_private_key(context) != 1) {
		ERR_clear_error();
		return error_set(err, ERROR_INVALID, "%s does not belong to the %s certificate", what, who);
	}
	return 0;
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
		abort();
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(context, 1); /* one read(2) for many records */
	return context;
}

static struct tls_identity *identity_new(SSL_CTX **context, bool http1)
{
	struct tls_identity *identity = calloc(1, sizeof(*identity));

	if (identity == NULL)
		abort();
	atomic_init(&identity->references, 1);
	identity->context = *context;
	identity->http1 = http1;
	*context = NULL;
	return identity;
}

struct tls_identity *tls_client_identity_new(const struct tls_client_options *options, struct error *err)
{
	SSL_CTX *context CLEANUP(context_cleanup) = context_new(TLS_client_method());

	ERR_clear_error();
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, tls_verify_callback);
	if (SSL_CTX_set_alpn_protos(context, alpn_http2, sizeof(alpn_http2)) != 0)
		abort();
	if (options->ca_pem == NULL) {
		if (SSL_CTX_set_default_verify_paths(context) != 1) {
			error_set(err, ERROR_INVALID, "the system's store of certificate authorities cannot be read");
			return NULL;
		}
	} else if (load_authorities(context, options->ca_pem, options->ca_pem_length, "CA bundle", false, err) != 0) {
		return NULL;
	}
	if ((options->certificate_pem != NULL || options->key_pem != NULL) &&
	    load_pair(context, options->certificate_pem, options->certificate_pem_length, options->key_pem, options->key_pem_length,
	              "client", err) != 0)
		return NULL;
	return identity_new(&context, false);
}

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned in_length,
                           void *argument)
{
	bool http1 = argument == alpn_http1;
	unsigned char *selected = NULL;

	if (SSL_select_next_proto(&selected, out_length, http1 ? alpn_http1 : alpn_both, http1 ? sizeof(alpn_http1) : sizeof(alpn_both), in,
	                          in_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = selected;
	return SSL_TLSEXT_ERR_OK;
}

static void on_secret(const SSL *ssl, const char *line)
{
	struct tls_verification *verification = SSL_get_app_data(ssl);

	if (verification != NULL)
		tls_secrets_take(&verification->secrets, line);
}

struct tls_identity *tls_server_identity_new(const struct tls_server_options *options, struct error *err)
{
	SSL_CTX *context CLEANUP(context_cleanup) = context_new(TLS_server_method());
	int verify = SSL_VERIFY_NONE;

	ERR_clear_error();
	if (load_pair(context, options->certificate_pem, options->certificate_pem_length, options->key_pem, options->key_pem_length,
	              "server", err) != 0)
		return NULL;
	if (options->client_ca_pem != NULL) {
		if (load_authorities(context, options->client_ca_pem, options->client_ca_pem_length, "client CA bundle", true, err) != 0)
			return NULL;
		verify = SSL_VERIFY_PEER | (options->require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
	} else if (options->require_client_certificate) {
		error_set(err, ERROR_INVALID, "client certificates are required but no client CA bundle is given");
		return NULL;
	}
	SSL_CTX_set_verify(context, verify, tls_verify_callback);
	SSL_CTX_set_alpn_select_cb(context, select_protocol, options->http1 ? (void *)alpn_http1 : (void *)alpn_both);
	(void)SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_keylog_callback(context, on_secret);
	return identity_new(&context, options->http1);
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity)
{
	if (identity != NULL)
		atomic_fetch_add(&identity->references, 1);
	return identity;
}

void tls_identity_unref(struct tls_identity *identity)
{
	if (identity == NULL || atomic_fetch_sub(&identity->references, 1) != 1)
		return;
	SSL_CTX_free(identity->context);
	free(identity);
}

SSL_CTX *tls_identity_context(struct tls_identity *identity)
{
	return identity->context;
}

bool tls_identity_wants_http1(const struct tls_identity *identity)
{
	return identity->http1;
}
