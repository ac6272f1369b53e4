/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 16 };

static bool is_mapped(const struct http2_memory *memory, const void *pointer)
{
	uintptr_t at = (uintptr_t)pointer, begin = (uintptr_t)memory->mapping;

	return memory->mapping != NULL && at >= begin && at < begin + HTTP2_MEMORY_SIZE;
}

/* Never used before, so it is zero. NULL: take it elsewhere. */
static void *take(struct http2_memory *memory, size_t size)
{
	size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	char *place;

	if (memory->settled || memory->mapping == NULL || size > HTTP2_MEMORY_SIZE || rounded > HTTP2_MEMORY_SIZE - memory->used)
		return NULL;
	place = memory->mapping + memory->used;
	memory->used += rounded;
	return place;
}

static void *allocate(size_t size, void *argument)
{
	void *place = take(argument, size);

	return place != NULL ? place : malloc(size);
}

static void *allocate_zeroed(size_t count, size_t size, void *argument)
{
	void *place = size > 0 && count <= HTTP2_MEMORY_SIZE / size ? take(argument, count * size) : NULL;

	return place != NULL ? place : calloc(count, size);
}

static void release(void *pointer, void *argument)
{
	if (!is_mapped(argument, pointer))
		free(pointer);
}

static void *resize(void *pointer, size_t size, void *argument)
{
	struct http2_memory *memory = argument;
	size_t known;
	void *place;

	if (pointer == NULL)
		return allocate(size, memory);
	if (!is_mapped(memory, pointer))
		return realloc(pointer, size);
	/* How long it was is not known; more than up to the end of what was given out it cannot have been. */
	known = (size_t)(memory->mapping + memory->used - (char *)pointer);
	place = malloc(size);
	if (place != NULL)
		memcpy(place, pointer, size < known ? size : known);
	return place;
}

void http2_memory_init(struct http2_memory *memory)
{
	void *mapping = mmap(NULL, HTTP2_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*memory = (struct http2_memory){
		.mapping = mapping != MAP_FAILED ? mapping : NULL,
		.functions = { .mem_user_data = memory, .malloc = allocate, .free = release, .calloc = allocate_zeroed, .realloc = resize },
	};
}

void http2_memory_settle(struct http2_memory *memory)
{
	memory->settled = true;
}

void http2_memory_free(struct http2_memory *memory)
{
	if (memory->mapping != NULL)
		(void)munmap(memory->mapping, HTTP2_MEMORY_SIZE);
	memory->mapping = NULL;
}
