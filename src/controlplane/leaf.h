/* SPDX-License-Identifier: Apache-2.0 */
/* The one-year certificates: kept while they verify, match their key, hold every wanted name and are far enough from their end. */
#pragma once

#include "controlplane/pass.h"

struct leaf {
	enum credential credential, authority;
	const char *certificate_key, *private_key;
	const struct certificate_request *request; /* of a new one */
	const char *const *wanted_sans;            /* what a kept one must hold; may be fewer than the request's */
};
int leaf_plan(struct pass *pass, const struct leaf *leaf, struct error *err);
