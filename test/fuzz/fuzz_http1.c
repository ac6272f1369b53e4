/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 request parser: what it accepts keeps its promises, and query values are decoded within bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "net/http1_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	size_t length = http1_header_length(bytes, size);
	struct http1_request *request;
	char *value;

	if (length == 0 || length > size)
		return 0;
	request = malloc(sizeof(*request));
	if (request == NULL)
		abort();
	memset(request, 0xa5, sizeof(*request));
	if (http1_request_parse(bytes, length, 1024, request) == 0) {
		if (request->path[0] != '/' || memchr(request->path, '\0', sizeof(request->path)) == NULL ||
		    memchr(request->query, '\0', sizeof(request->query)) == NULL)
			abort();
		value = http_query_value(request->query, "name");
		if (value != NULL && strlen(value) > strlen(request->query))
			abort();
		free(value);
	}
	free(request);
	return 0;
}
