/* SPDX-License-Identifier: Apache-2.0 */
#include "net/transport.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/strings.h"
#include "net/tls_internal.h"

struct transport {
	int descriptor;
	bool handshaken, failed;
	bool tls;
	SSL *ssl;                  /* TLS: during the handshake, and later when record could not take over */
	struct tls_record *record; /* TLS 1.3, server role, after the handshake */
	char *common_name;         /* of the peer's verified certificate; NULL: none, or taken */
	struct tls_identity *identity;
	char *peer, *wanted;
	struct tls_verification *verification; /* freed after the handshake: it is large and a connection lives long */
	char protocol[16];
};

struct transport *transport_plain(int descriptor, const char *peer)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	if (transport == NULL)
		abort();
	transport->descriptor = descriptor;
	transport->handshaken = true;
	transport->peer = string_dup(peer);
	return transport;
}

static int verify_name(SSL *ssl, const char *server_name)
{
	X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
	struct ip_address address;

	if (ip_parse(server_name, &address) == 0)
		return X509_VERIFY_PARAM_set1_ip(parameters, address.bytes, address.family == 4 ? 4 : 16);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return SSL_set1_host(ssl, server_name) == 1 && SSL_set_tlsext_host_name(ssl, server_name) == 1;
}

struct transport *transport_tls(int descriptor, struct tls_identity *identity, const char *server_name, const char *peer, struct error *err)
{
	struct transport *transport = transport_plain(descriptor, peer);

	ERR_clear_error();
	transport->handshaken = false;
	transport->tls = true;
	transport->identity = tls_identity_ref(identity);
	transport->wanted = string_dup(server_name);
	transport->verification = calloc(1, sizeof(*transport->verification));
	transport->ssl = SSL_new(tls_identity_context(identity));
	if (transport->ssl == NULL || transport->verification == NULL)
		abort();
	transport->verification->peer = transport->peer;
	transport->verification->wanted = transport->wanted;
	SSL_set_app_data(transport->ssl, transport->verification);
	if (SSL_set_fd(transport->ssl, descriptor) != 1)
		abort();
	if (server_name == NULL) {
		SSL_set_accept_state(transport->ssl);
		SSL_set_read_ahead(transport->ssl, 0); /* nothing that comes after the handshake */
	} else {
		SSL_set_connect_state(transport->ssl);
		if (verify_name(transport->ssl, server_name) != 1) {
			ERR_clear_error();
			error_set(err, ERROR_INVALID, "\"%s\" cannot be a server name of TLS", server_name);
			transport_free(transport);
			return NULL;
		}
	}
	return transport;
}

static void verification_free(struct transport *transport)
{
	if (transport->verification != NULL)
		OPENSSL_cleanse(&transport->verification->secrets, sizeof(transport->verification->secrets));
	free(transport->verification);
	transport->verification = NULL;
}

void transport_free(struct transport *transport)
{
	if (transport == NULL)
		return;
	if (transport->record != NULL && !transport->failed)
		tls_record_close(transport->record, transport->descriptor);
	tls_record_free(transport->record);
	if (transport->ssl != NULL) {
		ERR_clear_error();
		if (transport->handshaken && !transport->failed)
			(void)SSL_shutdown(transport->ssl);
		SSL_free(transport->ssl);
		ERR_clear_error();
	}
	(void)close(transport->descriptor);
	tls_identity_unref(transport->identity);
	verification_free(transport);
	free(transport->common_name);
	free(transport->wanted);
	free(transport->peer);
	free(transport);
}

int transport_descriptor(const struct transport *transport)
{
	return transport->descriptor;
}

const char *transport_protocol(const struct transport *transport)
{
	return transport->protocol;
}

bool transport_is_tls(const struct transport *transport)
{
	return transport->tls;
}

static char *common_name_of(const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	unsigned char *text = NULL;
	char *name;
	int at = -1, last = -1, length;

	while ((at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return string_dup("");
	length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
	/* A name with a NUL inside would be another one to every reader of C strings: nobody. */
	name = length < 0 || memchr(text, '\0', (size_t)length) != NULL ? string_dup("") : string_ndup((const char *)text, (size_t)length);
	OPENSSL_free(text);
	ERR_clear_error();
	return name;
}

bool transport_take_identity(struct transport *transport, char **common_name)
{
	bool verified = transport->common_name != NULL;

	*common_name = verified ? transport->common_name : string_dup("");
	transport->common_name = NULL;
	return verified;
}

bool transport_has_pending(const struct transport *transport)
{
	if (transport->record != NULL)
		return tls_record_has_pending(transport->record);
	return transport->ssl != NULL && SSL_has_pending(transport->ssl) == 1;
}

/* What an SSL call's negative outcome means. */
static enum transport_result tls_outcome(struct transport *transport, int result, const char *doing, struct error *err)
{
	int number = errno;
	int code = SSL_get_error(transport->ssl, result);
	char text[200];

	switch (code) {
	case SSL_ERROR_WANT_READ:
		return TRANSPORT_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TRANSPORT_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TRANSPORT_CLOSED;
	default:
		transport->failed = true;
		(void)snprintf(text, sizeof(text), "%s %s", doing, transport->peer);
		tls_set_error(err, transport->verification, code, number, text);
		return TRANSPORT_FAILED;
	}
}

/* What is worth keeping of a finished handshake; then, if possible, the session goes. */
static void settle(struct transport *transport)
{
	bool server = transport->wanted == NULL;
	X509 *certificate = server ? SSL_get0_peer_certificate(transport->ssl) : NULL;

	if (certificate != NULL && SSL_get_verify_result(transport->ssl) == X509_V_OK)
		transport->common_name = common_name_of(certificate);
	if (server)
		transport->record = tls_record_new(transport->ssl, &transport->verification->secrets);
	SSL_set_app_data(transport->ssl, NULL);
	verification_free(transport);
	if (transport->record != NULL) {
		SSL_free(transport->ssl);
		transport->ssl = NULL;
	} else {
		SSL_set_read_ahead(transport->ssl, 1);
	}
}

enum transport_result transport_handshake(struct transport *transport, struct error *err)
{
	const unsigned char *protocol = NULL;
	unsigned length = 0;
	enum transport_result outcome;
	int result;

	if (transport->handshaken)
		return TRANSPORT_DONE;
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(transport->ssl);
	if (result != 1) {
		outcome = tls_outcome(transport, result, "TLS handshake with", err);
		if (outcome == TRANSPORT_CLOSED) {
			transport->failed = true;
			error_set(err, ERROR_TRANSIENT, "TLS handshake with %s: connection closed by peer", transport->peer);
			return TRANSPORT_FAILED;
		}
		return outcome;
	}
	transport->handshaken = true;
	SSL_get0_alpn_selected(transport->ssl, &protocol, &length);
	if (length < sizeof(transport->protocol))
		memcpy(transport->protocol, protocol != NULL ? (const char *)protocol : "", length);
	settle(transport);
	return TRANSPORT_DONE;
}

static enum transport_result plain_outcome(struct transport *transport, int number, const char *doing, struct error *err)
{
	transport->failed = true;
	error_set_errno(err, number, "%s %s", doing, transport->peer);
	err->class = ERROR_TRANSIENT;
	return TRANSPORT_FAILED;
}

enum transport_result transport_read(struct transport *transport, void *bytes, size_t size, size_t *got, struct error *err)
{
	ssize_t count;
	int result;

	enum transport_result outcome;

	*got = 0;
	if (transport->record != NULL) {
		outcome = tls_record_read(transport->record, transport->descriptor, transport->peer, bytes, size, got, err);
		transport->failed = transport->failed || outcome == TRANSPORT_FAILED;
		return outcome;
	}
	if (transport->ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		result = SSL_read_ex(transport->ssl, bytes, size, got);
		return result == 1 ? TRANSPORT_DONE : tls_outcome(transport, result, "read from", err);
	}
	do
		count = recv(transport->descriptor, bytes, size, 0);
	while (count < 0 && errno == EINTR);
	if (count > 0) {
		*got = (size_t)count;
		return TRANSPORT_DONE;
	}
	if (count == 0)
		return TRANSPORT_CLOSED;
	return errno == EAGAIN ? TRANSPORT_WANT_READ : plain_outcome(transport, errno, "read from", err);
}

enum transport_result transport_write(struct transport *transport, const void *bytes, size_t length, size_t *written, struct error *err)
{
	ssize_t count;
	int result;

	enum transport_result outcome;

	*written = 0;
	if (transport->record != NULL) {
		outcome = tls_record_write(transport->record, transport->descriptor, transport->peer, bytes, length, written, err);
		transport->failed = transport->failed || outcome == TRANSPORT_FAILED;
		return outcome;
	}
	if (transport->ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		result = SSL_write_ex(transport->ssl, bytes, length, written);
		return result == 1 ? TRANSPORT_DONE : tls_outcome(transport, result, "write to", err);
	}
	do
		count = send(transport->descriptor, bytes, length, MSG_NOSIGNAL);
	while (count < 0 && errno == EINTR);
	if (count >= 0) {
		*written = (size_t)count;
		return TRANSPORT_DONE;
	}
	return errno == EAGAIN ? TRANSPORT_WANT_WRITE : plain_outcome(transport, errno, "write to", err);
}
