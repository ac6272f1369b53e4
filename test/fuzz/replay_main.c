/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: every file given (folders are walked), then, for --seconds or --mutations, simple changes of
 * those files. The random stream follows from --seed alone, so a crash is repeated by the command line that the run printed.
 *
 *   fuzz_x [--seconds N] [--mutations N] [--seed N] FILE_OR_FOLDER...
 *
 * Prints "N inputs, N mutations"; a target that crashes or trips a sanitizer ends the program.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1024 * 1024, INPUTS_MAX = 65536, CHANGES_MAX = 8 };

struct input {
	uint8_t *data;
	size_t size;
};

struct corpus {
	struct input items[INPUTS_MAX];
	size_t count;
};

static struct corpus corpus;
static uint64_t random_state;
static const char *current_input_path; /* where the input being run is kept, so that a crash leaves it behind */

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t random_below(size_t limit)
{
	return limit == 0 ? 0 : (size_t)(random_next() % limit);
}

/* The target gets its own exact allocation, so that the sanitizer sees the first byte read behind it. */
static void run_one(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size == 0 ? 1 : size);
	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void load_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	uint8_t *data = malloc(INPUT_MAX);
	if (data == NULL || corpus.count == INPUTS_MAX) {
		fprintf(stderr, "%s: too much corpus\n", path);
		exit(1);
	}
	size_t size = fread(data, 1, INPUT_MAX, file);
	(void)fclose(file);
	uint8_t *fitting = realloc(data, size == 0 ? 1 : size);
	corpus.items[corpus.count++] = (struct input){ .data = fitting == NULL ? data : fitting, .size = size };
}

static void load(const char *path)
{
	struct stat facts;
	if (stat(path, &facts) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	if (!S_ISDIR(facts.st_mode)) {
		load_file(path);
		return;
	}
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		char child[4096];
		int length = snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && length > 0 && (size_t)length < sizeof(child))
			load(child);
		free(entries[i]);
	}
	free(entries);
}

static size_t change_once(uint8_t *data, size_t size)
{
	static const uint8_t interesting[] = { 0x00, 0x01, 0x7f, 0x80, 0xff, '"', '{', '[', '\n', '\r', ':', '/', '-', '0', '9', ' ' };
	if (size == 0) {
		data[0] = (uint8_t)random_next();
		return 1;
	}
	size_t at = random_below(size);
	switch (random_below(7)) {
	case 0:
		data[at] ^= (uint8_t)(1u << random_below(8));
		return size;
	case 1:
		data[at] = interesting[random_below(sizeof(interesting))];
		return size;
	case 2:
		data[at] = (uint8_t)random_next();
		return size;
	case 3: /* cut the end off */
		return at;
	case 4: { /* take a piece out */
		size_t length = random_below(size - at) + 1;
		memmove(data + at, data + at + length, size - at - length);
		return size - length;
	}
	case 5: { /* repeat a piece */
		size_t length = random_below(size - at) + 1;
		if (size + length > INPUT_MAX)
			return size;
		memmove(data + at + length, data + at, size - at);
		return size + length;
	}
	default: { /* paste a piece of another input */
		const struct input *other = &corpus.items[random_below(corpus.count)];
		if (other->size == 0)
			return size;
		size_t from = random_below(other->size);
		size_t length = random_below(other->size - from) + 1;
		if (at + length > INPUT_MAX)
			length = INPUT_MAX - at;
		memcpy(data + at, other->data + from, length);
		return at + length > size ? at + length : size;
	}
	}
}

static void keep_input(const uint8_t *data, size_t size)
{
	FILE *file = fopen(current_input_path, "wb");
	if (file == NULL)
		return;
	(void)fwrite(data, 1, size, file);
	(void)fclose(file);
}

static size_t mutate(uint8_t *data)
{
	const struct input *base = &corpus.items[random_below(corpus.count)];
	size_t size = base->size;
	if (size > 0)
		memcpy(data, base->data, size);
	size_t changes = random_below(CHANGES_MAX) + 1;
	for (size_t i = 0; i < changes; i++)
		size = change_once(data, size);
	return size;
}

static unsigned long number_of(const char *text)
{
	char *end = NULL;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0') {
		fprintf(stderr, "not a number: %s\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	unsigned long seconds = 0, mutations = 0, seed = (unsigned long)time(NULL);
	int first = 1;
	for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
		unsigned long value = number_of(argv[first + 1]);
		if (strcmp(argv[first], "--seconds") == 0)
			seconds = value;
		else if (strcmp(argv[first], "--mutations") == 0)
			mutations = value;
		else if (strcmp(argv[first], "--seed") == 0)
			seed = value;
		else
			return fprintf(stderr, "unknown option %s\n", argv[first]), 2;
	}
	for (int i = first; i < argc; i++)
		load(argv[i]);
	current_input_path = getenv("KAMAJI_FUZZ_CRASH");
	for (size_t i = 0; i < corpus.count; i++) {
		if (current_input_path != NULL)
			keep_input(corpus.items[i].data, corpus.items[i].size);
		run_one(corpus.items[i].data, corpus.items[i].size);
	}

	if (corpus.count == 0)
		corpus.items[corpus.count++] = (struct input){ .data = malloc(1), .size = 0 };
	random_state = seed * 2654435761u + 1;
	uint8_t *data = malloc(2 * (size_t)INPUT_MAX);
	if (data == NULL)
		return 1;
	unsigned long done = 0;
	time_t end = time(NULL) + (time_t)seconds;
	while (done < mutations || (seconds > 0 && time(NULL) < end)) {
		size_t size = mutate(data);
		if (current_input_path != NULL)
			keep_input(data, size);
		run_one(data, size);
		done++;
	}
	printf("%zu inputs, %lu mutations, seed %lu\n", corpus.count, done, seed);
	free(data);
	for (size_t i = 0; i < corpus.count; i++)
		free(corpus.items[i].data);
	return 0;
}
