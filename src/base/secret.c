/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

void secret_zero(void *bytes, size_t length)
{
	if (bytes != NULL)
		explicit_bzero(bytes, length);
}

void secret_free(char *text)
{
	if (text == NULL)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}
