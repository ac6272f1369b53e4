/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything needed to reach a DataStore, read from its object with all references resolved. Owned memory, secrets zeroed on release.
 * This room never fetches a Secret: the caller brings a function that does.
 */
#pragma once

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "pki/digest.h"

enum { DATASTORE_MAXIMUM_ENDPOINTS = 64 };

struct datastore_connection {
	char *name;                   /* metadata.name: DataStores are cluster-scoped */
	char *driver;                 /* "etcd", "MySQL", "PostgreSQL", "NATS" */
	struct string_list endpoints; /* host:port, validated, at least one */
	struct buffer authority_certificate, authority_key;
	struct buffer client_certificate, client_key;
	struct buffer username, password;
	char digest[DIGEST_HEX_SIZE]; /* SHA-256 over all of it: changes with any endpoint or credential */
};

/*
 * Appends the bytes of one key of a Secret to out, or fails: ERROR_NOT_FOUND "Secret NAMESPACE/NAME does not exist" or "... has no key K".
 * Called on the caller's thread.
 */
typedef int (*datastore_resolve_function)(void *argument, const char *namespace_name, const char *name, const char *key, struct buffer *out,
                                          struct error *err);

/*
 * Reads spec.driver, endpoints, basicAuth and tlsConfig of a DataStore object; inline `content` (base64) beats `secretReference`. Errors name the
 * field ("spec.tlsConfig.certificateAuthority.privateKey: Secret x/y does not exist"). What etcd needs (CA certificate and key, client
 * certificate and key) is demanded for etcd, and its PEM is checked: keys match their certificates.
 */
int datastore_connection_read(const json_t *data_store, datastore_resolve_function resolve, void *argument,
                              struct datastore_connection *connection, struct error *err);
void datastore_connection_free(struct datastore_connection *connection);
#define DATASTORE_CONNECTION_CLEANUP __attribute__((cleanup(datastore_connection_free)))
