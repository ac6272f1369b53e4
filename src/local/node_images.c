/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_images.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "io/process.h"

enum { TABLE_BYTES_MAX = 4 * 1024 * 1024, LIST_TIMEOUT_MS = 20000, IMPORT_TIMEOUT_MS = 300000, IMAGES_MAX = 4096 };

int node_image_list_parse(const char *table, struct node_image_list *ret_list, struct error *err)
{
	size_t lines = 0;
	for (const char *at = table; *at; at++)
		lines += *at == '\n';
	if (!string_has_prefix(table, "REF ") || lines > IMAGES_MAX)
		return error_set(err, ERROR_CORRUPT, "'ctr images ls' did not print a table of images");
	struct node_image *items = calloc(lines + 1, sizeof(*items));
	if (!items)
		return error_set(err, ERROR_EXHAUSTED, "no memory for %zu images", lines);
	size_t count = 0;
	FREE_CLEANUP char *text = string_dup(table);
	char *save_line = NULL;
	(void)strtok_r(text, "\n", &save_line);
	for (char *line; (line = strtok_r(NULL, "\n", &save_line));) {
		char *save = NULL;
		bool made_here = strstr(line, IMAGE_LABEL_MADE "=true") != NULL;
		const char *reference = strtok_r(line, " \t", &save);
		(void)strtok_r(NULL, " \t", &save);
		const char *digest = strtok_r(NULL, " \t", &save);
		if (!reference || !digest || !string_has_prefix(digest, "sha256:"))
			continue;
		items[count++] = (struct node_image){ string_dup(reference), string_dup(digest), made_here };
	}
	*ret_list = (struct node_image_list){ items, count };
	return 0;
}

const struct node_image *node_image_list_find(const struct node_image_list *list, const char *reference)
{
	for (size_t i = 0; i < list->count; i++)
		if (string_equal(list->items[i].reference, reference))
			return &list->items[i];
	return NULL;
}

void node_image_list_free(struct node_image_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].reference);
		free(list->items[i].digest);
	}
	free(list->items);
	*list = (struct node_image_list){ 0 };
}

int node_image_list_read(const char *ctr, const char *socket, struct cancel *cancel, struct node_image_list *ret_list, struct error *err)
{
	const char *const arguments[] = { ctr, "--address", socket, "--namespace", "k8s.io", "images", "list", NULL };
	BUFFER_CLEANUP struct buffer output = { .limit = TABLE_BYTES_MAX }, complaints = { .limit = TABLE_BYTES_MAX };
	struct process_options options = {
		.arguments = arguments, .output = &output, .error_output = &complaints, .timeout_ms = LIST_TIMEOUT_MS
	};
	if (process_run(&options, cancel, NULL, err) < 0)
		return error_wrap(err, "list images");
	return node_image_list_parse(output.data ? output.data : "", ret_list, err);
}

static int import_archive(const struct node_images_options *options, const char *archive, struct error *err)
{
	const char *const arguments[] = { options->ctr, "--address", options->socket,          "--namespace", "k8s.io", "images", "import",
		                          "--local",    "--label",   IMAGE_LABEL_MADE "=true", archive,       NULL };
	BUFFER_CLEANUP struct buffer complaints = { .limit = TABLE_BYTES_MAX };
	struct process_options run = { .arguments = arguments, .error_output = &complaints, .timeout_ms = IMPORT_TIMEOUT_MS };
	return process_run(&run, options->cancel, NULL, err);
}

/* True when every name of the entry is there; *same when they all have this digest. */
static bool is_present(const struct node_image_list *list, const struct image_entry *entry, const char *digest, bool *same)
{
	*same = true;
	for (size_t i = 0; i < ARRAY_LENGTH(entry->references) && entry->references[i]; i++) {
		const struct node_image *image = node_image_list_find(list, entry->references[i]);
		if (!image)
			return *same = false;
		if (!digest || !string_equal(image->digest, digest))
			*same = false;
	}
	return true;
}

static int bring_one(const struct node_images_options *options, const struct node_image_list *list, size_t index,
                     struct node_images_result *result, struct error *err)
{
	const struct image_entry *entry = image_set_entry(options->set, index);
	char digest[IMAGE_DIGEST_SIZE] = "";
	const char *archive = NULL;
	bool same;
	if (entry->ours && image_set_archive(options->set, index, &archive, digest, err) < 0)
		return -1;
	bool present = is_present(list, entry, digest[0] ? digest : NULL, &same);
	switch (image_set_decide(options->set, index, present, same)) {
	case IMAGE_KEEP:
		result->kept++;
		return 0;
	case IMAGE_PULL:
		result->pulled++;
		return 0;
	case IMAGE_IMPORT:
		break;
	}
	if (!archive && image_set_archive(options->set, index, &archive, NULL, err) < 0)
		return -1;
	result->imported++;
	return import_archive(options, archive, err);
}

bool node_images_is_tenants(const struct image_entry *entry)
{
	return strstr(entry->references[0], "/kube-") != NULL;
}

bool node_images_is_base(const struct image_entry *entry)
{
	return !node_images_is_tenants(entry);
}

static bool is_wanted(const struct node_images_options *options, size_t index)
{
	return !options->wanted || options->wanted(image_set_entry(options->set, index));
}

int node_images_bring(const struct node_images_options *options, struct node_images_result *ret_result, struct error *err)
{
	NODE_IMAGE_LIST_CLEANUP struct node_image_list list = { 0 };
	size_t count = image_set_count(options->set), total = 0, done = 0;
	*ret_result = (struct node_images_result){ 0 };
	if (node_image_list_read(options->ctr, options->socket, options->cancel, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		total += is_wanted(options, i);
	for (size_t i = 0; i < count; i++) {
		const char *title = image_set_entry(options->set, i)->title;
		if (!is_wanted(options, i))
			continue;
		if (options->progress)
			options->progress(options->context, title, done, total);
		if (bring_one(options, &list, i, ret_result, err) < 0)
			return error_wrap(err, "image %s", title);
		done++;
	}
	return 0;
}
