/* SPDX-License-Identifier: Apache-2.0 */
/* The datastore's certificate files: read at the start and again when they change. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "net/tls.h"

struct datastore_tls_files {
	const char *certificate, *key, *authority; /* paths; "" when not given */
	bool client_certificates;                  /* clients must present one */
};

struct datastore_tls;

struct datastore_tls *datastore_tls_new(const struct datastore_tls_files *files, struct error *err); /* paths are borrowed */
void datastore_tls_free(struct datastore_tls *tls);
struct tls_identity *datastore_tls_identity(struct datastore_tls *tls); /* borrowed */
/* 1: new files were read; 0: nothing changed; -1: they changed and are no good, the old identity stays. `always`: do not look at times. */
int datastore_tls_reload(struct datastore_tls *tls, bool always, struct error *err);
