/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that ends together: one arena per reconcile or request. Blocks double from 4 KiB to 64 KiB; larger pieces get a
 * block of their own. Small fixed allocations abort when memory ends (the kubelet restarts us); sizes that come from outside
 * must be checked against a named limit by the caller first. An arena belongs to one thread at a time.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* NULL is fine; runs the deferred calls, last first */
/* Zeroed, aligned for any type, lives until arena_free(). Never NULL. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, alloc_size(2), returns_nonnull));
char *arena_strdup(struct arena *arena, const char *text) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *arena, const char *text, size_t length) __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3), returns_nonnull));
char *arena_vprintf(struct arena *arena, const char *format, va_list arguments) __attribute__((format(printf, 2, 0), returns_nonnull));
/* Calls function(argument) when the arena is freed: for things of other libraries that live as long (a json_t, an X509). */
void arena_defer(struct arena *arena, void (*function)(void *), void *argument);

static inline void arena_cleanup(struct arena **arena)
{
	arena_free(*arena);
}
#define ARENA_CLEANUP __attribute__((cleanup(arena_cleanup)))
