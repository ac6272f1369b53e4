/* SPDX-License-Identifier: Apache-2.0 */
/* Why a handshake failed, in words that name the certificate, the time and the remedy's address. */
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/strings.h"
#include "net/tls_internal.h"

enum { NAMES_SHOWN = 10 };

static void name_text(const X509_NAME *name, char *text, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int length;

	if (bio == NULL)
		abort();
	text[0] = '\0';
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
		length = BIO_read(bio, text, (int)size - 1);
		text[length > 0 ? length : 0] = '\0';
	}
	BIO_free(bio);
}

static void time_text(const ASN1_TIME *when, char *text, size_t size)
{
	struct tm broken = { 0 };

	if (ASN1_TIME_to_tm(when, &broken) == 1)
		clock_format_rfc3339((int64_t)timegm(&broken), text, size);
	else
		(void)snprintf(text, size, "an unreadable time");
}

static void alternative_name(const GENERAL_NAME *name, struct buffer *out)
{
	char text[IP_TEXT_SIZE];
	struct ip_address address = { 0 };

	if (name->type == GEN_DNS) {
		(void)buffer_printf(out, "%s%.*s", out->length ? ", " : "", ASN1_STRING_length(name->d.dNSName),
		                    (const char *)ASN1_STRING_get0_data(name->d.dNSName));
	} else if (name->type == GEN_IPADD) {
		int length = ASN1_STRING_length(name->d.iPAddress);

		if (length != 4 && length != 16)
			return;
		address.family = length == 4 ? 4 : 6;
		memcpy(address.bytes, ASN1_STRING_get0_data(name->d.iPAddress), (size_t)length);
		ip_format(&address, text);
		(void)buffer_printf(out, "%s%s", out->length ? ", " : "", text);
	}
}

static void alternative_names(const X509 *certificate, struct buffer *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;

	for (int i = 0; i < count && i < NAMES_SHOWN; i++)
		alternative_name(sk_GENERAL_NAME_value(names, i), out);
	if (count > NAMES_SHOWN)
		(void)buffer_printf(out, ", ... (%d in all)", count);
	if (out->length == 0)
		(void)buffer_append_string(out, "no name at all");
	GENERAL_NAMES_free(names);
}

static void set_verification_error(struct tls_verification *verification, int code, X509 *certificate)
{
	struct buffer names BUFFER_CLEANUP = { 0 };
	struct error *err = &verification->error;
	char subject[200] = "", issuer[200] = "", when[32] = "";
	const char *reason = TLS_REASON_INVALID, *peer = verification->peer;

	if (certificate != NULL) {
		name_text(X509_get_subject_name(certificate), subject, sizeof(subject));
		name_text(X509_get_issuer_name(certificate), issuer, sizeof(issuer));
	}
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		reason = TLS_REASON_EXPIRED;
		time_text(X509_get0_notAfter(certificate), when, sizeof(when));
		error_set(err, ERROR_FORBIDDEN, "certificate of %s has expired on %s (subject %s)", peer, when, subject);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		reason = TLS_REASON_NOT_YET_VALID;
		time_text(X509_get0_notBefore(certificate), when, sizeof(when));
		error_set(err, ERROR_FORBIDDEN, "certificate of %s is not valid before %s (subject %s)", peer, when, subject);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		reason = TLS_REASON_UNKNOWN_AUTHORITY;
		error_set(err, ERROR_FORBIDDEN,
		          "certificate of %s is signed by an authority that is not in the CA bundle (issuer %s, subject %s)", peer, issuer,
		          subject);
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		reason = TLS_REASON_NAME_MISMATCH;
		alternative_names(certificate, &names);
		error_set(err, ERROR_FORBIDDEN, "certificate of %s is valid for %s, not for %s", peer, names.data,
		          verification->wanted ? verification->wanted : "?");
		break;
	default:
		error_set(err, ERROR_FORBIDDEN, "certificate of %s cannot be verified: %s (subject %s)", peer,
		          X509_verify_cert_error_string(code), subject);
		break;
	}
	(void)snprintf(err->reason, sizeof(err->reason), "%s", reason);
}

int tls_verify_callback(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_verification *verification = ssl != NULL ? SSL_get_app_data(ssl) : NULL;

	if (!good && verification != NULL && verification->error.class == ERROR_NONE)
		set_verification_error(verification, X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_current_cert(store));
	return good;
}

/* Alerts by which a peer says that it does not like our certificate (RFC 8446 section 6.2). */
static const char *certificate_alert(int reason)
{
	switch (reason) {
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
		return "bad certificate";
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
		return "unsupported certificate";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
		return "certificate revoked";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return "certificate expired";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
		return "certificate unknown";
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return "unknown authority";
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return "access denied";
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return "a client certificate is required";
	default:
		return NULL;
	}
}

int tls_set_error(struct error *err, const struct tls_verification *verification, int ssl_error, int saved_errno, const char *doing)
{
	unsigned long code = ERR_peek_error();
	const char *alert = ERR_GET_LIB(code) == ERR_LIB_SSL ? certificate_alert(ERR_GET_REASON(code)) : NULL;
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	if (verification != NULL && verification->error.class != ERROR_NONE) {
		*err = verification->error;
		return -1;
	}
	if (alert != NULL) {
		error_set(err, ERROR_FORBIDDEN, "%s: peer refused our certificate: %s", doing, alert);
		(void)snprintf(err->reason, sizeof(err->reason), "%s", TLS_REASON_REFUSED);
		return -1;
	}
	if (ssl_error == SSL_ERROR_SYSCALL && saved_errno != 0) {
		error_set_errno(err, saved_errno, "%s", doing);
		err->class = ERROR_TRANSIENT;
		return -1;
	}
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		reason = "connection closed by peer";
	return error_set(err, ERROR_TRANSIENT, "%s: %s", doing, reason ? reason : "connection closed by peer");
}
