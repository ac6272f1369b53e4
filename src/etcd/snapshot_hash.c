/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "etcd/snapshot_write.h"

enum { CRC_STEP = 8 };

/* CRC-32 with Castagnoli's polynomial, reflected; table[n] takes a byte that n more bytes of its step follow. */
struct crc32c {
	uint32_t table[CRC_STEP][256];
	uint32_t value;
};

static void crc_start(struct crc32c *crc)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
		crc->table[0][i] = value;
	}
	for (int behind = 1; behind < CRC_STEP; behind++)
		for (uint32_t i = 0; i < 256; i++)
			crc->table[behind][i] = crc->table[behind - 1][i] >> 8 ^ crc->table[0][crc->table[behind - 1][i] & 0xff];
	crc->value = 0xffffffffu;
}

static void crc_add(struct crc32c *crc, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint32_t value = crc->value;

	for (; length >= CRC_STEP; length -= CRC_STEP, at += CRC_STEP) {
		value ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		value = crc->table[7][value & 0xff] ^ crc->table[6][value >> 8 & 0xff] ^ crc->table[5][value >> 16 & 0xff] ^
		        crc->table[4][value >> 24] ^ crc->table[3][at[4]] ^ crc->table[2][at[5]] ^ crc->table[1][at[6]] ^
		        crc->table[0][at[7]];
	}
	for (; length > 0; length--, at++)
		value = crc->table[0][(value ^ *at) & 0xff] ^ value >> 8;
	crc->value = value;
}

struct hashing {
	struct crc32c crc;
	struct buffer value;
	int64_t compacted;
};

static int add_version(void *argument, const struct store_view_entry *entry, struct error *err)
{
	struct hashing *hashing = argument;
	char key[SNAPSHOT_TOMBSTONE_BYTES];

	if (entry->revision <= hashing->compacted && (entry->deleted || !entry->newest))
		return 0;
	buffer_clear(&hashing->value);
	snapshot_key_value(entry, &hashing->value);
	crc_add(&hashing->crc, key, snapshot_revision_key(entry->revision, entry->sub, entry->deleted, key));
	crc_add(&hashing->crc, hashing->value.data, hashing->value.length);
	return 0;
}

static int hash_with(struct store_view *view, int64_t revision, int64_t compacted, int64_t newest_at, uint32_t *hash, struct error *err)
{
	struct hashing hashing = { .compacted = compacted };
	int result;

	crc_start(&hashing.crc);
	crc_add(&hashing.crc, "key", 3);
	result = store_view_each(view, revision, newest_at, add_version, &hashing, err);
	buffer_free(&hashing.value);
	*hash = ~hashing.crc.value;
	return result;
}

/*
 * etcd's rules: at or below the compacted revision only what a compaction at the hashed revision would keep counts, or, when that would keep
 * nothing at all, what the last one kept; never a deletion at exactly the compacted revision.
 */
int snapshot_hash(struct store_view *view, int64_t revision, uint32_t *hash, struct error *err)
{
	int64_t at = revision != 0 ? revision : store_view_revision(view), compacted = store_view_compacted(view);

	if (hash_with(view, at, compacted, at, hash, err) < 0)
		return -1;
	if (compacted <= 0 || store_view_any_live(view))
		return 0;
	return hash_with(view, at, compacted, compacted, hash, err);
}

/* A compaction keeps a deletion at its own revision, so then it keeps something. */
int snapshot_compaction_hash(struct store_view *view, int64_t revision, int64_t compacted, uint32_t *hash, struct error *err)
{
	if (hash_with(view, revision, compacted, revision, hash, err) < 0)
		return -1;
	if (compacted <= 0 || store_view_any_live(view) || store_view_any_deleted(view))
		return 0;
	return hash_with(view, revision, compacted, compacted, hash, err);
}
