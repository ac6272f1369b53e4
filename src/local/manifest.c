/* SPDX-License-Identifier: Apache-2.0 */
#include "local/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "io/file.h"
#include "local/component_lock.h"

int manifest_fill(const char *text, const struct manifest_value *values, struct buffer *out, struct error *err)
{
	for (const char *at = text;;) {
		const char *begin = strstr(at, "${");
		const char *end = begin ? strchr(begin, '}') : NULL;
		if (!end) {
			buffer_append_string(out, at);
			return 0;
		}
		buffer_append(out, at, (size_t)(begin - at));
		FREE_CLEANUP char *name = string_ndup(begin + 2, (size_t)(end - begin - 2));
		const struct manifest_value *value = values;
		while (value && value->name && !string_equal(value->name, name))
			value++;
		if (!value || !value->name)
			return error_set(err, ERROR_INVALID, "nothing is known to fill in for ${%.64s}", name);
		buffer_append_string(out, value->value);
		at = end + 1;
	}
}

char *manifest_folder(struct error *err)
{
	const char *given = getenv("KAMAJI_MANIFESTS_DIR");
	if (!string_empty(given))
		return string_dup(given);
	/* The components folder and the manifests folder are neighbours, installed and in the source tree. */
	FREE_CLEANUP char *components = component_lock_folder(err);
	if (!components)
		return NULL;
	FREE_CLEANUP char *folder = string_printf("%s/../manifests", components);
	char *found = realpath(folder, NULL);
	if (!found)
		error_set(err, ERROR_NOT_FOUND, "the manifests were not found at %s; set KAMAJI_MANIFESTS_DIR to their folder", folder);
	return found;
}

int manifest_add(const char *folder, const char *file, const struct manifest_value *values, struct buffer *out, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, file);
	BUFFER_CLEANUP struct buffer text = { 0 };
	if (file_read(path, MANIFEST_BYTES_MAX, &text, err) < 0)
		return -1;
	buffer_append_string(out, "---\n");
	if (!values)
		buffer_append(out, text.data, text.length);
	else if (manifest_fill(text.data, values, out, err) < 0)
		return error_wrap(err, "%s", path);
	buffer_append_char(out, '\n');
	return 0;
}

int manifest_add_folder(const char *folder, const char *subfolder, struct buffer *out, struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s/%s", folder, subfolder);
	STRING_LIST_CLEANUP struct string_list files = { 0 };
	DIR *directory = opendir(path);
	if (!directory)
		return error_set_errno(err, errno, "read %s", path);
	for (struct dirent *entry; (entry = readdir(directory)) && files.count < MANIFEST_FILES_MAX;)
		if (entry->d_name[0] != '.' && string_has_suffix(entry->d_name, ".yaml") &&
		    !string_equal(entry->d_name, "kustomization.yaml"))
			string_list_printf(&files, "%s/%s", subfolder, entry->d_name);
	closedir(directory);
	string_list_sort(&files);
	for (size_t i = 0; i < files.count; i++)
		if (manifest_add(folder, files.items[i], NULL, out, err) < 0)
			return -1;
	return files.count ? 0 : error_set(err, ERROR_NOT_FOUND, "no manifests in %s", path);
}
