/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/check_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Places are looked for in a row of NEIGHBOURS behind the one that the digest names; the table grows while it is more than half full. */
enum { FIRST_CAPACITY = 256, MAXIMUM_CAPACITY = 64 * 1024, NEIGHBOURS = 16, KEPT_DIGEST = 16 };

/* Half of SHA-256: nobody finds another text with the same 128 bits, and half of the memory is enough. */
struct place {
	unsigned char digest[KEPT_DIGEST];
	struct check_finding finding; /* not_after 0: free */
};

struct check_memory {
	pthread_mutex_t mutex; /* guards all below */
	struct place *places;
	size_t capacity, used, next_victim;
};

struct check_memory *check_memory_new(void)
{
	struct check_memory *memory = calloc(1, sizeof(*memory));

	if (memory == NULL)
		abort();
	(void)pthread_mutex_init(&memory->mutex, NULL);
	return memory;
}

void check_memory_free(struct check_memory *memory)
{
	if (memory == NULL)
		return;
	free(memory->places);
	(void)pthread_mutex_destroy(&memory->mutex);
	free(memory);
}

struct digest *check_question_begin(const char *kind)
{
	struct digest *question = digest_new(DIGEST_SHA256);

	check_question_add_string(question, kind);
	return question;
}

static void add_part(struct digest *question, uint64_t length, const void *bytes, size_t count)
{
	digest_add(question, &length, sizeof(length));
	digest_add(question, bytes, count);
}

void check_question_add(struct digest *question, struct pem_text text)
{
	add_part(question, text.length, text.bytes != NULL ? text.bytes : "", text.length);
}

void check_question_add_string(struct digest *question, const char *text)
{
	add_part(question, text != NULL ? strlen(text) : UINT64_MAX, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

void check_question_end(struct digest *question, struct check_question *ret_question)
{
	(void)digest_finish(question, ret_question->digest);
	digest_free(question);
}

static size_t first_place(const struct check_memory *memory, const unsigned char *digest)
{
	uint64_t number;

	memcpy(&number, digest, sizeof(number));
	return (size_t)(number % memory->capacity);
}

/* The place of the digest, or a free one for it, or NULL when its neighbourhood is full. */
static struct place *place_of(const struct check_memory *memory, const unsigned char *digest)
{
	size_t first = first_place(memory, digest);

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		struct place *place = &memory->places[(first + i) % memory->capacity];

		if (place->finding.not_after == 0 || memcmp(place->digest, digest, KEPT_DIGEST) == 0)
			return place;
	}
	return NULL;
}

static void put(struct check_memory *memory, const unsigned char *digest, const struct check_finding *finding)
{
	struct place *place = place_of(memory, digest);

	if (place == NULL)
		place = &memory->places[(first_place(memory, digest) + memory->next_victim++ % NEIGHBOURS) % memory->capacity];
	memory->used += place->finding.not_after == 0;
	memcpy(place->digest, digest, KEPT_DIGEST);
	place->finding = *finding;
}

static void grow(struct check_memory *memory)
{
	struct place *old = memory->places;
	size_t old_capacity = memory->capacity;

	memory->capacity = memory->capacity == 0 ? FIRST_CAPACITY : memory->capacity * 2;
	memory->places = calloc(memory->capacity, sizeof(*memory->places));
	if (memory->places == NULL)
		abort();
	memory->used = 0;
	for (size_t i = 0; i < old_capacity; i++) {
		if (old[i].finding.not_after != 0)
			put(memory, old[i].digest, &old[i].finding);
	}
	free(old);
}

bool check_memory_find(struct check_memory *memory, const struct check_question *question, struct check_finding *ret_finding)
{
	const struct place *place;
	bool found = false;

	if (memory == NULL)
		return false;
	pthread_mutex_lock(&memory->mutex);
	place = memory->capacity > 0 ? place_of(memory, question->digest) : NULL;
	if (place != NULL && place->finding.not_after != 0) {
		*ret_finding = place->finding;
		found = true;
	}
	pthread_mutex_unlock(&memory->mutex);
	return found;
}

void check_memory_put(struct check_memory *memory, const struct check_question *question, const struct check_finding *finding)
{
	if (memory == NULL || finding->not_after == 0)
		return;
	pthread_mutex_lock(&memory->mutex);
	if (memory->used * 2 >= memory->capacity && memory->capacity < MAXIMUM_CAPACITY)
		grow(memory);
	put(memory, question->digest, finding);
	pthread_mutex_unlock(&memory->mutex);
}
