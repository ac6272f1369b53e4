/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kamaji local down`: ends an environment in whatever state it is and leaves nothing outside its folder. Data (etcd, images, certificates)
 * stays for the next `up` unless it is purged.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "local/progress.h"

struct down_options {
	const char *name, *state_root;
	bool purge;                /* the folder too */
	struct progress *progress; /* borrowed; what takes its time is shown there */
};

struct down_result {
	bool was_absent;          /* there was nothing to do */
	struct string_list notes; /* things a person should know ("kernel setting ... could not be put back") */
};

/* Fails when something is left, and names it. */
int environment_down(const struct down_options *options, struct down_result *ret_result, struct error *err);
void down_result_free(struct down_result *result);
