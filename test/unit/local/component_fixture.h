/* SPDX-License-Identifier: Apache-2.0 */
/* What the component tests share: a scratch folder, small archives, a web server on loopback that can be told to misbehave. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* A new folder below $TMPDIR or /tmp. free(). */
char *fixture_folder(void);
void fixture_remove(char *folder); /* with all in it, and frees the name */
void fixture_write(const char *folder, const char *name, const void *bytes, size_t length);
bool fixture_exists(const char *folder, const char *name);
char *fixture_read(const char *folder, const char *name); /* NUL-terminated, free() */

/* One tar header and its bytes; type as in tar. */
void fixture_tar_member(struct buffer *out, const char *path, char type, const void *bytes, size_t length);
void fixture_tar_end(struct buffer *out);
void fixture_gzip(const struct buffer *in, struct buffer *out);

struct fixture_server {
	int listener;
	uint16_t port;
	pthread_t thread;
	const char *path; /* served besides sums_path; others give 404 */
	const char *body;
	size_t length;
	const char *sums_path, *sums; /* NULL: none */
	size_t cut_after;             /* bytes of the body a reply gives before it is cut; 0: whole */
	bool ignore_range;
	atomic_uint requests; /* for `path`, HEAD not counted */
	atomic_uint ranged;   /* of those, with a Range header */
	atomic_bool stop;
};

/* Set path, body and behaviour first. */
void fixture_server_start(struct fixture_server *server);
void fixture_server_stop(struct fixture_server *server);
