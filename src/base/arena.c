/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 65536, ALIGNMENT = 16 };

struct block {
	struct block *next;
	size_t used;
	size_t size;
	_Alignas(ALIGNMENT) unsigned char bytes[];
};

struct deferred {
	struct deferred *next;
	void (*function)(void *);
	void *argument;
};

struct arena {
	struct block *current;
	struct deferred *deferred;
	size_t next_size;
};

struct arena *arena_new(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (arena == NULL)
		abort();
	arena->next_size = FIRST_BLOCK;
	return arena;
}

void arena_free(struct arena *arena)
{
	if (arena == NULL)
		return;
	for (struct deferred *item = arena->deferred; item != NULL; item = item->next)
		item->function(item->argument);
	for (struct block *block = arena->current; block != NULL;) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
	free(arena);
}

static struct block *add_block(struct arena *arena, size_t size)
{
	struct block *block = malloc(sizeof(*block) + size);

	if (block == NULL)
		abort();
	block->used = 0;
	block->size = size;
	block->next = arena->current;
	arena->current = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct block *block = arena->current;
	void *result;

	if (size > SIZE_MAX - ALIGNMENT - sizeof(struct block))
		abort();
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (block == NULL || block->size - block->used < size) {
		if (size > arena->next_size / 2) {
			block = add_block(arena, size);
		} else {
			block = add_block(arena, arena->next_size);
			if (arena->next_size < LARGEST_BLOCK)
				arena->next_size *= 2;
		}
	}
	result = block->bytes + block->used;
	block->used += size;
	memset(result, 0, size);
	return result;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list arguments)
{
	va_list again;
	char *text;
	int length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		abort();
	text = arena_alloc(arena, (size_t)length + 1);
	(void)vsnprintf(text, (size_t)length + 1, format, arguments);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	return text;
}

void arena_defer(struct arena *arena, void (*function)(void *), void *argument)
{
	struct deferred *item = arena_alloc(arena, sizeof(*item));

	item->function = function;
	item->argument = argument;
	item->next = arena->deferred;
	arena->deferred = item;
}
