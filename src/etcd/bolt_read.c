/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/bolt_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "etcd/bolt_format.h"

enum { PAGE_SIZE_MINIMUM = 512, PAGE_SIZE_MAXIMUM = 64 * 1024 };

struct page {
	uint64_t id;
	const unsigned char *bytes;
	uint64_t length; /* overflow included */
	uint16_t flags, count;
};

struct element {
	uint32_t flags;
	uint64_t page;
	struct bytes key, value;
};

struct walk {
	struct bolt_file *file;
	bolt_function function;
	void *argument;
	bool buckets; /* the root's leaves: bucket elements are expected */
};

static uint16_t get16(const unsigned char *at)
{
	uint16_t number;

	memcpy(&number, at, sizeof(number));
	return number;
}

static uint32_t get32(const unsigned char *at)
{
	uint32_t number;

	memcpy(&number, at, sizeof(number));
	return number;
}

static uint64_t get64(const unsigned char *at)
{
	uint64_t number;

	memcpy(&number, at, sizeof(number));
	return number;
}

static int corrupt(struct error *err, uint64_t page, const char *what)
{
	return error_set(err, ERROR_CORRUPT, "page %" PRIu64 " of the database %s", page, what);
}

/* NULL for a meta page that can be used; otherwise what is wrong with it. */
static const char *meta_problem(const struct bolt_file *file, uint64_t offset, uint32_t *page_size)
{
	const unsigned char *meta = file->bytes + offset + BOLT_PAGE_HEADER;

	if (offset + BOLT_PAGE_HEADER + BOLT_META_BYTES > file->length)
		return "is cut off";
	if (get32(meta) != BOLT_MAGIC)
		return "does not begin as a database does";
	if (get32(meta + 4) != BOLT_VERSION)
		return "is of an unknown format version";
	if (get64(meta + BOLT_META_CHECKED) != bolt_checksum(meta, BOLT_META_CHECKED))
		return "has a wrong checksum";
	*page_size = get32(meta + 8);
	if (*page_size < PAGE_SIZE_MINIMUM || *page_size > PAGE_SIZE_MAXIMUM || (*page_size & (*page_size - 1)) != 0)
		return "gives an impossible page size";
	return NULL;
}

static const unsigned char *choose_meta(struct bolt_file *file, struct error *err)
{
	const unsigned char *first = NULL, *second = NULL;
	const char *problem = meta_problem(file, 0, &file->page_size);
	uint32_t size = file->page_size;

	if (problem == NULL) {
		first = file->bytes + BOLT_PAGE_HEADER;
		if (meta_problem(file, file->page_size, &size) == NULL && size == file->page_size)
			second = file->bytes + file->page_size + BOLT_PAGE_HEADER;
	} else {
		for (uint32_t guess = PAGE_SIZE_MINIMUM; second == NULL && guess <= PAGE_SIZE_MAXIMUM; guess *= 2)
			if (meta_problem(file, guess, &size) == NULL && size == guess) {
				second = file->bytes + guess + BOLT_PAGE_HEADER;
				file->page_size = guess;
			}
	}
	if (first == NULL && second == NULL) {
		corrupt(err, 0, problem);
		return NULL;
	}
	if (first == NULL || second == NULL)
		return first != NULL ? first : second;
	return get64(first + 48) > get64(second + 48) ? first : second;
}

int bolt_open(struct bolt_file *file, const void *bytes, uint64_t length, struct error *err)
{
	const unsigned char *meta;

	*file = (struct bolt_file){ .bytes = bytes, .length = length };
	meta = choose_meta(file, err);
	if (meta == NULL)
		return -1;
	file->root = get64(meta + 16);
	file->pages = get64(meta + 40);
	if (file->pages > length / file->page_size)
		return error_set(err, ERROR_CORRUPT, "the database has %" PRIu64 " pages of %u bytes, the file only %" PRIu64 " bytes",
		                 file->pages, file->page_size, length);
	file->used = calloc(1, (size_t)(file->pages / 8 + 1));
	if (file->used == NULL)
		abort();
	return 0;
}

void bolt_close(struct bolt_file *file)
{
	free(file->used);
	file->used = NULL;
}

static int take_page(struct bolt_file *file, uint64_t id, struct page *page, struct error *err)
{
	uint64_t overflow;

	if (id < 2 || id >= file->pages)
		return corrupt(err, id, "is referred to but does not exist");
	page->id = id;
	page->bytes = file->bytes + id * file->page_size;
	overflow = get32(page->bytes + 12);
	page->flags = get16(page->bytes + 8);
	page->count = get16(page->bytes + 10);
	if (get64(page->bytes) != id)
		return corrupt(err, id, "carries the number of another");
	if (page->flags != BOLT_FLAG_LEAF && page->flags != BOLT_FLAG_BRANCH)
		return corrupt(err, id, "is neither branch nor leaf");
	if (overflow >= file->pages - id)
		return corrupt(err, id, "goes on beyond the end");
	for (uint64_t i = id; i <= id + overflow; i++) {
		if (file->used[i / 8] & (1u << (i % 8)))
			return corrupt(err, i, "is used twice");
		file->used[i / 8] |= (unsigned char)(1u << (i % 8));
	}
	page->length = (overflow + 1) * file->page_size;
	return 0;
}

static int page_element(const struct page *page, uint16_t index, struct element *element, struct error *err)
{
	uint64_t start = BOLT_PAGE_HEADER + (uint64_t)index * BOLT_LEAF_ELEMENT;
	const unsigned char *at = page->bytes + start;
	bool leaf = page->flags == BOLT_FLAG_LEAF;
	uint64_t position, key_length, value_length;

	if (start + BOLT_LEAF_ELEMENT > page->length)
		return corrupt(err, page->id, "has more elements than room");
	position = start + get32(at + (leaf ? 4 : 0));
	key_length = get32(at + (leaf ? 8 : 4));
	value_length = leaf ? get32(at + 12) : 0;
	element->flags = leaf ? get32(at) : 0;
	element->page = leaf ? 0 : get64(at + 8);
	if (position > page->length || key_length + value_length > page->length - position)
		return corrupt(err, page->id, "has an element that lies outside");
	if (key_length == 0)
		return corrupt(err, page->id, "has an empty key");
	element->key = (struct bytes){ (const char *)page->bytes + position, (size_t)key_length };
	element->value = (struct bytes){ (const char *)page->bytes + position + key_length, (size_t)value_length };
	return 0;
}

static int visit_page(const struct walk *walk, const struct page *page, struct bytes from, const struct bytes *to, unsigned depth,
                      struct error *err);

static int visit_child(const struct walk *walk, uint64_t id, struct bytes from, const struct bytes *to, unsigned depth, struct error *err)
{
	struct page page;

	if (depth == BOLT_DEPTH_MAXIMUM)
		return corrupt(err, id, "lies too deep");
	return take_page(walk->file, id, &page, err) < 0 ? -1 : visit_page(walk, &page, from, to, depth, err);
}

/* Keys in [from, to), ascending. */
static int visit_page(const struct walk *walk, const struct page *page, struct bytes from, const struct bytes *to, unsigned depth,
                      struct error *err)
{
	bool leaf = page->flags == BOLT_FLAG_LEAF;
	struct element element, next;

	if (page->count == 0)
		return leaf ? 0 : corrupt(err, page->id, "is a branch without children");
	if (page_element(page, 0, &next, err) < 0)
		return -1;
	if (bytes_compare(next.key, from) < 0)
		return corrupt(err, page->id, "begins before the branch above says");
	for (uint16_t i = 0; i < page->count; i++) {
		bool last = i + 1 == page->count;

		element = next;
		if (!last && page_element(page, (uint16_t)(i + 1), &next, err) < 0)
			return -1;
		if (!last && bytes_compare(element.key, next.key) >= 0)
			return corrupt(err, page->id, "has its keys out of order");
		if (to != NULL && bytes_compare(element.key, *to) >= 0)
			return corrupt(err, page->id, "ends behind what the branch above says");
		if (!leaf) {
			if (visit_child(walk, element.page, element.key, last ? to : &next.key, depth + 1, err) < 0)
				return -1;
			continue;
		}
		if (((element.flags & BOLT_LEAF_BUCKET) != 0) != walk->buckets)
			return corrupt(err, page->id,
			               walk->buckets ? "has a key where only buckets belong" : "has a bucket inside a bucket");
		if (walk->function(walk->argument, element.key, element.value, err) < 0)
			return -1;
	}
	return 0;
}

struct wanted {
	const char *name;
	struct bytes value;
	bool found;
};

static int match_bucket(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct wanted *wanted = argument;

	if (bytes_equal(key, BYTES(wanted->name))) {
		wanted->found = true;
		wanted->value = value;
	}
	return 0;
}

/* The root's own tree is read once per bucket: what it marked as used is given back. */
static int find_bucket(struct bolt_file *file, struct wanted *wanted, struct error *err)
{
	struct walk walk = { file, match_bucket, wanted, true };
	size_t length = (size_t)(file->pages / 8 + 1);
	unsigned char *before = malloc(length);
	int result;

	if (before == NULL)
		abort();
	memcpy(before, file->used, length);
	result = visit_child(&walk, file->root, BYTES(""), NULL, 0, err);
	memcpy(file->used, before, length);
	free(before);
	return result;
}

int bolt_each(struct bolt_file *file, const char *bucket, bolt_function function, void *argument, bool *found, struct error *err)
{
	struct walk walk = { file, function, argument, false };
	struct wanted wanted = { .name = bucket };
	struct page page = { 0 };
	uint64_t root;

	if (found != NULL)
		*found = false;
	if (find_bucket(file, &wanted, err) < 0)
		return -1;
	if (!wanted.found)
		return 0;
	if (found != NULL)
		*found = true;
	if (wanted.value.length < BOLT_BUCKET_HEADER)
		return error_set(err, ERROR_CORRUPT, "bucket %s of the database is cut short", bucket);
	root = get64((const unsigned char *)wanted.value.data);
	if (root != 0)
		return visit_child(&walk, root, BYTES(""), NULL, 0, err);
	if (wanted.value.length < BOLT_BUCKET_HEADER + BOLT_PAGE_HEADER)
		return error_set(err, ERROR_CORRUPT, "bucket %s of the database is cut short", bucket);
	page.bytes = (const unsigned char *)wanted.value.data + BOLT_BUCKET_HEADER;
	page.length = wanted.value.length - BOLT_BUCKET_HEADER;
	page.flags = get16(page.bytes + 8);
	page.count = get16(page.bytes + 10);
	if (page.flags != BOLT_FLAG_LEAF)
		return error_set(err, ERROR_CORRUPT, "bucket %s of the database lies in its parent but is no leaf", bucket);
	return visit_page(&walk, &page, BYTES(""), NULL, 0, err);
}
