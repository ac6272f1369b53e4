/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an OCI image (image-layout 1.0 in one tar file: oci-layout, index.json, manifest, config, one uncompressed layer) that
 * `ctr images import` takes. Files are streamed from disk; the same input gives the same bytes (times are SOURCE_DATE_EPOCH or 0, owner
 * root, order as given).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum {
	IMAGE_REFERENCE_MAX = 256,
	IMAGE_FILE_MAX = 512,
	IMAGE_DIGEST_SIZE = 72 /* "sha256:" and 64 digits and NUL */
};

enum image_file_type { IMAGE_FILE_HOST, IMAGE_FILE_TEXT, IMAGE_FILE_FOLDER, IMAGE_FILE_LINK };

struct image_file {
	enum image_file_type type;
	const char *path;   /* in the image, absolute: "/kamaji"; parents are made by the writer, mode 0755 */
	const char *source; /* HOST: path on this machine. TEXT: the text. LINK: where it points */
	mode_t mode;        /* permission bits */
};

struct image_label {
	const char *key, *value;
};

struct image_description {
	const char *const *references; /* full names with tag, NULL-terminated: each becomes an entry of index.json for the same manifest */
	const struct image_file *files;
	size_t file_count;
	const char *const *entrypoint;  /* NULL-terminated */
	const char *const *environment; /* "KEY=value", NULL-terminated; NULL: none */
	const char *user;               /* "65532:65532"; NULL: root */
	const char *working_directory;  /* NULL: "/" */
	const struct image_label *labels;
	size_t label_count;
	const char *architecture; /* "amd64" */
};

/* Replaces `path` atomically; digest (may be NULL) gets the manifest's digest. */
int image_archive_write(const char *path, const struct image_description *description, char digest[IMAGE_DIGEST_SIZE], struct error *err);
