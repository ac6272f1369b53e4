/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/bolt_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "etcd/bolt_format.h"
#include "io/file.h"

enum { FLUSH_BYTES = 1024 * 1024, FIRST_PAGE = 2, BUCKETS_MAXIMUM = 16, TRANSACTION = 3, COUNT_MAXIMUM = 0xFFFE };

/* One element of a page to be: in a branch `value` is the child's page. */
struct element {
	uint32_t flags;
	size_t offset; /* of the key in the node's bytes, the value follows */
	uint32_t key_length, value_length;
	uint64_t page;
};

struct node {
	struct element *elements;
	size_t count, capacity;
	struct buffer bytes;
	size_t size; /* as a page */
};

struct bucket {
	char *name;
	uint64_t root; /* 0: empty, lies in the root's leaf */
};

struct bolt_writer {
	int descriptor;
	struct buffer out;
	uint64_t next_page;
	struct node leaf;     /* being filled */
	struct node children; /* first key and page of every page of the level below */
	struct bucket buckets[BUCKETS_MAXIMUM];
	size_t bucket_count;
};

static void node_add(struct node *node, struct bytes key, struct bytes value, uint32_t flags, uint64_t page)
{
	struct element *element;

	if (node->count == node->capacity) {
		node->capacity = node->capacity ? node->capacity * 2 : 64;
		node->elements = reallocarray(node->elements, node->capacity, sizeof(*node->elements));
		if (node->elements == NULL)
			abort();
	}
	element = &node->elements[node->count++];
	*element = (struct element){
		.flags = flags,
		.offset = node->bytes.length,
		.key_length = (uint32_t)key.length,
		.value_length = (uint32_t)value.length,
		.page = page,
	};
	(void)buffer_append(&node->bytes, key.data, key.length);
	(void)buffer_append(&node->bytes, value.data, value.length);
	node->size += BOLT_LEAF_ELEMENT + key.length + value.length;
}

static void node_clear(struct node *node)
{
	node->count = 0;
	buffer_clear(&node->bytes);
	node->size = BOLT_PAGE_HEADER;
}

static void node_free(struct node *node)
{
	free(node->elements);
	buffer_free(&node->bytes);
	*node = (struct node){ 0 };
}

static void put16(struct buffer *out, uint16_t number)
{
	(void)buffer_append(out, &number, sizeof(number));
}

static void put32(struct buffer *out, uint32_t number)
{
	(void)buffer_append(out, &number, sizeof(number));
}

static void put64(struct buffer *out, uint64_t number)
{
	(void)buffer_append(out, &number, sizeof(number));
}

static void put_zeros(struct buffer *out, size_t count)
{
	char *at = buffer_reserve(out, count);

	memset(at, 0, count);
	out->length += count;
}

static void put_page_header(struct buffer *out, uint64_t page, uint16_t flags, uint16_t count, uint32_t overflow)
{
	put64(out, page);
	put16(out, flags);
	put16(out, count);
	put32(out, overflow);
}

static int flush(struct bolt_writer *writer, struct error *err)
{
	int result = file_write_all(writer->descriptor, writer->out.data, writer->out.length, err);

	buffer_clear(&writer->out);
	return result;
}

/* The elements [from, to) as one page; its number, 0 when it could not be written. */
static uint64_t write_node(struct bolt_writer *writer, const struct node *node, size_t from, size_t to, bool leaf, struct error *err)
{
	struct buffer *out = &writer->out;
	size_t size = BOLT_PAGE_HEADER, data = 0, start = out->length;
	uint64_t page = writer->next_page;
	uint32_t pages;

	for (size_t i = from; i < to; i++)
		size += BOLT_LEAF_ELEMENT + node->elements[i].key_length + node->elements[i].value_length;
	pages = (uint32_t)((size + BOLT_PAGE_SIZE - 1) / BOLT_PAGE_SIZE);
	put_page_header(out, page, leaf ? BOLT_FLAG_LEAF : BOLT_FLAG_BRANCH, (uint16_t)(to - from), pages - 1);
	for (size_t i = from; i < to; i++) {
		const struct element *element = &node->elements[i];
		uint32_t position = (uint32_t)((to - i) * BOLT_LEAF_ELEMENT + data);

		if (leaf)
			put32(out, element->flags);
		put32(out, position);
		put32(out, element->key_length);
		if (leaf)
			put32(out, element->value_length);
		else
			put64(out, element->page);
		data += element->key_length + element->value_length;
	}
	for (size_t i = from; i < to; i++)
		(void)buffer_append(out, node->bytes.data + node->elements[i].offset,
		                    (size_t)node->elements[i].key_length + node->elements[i].value_length);
	put_zeros(out, (size_t)pages * BOLT_PAGE_SIZE - (out->length - start));
	writer->next_page += pages;
	return out->length >= FLUSH_BYTES && flush(writer, err) < 0 ? 0 : page;
}

static struct bytes element_key(const struct node *node, size_t index)
{
	return (struct bytes){ node->bytes.data + node->elements[index].offset, node->elements[index].key_length };
}

static int end_leaf(struct bolt_writer *writer, struct error *err)
{
	uint64_t page = write_node(writer, &writer->leaf, 0, writer->leaf.count, true, err);

	if (page == 0)
		return -1;
	node_add(&writer->children, element_key(&writer->leaf, 0), (struct bytes){ "", 0 }, 0, page);
	node_clear(&writer->leaf);
	return 0;
}

/* How far the page that begins at `from` goes: full, but never leaving a single child for the last one. */
static size_t branch_end(const struct node *level, size_t from)
{
	size_t size = BOLT_PAGE_HEADER, to = from;

	while (to < level->count && to - from < COUNT_MAXIMUM) {
		size += BOLT_BRANCH_ELEMENT + level->elements[to].key_length;
		if (size > BOLT_PAGE_SIZE && to - from >= 2)
			break;
		to++;
	}
	return to + 1 == level->count && to - from > 2 ? to - 1 : to;
}

/* Builds the levels above the leaves until one page is left. */
static uint64_t write_branches(struct bolt_writer *writer, struct error *err)
{
	struct node *level = &writer->children;

	while (level->count > 1) {
		struct node above = { 0 };

		node_clear(&above);
		for (size_t from = 0, to; from < level->count; from = to) {
			uint64_t page;

			to = branch_end(level, from);
			page = write_node(writer, level, from, to, false, err);
			if (page == 0) {
				node_free(&above);
				return 0;
			}
			node_add(&above, element_key(level, from), (struct bytes){ "", 0 }, 0, page);
		}
		node_free(level);
		*level = above;
	}
	return level->elements[0].page;
}

struct bolt_writer *bolt_writer_new(int descriptor)
{
	struct bolt_writer *writer = calloc(1, sizeof(*writer));

	if (writer == NULL)
		abort();
	writer->descriptor = descriptor;
	writer->next_page = FIRST_PAGE;
	put_zeros(&writer->out, (size_t)FIRST_PAGE * BOLT_PAGE_SIZE); /* the meta pages come last */
	node_clear(&writer->leaf);
	node_clear(&writer->children);
	return writer;
}

void bolt_writer_free(struct bolt_writer *writer)
{
	if (writer == NULL)
		return;
	for (size_t i = 0; i < writer->bucket_count; i++)
		free(writer->buckets[i].name);
	node_free(&writer->leaf);
	node_free(&writer->children);
	buffer_free(&writer->out);
	free(writer);
}

void bolt_writer_begin(struct bolt_writer *writer, const char *bucket)
{
	if (writer->bucket_count == BUCKETS_MAXIMUM)
		abort();
	writer->buckets[writer->bucket_count].name = string_dup(bucket);
	node_clear(&writer->leaf);
	node_clear(&writer->children);
}

static int put(struct bolt_writer *writer, struct bytes key, struct bytes value, uint32_t flags, struct error *err)
{
	if (key.length == 0 || key.length > INT32_MAX || value.length > INT32_MAX)
		return error_set(err, ERROR_INVALID, "a key of %zu bytes with a value of %zu does not fit a database", key.length,
		                 value.length);
	if (writer->leaf.count > 0 && (writer->leaf.size + BOLT_LEAF_ELEMENT + key.length + value.length > BOLT_PAGE_SIZE) &&
	    end_leaf(writer, err) < 0)
		return -1;
	node_add(&writer->leaf, key, value, flags, 0);
	return 0;
}

int bolt_writer_put(struct bolt_writer *writer, struct bytes key, struct bytes value, struct error *err)
{
	return put(writer, key, value, 0, err);
}

static int end_tree(struct bolt_writer *writer, uint64_t *root, struct error *err)
{
	*root = 0;
	if (writer->leaf.count > 0 && end_leaf(writer, err) < 0)
		return -1;
	if (writer->children.count == 0)
		return 0;
	*root = write_branches(writer, err);
	return *root == 0 ? -1 : 0;
}

int bolt_writer_end(struct bolt_writer *writer, struct error *err)
{
	return end_tree(writer, &writer->buckets[writer->bucket_count++].root, err);
}

static int compare_buckets(const void *a, const void *b)
{
	return strcmp(((const struct bucket *)a)->name, ((const struct bucket *)b)->name);
}

static int write_root(struct bolt_writer *writer, uint64_t *root, struct error *err)
{
	qsort(writer->buckets, writer->bucket_count, sizeof(*writer->buckets), compare_buckets);
	node_clear(&writer->leaf);
	node_clear(&writer->children);
	for (size_t i = 0; i < writer->bucket_count; i++) {
		struct buffer value BUFFER_CLEANUP = { 0 };

		put64(&value, writer->buckets[i].root);
		put64(&value, 0);
		if (writer->buckets[i].root == 0)
			put_page_header(&value, 0, BOLT_FLAG_LEAF, 0, 0);
		if (put(writer, BYTES(writer->buckets[i].name), (struct bytes){ value.data, value.length }, BOLT_LEAF_BUCKET, err) < 0)
			return -1;
	}
	return end_tree(writer, root, err);
}

static int write_meta(struct bolt_writer *writer, uint64_t transaction, uint64_t root, uint64_t freelist, struct error *err)
{
	struct buffer page BUFFER_CLEANUP = { 0 };
	uint64_t place = transaction % 2;

	put_page_header(&page, place, BOLT_FLAG_META, 0, 0);
	put32(&page, BOLT_MAGIC);
	put32(&page, BOLT_VERSION);
	put32(&page, BOLT_PAGE_SIZE);
	put32(&page, 0);
	put64(&page, root);
	put64(&page, 0);
	put64(&page, freelist);
	put64(&page, writer->next_page);
	put64(&page, transaction);
	put64(&page, bolt_checksum(page.data + BOLT_PAGE_HEADER, BOLT_META_CHECKED));
	put_zeros(&page, BOLT_PAGE_SIZE - page.length);
	if (pwrite(writer->descriptor, page.data, page.length, (off_t)(place * BOLT_PAGE_SIZE)) != (ssize_t)page.length)
		return error_set_errno(err, errno, "write the database's meta page");
	return 0;
}

int bolt_writer_finish(struct bolt_writer *writer, uint64_t *length, struct error *err)
{
	uint64_t root, freelist;

	if (write_root(writer, &root, err) < 0)
		return -1;
	freelist = writer->next_page++;
	put_page_header(&writer->out, freelist, BOLT_FLAG_FREELIST, 0, 0);
	put_zeros(&writer->out, BOLT_PAGE_SIZE - BOLT_PAGE_HEADER);
	if (flush(writer, err) < 0 || write_meta(writer, TRANSACTION - 1, root, freelist, err) < 0 ||
	    write_meta(writer, TRANSACTION, root, freelist, err) < 0)
		return -1;
	*length = writer->next_page * BOLT_PAGE_SIZE;
	return 0;
}
