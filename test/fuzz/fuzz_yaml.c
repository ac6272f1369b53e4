/* SPDX-License-Identifier: Apache-2.0 */
/* YAML streams (kubeconfigs, manifests): what parses must be written as YAML that means the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		if (again != NULL && !json_equal(document, again))
			abort();
		json_decref(again);
		free(text);
	}
	json_decref(documents);
	return 0;
}
