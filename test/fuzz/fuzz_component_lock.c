/* SPDX-License-Identifier: Apache-2.0 */
/* The lock file parser and the checksum file reader. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "local/component_digest.h"
#include "local/component_lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { 0 };
	COMPONENT_LOCK_CLEANUP struct component_lock *lock = component_lock_parse((const char *)data, size, "/x", "amd64", &err);
	char sha256[COMPONENT_SHA256_SIZE];

	if (lock != NULL) {
		const struct component *component = component_lock_find(lock, lock->components[0].name, NULL, &err);

		/* What was accepted is whole. */
		if (component == NULL || component->file_count == 0 || component->build.folder == NULL)
			abort();
	}
	if (component_digest_find((const char *)data, size, "name", sha256, &err) == 0 && !component_digest_is_text(sha256))
		abort();
	return 0;
}
