/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the files: the layer's bytes go through the digest on their way to disk, and its header, which needs the digest as a
 * name, is filled in afterwards. containerd takes the members in any order.
 */
#include "local/image_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"
#include "io/file.h"
#include "local/image_tar.h"

#define MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"

enum { PIECE = 256 * 1024 };

struct blob {
	char sha256[COMPONENT_SHA256_SIZE];
	uint64_t size;
};

static int64_t source_date(void)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	struct error ignored;
	int64_t seconds = 0;

	if (text == NULL || string_to_integer(text, 0, INT64_C(0x1ffffffff), "SOURCE_DATE_EPOCH", &seconds, &ignored) != 0)
		return 0;
	return seconds;
}

/* Copies a host file into the layer. Its size was put into the header: a file that changes meanwhile is an error. */
static int copy_file(struct tar_writer *writer, const struct image_file *file, const char *path, struct error *err)
{
	DESCRIPTOR_CLEANUP int descriptor = open(file->source, O_RDONLY | O_CLOEXEC);
	FREE_CLEANUP unsigned char *bytes = malloc(PIECE);
	struct stat info;
	uint64_t left;

	if (bytes == NULL)
		abort();
	if (descriptor < 0 || fstat(descriptor, &info) != 0)
		return error_set_errno(err, errno, "read %s", file->source);
	if (!S_ISREG(info.st_mode))
		return error_set(err, ERROR_INVALID, "%s is no regular file", file->source);
	left = (uint64_t)info.st_size;
	if (tar_writer_header(writer, path, '0', file->mode, left, NULL, err) != 0)
		return -1;
	while (left > 0) {
		ssize_t got = read(descriptor, bytes, left < PIECE ? (size_t)left : PIECE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "read %s", file->source);
		if (got == 0)
			return error_set(err, ERROR_CORRUPT, "%s became shorter while it was read", file->source);
		if (tar_writer_bytes(writer, bytes, (size_t)got, err) != 0)
			return -1;
		left -= (uint64_t)got;
	}
	return tar_writer_pad(writer, (uint64_t)info.st_size, err);
}

/* Folders above `path` that the layer does not have yet. */
static int make_parents(struct tar_writer *writer, const char *path, struct string_list *made, struct error *err)
{
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		FREE_CLEANUP char *parent = string_ndup(path, (size_t)(slash - path) + 1);

		if (string_list_contains(made, parent))
			continue;
		string_list_add(made, parent);
		if (tar_writer_header(writer, parent, '5', 0755, 0, NULL, err) != 0)
			return -1;
	}
	return 0;
}

static int write_file(struct tar_writer *writer, const struct image_file *file, struct string_list *made, struct error *err)
{
	const char *path = file->path + 1; /* tar paths have no leading slash */
	FREE_CLEANUP char *folder = NULL;
	size_t length;

	if (file->path[0] != '/' || *path == '\0' || strstr(file->path, "/../") != NULL)
		return error_set(err, ERROR_INVALID, "image file %s: must be an absolute path", file->path);
	if (make_parents(writer, path, made, err) != 0)
		return -1;
	switch (file->type) {
	case IMAGE_FILE_HOST:
		return copy_file(writer, file, path, err);
	case IMAGE_FILE_LINK:
		return tar_writer_header(writer, path, '2', 0777, 0, file->source, err);
	case IMAGE_FILE_FOLDER:
		folder = string_printf("%s/", path);
		if (string_list_contains(made, folder))
			return 0;
		string_list_add(made, folder);
		return tar_writer_header(writer, folder, '5', file->mode, 0, NULL, err);
	case IMAGE_FILE_TEXT:
		break;
	}
	length = strlen(file->source);
	if (tar_writer_header(writer, path, '0', file->mode, length, NULL, err) != 0 ||
	    tar_writer_bytes(writer, file->source, length, err) != 0)
		return -1;
	return tar_writer_pad(writer, length, err);
}

static int write_layer(struct tar_writer *writer, const struct image_description *description, struct blob *layer, struct error *err)
{
	DIGEST_CLEANUP struct digest *digest = digest_new(DIGEST_SHA256);
	STRING_LIST_CLEANUP struct string_list made = { 0 };
	char path[128];
	int64_t header = tar_writer_reserve(writer, err);

	if (header < 0)
		return -1;
	writer->digest = digest;
	writer->written = 0;
	for (size_t i = 0; i < description->file_count; i++) {
		if (write_file(writer, &description->files[i], &made, err) != 0)
			return -1;
	}
	if (tar_writer_end(writer, err) != 0)
		return -1;
	writer->digest = NULL;
	layer->size = writer->written;
	digest_finish_hex(digest, layer->sha256);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", layer->sha256);
	return tar_writer_fill(writer, header, path, layer->size, err);
}

static json_t *text_array(const char *const *texts)
{
	json_t *array = json_array();

	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		(void)json_array_append_new(array, json_string_new(texts[i]));
	return array;
}

static json_t *make_config(const struct image_description *description, const struct blob *layer, int64_t time)
{
	json_t *labels = json_object();
	json_t *config = json_object();
	char created[32];

	for (size_t i = 0; i < description->label_count; i++)
		json_object_set_new(labels, description->labels[i].key, json_string_new(description->labels[i].value));
	if (description->user != NULL)
		json_object_set_new(config, "User", json_string_new(description->user));
	json_object_set_new(config, "Entrypoint", text_array(description->entrypoint));
	if (description->environment != NULL)
		json_object_set_new(config, "Env", text_array(description->environment));
	json_object_set_new(config, "WorkingDir",
	                    json_string_new(description->working_directory != NULL ? description->working_directory : "/"));
	json_object_set_new(config, "Labels", labels);
	clock_format_rfc3339(time, created, sizeof(created));
	return json_build("{s:s, s:s, s:s, s:o, s:{s:s, s:[o]}, s:[{s:s, s:s}]}", "created", created, "architecture",
	                  description->architecture, "os", "linux", "config", config, "rootfs", "type", "layers", "diff_ids",
	                  json_string_printf("sha256:%s", layer->sha256), "history", "created", created, "created_by", "kamaji local");
}

static json_t *descriptor_of(const char *media, const struct blob *blob)
{
	return json_build("{s:s, s:o, s:I}", "mediaType", media, "digest", json_string_printf("sha256:%s", blob->sha256), "size",
	                  (json_int_t)blob->size);
}

/* Writes a JSON document as a blob. Steals the value. */
static int write_blob(struct tar_writer *writer, json_t *value, struct blob *blob, struct error *err)
{
	FREE_CLEANUP char *text = json_text(value);
	char path[128];

	json_decref(value);
	blob->size = strlen(text);
	component_digest_bytes(text, blob->size, blob->sha256);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", blob->sha256);
	return tar_writer_member(writer, path, text, blob->size, err);
}

/* What stands after the last colon of a reference that is no part of a host: "v1.36.3". */
static const char *tag_of(const char *reference)
{
	const char *colon = strrchr(reference, ':');

	return colon != NULL && strchr(colon, '/') == NULL && colon[1] != '\0' ? colon + 1 : NULL;
}

static int write_index(struct tar_writer *writer, const struct image_description *description, const struct blob *manifest,
                       struct error *err)
{
	JSON_CLEANUP json_t *index = json_build("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_INDEX, "manifests");
	FREE_CLEANUP char *text = NULL;

	for (size_t i = 0; description->references[i] != NULL; i++) {
		const char *reference = description->references[i];
		json_t *entry;

		if (strlen(reference) >= IMAGE_REFERENCE_MAX || tag_of(reference) == NULL)
			return error_set(err, ERROR_INVALID, "image reference %s: must be a full name with a tag", reference);
		entry = descriptor_of(MEDIA_MANIFEST, manifest);
		json_object_set_new(entry, "platform", json_build("{s:s, s:s}", "architecture", description->architecture, "os", "linux"));
		json_object_set_new(entry, "annotations",
		                    json_build("{s:s, s:s}", "io.containerd.image.name", reference, "org.opencontainers.image.ref.name",
		                               tag_of(reference)));
		(void)json_array_append_new(json_object_get(index, "manifests"), entry);
	}
	text = json_text(index);
	return tar_writer_member(writer, "index.json", text, strlen(text), err);
}

static int write_all(struct tar_writer *writer, const struct image_description *description, struct blob *manifest, struct error *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	struct blob layer, config;

	if (tar_writer_member(writer, "oci-layout", layout, strlen(layout), err) != 0 ||
	    tar_writer_header(writer, "blobs/", '5', 0755, 0, NULL, err) != 0 ||
	    tar_writer_header(writer, "blobs/sha256/", '5', 0755, 0, NULL, err) != 0 ||
	    write_layer(writer, description, &layer, err) != 0 ||
	    write_blob(writer, make_config(description, &layer, writer->time), &config, err) != 0)
		return -1;
	if (write_blob(writer,
	               json_build("{s:i, s:s, s:o, s:[o]}", "schemaVersion", 2, "mediaType", MEDIA_MANIFEST, "config",
	                          descriptor_of(MEDIA_CONFIG, &config), "layers", descriptor_of(MEDIA_LAYER, &layer)),
	               manifest, err) != 0)
		return -1;
	if (write_index(writer, description, manifest, err) != 0)
		return -1;
	return tar_writer_end(writer, err);
}

int image_archive_write(const char *path, const struct image_description *description, char digest[IMAGE_DIGEST_SIZE], struct error *err)
{
	FREE_CLEANUP char *temporary = string_printf("%s.new", path);
	DESCRIPTOR_CLEANUP int descriptor = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct tar_writer writer = { .descriptor = descriptor, .time = source_date() };
	struct blob manifest = { 0 };

	if (descriptor < 0)
		return error_set_errno(err, errno, "write %s", temporary);
	if (description->file_count > IMAGE_FILE_MAX || description->references[0] == NULL) {
		(void)error_set(err, ERROR_INVALID, "an image needs a name and at most %d files", IMAGE_FILE_MAX);
	} else if (write_all(&writer, description, &manifest, err) == 0) {
		if (rename(temporary, path) == 0) {
			if (digest != NULL)
				(void)snprintf(digest, IMAGE_DIGEST_SIZE, "sha256:%s", manifest.sha256);
			return 0;
		}
		(void)error_set_errno(err, errno, "rename");
	}
	(void)unlink(temporary);
	return error_wrap(err, "image archive %s", path);
}
