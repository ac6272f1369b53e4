/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/pattern.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "io/thread.h"

/* Raw deflate: no header and no checksum, for bytes that never leave the process. */
enum { WINDOW_BITS = -15, MEMORY_LEVEL = 6, PACK_LEVEL = 1 };

struct kube_pattern {
	atomic_uint references;
	size_t length;
	char text[];
};

struct kube_pattern *kube_pattern_new(const char *text, size_t length)
{
	size_t used = length < KUBE_PATTERN_SIZE ? length : KUBE_PATTERN_SIZE;
	struct kube_pattern *pattern = malloc(sizeof(*pattern) + used);

	if (pattern == NULL)
		abort();
	atomic_init(&pattern->references, 1);
	pattern->length = used;
	memcpy(pattern->text, text + (length - used), used);
	return pattern;
}

struct kube_pattern *kube_pattern_ref(struct kube_pattern *pattern)
{
	if (pattern != NULL)
		atomic_fetch_add_explicit(&pattern->references, 1, memory_order_relaxed);
	return pattern;
}

void kube_pattern_unref(struct kube_pattern *pattern)
{
	if (pattern != NULL && atomic_fetch_sub_explicit(&pattern->references, 1, memory_order_acq_rel) == 1)
		free(pattern);
}

/* One for the process: it takes 200 KiB, and caches pack on one thread. */
static pthread_mutex_t packer_mutex = PTHREAD_MUTEX_INITIALIZER;
static z_stream packer;
static bool packer_ready;

static bool prepare_packer(const struct kube_pattern *pattern)
{
	if (!packer_ready)
		packer_ready = deflateInit2(&packer, PACK_LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
	else if (deflateReset(&packer) != Z_OK)
		return false;
	return packer_ready && deflateSetDictionary(&packer, (const unsigned char *)pattern->text, (unsigned)pattern->length) == Z_OK;
}

size_t kube_pattern_pack(const struct kube_pattern *pattern, const char *text, size_t length, unsigned char *out, size_t size)
{
	if (pattern == NULL || length > INT_MAX || size > INT_MAX)
		return 0;
	THREAD_LOCKED(&packer_mutex);

	if (!prepare_packer(pattern))
		return 0;
	packer.next_in = (unsigned char *)(uintptr_t)text;
	packer.avail_in = (unsigned)length;
	packer.next_out = out;
	packer.avail_out = (unsigned)size;
	return deflate(&packer, Z_FINISH) == Z_STREAM_END ? size - packer.avail_out : 0;
}

bool kube_pattern_unpack(const struct kube_pattern *pattern, const unsigned char *packed, size_t packed_length, char *text, size_t length)
{
	z_stream stream = { 0 };
	bool good;

	if (pattern == NULL || inflateInit2(&stream, WINDOW_BITS) != Z_OK)
		return false;
	stream.next_in = (unsigned char *)(uintptr_t)packed;
	stream.avail_in = (unsigned)packed_length;
	stream.next_out = (unsigned char *)text;
	stream.avail_out = (unsigned)length;
	good = inflateSetDictionary(&stream, (const unsigned char *)pattern->text, (unsigned)pattern->length) == Z_OK &&
	       inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0 && stream.avail_in == 0;
	(void)inflateEnd(&stream);
	return good;
}
