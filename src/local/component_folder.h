/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a user names with --components-from: finding a component's file in it and taking it, checked. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "local/component_lock.h"

struct component_folder;

/* ERROR_NOT_FOUND when it is no folder. Reads SHA256SUMS in it when there is one. */
struct component_folder *component_folder_open(const char *path, struct error *err);
void component_folder_close(struct component_folder *folder);
const char *component_folder_path(const struct component_folder *folder);

struct component_folder_match {
	char path[4096];
	bool archive; /* the official archive; the program is a member of it */
	bool known;   /* sha256 is what the file must have */
	char sha256[COMPONENT_SHA256_SIZE];
};

/* Looks for FILE, COMPONENT/FILE, then the official download under its own name. False: none of them is there. */
int component_folder_find(const struct component_folder *folder, const struct component *component, const struct component_file *file,
                          bool *found, struct component_folder_match *match, struct error *err);
/* Copies the match to `target`, refusing it by name when the digest is not the known one. */
int component_folder_take(const struct component_folder_match *match, const struct component_file *file, const char *target,
                          struct error *err);
