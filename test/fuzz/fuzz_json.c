/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text: what parses must print, parse again, and be the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	json_t *value = json_parse((const char *)data, size, &err);
	if (value == NULL)
		return 0;
	char *text = json_canonical(value);
	size_t length = 0;
	while (text[length] != '\0')
		length++;
	json_t *again = json_parse(text, length, &err);
	if (again == NULL || !json_equal(value, again))
		abort();
	if (!json_is_subset(value, again))
		abort();
	json_prune_empty(again);
	free(text);
	json_decref(again);
	json_decref(value);
	return 0;
}
