/* SPDX-License-Identifier: Apache-2.0 */
/* An etcd database as somebody may hand it to `kamaji datastore import`: everything is read, nothing written. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "etcd/bolt_format.h"
#include "etcd/etcd_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Changes would end at the checksums of the meta pages: they are made right, so that what lies behind is reached. */
static void repair_meta(uint8_t *bytes, size_t size, size_t page)
{
	size_t meta = page * BOLT_PAGE_SIZE + BOLT_PAGE_HEADER;
	uint64_t checksum;

	if (meta + BOLT_META_BYTES > size)
		return;
	checksum = bolt_checksum(bytes + meta, BOLT_META_CHECKED);
	memcpy(bytes + meta + BOLT_META_CHECKED, &checksum, sizeof(checksum));
}

static void check(const uint8_t *data, size_t size)
{
	struct etcd_import_report report;
	struct error err = { 0 };

	if (etcd_import_check(data, size, &report, &err) == 0) {
		if (report.revision < 1 || report.compacted > report.revision)
			abort();
	} else if (err.message[0] == '\0' || err.class == ERROR_NONE) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t sectors = size / 512 * 512; /* a length that cannot be a database's says nothing new */
	uint8_t *copy;

	check(data, size);
	copy = malloc(sectors + 1);
	if (copy == NULL)
		abort();
	memcpy(copy, data, sectors);
	repair_meta(copy, sectors, 0);
	repair_meta(copy, sectors, 1);
	check(copy, sectors);
	free(copy);
	return 0;
}
