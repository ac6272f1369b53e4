/* SPDX-License-Identifier: Apache-2.0 */
/* How tenants' API servers reach and verify the operator's denial of writes (spec.writePermissions). */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/strings.h"
#include "controllers/manager_context.h"
#include "io/cancel.h"

struct cluster_guard {
	char *url;         /* NULL: the operator serves no webhooks */
	char *authorities; /* base64 of PEM; NULL: no certificate is there yet */
};

/* Reads ca.crt of the mounted certificate folder and of the serving certificate's Secret; one that is absent is left out. */
int cluster_guard_read(const struct manager_context *context, struct cluster_guard *guard, struct cancel *cancel, struct error *err);
void cluster_guard_free(struct cluster_guard *guard); /* leaves it empty */
#define CLUSTER_GUARD_CLEANUP __attribute__((cleanup(cluster_guard_free)))

/* True for the key ("namespace/name") of that Secret: write-limited tenants look again when it changes. Pure. */
bool cluster_guard_is_secret(const struct manager_context *context, const char *key);
/* What moves when the certificate does, for the digest of a tenant's inputs. */
void cluster_guard_digest(const struct manager_context *context, struct string_list *lines);
