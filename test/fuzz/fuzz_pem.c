/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, bundles and keys as they may stand in a Secret that anybody wrote. The keys of the corpus were made for it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/strings.h"
#include "pki/certificate.h"
#include "pki/check.h"
#include "pki/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_keys(struct pem_text pem)
{
	struct key *key KEY_CLEANUP = NULL, *again KEY_CLEANUP = NULL, *public_key KEY_CLEANUP = NULL;
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };
	struct error err = { 0 };

	if (key_parse_public(pem, &public_key, &err) == 0 && key_description(public_key) == NULL)
		abort();
	if (key_parse(pem, &key, &err))
		return;
	/* What was accepted is written, read back, and is the same key. */
	if (key_write_private(key, &text, &err) || key_parse(pem_text(&text), &again, &err) || !key_matches(key, again))
		abort();
}

static void try_certificates(struct pem_text pem)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct certificate_authority *authority CERTIFICATE_AUTHORITY_CLEANUP = NULL;
	static const char *const sans[] = { "localhost", "127.0.0.1", NULL };
	struct check_certificate check = { .certificate = pem, .key = pem, .authority = pem, .usage = 7, .sans = sans };
	struct certificate_facts *list, facts;
	struct check_reason reason;
	struct error err = { 0 };
	int64_t not_after;
	size_t count = 0;
	bool read;

	read = certificate_read(pem, arena, &facts, &err) == 0;
	if (read && (facts.subject == NULL || facts.organizations == NULL || facts.dns_names == NULL || facts.key == NULL))
		abort();
	if (certificate_read_bundle(pem, arena, &list, &count, &err) == 0 && (count == 0 || !read))
		abort();
	(void)certificate_not_after(pem, &not_after, &err);
	(void)certificate_authority_open(pem, pem, &authority, &err);
	if (!check_certificate(NULL, &check, &reason) && reason.text[0] == '\0')
		abort();
	if (!check_authority(NULL, pem, pem, 86400, &reason) && reason.text[0] == '\0')
		abort();
	if (!check_service_account(NULL, pem, pem, &reason) && reason.text[0] == '\0')
		abort();
}

/* A first byte of 0 to 4 means that DER follows: wrapped here, so that changes reach the decoders instead of the base64 check. */
static void wrap(const uint8_t *data, size_t size, struct buffer *text)
{
	static const char *const labels[] = { "CERTIFICATE", "EC PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY", "PUBLIC KEY" };

	if (size == 0 || data[0] >= ARRAY_LENGTH(labels)) {
		(void)buffer_append(text, data, size);
		return;
	}
	(void)buffer_printf(text, "-----BEGIN %s-----\n", labels[data[0]]);
	base64_encode(data + 1, size - 1, text);
	(void)buffer_printf(text, "\n-----END %s-----\n", labels[data[0]]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };

	wrap(data, size, &text);
	try_keys(pem_text(&text));
	try_certificates(pem_text(&text));
	return 0;
}
