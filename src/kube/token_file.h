/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the room: a bearer token in a file that somebody rotates (the kubelet does, for service accounts). Looked at once a second
 * at most, read again when it changed and at least every minute. Any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct kube_token_file;

struct kube_token_file *kube_token_file_new(const char *path);
void kube_token_file_free(struct kube_token_file *file); /* NULL is fine */
/* The token (secret_free()). When the file cannot be read just now, the last token that was. */
char *kube_token_file_get(struct kube_token_file *file, struct error *err);
/* The server refused it: read again at the next use. */
void kube_token_file_distrust(struct kube_token_file *file);
/* Reads now; true when the text is another than before. */
bool kube_token_file_changed(struct kube_token_file *file);
