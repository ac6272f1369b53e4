/* SPDX-License-Identifier: Apache-2.0 */
/* etcd's Auth service: users, roles, permissions. */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "grpc/etcd_internal.h"

#define METHOD(name) "/etcdserverpb.Auth/" name

static int need_name(const char *name, const char *what, struct error *err)
{
	return string_empty(name) ? error_set(err, ERROR_INVALID, "etcd: the %s name is empty", what) : 0;
}

int etcd_client_auth_status(struct etcd_client *client, struct etcd_auth_status *status, struct cancel *cancel, struct error *err)
{
	struct buffer message = { 0 }, reply BUFFER_CLEANUP = { 0 };
	struct protobuf_reader reader;
	struct protobuf_field field;

	if (etcd_call(client, METHOD("AuthStatus"), &message, &reply, cancel, err) != 0)
		return -1;
	*status = (struct etcd_auth_status){ 0 };
	reader = protobuf_reader_of(reply.data, reply.length);
	while (protobuf_next(&reader, &field)) {
		if (field.number == 2)
			status->enabled = field.value != 0;
		else if (field.number == 3)
			status->revision = field.value;
	}
	return etcd_reply_check(&reader, "AuthStatus", err);
}

int etcd_client_auth_enable(struct etcd_client *client, struct cancel *cancel, struct error *err)
{
	struct buffer message = { 0 };

	return etcd_call(client, METHOD("AuthEnable"), &message, NULL, cancel, err);
}

int etcd_client_auth_disable(struct etcd_client *client, struct cancel *cancel, struct error *err)
{
	struct buffer message = { 0 };

	return etcd_call(client, METHOD("AuthDisable"), &message, NULL, cancel, err);
}

int etcd_client_user_add(struct etcd_client *client, const char *name, const char *password, struct cancel *cancel, struct error *err)
{
	struct buffer message BUFFER_SECRET_CLEANUP = { 0 }, options BUFFER_CLEANUP = { 0 };

	if (need_name(name, "user", err) != 0)
		return -1;
	protobuf_put_string(&message, 1, name);
	protobuf_put_string(&message, 2, password);
	protobuf_put_boolean(&options, 1, password == NULL); /* no_password */
	protobuf_put_message(&message, 3, &options);
	return etcd_call(client, METHOD("UserAdd"), &message, NULL, cancel, err);
}

/* A call with one name in field 1 that answers with names in field 2, or with nothing. */
static int call_name(struct etcd_client *client, const char *method, const char *what, const char *name, struct string_list *names,
                     struct cancel *cancel, struct error *err)
{
	struct buffer message BUFFER_CLEANUP = { 0 }, reply BUFFER_CLEANUP = { 0 };
	struct protobuf_reader reader;
	struct protobuf_field field;
	char *text;

	if (what != NULL && need_name(name, what, err) != 0)
		return -1;
	protobuf_put_string(&message, 1, name);
	if (etcd_call(client, method, &message, &reply, cancel, err) != 0)
		return -1;
	reader = protobuf_reader_of(reply.data, reply.length);
	while (protobuf_next(&reader, &field)) {
		text = field.number == 2 && names != NULL ? protobuf_field_string(&field) : NULL;
		if (text != NULL)
			string_list_take(names, text);
	}
	return etcd_reply_check(&reader, method, err);
}

int etcd_client_user_get(struct etcd_client *client, const char *name, struct string_list *roles, struct cancel *cancel, struct error *err)
{
	return call_name(client, METHOD("UserGet"), "user", name, roles, cancel, err);
}

int etcd_client_user_delete(struct etcd_client *client, const char *name, struct cancel *cancel, struct error *err)
{
	return call_name(client, METHOD("UserDelete"), "user", name, NULL, cancel, err);
}

int etcd_client_user_list(struct etcd_client *client, struct string_list *names, struct cancel *cancel, struct error *err)
{
	return call_name(client, METHOD("UserList"), NULL, NULL, names, cancel, err);
}

int etcd_client_role_add(struct etcd_client *client, const char *name, struct cancel *cancel, struct error *err)
{
	return call_name(client, METHOD("RoleAdd"), "role", name, NULL, cancel, err);
}

int etcd_client_role_delete(struct etcd_client *client, const char *name, struct cancel *cancel, struct error *err)
{
	return call_name(client, METHOD("RoleDelete"), "role", name, NULL, cancel, err);
}

int etcd_client_role_list(struct etcd_client *client, struct string_list *names, struct cancel *cancel, struct error *err)
{
	return call_name(client, METHOD("RoleList"), NULL, NULL, names, cancel, err);
}

int etcd_client_user_grant_role(struct etcd_client *client, const char *user, const char *role, struct cancel *cancel, struct error *err)
{
	struct buffer message BUFFER_CLEANUP = { 0 };

	if (need_name(user, "user", err) != 0 || need_name(role, "role", err) != 0)
		return -1;
	protobuf_put_string(&message, 1, user);
	protobuf_put_string(&message, 2, role);
	return etcd_call(client, METHOD("UserGrantRole"), &message, NULL, cancel, err);
}

static void take_permission(struct etcd_role *role, const struct protobuf_field *message)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct etcd_permission permission = { 0 };
	struct protobuf_field field;
	bool usable = true;

	while (protobuf_next(&reader, &field)) {
		if (field.number == 1) {
			permission.type = (enum etcd_permission_type)field.value;
		} else if (field.number == 2) {
			free(permission.key);
			permission.key = protobuf_field_string(&field);
			usable = usable && permission.key != NULL;
		} else if (field.number == 3 && field.length == 1 && field.bytes[0] == 0) {
			permission.from_key = true;
		} else if (field.number == 3) {
			free(permission.range_end);
			permission.range_end = protobuf_field_string(&field);
			usable = usable && permission.range_end != NULL;
		}
	}
	if (reader.corrupt || !usable) {
		free(permission.key);
		free(permission.range_end);
		return;
	}
	if (permission.key == NULL)
		permission.key = string_dup("");
	if (permission.range_end == NULL)
		permission.range_end = string_dup("");
	role->permissions = realloc(role->permissions, (role->permission_count + 1) * sizeof(*role->permissions));
	if (role->permissions == NULL)
		abort();
	role->permissions[role->permission_count++] = permission;
}

int etcd_client_role_get(struct etcd_client *client, const char *name, struct etcd_role *role, struct cancel *cancel, struct error *err)
{
	struct buffer message BUFFER_CLEANUP = { 0 }, reply BUFFER_CLEANUP = { 0 };
	struct protobuf_reader reader;
	struct protobuf_field field;

	*role = (struct etcd_role){ 0 };
	if (need_name(name, "role", err) != 0)
		return -1;
	protobuf_put_string(&message, 1, name);
	if (etcd_call(client, METHOD("RoleGet"), &message, &reply, cancel, err) != 0)
		return -1;
	reader = protobuf_reader_of(reply.data, reply.length);
	while (protobuf_next(&reader, &field))
		if (field.number == 2 && field.wire == PROTOBUF_BYTES)
			take_permission(role, &field);
	return etcd_reply_check(&reader, "RoleGet", err);
}

void etcd_role_free(struct etcd_role *role)
{
	for (size_t i = 0; i < role->permission_count; i++) {
		free(role->permissions[i].key);
		free(role->permissions[i].range_end);
	}
	free(role->permissions);
	*role = (struct etcd_role){ 0 };
}

int etcd_client_role_grant_permission(struct etcd_client *client, const char *role, enum etcd_permission_type type, const char *key,
                                      const char *range_end, struct cancel *cancel, struct error *err)
{
	struct buffer message BUFFER_CLEANUP = { 0 }, permission BUFFER_CLEANUP = { 0 };

	if (need_name(role, "role", err) != 0)
		return -1;
	protobuf_put_unsigned(&permission, 1, (uint64_t)type);
	etcd_put_key(&permission, 2, key, range_end == ETCD_ALL_KEYS);
	if (range_end != NULL)
		etcd_put_key(&permission, 3, range_end, false);
	protobuf_put_string(&message, 1, role);
	protobuf_put_message(&message, 2, &permission);
	return etcd_call(client, METHOD("RoleGrantPermission"), &message, NULL, cancel, err);
}
