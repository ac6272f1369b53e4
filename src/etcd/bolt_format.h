/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database file that etcd keeps and its snapshots consist of (go.etcd.io/bbolt, format 2): pages of one size, all numbers in the byte
 * order of the machine, which is little-endian wherever etcd runs. A page begins with id (8 bytes), flags (2), count (2), overflow (4: how many
 * pages more it takes). Pages 0 and 1 are meta pages, of which the one with the higher transaction counts.
 *
 *     meta      magic 4, version 4, page size 4, flags 4, root bucket 8 + 8, freelist page 8, number of pages 8, transaction 8, FNV-1a 8
 *     branch    count times (position 4, key size 4, page 8), keys
 *     leaf      count times (flags 4, position 4, key size 4, value size 4), keys and values
 *     bucket    a leaf value: root page 8, sequence 8; with root 0 a small leaf page follows in the value itself
 *
 * A position counts from the start of its own element.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	BOLT_PAGE_HEADER = 16,
	BOLT_META_BYTES = 64,
	BOLT_META_CHECKED = 56, /* before the checksum */
	BOLT_LEAF_ELEMENT = 16,
	BOLT_BRANCH_ELEMENT = 16,
	BOLT_BUCKET_HEADER = 16,
	BOLT_FLAG_BRANCH = 0x01,
	BOLT_FLAG_LEAF = 0x02,
	BOLT_FLAG_META = 0x04,
	BOLT_FLAG_FREELIST = 0x10,
	BOLT_LEAF_BUCKET = 0x01,
	BOLT_VERSION = 2,
	BOLT_PAGE_SIZE = 4096,
	BOLT_DEPTH_MAXIMUM = 32,
};
#define BOLT_MAGIC 0xED0CDAEDu

/* FNV-1a, 64 bits. */
static inline uint64_t bolt_checksum(const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}
