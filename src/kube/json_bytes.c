/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/json_bytes.h"

#include <stdint.h>

#include "base/json.h"
#include "base/secret.h"

json_t *kube_json_parse(const char *bytes, size_t length, bool secret, struct error *err)
{
	json_error_t problem;
	json_t *value;

	if (length > JSON_MAXIMUM_BYTES) {
		error_set(err, ERROR_EXHAUSTED, "JSON text of %zu bytes is over the limit of %d", length, JSON_MAXIMUM_BYTES);
		return NULL;
	}
	value = json_loadb(bytes, length, JSON_ALLOW_NUL, &problem);
	if (value == NULL)
		error_set(err, ERROR_CORRUPT, "JSON of %zu bytes: at byte %d: %s", length, problem.position,
		          secret ? "not JSON" : problem.text);
	return value;
}

void kube_json_scrub(json_t *value)
{
	const char *key;
	json_t *member;
	size_t index;

	if (value == NULL)
		return;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		json_object_foreach(value, key, member)
			kube_json_scrub(member);
		break;
	case JSON_ARRAY:
		json_array_foreach(value, index, member)
			kube_json_scrub(member);
		break;
	case JSON_STRING:
		/* jansson owns the bytes and hands them out const; zeroing keeps length and validity. */
		secret_zero((char *)(uintptr_t)json_string_value(value), json_string_length(value));
		break;
	default:
		break;
	}
}
