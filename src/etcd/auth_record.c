/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "etcd/auth_int.h"
#include "grpc/protobuf.h"

static struct bytes copy_bytes(struct bytes bytes)
{
	char *copy = malloc(bytes.length + 1);

	if (copy == NULL)
		abort();
	if (bytes.length > 0)
		memcpy(copy, bytes.data, bytes.length);
	copy[bytes.length] = '\0';
	return (struct bytes){ copy, bytes.length };
}

static void free_permission(struct auth_permission *permission)
{
	free((char *)permission->key.data);
	free((char *)permission->range_end.data);
}

void auth_role_put(struct auth_role *role, size_t place, const struct auth_permission *permission)
{
	if (role->count == role->capacity) {
		role->capacity = role->capacity ? role->capacity * 2 : 4;
		role->permissions = reallocarray(role->permissions, role->capacity, sizeof(*role->permissions));
		if (role->permissions == NULL)
			abort();
	}
	memmove(&role->permissions[place + 1], &role->permissions[place], (role->count - place) * sizeof(*role->permissions));
	role->permissions[place] = (struct auth_permission){
		.access = permission->access,
		.key = copy_bytes(permission->key),
		.range_end = copy_bytes(permission->range_end),
	};
	role->count++;
}

void auth_role_drop(struct auth_role *role, size_t place)
{
	free_permission(&role->permissions[place]);
	memmove(&role->permissions[place], &role->permissions[place + 1], (--role->count - place) * sizeof(*role->permissions));
}

void auth_role_free(void *argument)
{
	struct auth_role *role = argument;

	if (role == NULL)
		return;
	for (size_t i = 0; i < role->count; i++)
		free_permission(&role->permissions[i]);
	free(role->permissions);
	free(role->name);
	free(role);
}

void auth_user_free(void *argument)
{
	struct auth_user *user = argument;

	if (user == NULL)
		return;
	free(user->readable.items);
	free(user->writable.items);
	string_list_free(&user->roles);
	free(user->hash);
	free(user->name);
	free(user);
}

void auth_permission_encode(const struct auth_permission *permission, struct buffer *out)
{
	protobuf_put_signed(out, 1, permission->access);
	protobuf_put_bytes(out, 2, permission->key.data, permission->key.length);
	protobuf_put_bytes(out, 3, permission->range_end.data, permission->range_end.length);
}

bool auth_permission_decode(const void *bytes, size_t length, struct auth_permission *permission)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*permission = (struct auth_permission){ .key = { "", 0 }, .range_end = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		if (field.number == 1 && field.wire == PROTOBUF_VARINT && field.value <= AUTH_READ_WRITE)
			permission->access = (enum auth_access)field.value;
		else if (field.number == 2 && field.wire == PROTOBUF_BYTES)
			permission->key = (struct bytes){ (const char *)field.bytes, field.length };
		else if (field.number == 3 && field.wire == PROTOBUF_BYTES)
			permission->range_end = (struct bytes){ (const char *)field.bytes, field.length };
		else if (field.number <= 3)
			return false;
	}
	return !reader.corrupt;
}

void auth_user_encode(const struct auth_user *user, struct buffer *out)
{
	struct buffer options BUFFER_CLEANUP = { 0 };

	protobuf_put_string(out, 1, user->name);
	protobuf_put_string(out, 2, user->hash);
	for (size_t i = 0; i < user->roles.count; i++)
		protobuf_put_string(out, 3, user->roles.items[i]);
	protobuf_put_boolean(&options, 1, user->no_password);
	protobuf_put_message(out, 4, &options);
}

static bool decode_options(const struct protobuf_field *field, struct auth_user *user)
{
	struct protobuf_reader reader = protobuf_reader_of(field->bytes, field->length);
	struct protobuf_field option;

	while (protobuf_next(&reader, &option))
		if (option.number == 1)
			user->no_password = option.wire == PROTOBUF_VARINT && option.value != 0;
	return !reader.corrupt;
}

static bool decode_user_field(const struct protobuf_field *field, struct auth_user *user)
{
	char *text;

	if (field->number > 4)
		return true;
	if (field->wire != PROTOBUF_BYTES)
		return false;
	if (field->number == 4)
		return decode_options(field, user);
	text = protobuf_field_string(field);
	if (text == NULL)
		return false;
	if (field->number == 3) {
		string_list_take(&user->roles, text);
		return true;
	}
	free(field->number == 1 ? user->name : user->hash);
	*(field->number == 1 ? &user->name : &user->hash) = text;
	return true;
}

struct auth_user *auth_user_decode(const void *bytes, size_t length)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct auth_user *user = calloc(1, sizeof(*user));
	struct protobuf_field field;
	bool good = true;

	if (user == NULL)
		abort();
	user->hash = string_dup("");
	while (good && protobuf_next(&reader, &field))
		good = decode_user_field(&field, user);
	if (!good || reader.corrupt || string_empty(user->name)) {
		auth_user_free(user);
		return NULL;
	}
	string_list_sort(&user->roles);
	return user;
}

void auth_role_encode(const struct auth_role *role, struct buffer *out)
{
	protobuf_put_string(out, 1, role->name);
	for (size_t i = 0; i < role->count; i++) {
		struct buffer permission BUFFER_CLEANUP = { 0 };

		auth_permission_encode(&role->permissions[i], &permission);
		protobuf_put_message(out, 2, &permission);
	}
}

struct auth_role *auth_role_decode(const void *bytes, size_t length)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct auth_role *role = calloc(1, sizeof(*role));
	struct protobuf_field field;
	bool good = true;

	if (role == NULL)
		abort();
	while (good && protobuf_next(&reader, &field)) {
		struct auth_permission permission;

		if (field.number > 2)
			continue;
		good = field.wire == PROTOBUF_BYTES;
		if (good && field.number == 1) {
			free(role->name);
			role->name = protobuf_field_string(&field);
		} else if (good && field.number == 2) {
			good = auth_permission_decode(field.bytes, field.length, &permission);
			if (good)
				auth_role_put(role, role->count, &permission);
		}
	}
	if (!good || reader.corrupt || string_empty(role->name)) {
		auth_role_free(role);
		return NULL;
	}
	return role;
}

void auth_state_encode(bool enabled, uint64_t revision, struct buffer *out)
{
	protobuf_put_boolean(out, 1, enabled);
	protobuf_put_unsigned(out, 2, revision);
}

bool auth_state_decode(const void *bytes, size_t length, bool *enabled, uint64_t *revision)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*enabled = false;
	*revision = 1;
	while (protobuf_next(&reader, &field)) {
		if (field.number <= 2 && field.wire != PROTOBUF_VARINT)
			return false;
		if (field.number == 1)
			*enabled = field.value != 0;
		else if (field.number == 2)
			*revision = field.value;
	}
	return !reader.corrupt;
}
