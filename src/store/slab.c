/* SPDX-License-Identifier: Apache-2.0 */
#include "store/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { PAGE_BYTES = 32 * 1024, HEADER_BYTES = 64 };

#if defined(__SANITIZE_ADDRESS__)
static const bool one_by_one = true; /* the sanitizer watches what malloc() gave */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
static const bool one_by_one = true;
#else
static const bool one_by_one = false;
#endif
#else
static const bool one_by_one = false;
#endif

struct place {
	struct place *next;
};

struct slab_page {
	struct slab_page *next, *previous; /* of those with room */
	struct place *free;
	uint32_t used, never_used; /* places; those from never_used on have not been handed out yet */
};

_Static_assert(sizeof(struct slab_page) <= HEADER_BYTES, "a page's header fits its place");

static size_t class_of(size_t size)
{
	return size == 0 ? 0 : (size - 1) / SLAB_STEP;
}

static size_t place_bytes(size_t class)
{
	return (class + 1) * SLAB_STEP;
}

static uint32_t places_of(size_t class)
{
	return (uint32_t)((PAGE_BYTES - HEADER_BYTES) / place_bytes(class));
}

static void *checked(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static void link_page(struct slab *slab, size_t class, struct slab_page *page)
{
	page->previous = NULL;
	page->next = slab->room[class];
	if (page->next != NULL)
		page->next->previous = page;
	slab->room[class] = page;
}

static void unlink_page(struct slab *slab, size_t class, struct slab_page *page)
{
	*(page->previous != NULL ? &page->previous->next : &slab->room[class]) = page->next;
	if (page->next != NULL)
		page->next->previous = page->previous;
}

void *slab_alloc(struct slab *slab, size_t size)
{
	size_t class = class_of(size);
	struct slab_page *page;
	void *thing;

	if (size > SLAB_LARGEST || one_by_one)
		return checked(malloc(size));
	page = slab->room[class];
	if (page == NULL) {
		page = checked(aligned_alloc(PAGE_BYTES, PAGE_BYTES));
		*page = (struct slab_page){ 0 };
		link_page(slab, class, page);
	}
	if (page->free != NULL) {
		thing = page->free;
		page->free = page->free->next;
	} else {
		thing = (char *)page + HEADER_BYTES + page->never_used++ * place_bytes(class);
	}
	if (++page->used == places_of(class))
		unlink_page(slab, class, page);
	return thing;
}

void slab_free(struct slab *slab, void *thing, size_t size)
{
	size_t class = class_of(size);
	struct slab_page *page;
	struct place *place = thing;

	if (thing == NULL)
		return;
	if (size > SLAB_LARGEST || one_by_one) {
		free(thing);
		return;
	}
	page = (struct slab_page *)((uintptr_t)thing & ~(uintptr_t)(PAGE_BYTES - 1));
	if (page->used-- == places_of(class))
		link_page(slab, class, page);
	if (page->used == 0) {
		unlink_page(slab, class, page);
		free(page);
		return;
	}
	place->next = page->free;
	page->free = place;
}
