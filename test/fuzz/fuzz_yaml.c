/* SPDX-License-Identifier: Apache-2.0 */
/* YAML streams (kubeconfigs, manifests): what parses must be written as YAML that means the same. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As json_equal(), but 1000.0 may come back as 1000: it is printed as Go prints it. */
static bool same(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *member;
	size_t index;

	if (json_is_real(a) || json_is_real(b))
		return json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b);
	if (json_typeof(a) != json_typeof(b))
		return false;
	if (json_is_object(a)) {
		json_object_foreach((json_t *)a, key, member)
			if (json_object_get(b, key) == NULL || !same(member, json_object_get(b, key)))
				return false;
		return json_object_size(a) == json_object_size(b);
	}
	if (json_is_array(a)) {
		json_array_foreach(a, index, member)
			if (json_array_get(b, index) == NULL || !same(member, json_array_get(b, index)))
				return false;
		return json_array_size(a) == json_array_size(b);
	}
	return json_equal(a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	json_t *documents = yaml_parse_all((const char *)data, size, &err);
	if (documents == NULL)
		return 0;
	size_t index;
	json_t *document;
	json_array_foreach(documents, index, document) {
		char *text = yaml_text(document, true);
		if (text == NULL)
			continue;
		json_t *again = yaml_parse(text, strlen(text), &err);
		if (again == NULL ? err.class != ERROR_EXHAUSTED : !same(document, again))
			abort();
		json_decref(again);
		free(text);
	}
	json_decref(documents);
	return 0;
}
