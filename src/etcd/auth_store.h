/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users, roles and permissions with etcd's rules, kept as records beside the keys. The functions check everything and change the store; the
 * log sequence of a change comes back in *sequence. Loop's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strings.h"
#include "etcd/etcd_error.h"
#include "store/requests.h"
#include "store/store.h"

struct auth_store;

enum auth_access { AUTH_READ = 0, AUTH_WRITE = 1, AUTH_READ_WRITE = 2 };

struct auth_permission {
	enum auth_access access;
	struct bytes key, range_end; /* owned by the role */
};

struct auth_store *auth_store_new(struct store *store, uint64_t space); /* reads the records */
void auth_store_free(struct auth_store *auth);

bool auth_enabled(const struct auth_store *auth);
uint64_t auth_revision(const struct auth_store *auth);
const struct etcd_error *auth_enable(struct auth_store *auth, uint64_t *sequence);
const struct etcd_error *auth_disable(struct auth_store *auth, uint64_t *sequence);

/* `hash`: of the password, made by auth_hash(); NULL for a user without password. */
const struct etcd_error *auth_user_add(struct auth_store *auth, const char *name, const char *hash, uint64_t *sequence);
const struct etcd_error *auth_user_delete(struct auth_store *auth, const char *name, uint64_t *sequence);
const struct etcd_error *auth_user_set_password(struct auth_store *auth, const char *name, const char *hash, uint64_t *sequence);
const struct etcd_error *auth_user_grant(struct auth_store *auth, const char *name, const char *role, uint64_t *sequence);
const struct etcd_error *auth_user_revoke(struct auth_store *auth, const char *name, const char *role, uint64_t *sequence);
const struct etcd_error *auth_user_roles(const struct auth_store *auth, const char *name, const struct string_list **roles);
void auth_user_names(const struct auth_store *auth, struct string_list *names);
const struct etcd_error *auth_role_add(struct auth_store *auth, const char *name, uint64_t *sequence);
const struct etcd_error *auth_role_delete(struct auth_store *auth, const char *name, uint64_t *sequence);
const struct etcd_error *auth_role_grant(struct auth_store *auth, const char *name, const struct auth_permission *permission,
                                         uint64_t *sequence);
const struct etcd_error *auth_role_revoke(struct auth_store *auth, const char *name, struct bytes key, struct bytes range_end,
                                          uint64_t *sequence);
const struct etcd_error *auth_role_permissions(const struct auth_store *auth, const char *name, const struct auth_permission **permissions,
                                               size_t *count);
void auth_role_names(const struct auth_store *auth, struct string_list *names);

/* The stored hash of a user that may log in with a password; AUTH_FAILED otherwise. Comparing takes 50 ms: not on the loop. */
const struct etcd_error *auth_password_hash(const struct auth_store *auth, const char *name, const char **hash);
/* Blocking, slow on purpose (bcrypt); any thread. auth_hash: secret_free(). */
char *auth_hash(const char *password);
bool auth_hash_matches(const char *password, const char *hash);
/* Tokens: made after a password matched, valid until unused for 5 minutes or the auth store changes. */
const char *auth_token_new(struct auth_store *auth, const char *user);   /* borrowed */
const char *auth_token_user(struct auth_store *auth, const char *token); /* NULL: not valid */

/* user "" means nobody was named. All are NULL when authentication is off. */
const struct etcd_error *auth_check_admin(const struct auth_store *auth, const char *user);
const struct etcd_error *auth_check_range(const struct auth_store *auth, const char *user, struct bytes key, struct bytes range_end);
const struct etcd_error *auth_check_put(const struct auth_store *auth, const char *user, struct bytes key);
const struct etcd_error *auth_check_delete(const struct auth_store *auth, const char *user, struct bytes key, struct bytes range_end);
