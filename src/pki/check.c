/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/check.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/strings.h"
#include "pki/check_memory.h"
#include "pki/kubeconfig.h"
#include "pki/openssl_int.h"

static bool refuse(struct check_reason *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct check_reason *reason, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason->text, sizeof(reason->text), format, arguments);
	va_end(arguments);
	reason->not_after = 0;
	return false;
}

/* "3d", "5h", "12m", "40s": the largest unit that fits. */
static void span_text(int64_t seconds, char *text, size_t size)
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = { { 2 * 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };

	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		int64_t unit = units[i].unit == 'd' ? 86400 : units[i].seconds;

		if (seconds >= units[i].seconds) {
			(void)snprintf(text, size, "%" PRId64 "%c", seconds / unit, units[i].unit);
			return;
		}
	}
	(void)snprintf(text, size, "%" PRId64 "s", seconds);
}

static bool times_allow(int64_t not_before, int64_t not_after, int64_t threshold, struct check_reason *reason)
{
	int64_t now = clock_wall_seconds();
	char text[32];

	if (not_before > now) {
		clock_format_rfc3339(not_before, text, sizeof(text));
		return refuse(reason, "not valid before %s", text);
	}
	if (not_after <= now) {
		clock_format_rfc3339(not_after, text, sizeof(text));
		return refuse(reason, "expired on %s", text);
	}
	if (not_after - now <= threshold) {
		span_text(not_after - now, text, sizeof(text));
		return refuse(reason, "expires in %s", text);
	}
	reason->not_after = not_after;
	return true;
}

static bool times_are_good(X509 *certificate, int64_t threshold, struct check_reason *reason)
{
	int64_t not_before, not_after;
	struct error err = { 0 };

	if (certificate_time(X509_get0_notBefore(certificate), &not_before, &err) ||
	    certificate_time(X509_get0_notAfter(certificate), &not_after, &err))
		return refuse(reason, "%s", err.message);
	return times_allow(not_before, not_after, threshold, reason);
}

static bool key_is_good(X509 *certificate, struct pem_text pem, struct check_reason *reason)
{
	struct key *key KEY_CLEANUP = NULL, *public_key KEY_CLEANUP = NULL;
	struct error err = { 0 };

	if (key_parse(pem, &key, &err) || key_of_certificate(certificate, &public_key, &err))
		return refuse(reason, "%s", err.message);
	if (!key_matches(key, public_key))
		return refuse(reason, "key does not match");
	return true;
}

static int add_trusted(X509_STORE *store, struct pem_text bundle, struct error *err)
{
	struct pem_reader reader PEM_READER_CLEANUP = { 0 };
	int more, count = 0;

	if (pem_reader_open(&reader, bundle, "CA bundle", err))
		return -1;
	for (;; count++) {
		X509 *certificate X509_CLEANUP = NULL;

		more = certificate_next(&reader, &certificate, err);
		if (more <= 0)
			break;
		if (count == PEM_MAXIMUM_CERTIFICATES)
			return error_set(err, ERROR_EXHAUSTED, "the CA bundle is too long");
		if (X509_STORE_add_cert(store, certificate) != 1)
			return openssl_error(err, ERROR_SYSTEM, "CA bundle");
	}
	if (more == 0 && count == 0)
		return error_set(err, ERROR_CORRUPT, "no certificate in the CA bundle");
	return more;
}

static bool refuse_chain(X509_STORE_CTX *context, X509 *certificate, struct check_reason *reason)
{
	int code = X509_STORE_CTX_get_error(context);
	char issuer[128];

	switch (code) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		if (X509_NAME_get_text_by_NID(X509_get_issuer_name(certificate), NID_commonName, issuer, sizeof(issuer)) < 0)
			issuer[0] = '\0';
		return refuse(reason, "signed by another CA (issuer \"%s\")", issuer);
	default:
		return refuse(reason, "cannot be verified: %s", X509_verify_cert_error_string(code));
	}
}

/* Any certificate of the bundle is trusted as it stands, self-signed or not: Go's rule for a pool of roots. */
static bool chain_is_good(X509 *certificate, struct pem_text bundle, struct check_reason *reason)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	struct error err = { 0 };
	bool good = false;

	ERR_clear_error();
	if (store == NULL || context == NULL) {
		(void)refuse(reason, "no memory to verify");
	} else if (add_trusted(store, bundle, &err)) {
		(void)refuse(reason, "%s", err.message);
	} else if (X509_STORE_CTX_init(context, store, certificate, NULL) != 1) {
		(void)refuse(reason, "cannot be verified");
	} else {
		X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);

		(void)X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
		X509_VERIFY_PARAM_set_time(parameters, (time_t)clock_wall_seconds());
		good = X509_verify_cert(context) == 1 || refuse_chain(context, certificate, reason);
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return good;
}

static bool usage_is_good(X509 *certificate, unsigned wanted, struct check_reason *reason)
{
	bool present;
	unsigned usages = certificate_usages(certificate, &present);

	if ((X509_get_extension_flags(certificate) & EXFLAG_INVALID) != 0)
		return refuse(reason, "an extension is malformed");
	if (!present) /* without the extension a certificate serves for everything */
		return true;
	if ((wanted & CERTIFICATE_SERVER_AUTH & ~usages) != 0)
		return refuse(reason, "not for server authentication");
	if ((wanted & CERTIFICATE_CLIENT_AUTH & ~usages) != 0)
		return refuse(reason, "not for client authentication");
	if ((wanted & CERTIFICATE_CODE_SIGNING & ~usages) != 0)
		return refuse(reason, "not for code signing");
	return true;
}

static bool has_name(const GENERAL_NAMES *names, const char *san)
{
	struct ip_address address;
	bool is_ip = ip_parse(san, &address) == 0;
	const void *bytes = is_ip ? (const void *)address.bytes : san;
	size_t length = !is_ip ? strlen(san) : address.family == 4 ? 4 : 16;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

		if (type == (is_ip ? GEN_IPADD : GEN_DNS) && (size_t)ASN1_STRING_length(value) == length &&
		    memcmp(ASN1_STRING_get0_data(value), bytes, length) == 0)
			return true;
	}
	return false;
}

static bool sans_are_good(X509 *certificate, const char *const *sans, struct check_reason *reason)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool good = true;

	for (; good && *sans != NULL; sans++)
		if (!has_name(names, *sans))
			good = refuse(reason, "SAN %.200s is missing", *sans);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return good;
}

static bool common_name_is_good(X509 *certificate, const char *wanted, struct check_reason *reason)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	int length = at < 0 ? -1 : ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	bool equal = length >= 0 && strlen(wanted) == (size_t)length && memcmp(text, wanted, (size_t)length) == 0;

	OPENSSL_free(text);
	ERR_clear_error();
	return equal || refuse(reason, "common name is not \"%.200s\"", wanted);
}

static bool certificate_is_good(const struct check_certificate *check, struct check_reason *reason)
{
	X509 *certificate X509_CLEANUP = NULL;
	struct error err = { 0 };

	if (certificate_first(check->certificate, &certificate, &err))
		return refuse(reason, "%s", err.message);
	return times_are_good(certificate, check->threshold_seconds, reason) &&
	       (check->key.length == 0 || key_is_good(certificate, check->key, reason)) &&
	       (check->authority.length == 0 || chain_is_good(certificate, check->authority, reason)) &&
	       (check->usage == 0 || usage_is_good(certificate, check->usage, reason)) &&
	       (check->common_name == NULL || common_name_is_good(certificate, check->common_name, reason)) &&
	       (check->sans == NULL || sans_are_good(certificate, check->sans, reason));
}

static bool authority_is_good(struct pem_text certificate, struct pem_text key, int64_t threshold_seconds, struct check_reason *reason)
{
	X509 *found X509_CLEANUP = NULL;
	struct error err = { 0 };

	if (certificate_first(certificate, &found, &err))
		return refuse(reason, "%s", err.message);
	if (!times_are_good(found, threshold_seconds, reason) || !key_is_good(found, key, reason))
		return false;
	if (X509_check_ca(found) == 0 || (X509_get_extension_flags(found) & EXFLAG_INVALID) != 0)
		return refuse(reason, "is no CA");
	return true;
}

static bool service_account_is_good(struct pem_text public_key, struct pem_text private_key, struct check_reason *reason)
{
	struct key *public_part KEY_CLEANUP = NULL, *private_part KEY_CLEANUP = NULL;
	struct error err = { 0 };

	if (key_parse_public(public_key, &public_part, &err) || key_parse(private_key, &private_part, &err))
		return refuse(reason, "%s", err.message);
	if (!key_is_rsa(public_part))
		return refuse(reason, "public key is not RSA");
	if (!key_matches(public_part, private_part))
		return refuse(reason, "key does not match");
	return true;
}

static bool name_is_good(const char *what, const char *found, const char *wanted, struct check_reason *reason)
{
	if (wanted == NULL || strcmp(found, wanted) == 0)
		return true;
	return refuse(reason, "%s is \"%.80s\", not \"%.80s\"", what, found, wanted);
}

static bool kubeconfig_is_good(const struct check_kubeconfig *check, const struct kubeconfig_credentials *found,
                               struct check_reason *reason)
{
	const struct check_certificate leaf = {
		.certificate = pem_text(&found->certificate),
		.key = pem_text(&found->key),
		.authority = check->authority,
		.usage = CERTIFICATE_CLIENT_AUTH,
		.threshold_seconds = check->threshold_seconds,
	};

	if (!name_is_good("server", found->server, check->server, reason) ||
	    !name_is_good("cluster", found->cluster, check->cluster, reason) || !name_is_good("user", found->user, check->user, reason))
		return false;
	if (found->authority.length != check->authority.length ||
	    memcmp(found->authority.data ? found->authority.data : "", check->authority.bytes ? check->authority.bytes : "",
	           check->authority.length) != 0)
		return refuse(reason, "embeds another CA");
	if (found->certificate.length == 0 || found->key.length == 0)
		return refuse(reason, "client certificate or key is missing");
	return certificate_is_good(&leaf, reason);
}

/* ---- what was found good before ---- */

static void ask_certificate(const struct check_certificate *check, struct check_question *question)
{
	struct digest *digest = check_question_begin("certificate");

	check_question_add(digest, check->certificate);
	check_question_add(digest, check->key);
	check_question_add(digest, check->authority);
	digest_add(digest, &check->usage, sizeof(check->usage));
	check_question_add_string(digest, check->common_name);
	for (const char *const *san = check->sans; san != NULL && *san != NULL; san++)
		check_question_add_string(digest, *san);
	check_question_end(digest, question);
}

static void ask_pair(const char *kind, struct pem_text a, struct pem_text b, struct check_question *question)
{
	struct digest *digest = check_question_begin(kind);

	check_question_add(digest, a);
	check_question_add(digest, b);
	check_question_end(digest, question);
}

static void ask_kubeconfig(const struct check_kubeconfig *check, struct check_question *question)
{
	struct digest *digest = check_question_begin("kubeconfig");

	check_question_add(digest, check->text);
	check_question_add(digest, check->authority);
	check_question_add_string(digest, check->server);
	check_question_add_string(digest, check->cluster);
	check_question_add_string(digest, check->user);
	check_question_end(digest, question);
}

/* True when the answer is known; *good is it, as of now. */
static bool recall(struct check_memory *memory, const struct check_question *question, int64_t threshold_seconds,
                   struct check_reason *reason, bool *good)
{
	int64_t now = clock_wall_seconds();
	struct check_finding finding;

	if (!check_memory_find(memory, question, &finding) || finding.chain_from > now || finding.chain_until <= now)
		return false;
	*good = times_allow(finding.not_before, finding.not_after, threshold_seconds, reason);
	return true;
}

/* Notes a good answer with the times of what it rests on; without them it is asked again. */
static void keep(struct check_memory *memory, const struct check_question *question, struct pem_text certificate, struct pem_text authority)
{
	struct check_finding finding;

	if (certificate_validity(certificate, false, &finding.not_before, &finding.not_after) != 0)
		return;
	finding.chain_from = finding.not_before;
	finding.chain_until = finding.not_after;
	if (authority.length > 0 && certificate_validity(authority, true, &finding.chain_from, &finding.chain_until) != 0)
		return;
	check_memory_put(memory, question, &finding);
}

bool check_certificate(struct check_memory *memory, const struct check_certificate *check, struct check_reason *reason)
{
	struct check_question question;
	bool good;

	*reason = (struct check_reason){ 0 };
	ask_certificate(check, &question);
	if (recall(memory, &question, check->threshold_seconds, reason, &good))
		return good;
	if (!certificate_is_good(check, reason))
		return false;
	keep(memory, &question, check->certificate, check->authority);
	return true;
}

void check_certificate_made(struct check_memory *memory, const struct check_certificate *check)
{
	struct check_question question;

	ask_certificate(check, &question);
	keep(memory, &question, check->certificate, check->authority);
}

bool check_authority(struct check_memory *memory, struct pem_text certificate, struct pem_text key, int64_t threshold_seconds,
                     struct check_reason *reason)
{
	struct check_question question;
	bool good;

	*reason = (struct check_reason){ 0 };
	ask_pair("authority", certificate, key, &question);
	if (recall(memory, &question, threshold_seconds, reason, &good))
		return good;
	if (!authority_is_good(certificate, key, threshold_seconds, reason))
		return false;
	keep(memory, &question, certificate, pem_text_bytes(NULL, 0));
	return true;
}

void check_authority_made(struct check_memory *memory, struct pem_text certificate, struct pem_text key)
{
	struct check_question question;

	ask_pair("authority", certificate, key, &question);
	keep(memory, &question, certificate, pem_text_bytes(NULL, 0));
}

bool check_service_account(struct check_memory *memory, struct pem_text public_key, struct pem_text private_key,
                           struct check_reason *reason)
{
	struct check_question question;
	struct check_finding finding;

	*reason = (struct check_reason){ 0 };
	ask_pair("service account", public_key, private_key, &question);
	if (check_memory_find(memory, &question, &finding))
		return true;
	if (!service_account_is_good(public_key, private_key, reason))
		return false;
	check_service_account_made(memory, public_key, private_key);
	return true;
}

void check_service_account_made(struct check_memory *memory, struct pem_text public_key, struct pem_text private_key)
{
	static const struct check_finding timeless = { .not_after = INT64_MAX, .chain_until = INT64_MAX };
	struct check_question question;

	ask_pair("service account", public_key, private_key, &question);
	check_memory_put(memory, &question, &timeless);
}

bool check_kubeconfig(struct check_memory *memory, const struct check_kubeconfig *check, struct check_reason *reason)
{
	struct kubeconfig_credentials found KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct check_question question;
	struct error err = { 0 };
	bool good;

	*reason = (struct check_reason){ 0 };
	ask_kubeconfig(check, &question);
	if (recall(memory, &question, check->threshold_seconds, reason, &good))
		return good;
	if (kubeconfig_read(check->text, &found, &err))
		return refuse(reason, "%s", err.message);
	if (!kubeconfig_is_good(check, &found, reason))
		return false;
	keep(memory, &question, pem_text(&found.certificate), check->authority);
	return true;
}

void check_kubeconfig_made(struct check_memory *memory, const struct check_kubeconfig *check, struct pem_text certificate)
{
	struct check_question question;

	ask_kubeconfig(check, &question);
	keep(memory, &question, certificate, check->authority);
}
