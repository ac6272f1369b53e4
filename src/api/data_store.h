/* SPDX-License-Identifier: Apache-2.0 */
/* A DataStore as the rest of the program sees it. Strings belong to the arena of the view. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/tenant_control_plane.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum data_store_driver { DATA_STORE_ETCD, DATA_STORE_MYSQL, DATA_STORE_POSTGRESQL, DATA_STORE_NATS };

/* Bytes given inline (base64) or in a Secret; inline wins when not empty. */
struct content_reference {
	bool present;                                          /* the member exists and names a source */
	const char *content;                                   /* base64 text, or NULL */
	const char *secret_name, *secret_namespace, *key_path; /* or NULL */
};

struct data_store {
	json_t *object; /* lives as long as the arena */
	const char *name, *uid, *resource_version;
	int64_t generation;
	bool deleting, paused;
	bool has_finalizer; /* FINALIZER_DATA_STORE */
	enum data_store_driver driver;
	const char *driver_name;       /* "etcd", "MySQL", "PostgreSQL", "NATS" */
	struct string_array endpoints; /* "host:port" each */
	bool has_tls, has_client_certificate, has_basic_auth;
	struct content_reference ca_certificate, ca_private_key, client_certificate, client_private_key, username, password;
	bool ready;           /* status.ready */
	const json_t *status; /* NULL when there is none */
};

/* Reads one object; ERROR_INVALID when name, driver or endpoints are missing or of the wrong type. */
int data_store_parse(struct arena *arena, const json_t *object, struct data_store *store, struct error *err);
/* The CRD's rules (D1 to D8) and what can never work (an endpoint with a scheme or without port, bad base64, a CA that is no PEM).
 * `previous` as in tenant_validate(). */
const struct field_problem *data_store_validate(struct arena *arena, const json_t *object, const json_t *previous);
/* The Secrets the store refers to, as "namespace/name", without repeats, at most `size` of them; returns their number. */
enum { DATA_STORE_REFERENCES = 6 };
size_t data_store_secrets(struct arena *arena, const struct data_store *store, const char *keys[DATA_STORE_REFERENCES]);
/*
 * The bytes behind a reference. `secret` is the Secret object it names (NULL: does not exist, then the error says which is missing);
 * not looked at for inline content. The result is secret: it lives in the arena, whose owner zeroes nothing, so keep the arena short.
 */
int content_reference_resolve(struct arena *arena, const struct content_reference *reference, const json_t *secret, const char *what,
                              const char **bytes, size_t *length, struct error *err);
