/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/auth_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "etcd/auth_int.h"

/* etcd has no code of its own for it: it goes out as unknown, with the text of its auth package. */
static const struct etcd_error no_password_user = { 2, "auth: authentication failed, password was given for no password user" };

static void put_record(struct auth_store *auth, const char *prefix, const char *name, const struct buffer *message, uint64_t *sequence)
{
	struct buffer value BUFFER_CLEANUP = { 0 };
	char *key FREE_CLEANUP = string_printf("%s%s", prefix, name);

	(void)buffer_append_char(&value, AUTH_RECORD_VERSION);
	(void)buffer_append(&value, message->data, message->length);
	*sequence = store_put_record(auth->store, auth->space, BYTES(key), &(struct bytes){ value.data, value.length });
}

static void drop_record(struct auth_store *auth, const char *prefix, const char *name, uint64_t *sequence)
{
	char *key FREE_CLEANUP = string_printf("%s%s", prefix, name);

	*sequence = store_put_record(auth->store, auth->space, BYTES(key), NULL);
}

static void save_user(struct auth_store *auth, const struct auth_user *user, uint64_t *sequence)
{
	struct buffer message BUFFER_CLEANUP = { 0 };

	auth_user_encode(user, &message);
	put_record(auth, AUTH_USER_RECORD, user->name, &message, sequence);
}

static void save_role(struct auth_store *auth, const struct auth_role *role, uint64_t *sequence)
{
	struct buffer message BUFFER_CLEANUP = { 0 };

	auth_role_encode(role, &message);
	put_record(auth, AUTH_ROLE_RECORD, role->name, &message, sequence);
}

static void save_state(struct auth_store *auth, uint64_t *sequence)
{
	struct buffer message BUFFER_CLEANUP = { 0 };

	auth_state_encode(auth->enabled, auth->revision, &message);
	put_record(auth, AUTH_STATE_RECORD, "", &message, sequence);
}

/* The end of every change: the revision counts it. */
static const struct etcd_error *changed(struct auth_store *auth, uint64_t *sequence)
{
	auth->revision++;
	auth->generation++;
	save_state(auth, sequence);
	return NULL;
}

static bool starts_with(struct bytes key, const char *prefix)
{
	return key.length >= strlen(prefix) && memcmp(key.data, prefix, strlen(prefix)) == 0;
}

static void load_record(void *argument, struct bytes key, struct bytes value)
{
	struct auth_store *auth = argument;
	struct auth_user *user;
	struct auth_role *role;
	bool good = value.length > 0 && value.data[0] == AUTH_RECORD_VERSION;

	if (!starts_with(key, "auth/"))
		return;
	if (good && starts_with(key, AUTH_STATE_RECORD)) {
		good = auth_state_decode(value.data + 1, value.length - 1, &auth->enabled, &auth->revision);
	} else if (good && starts_with(key, AUTH_USER_RECORD)) {
		user = auth_user_decode(value.data + 1, value.length - 1);
		good = user != NULL;
		if (good)
			auth_user_free(map_put(&auth->users, user->name, user));
	} else if (good && starts_with(key, AUTH_ROLE_RECORD)) {
		role = auth_role_decode(value.data + 1, value.length - 1);
		good = role != NULL;
		if (good)
			auth_role_free(map_put(&auth->roles, role->name, role));
	}
	/* Whoever it spoke of has no rights then, which is the safe side. */
	if (!good)
		log_warning("datastore.auth", "a record of users and roles cannot be read", LOG_INTEGER("bytes", (int64_t)value.length));
}

struct auth_store *auth_store_new(struct store *store, uint64_t space)
{
	struct auth_store *auth = calloc(1, sizeof(*auth));

	if (auth == NULL)
		abort();
	auth->store = store;
	auth->space = space;
	auth->revision = auth->generation = 1;
	store_each_record(store, space, load_record, auth);
	return auth;
}

void auth_store_free(struct auth_store *auth)
{
	if (auth == NULL)
		return;
	auth_tokens_drop(auth, NULL);
	map_free(&auth->users, auth_user_free);
	map_free(&auth->roles, auth_role_free);
	map_free(&auth->tokens, NULL);
	free(auth);
}

bool auth_enabled(const struct auth_store *auth)
{
	return auth->enabled;
}

uint64_t auth_revision(const struct auth_store *auth)
{
	return auth->revision;
}

const struct etcd_error *auth_enable(struct auth_store *auth, uint64_t *sequence)
{
	const struct auth_user *root = map_get(&auth->users, AUTH_ROOT);

	if (auth->enabled)
		return NULL;
	if (root == NULL)
		return &etcd_error_ROOT_USER_NOT_EXIST;
	if (!auth_user_is_root(root))
		return &etcd_error_ROOT_ROLE_NOT_EXIST;
	auth->enabled = true;
	save_state(auth, sequence);
	return NULL;
}

const struct etcd_error *auth_disable(struct auth_store *auth, uint64_t *sequence)
{
	if (!auth->enabled)
		return NULL;
	auth->enabled = false;
	auth_tokens_drop(auth, NULL);
	return changed(auth, sequence);
}

const struct etcd_error *auth_user_add(struct auth_store *auth, const char *name, const char *hash, uint64_t *sequence)
{
	struct auth_user *user;

	if (string_empty(name))
		return &etcd_error_USER_EMPTY;
	if (map_get(&auth->users, name) != NULL)
		return &etcd_error_USER_EXISTS;
	user = calloc(1, sizeof(*user));
	if (user == NULL)
		abort();
	user->name = string_dup(name);
	user->hash = string_dup(hash != NULL ? hash : "");
	user->no_password = hash == NULL;
	(void)map_put(&auth->users, name, user);
	save_user(auth, user, sequence);
	return changed(auth, sequence);
}

const struct etcd_error *auth_user_delete(struct auth_store *auth, const char *name, uint64_t *sequence)
{
	if (auth->enabled && string_equal(name, AUTH_ROOT))
		return &etcd_error_INVALID_AUTH_MANAGEMENT;
	if (map_get(&auth->users, name) == NULL)
		return &etcd_error_USER_NOT_FOUND;
	drop_record(auth, AUTH_USER_RECORD, name, sequence);
	auth_tokens_drop(auth, name);
	auth_user_free(map_remove(&auth->users, name));
	return changed(auth, sequence);
}

const struct etcd_error *auth_user_set_password(struct auth_store *auth, const char *name, const char *hash, uint64_t *sequence)
{
	struct auth_user *user = map_get(&auth->users, name);

	if (user == NULL)
		return &etcd_error_USER_NOT_FOUND;
	free(user->hash);
	user->hash = string_dup(user->no_password || hash == NULL ? "" : hash);
	auth_tokens_drop(auth, name);
	save_user(auth, user, sequence);
	return changed(auth, sequence);
}

const struct etcd_error *auth_user_grant(struct auth_store *auth, const char *name, const char *role, uint64_t *sequence)
{
	struct auth_user *user = map_get(&auth->users, name);

	if (user == NULL)
		return &etcd_error_USER_NOT_FOUND;
	/* The root role may be granted before it is made. */
	if (!string_equal(role, AUTH_ROOT) && map_get(&auth->roles, role) == NULL)
		return &etcd_error_ROLE_NOT_FOUND;
	if (string_list_contains(&user->roles, role))
		return NULL;
	string_list_add(&user->roles, role);
	string_list_sort(&user->roles);
	save_user(auth, user, sequence);
	return changed(auth, sequence);
}

static bool remove_role(struct auth_user *user, const char *role)
{
	size_t kept = 0;

	for (size_t i = 0; i < user->roles.count; i++) {
		if (string_equal(user->roles.items[i], role))
			free(user->roles.items[i]);
		else
			user->roles.items[kept++] = user->roles.items[i];
	}
	if (kept == user->roles.count)
		return false;
	user->roles.count = kept;
	return true;
}

const struct etcd_error *auth_user_revoke(struct auth_store *auth, const char *name, const char *role, uint64_t *sequence)
{
	struct auth_user *user = map_get(&auth->users, name);

	if (auth->enabled && string_equal(name, AUTH_ROOT) && string_equal(role, AUTH_ROOT))
		return &etcd_error_INVALID_AUTH_MANAGEMENT;
	if (user == NULL)
		return &etcd_error_USER_NOT_FOUND;
	if (!remove_role(user, role))
		return &etcd_error_ROLE_NOT_GRANTED;
	save_user(auth, user, sequence);
	return changed(auth, sequence);
}

const struct etcd_error *auth_user_roles(const struct auth_store *auth, const char *name, const struct string_list **roles)
{
	const struct auth_user *user = map_get(&auth->users, name);

	if (user == NULL)
		return &etcd_error_USER_NOT_FOUND;
	*roles = &user->roles;
	return NULL;
}

static void list_names(const struct map *map, struct string_list *names)
{
	for (const struct map_entry *entry = map_first(map); entry != NULL; entry = map_next(map, entry))
		string_list_add(names, entry->key);
	string_list_sort(names);
}

void auth_user_names(const struct auth_store *auth, struct string_list *names)
{
	list_names(&auth->users, names);
}

void auth_role_names(const struct auth_store *auth, struct string_list *names)
{
	list_names(&auth->roles, names);
}

const struct etcd_error *auth_role_add(struct auth_store *auth, const char *name, uint64_t *sequence)
{
	struct auth_role *role;

	if (string_empty(name))
		return &etcd_error_ROLE_EMPTY;
	if (map_get(&auth->roles, name) != NULL)
		return &etcd_error_ROLE_EXISTS;
	role = calloc(1, sizeof(*role));
	if (role == NULL)
		abort();
	role->name = string_dup(name);
	(void)map_put(&auth->roles, name, role);
	save_role(auth, role, sequence);
	return changed(auth, sequence);
}

/* Users lose the role before it goes: whatever a crash leaves gives nobody more than before. */
const struct etcd_error *auth_role_delete(struct auth_store *auth, const char *name, uint64_t *sequence)
{
	if (auth->enabled && string_equal(name, AUTH_ROOT))
		return &etcd_error_INVALID_AUTH_MANAGEMENT;
	if (map_get(&auth->roles, name) == NULL)
		return &etcd_error_ROLE_NOT_FOUND;
	for (struct map_entry *entry = map_first(&auth->users); entry != NULL; entry = map_next(&auth->users, entry))
		if (remove_role(entry->value, name))
			save_user(auth, entry->value, sequence);
	drop_record(auth, AUTH_ROLE_RECORD, name, sequence);
	auth_role_free(map_remove(&auth->roles, name));
	return changed(auth, sequence);
}

/* Not empty, and its end behind its start. "\0" as the end means no end. */
static bool valid_range(const struct auth_permission *permission)
{
	struct bytes end = permission->range_end;

	if (permission->key.length == 0)
		return false;
	return end.length == 0 || (end.length == 1 && end.data[0] == '\0') || bytes_compare(permission->key, end) < 0;
}

static bool is_for(const struct auth_permission *permission, struct bytes key, struct bytes range_end)
{
	return bytes_equal(permission->key, key) && bytes_equal(permission->range_end, range_end);
}

/*
 * As etcd keeps them: in the order of keys, new ones behind those with the same key. Only the first of a key is looked at for one to change,
 * so a second permission on the same key with another end can come to stand there twice; that grants nothing more.
 */
const struct etcd_error *auth_role_grant(struct auth_store *auth, const char *name, const struct auth_permission *permission,
                                         uint64_t *sequence)
{
	struct auth_role *role = map_get(&auth->roles, name);
	size_t place = 0;

	if (!valid_range(permission))
		return &etcd_error_INVALID_AUTH_MANAGEMENT;
	if (role == NULL)
		return &etcd_error_ROLE_NOT_FOUND;
	while (place < role->count && bytes_compare(role->permissions[place].key, permission->key) < 0)
		place++;
	if (place < role->count && is_for(&role->permissions[place], permission->key, permission->range_end)) {
		role->permissions[place].access = permission->access;
	} else {
		while (place < role->count && bytes_equal(role->permissions[place].key, permission->key))
			place++;
		auth_role_put(role, place, permission);
	}
	save_role(auth, role, sequence);
	return changed(auth, sequence);
}

const struct etcd_error *auth_role_revoke(struct auth_store *auth, const char *name, struct bytes key, struct bytes range_end,
                                          uint64_t *sequence)
{
	struct auth_role *role = map_get(&auth->roles, name);
	bool found = false;

	if (role == NULL)
		return &etcd_error_ROLE_NOT_FOUND;
	for (size_t i = role->count; i-- > 0;) {
		if (is_for(&role->permissions[i], key, range_end)) {
			auth_role_drop(role, i);
			found = true;
		}
	}
	if (!found)
		return &etcd_error_PERMISSION_NOT_GRANTED;
	save_role(auth, role, sequence);
	return changed(auth, sequence);
}

const struct etcd_error *auth_role_permissions(const struct auth_store *auth, const char *name, const struct auth_permission **permissions,
                                               size_t *count)
{
	static const struct auth_permission everything = { AUTH_READ_WRITE, { "", 0 }, { "", 1 } };
	const struct auth_role *role = map_get(&auth->roles, name);

	if (role == NULL)
		return &etcd_error_ROLE_NOT_FOUND;
	*permissions = string_equal(name, AUTH_ROOT) ? &everything : role->permissions;
	*count = string_equal(name, AUTH_ROOT) ? 1 : role->count;
	return NULL;
}

const struct etcd_error *auth_password_hash(const struct auth_store *auth, const char *name, const char **hash)
{
	const struct auth_user *user = map_get(&auth->users, name);

	if (!auth->enabled)
		return &etcd_error_AUTH_NOT_ENABLED;
	if (user == NULL)
		return &etcd_error_AUTH_FAILED;
	if (user->no_password)
		return &no_password_user;
	*hash = user->hash;
	return NULL;
}

const struct etcd_error *auth_check_admin(const struct auth_store *auth, const char *name)
{
	const struct auth_user *user;

	if (!auth->enabled)
		return NULL;
	if (string_empty(name))
		return &etcd_error_USER_EMPTY;
	user = map_get(&auth->users, name);
	if (user == NULL)
		return &etcd_error_USER_NOT_FOUND;
	return auth_user_is_root(user) ? NULL : &etcd_error_PERMISSION_DENIED;
}

static const struct etcd_error *check(const struct auth_store *auth, const char *name, struct bytes key, struct bytes range_end,
                                      enum auth_access access)
{
	struct auth_user *user;

	if (!auth->enabled)
		return NULL;
	if (string_empty(name))
		return &etcd_error_USER_EMPTY;
	user = map_get(&auth->users, name);
	if (user == NULL)
		return &etcd_error_PERMISSION_DENIED;
	if (auth_user_is_root(user) || auth_user_covers(auth, user, key, range_end, access))
		return NULL;
	return &etcd_error_PERMISSION_DENIED;
}

const struct etcd_error *auth_check_range(const struct auth_store *auth, const char *user, struct bytes key, struct bytes range_end)
{
	return check(auth, user, key, range_end, AUTH_READ);
}

const struct etcd_error *auth_check_put(const struct auth_store *auth, const char *user, struct bytes key)
{
	return check(auth, user, key, (struct bytes){ "", 0 }, AUTH_WRITE);
}

const struct etcd_error *auth_check_delete(const struct auth_store *auth, const char *user, struct bytes key, struct bytes range_end)
{
	return check(auth, user, key, range_end, AUTH_WRITE);
}
