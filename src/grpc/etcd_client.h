/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of etcd v3 that an operator needs, typed and blocking, against one or several endpoints: the one that answered last is used
 * until it fails with ERROR_TRANSIENT, then the next is tried, each at most once per call. Thread-safe; no call from the loop's thread.
 * Who we are is the client certificate's common name.
 *
 * etcd's own errors are mapped by their text, since several share a gRPC code:
 *   ERROR_EXISTS     user or role name already exists
 *   ERROR_NOT_FOUND  user or role name not found, role not granted to the user, permission not granted to the role
 *   ERROR_FORBIDDEN  permission denied, invalid auth token, authentication failed, and "user name is empty", which is how etcd says that
 *                    a client without certificate came while authentication is on
 *   ERROR_INVALID    authentication is not enabled, root user does not exist, root user does not have root role
 *   ERROR_TRANSIENT  no leader, leader changed, timed out, server stopped
 *   ERROR_EXHAUSTED  database space exceeded, request is too large, too many requests
 *   ERROR_EXPIRED    required revision has been compacted
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "net/tls.h"

struct etcd_client;

/* Everything is copied. */
struct etcd_client_options {
	struct loop *loop;
	const char *const *endpoints; /* "host:port", "https://host:port" or "http://host:port" (no TLS, tests) */
	size_t endpoint_count;
	struct tls_identity *identity; /* a reference is taken; NULL only with http:// endpoints */
	unsigned timeout_ms;           /* of each call, all endpoints together; 0: 15 s */
};

/* ERROR_INVALID names the endpoint that cannot be read. Connects to nothing yet. */
struct etcd_client *etcd_client_new(const struct etcd_client_options *options, struct error *err);
void etcd_client_free(struct etcd_client *client); /* any thread but the loop's; NULL is fine */
void etcd_client_set_identity(struct etcd_client *client, struct tls_identity *identity);

struct etcd_auth_status {
	bool enabled;
	uint64_t revision;
};

struct etcd_status {
	char version[32];
	int64_t database_size, database_size_in_use; /* bytes */
	uint64_t leader;                             /* 0: the cluster has none */
	uint64_t raft_index, raft_term;
	bool is_learner;
	struct string_list errors; /* alarms as text */
};

enum etcd_permission_type { ETCD_PERMISSION_READ = 0, ETCD_PERMISSION_WRITE = 1, ETCD_PERMISSION_READ_WRITE = 2 };

struct etcd_permission {
	enum etcd_permission_type type;
	char *key, *range_end; /* NUL-terminated; keys with a NUL inside are not ours and are left out. range_end "" : the key alone */
	bool from_key;         /* range_end was the single byte 0: everything from key on */
};

struct etcd_role {
	struct etcd_permission *permissions;
	size_t permission_count;
};

int etcd_client_auth_status(struct etcd_client *client, struct etcd_auth_status *status, struct cancel *cancel, struct error *err);
/* Needs the user "root" with the role "root". Enabled already: fine. */
int etcd_client_auth_enable(struct etcd_client *client, struct cancel *cancel, struct error *err);
int etcd_client_auth_disable(struct etcd_client *client, struct cancel *cancel, struct error *err);
/* password NULL: the user has none and can only come by certificate. */
int etcd_client_user_add(struct etcd_client *client, const char *name, const char *password, struct cancel *cancel, struct error *err);
int etcd_client_user_get(struct etcd_client *client, const char *name, struct string_list *roles, struct cancel *cancel, struct error *err);
int etcd_client_user_delete(struct etcd_client *client, const char *name, struct cancel *cancel, struct error *err);
int etcd_client_user_list(struct etcd_client *client, struct string_list *names, struct cancel *cancel, struct error *err);
int etcd_client_user_grant_role(struct etcd_client *client, const char *user, const char *role, struct cancel *cancel, struct error *err);
int etcd_client_role_add(struct etcd_client *client, const char *name, struct cancel *cancel, struct error *err);
int etcd_client_role_get(struct etcd_client *client, const char *name, struct etcd_role *role, struct cancel *cancel, struct error *err);
int etcd_client_role_delete(struct etcd_client *client, const char *name, struct cancel *cancel, struct error *err);
int etcd_client_role_list(struct etcd_client *client, struct string_list *names, struct cancel *cancel, struct error *err);
/* range_end as below. */
int etcd_client_role_grant_permission(struct etcd_client *client, const char *role, enum etcd_permission_type type, const char *key,
                                      const char *range_end, struct cancel *cancel, struct error *err);
void etcd_role_free(struct etcd_role *role);
void etcd_status_free(struct etcd_status *status);

int etcd_client_put(struct etcd_client *client, const char *key, const void *value, size_t length, struct cancel *cancel,
                    struct error *err);

struct etcd_key_value {
	char *key; /* NUL-terminated copy; key_length counts */
	size_t key_length;
	char *value; /* NUL-terminated copy, NULL when keys_only */
	size_t value_length;
	int64_t create_revision, mod_revision, version, lease;
};

struct etcd_range_options {
	const char *key;       /* "" with range_end ETCD_ALL_KEYS: everything */
	const char *range_end; /* first key not in the range; NULL: key alone; ETCD_ALL_KEYS: from key to the end */
	int64_t limit;         /* 0: none */
	int64_t revision;      /* 0: the newest */
	bool count_only, keys_only;
};

/* etcd writes "from key on" as one zero byte, which no C string can hold: compared by pointer. */
extern const char ETCD_ALL_KEYS[];

struct etcd_range {
	struct etcd_key_value *items;
	size_t item_count;
	bool more;
	int64_t count;    /* in the whole range, whatever the limit */
	int64_t revision; /* of the store */
};

/* Zero-initialise the result; etcd_range_free(). */
int etcd_client_range(struct etcd_client *client, const struct etcd_range_options *options, struct etcd_range *range, struct cancel *cancel,
                      struct error *err);
void etcd_range_free(struct etcd_range *range);
/* *deleted may be NULL. */
int etcd_client_delete_range(struct etcd_client *client, const char *key, const char *range_end, int64_t *deleted, struct cancel *cancel,
                             struct error *err);
/* Of the endpoint that answers. Zero-initialise; etcd_status_free(). */
int etcd_client_status(struct etcd_client *client, struct etcd_status *status, struct cancel *cancel, struct error *err);

/*
 * The end of the range of all keys with that prefix: "/a/" -> "/a0". free(). NULL for "" and for prefixes of 0xff bytes alone: their
 * range has no end, use ETCD_ALL_KEYS.
 */
char *etcd_prefix_end(const char *prefix);
