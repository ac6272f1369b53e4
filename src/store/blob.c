/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blob.h"

#include <stdlib.h>

struct blob *blob_new(const void *bytes, size_t length)
{
	struct blob *blob;

	if (length > UINT32_MAX)
		abort();
	blob = malloc(sizeof(*blob) + length);
	if (blob == NULL)
		abort();
	blob->references = 1;
	blob->length = (uint32_t)length;
	if (length > 0)
		memcpy(blob->data, bytes, length);
	return blob;
}

struct blob *blob_ref(struct blob *blob)
{
	if (blob != NULL)
		blob->references++;
	return blob;
}

void blob_unref(struct blob *blob)
{
	if (blob != NULL && --blob->references == 0)
		free(blob);
}
