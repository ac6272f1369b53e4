/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared libraries that a program of this machine needs, found as the dynamic loader finds them (its own --list mode, run as a
 * child), so that an image can be made FROM scratch with exactly these files.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/strings.h"

enum { IMAGE_CLOSURE_MAX = 128 };

/* Text that `ld.so --list` prints to the absolute paths in it; lines without a path (the vDSO) are passed over. ERROR_NOT_FOUND names a
 * library that was not found. Adds to `paths`. */
int image_closure_parse(const char *text, struct string_list *paths, struct error *err);
/*
 * Adds the loader named in the program's PT_INTERP and every library, each once, as absolute paths that the loader will look at inside
 * the image too. A static program adds nothing.
 */
int image_closure_read(const char *program, struct string_list *paths, struct error *err);
/* The libraries that a shared object needs which the program loads by name while it runs. */
int image_closure_read_plugin(const char *program, const char *plugin, struct string_list *paths, struct error *err);
