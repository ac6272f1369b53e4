/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifests that this program installs: YAML files in share/kamaji/manifests beside it (in the source tree: manifests/), or in the
 * folder that KAMAJI_MANIFESTS_DIR names. Those in local/ hold ${NAME} places that are filled in here.
 */
#pragma once

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

enum { MANIFEST_BYTES_MAX = 8 * 1024 * 1024, MANIFEST_FILES_MAX = 256 };

struct manifest_value {
	const char *name, *value;
};

/* Appends the text with every ${NAME} replaced. A name that is not in the list (ended by a NULL name) is an error. */
int manifest_fill(const char *text, const struct manifest_value *values, struct buffer *out, struct error *err);
/* free(); ERROR_NOT_FOUND when there is none. */
char *manifest_folder(struct error *err);
/* Appends the file of the manifests folder ("local/coredns.yaml") as one or more YAML documents, filled in; values NULL: as it is. */
int manifest_add(const char *folder, const char *file, const struct manifest_value *values, struct buffer *out, struct error *err);
/* Appends all *.yaml of a subfolder in the order of their names. */
int manifest_add_folder(const char *folder, const char *subfolder, struct buffer *out, struct error *err);
