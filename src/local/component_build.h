/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds one program of a component with the ordinary `go build` from our pinned module (go.mod, go.sum; -mod=readonly, -trimpath,
 * stripped). The module cache and build cache are Go's own, so an interrupted build goes on where it was.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/cancel.h"
#include "local/component_lock.h"

enum { COMPONENT_BUILD_TIMEOUT_MS = 45 * 60 * 1000, COMPONENT_GO_VERSION_SIZE = 64 };

/*
 * "go1.26.8" of the toolchain in PATH (or /usr/local/go/bin). ERROR_NOT_FOUND with the remedy when there is none.
 */
int component_build_toolchain(char version[COMPONENT_GO_VERSION_SIZE], struct error *err);
/*
 * Writes the program to `output`. All that the build prints is appended to `log`; on failure the error carries its last lines and what to
 * do about the usual causes (toolchain too old, C compiler or a library missing, module proxy not reachable).
 * on_line (may be NULL) gets each line as it comes.
 */
int component_build_file(const struct component *component, const struct component_file *file, const char *architecture, const char *output,
                         const char *log, void (*on_line)(const char *line, void *context), void *context, struct cancel *cancel,
                         struct error *err);
