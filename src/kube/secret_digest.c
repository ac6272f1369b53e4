/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/strings.h"
#include "kube/cache.h"
#include "kube/json_bytes.h"
#include "pki/digest.h"

static json_t *digest_of(const void *bytes, size_t length)
{
	char hex[DIGEST_HEX_SIZE];

	digest_hex(DIGEST_SHA256, bytes, length, hex);
	return json_string_printf("sha256:%s", hex);
}

static json_t *digest_of_encoded(const json_t *value)
{
	BUFFER_SECRET_CLEANUP struct buffer decoded = { 0 };
	struct error ignored = { 0 };
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	/* The server only stores valid base64; anything else is told apart by its own text. */
	if (base64_decode(text, length, &decoded, &ignored) != 0)
		return digest_of(text, length);
	return digest_of(decoded.data != NULL ? decoded.data : "", decoded.length);
}

static void digest_members(json_t *members, bool encoded, json_t *into)
{
	const char *key;
	json_t *value;

	json_object_foreach(members, key, value)
		if (json_is_string(value))
			json_object_set_new(into, key,
			                    encoded ? digest_of_encoded(value)
			                            : digest_of(json_string_value(value), json_string_length(value)));
}

void kube_secret_digest(json_t *secret)
{
	json_t *data = json_object_get(secret, "data"), *string_data = json_object_get(secret, "stringData");
	json_t *digests;

	/* kubectl apply keeps a copy of the whole Secret here. */
	kube_json_scrub(json_object_get(json_at(secret, "metadata.annotations"), "kubectl.kubernetes.io/last-applied-configuration"));
	if (!json_is_object(data) && !json_is_object(string_data))
		return;
	digests = json_object();
	digest_members(data, true, digests);
	digest_members(string_data, false, digests);
	kube_json_scrub(data);
	kube_json_scrub(string_data);
	(void)json_object_del(secret, "stringData");
	json_object_set_new(secret, "data", digests);
}

void kube_secret_transform(json_t *secret, void *unused)
{
	kube_secret_digest(secret);
}
