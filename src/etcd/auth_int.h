/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the files of the auth store. */
#pragma once

#include "base/buffer.h"
#include "base/map.h"
#include "etcd/auth_store.h"

#define AUTH_ROOT "root" /* the user and the role that may do everything */

/* Keys in [from, to); to empty: no upper end. Disjoint and ascending in a set. */
struct auth_interval {
	struct bytes from, to; /* borrowed from the roles */
};

struct auth_set {
	struct auth_interval *items;
	size_t count, capacity;
};

struct auth_role {
	char *name;
	struct auth_permission *permissions; /* in etcd's order */
	size_t count, capacity;
};

struct auth_user {
	char *name;
	char *hash; /* "" when none */
	bool no_password;
	struct string_list roles; /* sorted */
	/* Merged from the roles, made when first needed after a change. */
	uint64_t generation;
	struct auth_set readable, writable;
};

struct auth_token {
	char *user;
	uint64_t ends_ms;
};

struct auth_store {
	struct store *store;
	uint64_t space;
	bool enabled;
	uint64_t revision;
	uint64_t generation; /* of users and roles: counts every change */
	struct map users, roles, tokens;
	uint64_t tokens_swept_ms;
};

/* Records: a version byte, then etcd's own messages (authpb.User, authpb.Role), so that snapshots carry them as they are. */
enum { AUTH_RECORD_VERSION = 1 };
#define AUTH_STATE_RECORD "auth/state"
#define AUTH_USER_RECORD "auth/user/"
#define AUTH_ROLE_RECORD "auth/role/"

/* NULL for bytes that are no such message. free with auth_user_free(), auth_role_free(). */
struct auth_user *auth_user_decode(const void *bytes, size_t length);
struct auth_role *auth_role_decode(const void *bytes, size_t length);
void auth_user_encode(const struct auth_user *user, struct buffer *out);
void auth_role_encode(const struct auth_role *role, struct buffer *out);
void auth_state_encode(bool enabled, uint64_t revision, struct buffer *out);
bool auth_state_decode(const void *bytes, size_t length, bool *enabled, uint64_t *revision);
void auth_permission_encode(const struct auth_permission *permission, struct buffer *out);
/* Key and range_end borrow from the bytes. */
bool auth_permission_decode(const void *bytes, size_t length, struct auth_permission *permission);
void auth_user_free(void *user);
void auth_role_free(void *role);
void auth_role_put(struct auth_role *role, size_t place, const struct auth_permission *permission); /* copies */
void auth_role_drop(struct auth_role *role, size_t place);

bool auth_user_is_root(const struct auth_user *user);
bool auth_user_covers(const struct auth_store *auth, struct auth_user *user, struct bytes key, struct bytes range_end,
                      enum auth_access access);
void auth_tokens_drop(struct auth_store *auth, const char *user); /* NULL: all */
