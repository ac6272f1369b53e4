/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolved credentials of DataStores, read once and kept until the DataStore or one of its Secrets changes: reconciling a hundred
 * tenants reads the store's Secrets once. Records are immutable and counted; the bytes are zeroed with the last reference. Thread-safe.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "datastore/connection.h"
#include "io/cancel.h"

struct manager_context;
struct data_store_credentials;

struct data_store_access {
	struct datastore_connection connection;
	/* private: */
	int references;
	char *fingerprint;
};

struct data_store_credentials *data_store_credentials_new(struct manager_context *context);
void data_store_credentials_free(struct data_store_credentials *credentials);
/* Reads the Secrets when needed. Errors name the field and the Secret (datastore/connection.h). */
int data_store_credentials_get(struct data_store_credentials *credentials, const json_t *data_store, struct data_store_access **access,
                               struct cancel *cancel, struct error *err);
void data_store_access_unref(struct data_store_access *access);                                   /* NULL is fine */
void data_store_credentials_forget(struct data_store_credentials *credentials, const char *name); /* the DataStore is gone */

static inline void data_store_access_cleanup(struct data_store_access **access)
{
	data_store_access_unref(*access);
}
#define DATA_STORE_ACCESS_CLEANUP __attribute__((cleanup(data_store_access_cleanup)))

/* Text that changes whenever the spec or a referenced Secret does (free()). From caches only. */
char *data_store_fingerprint(const struct manager_context *context, const json_t *data_store);
