/* SPDX-License-Identifier: Apache-2.0 */
/* Semantic versions (semver.org 2.0) as Kubernetes writes them: one leading "v" is allowed, three numbers are needed. */
#pragma once

#include "base/error.h"

struct version {
	unsigned major, minor, patch;
	char prerelease[64]; /* without the hyphen, "" when none; build metadata is ignored */
};

int version_parse(const char *text, const char *what, struct version *version, struct error *err);
int version_compare(const struct version *a, const struct version *b); /* <0, 0, >0; semver precedence */

extern const char kamaji_version[]; /* this program's own, "0.1.0" */
