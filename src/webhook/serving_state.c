/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/serving_state.h"

#include <string.h>

#include "api/names.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/secret.h"
#include "pki/certificate.h"
#include "pki/check.h"
#include "pki/key.h"

#define AUTHORITY_NAME "kamaji-webhook-ca"
#define END_OF_CERTIFICATE "-----END CERTIFICATE-----"

void serving_state_free(struct serving_state *state)
{
	buffer_free(&state->authorities);
	buffer_free_secret(&state->authority_key);
	buffer_free(&state->certificate);
	buffer_free_secret(&state->key);
}

/* The first certificate of a bundle. */
static struct pem_text first_certificate(const struct buffer *bundle)
{
	const char *end = bundle->length > 0 ? memmem(bundle->data, bundle->length, END_OF_CERTIFICATE, strlen(END_OF_CERTIFICATE)) : NULL;

	return pem_text_bytes(bundle->data, end ? (size_t)(end - bundle->data) + strlen(END_OF_CERTIFICATE) : bundle->length);
}

static bool authority_is_good(const struct serving_state *state, const struct serving_plan *plan)
{
	struct check_reason reason;

	return state->authorities.length > 0 && state->authority_key.length > 0 &&
	       check_authority(NULL, first_certificate(&state->authorities), pem_text(&state->authority_key), plan->lifetime_seconds,
	                       &reason);
}

/* The old ones stay behind the new one as long as they can be read. */
static int replace_authority(struct serving_state *state, struct error *err)
{
	KEY_CLEANUP struct key *key = NULL;
	BUFFER_CLEANUP struct buffer certificate = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	struct pem_text old = first_certificate(&state->authorities);
	int64_t not_after;
	struct error ignored;

	if (key_generate(KEY_ECDSA_P256, &key, err) < 0 || certificate_create_authority(AUTHORITY_NAME, key, &certificate, err) < 0 ||
	    key_write_private(key, &text, err) < 0)
		return error_wrap(err, "webhook authority");
	if (old.length > 0 && certificate_not_after(old, &not_after, &ignored) == 0 && not_after > clock_wall_seconds()) {
		(void)buffer_append(&certificate, old.bytes, old.length);
		(void)buffer_append_char(&certificate, '\n');
	}
	buffer_free(&state->authorities);
	state->authorities = certificate;
	memset(&certificate, 0, sizeof(certificate));
	buffer_free_secret(&state->authority_key);
	state->authority_key = text;
	memset(&text, 0, sizeof(text));
	return 0;
}

static int issue(struct serving_state *state, const struct serving_plan *plan, struct error *err)
{
	CERTIFICATE_AUTHORITY_CLEANUP struct certificate_authority *authority = NULL;
	KEY_CLEANUP struct key *key = NULL;
	BUFFER_CLEANUP struct buffer certificate = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	int64_t now = clock_wall_seconds();
	const struct certificate_request request = {
		.common_name = plan->common_name,
		.usages = CERTIFICATE_SERVER_AUTH,
		.sans = plan->sans,
		.not_before = now - CERTIFICATE_BACKDATE_SECONDS,
		.not_after = now + plan->lifetime_seconds,
	};

	if (certificate_authority_open(first_certificate(&state->authorities), pem_text(&state->authority_key), &authority, err) < 0 ||
	    key_generate(KEY_ECDSA_P256, &key, err) < 0 || certificate_issue(authority, &request, key, &certificate, err) < 0 ||
	    key_write_private(key, &text, err) < 0)
		return error_wrap(err, "webhook certificate");
	buffer_free(&state->certificate);
	state->certificate = certificate;
	memset(&certificate, 0, sizeof(certificate));
	buffer_free_secret(&state->key);
	state->key = text;
	memset(&text, 0, sizeof(text));
	return 0;
}

/* Whether the certificate serves now, and whether it may stay: signed by the authority in use and not near its end. */
static bool certificate_is_good(const struct serving_state *state, const struct serving_plan *plan, struct pem_text authority,
                                int64_t threshold)
{
	struct check_reason reason;

	return state->certificate.length > 0 && state->key.length > 0 &&
	       check_certificate(NULL,
	                         &(struct check_certificate){ .certificate = pem_text(&state->certificate),
	                                                      .key = pem_text(&state->key),
	                                                      .authority = authority,
	                                                      .usage = CERTIFICATE_SERVER_AUTH,
	                                                      .sans = plan->sans,
	                                                      .threshold_seconds = threshold },
	                         &reason);
}

int serving_state_advance(struct serving_state *state, const struct serving_plan *plan, bool *changed, int64_t *next_seconds,
                          struct error *err)
{
	int64_t threshold = plan->lifetime_seconds / 3, not_after;
	bool published = plan->published;

	*changed = false;
	if (!authority_is_good(state, plan)) {
		if (replace_authority(state, err) < 0)
			return -1;
		*changed = true;
		published = false;
	}
	if (!certificate_is_good(state, plan, first_certificate(&state->authorities), threshold) &&
	    (published || !certificate_is_good(state, plan, pem_text(&state->authorities), 0))) {
		if (issue(state, plan, err) < 0)
			return -1;
		*changed = true;
	}
	if (certificate_not_after(pem_text(&state->certificate), &not_after, err) < 0)
		return -1;
	*next_seconds = not_after - threshold;
	return 0;
}

static int read_member(struct buffer *into, const json_t *secret, const char *name, struct error *err)
{
	const char *text = json_string_value(json_object_get(json_object_get(secret, "data"), name));

	if (!text)
		return 0;
	return base64_decode(text, strlen(text), into, err) < 0 ? error_wrap(err, "data.%s", name) : 0;
}

int serving_state_read(struct serving_state *state, const json_t *secret, struct error *err)
{
	if (read_member(&state->authorities, secret, KEY_CA_CERTIFICATE, err) < 0 ||
	    read_member(&state->authority_key, secret, KEY_CA_PRIVATE_KEY, err) < 0 ||
	    read_member(&state->certificate, secret, KEY_TLS_CERTIFICATE, err) < 0 ||
	    read_member(&state->key, secret, KEY_TLS_PRIVATE_KEY, err) < 0)
		return -1;
	return 0;
}

static void put_member(json_t *data, const char *name, const struct buffer *bytes)
{
	SECRET_CLEANUP char *text = base64_encode_new(bytes->data, bytes->length);

	json_object_set_new(data, name, json_string_new(text));
}

json_t *serving_state_data(const struct serving_state *state)
{
	json_t *data = json_object();

	put_member(data, KEY_CA_CERTIFICATE, &state->authorities);
	put_member(data, KEY_CA_PRIVATE_KEY, &state->authority_key);
	put_member(data, KEY_TLS_CERTIFICATE, &state->certificate);
	put_member(data, KEY_TLS_PRIVATE_KEY, &state->key);
	return data;
}
