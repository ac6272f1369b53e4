/* SPDX-License-Identifier: Apache-2.0 */
#include "local/component_place.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "io/file.h"
#include "local/component_lock.h"

enum { PARENTS_MAX = 5, NOTE_MAX = 4096 };

char *component_place_self(struct error *err)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length < 0) {
		(void)error_set_errno(err, errno, "read /proc/self/exe");
		return NULL;
	}
	path[length] = '\0';
	return string_dup(path);
}

/* Cuts the last part off; false at the root. */
static bool to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return false;
	*slash = '\0';
	return true;
}

/* Tries "FOLDER/suffix" for each folder above the program. */
static char *find_above(const char *suffix, struct error *err)
{
	FREE_CLEANUP char *folder = component_place_self(err);

	for (int i = 0; folder != NULL && i < PARENTS_MAX && to_parent(folder); i++) {
		char *path = string_printf("%s/%s", folder, suffix);

		if (access(path, R_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* The source folder that meson noted in the build tree. */
static char *folder_of_build_tree(struct error *err)
{
	FREE_CLEANUP char *note = find_above("components/source-folder", err);
	BUFFER_CLEANUP struct buffer text = { 0 };

	if (note == NULL || file_read(note, NOTE_MAX, &text, err) != 0 || text.length == 0)
		return NULL;
	return buffer_take(&text);
}

char *component_lock_folder(struct error *err)
{
	const char *given = getenv("KAMAJI_COMPONENTS_DIR");
	FREE_CLEANUP char *lock = NULL;
	char *folder;

	if (!string_empty(given))
		return string_dup(given);
	lock = find_above("share/kamaji/components/components.lock", err);
	if (lock != NULL) {
		(void)to_parent(lock);
		return string_dup(lock);
	}
	folder = folder_of_build_tree(err);
	if (folder == NULL)
		(void)error_set(err, ERROR_NOT_FOUND,
		                "components.lock was not found in share/kamaji/components beside this program; "
		                "set KAMAJI_COMPONENTS_DIR to the folder that holds it");
	return folder;
}

char *component_place_helper(const char *name, struct error *err)
{
	FREE_CLEANUP char *installed = string_printf("libexec/kamaji/%s", name);
	FREE_CLEANUP char *built = string_printf("components/%s", name);
	char *path = find_above(installed, err);

	if (path == NULL)
		path = find_above(built, err);
	if (path == NULL)
		(void)error_set(err, ERROR_NOT_FOUND, "%s was not found in libexec/kamaji beside this program: is the installation whole?",
		                name);
	return path;
}
