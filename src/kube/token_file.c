/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/token_file.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/strings.h"
#include "io/file.h"
#include "io/thread.h"

enum { LOOK_EVERY_MS = 1000, READ_EVERY_MS = 60 * 1000, MAXIMUM_TOKEN_BYTES = 64 * 1024 };

struct kube_token_file {
	pthread_mutex_t mutex;
	char *path, *text;
	struct stat seen;
	uint64_t looked_ms, read_ms; /* 0: never */
};

struct kube_token_file *kube_token_file_new(const char *path)
{
	struct kube_token_file *file = calloc(1, sizeof(*file));

	if (file == NULL)
		abort();
	pthread_mutex_init(&file->mutex, NULL);
	file->path = string_dup(path);
	return file;
}

void kube_token_file_free(struct kube_token_file *file)
{
	if (file == NULL)
		return;
	pthread_mutex_destroy(&file->mutex);
	free(file->path);
	secret_free(file->text);
	free(file);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_token(struct kube_token_file *file, uint64_t now, struct error *err)
{
	BUFFER_SECRET_CLEANUP struct buffer bytes = { 0 };

	if (file_read(file->path, MAXIMUM_TOKEN_BYTES, &bytes, err) != 0)
		return error_wrap(err, "token file");
	while (bytes.length > 0 && strchr(" \t\r\n", bytes.data[bytes.length - 1]) != NULL)
		bytes.data[--bytes.length] = '\0';
	if (bytes.length == 0)
		return error_set(err, ERROR_INVALID, "token file %s is empty", file->path);
	for (size_t i = 0; i < bytes.length; i++)
		if ((unsigned char)bytes.data[i] <= ' ' || (unsigned char)bytes.data[i] >= 0x7f)
			return error_set(err, ERROR_INVALID, "token file %s does not hold one token", file->path);
	secret_free(file->text);
	file->text = string_ndup(bytes.data, bytes.length);
	file->read_ms = now;
	return 0;
}

static int refresh(struct kube_token_file *file, struct error *err)
{
	uint64_t now = clock_monotonic_ms();
	struct stat status = { 0 };
	bool due;

	if (file->text != NULL && file->looked_ms != 0 && now - file->looked_ms < LOOK_EVERY_MS)
		return 0;
	file->looked_ms = now;
	if (stat(file->path, &status) != 0)
		return read_token(file, now, err); /* says what is wrong with it */
	due = file->text == NULL || file->read_ms == 0 || now - file->read_ms >= READ_EVERY_MS || !is_same_file(&status, &file->seen);
	if (!due)
		return 0;
	if (read_token(file, now, err) != 0)
		return -1;
	file->seen = status;
	return 0;
}

char *kube_token_file_get(struct kube_token_file *file, struct error *err)
{
	THREAD_LOCKED(&file->mutex);

	if (refresh(file, err) != 0 && file->text == NULL)
		return NULL;
	error_clear(err);
	return string_dup(file->text);
}

void kube_token_file_distrust(struct kube_token_file *file)
{
	THREAD_LOCKED(&file->mutex);

	file->looked_ms = 0;
	file->read_ms = 0;
}

bool kube_token_file_changed(struct kube_token_file *file)
{
	SECRET_CLEANUP char *before = NULL;
	struct error ignored = { 0 };
	THREAD_LOCKED(&file->mutex);

	before = string_dup(file->text);
	return read_token(file, clock_monotonic_ms(), &ignored) == 0 && !string_equal(before, file->text);
}
