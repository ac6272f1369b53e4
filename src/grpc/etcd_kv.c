/* SPDX-License-Identifier: Apache-2.0 */
/* etcd's KV service and the status of a member. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/etcd_internal.h"

int etcd_client_put(struct etcd_client *client, const char *key, const void *value, size_t length, struct cancel *cancel, struct error *err)
{
	struct buffer message BUFFER_SECRET_CLEANUP = { 0 };

	protobuf_put_string(&message, 1, key);
	protobuf_put_bytes(&message, 2, value, length);
	return etcd_call(client, "/etcdserverpb.KV/Put", &message, NULL, cancel, err);
}

/* A copy with a NUL behind it. */
static char *take_bytes(const struct protobuf_field *field)
{
	char *copy = malloc(field->length + 1);

	if (copy == NULL)
		abort();
	if (field->length > 0)
		memcpy(copy, field->bytes, field->length);
	copy[field->length] = '\0';
	return copy;
}

static void item_free(struct etcd_key_value *item)
{
	free(item->key);
	free(item->value);
}

static bool take_item(struct etcd_key_value *item, const struct protobuf_field *message, bool keys_only)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct protobuf_field field;

	*item = (struct etcd_key_value){ 0 };
	while (protobuf_next(&reader, &field)) {
		if (field.number == 1) {
			free(item->key);
			item->key = take_bytes(&field);
			item->key_length = field.length;
		} else if (field.number == 2) {
			item->create_revision = (int64_t)field.value;
		} else if (field.number == 3) {
			item->mod_revision = (int64_t)field.value;
		} else if (field.number == 4) {
			item->version = (int64_t)field.value;
		} else if (field.number == 5) {
			free(item->value);
			item->value = take_bytes(&field);
			item->value_length = field.length;
		} else if (field.number == 6) {
			item->lease = (int64_t)field.value;
		}
	}
	if (item->key == NULL)
		item->key = string_dup("");
	if (item->value == NULL && !keys_only)
		item->value = string_dup("");
	return !reader.corrupt;
}

static int64_t header_revision(const struct protobuf_field *message)
{
	struct protobuf_reader reader = protobuf_reader_of(message->bytes, message->length);
	struct protobuf_field field;

	while (protobuf_next(&reader, &field))
		if (field.number == 3)
			return (int64_t)field.value;
	return 0;
}

static void add_item(struct etcd_range *range, const struct etcd_key_value *item, size_t *capacity)
{
	if (range->item_count == *capacity) {
		*capacity = *capacity ? *capacity * 2 : 16;
		range->items = realloc(range->items, *capacity * sizeof(*range->items));
		if (range->items == NULL)
			abort();
	}
	range->items[range->item_count++] = *item;
}

static int parse_range(const struct buffer *reply, bool keys_only, struct etcd_range *range, struct error *err)
{
	struct protobuf_reader reader = protobuf_reader_of(reply->data, reply->length);
	struct protobuf_field field;
	struct etcd_key_value item;
	size_t capacity = 0;

	while (protobuf_next(&reader, &field)) {
		if (field.number == 1 && field.wire == PROTOBUF_BYTES) {
			range->revision = header_revision(&field);
		} else if (field.number == 2 && field.wire == PROTOBUF_BYTES) {
			if (!take_item(&item, &field, keys_only)) {
				item_free(&item);
				reader.corrupt = true;
				break;
			}
			add_item(range, &item, &capacity);
		} else if (field.number == 3) {
			range->more = field.value != 0;
		} else if (field.number == 4) {
			range->count = (int64_t)field.value;
		}
	}
	return etcd_reply_check(&reader, "Range", err);
}

int etcd_client_range(struct etcd_client *client, const struct etcd_range_options *options, struct etcd_range *range, struct cancel *cancel,
                      struct error *err)
{
	struct buffer message BUFFER_CLEANUP = { 0 }, reply BUFFER_SECRET_CLEANUP = { 0 };

	etcd_put_key(&message, 1, options->key, options->range_end == ETCD_ALL_KEYS);
	if (options->range_end != NULL)
		etcd_put_key(&message, 2, options->range_end, false);
	protobuf_put_signed(&message, 3, options->limit);
	protobuf_put_signed(&message, 4, options->revision);
	protobuf_put_boolean(&message, 8, options->keys_only);
	protobuf_put_boolean(&message, 9, options->count_only);
	if (etcd_call(client, "/etcdserverpb.KV/Range", &message, &reply, cancel, err) != 0)
		return -1;
	etcd_range_free(range);
	return parse_range(&reply, options->keys_only, range, err);
}

void etcd_range_free(struct etcd_range *range)
{
	for (size_t i = 0; i < range->item_count; i++)
		item_free(&range->items[i]);
	free(range->items);
	*range = (struct etcd_range){ 0 };
}

int etcd_client_delete_range(struct etcd_client *client, const char *key, const char *range_end, int64_t *deleted, struct cancel *cancel,
                             struct error *err)
{
	struct buffer message BUFFER_CLEANUP = { 0 }, reply BUFFER_CLEANUP = { 0 };
	struct protobuf_reader reader;
	struct protobuf_field field;

	etcd_put_key(&message, 1, key, range_end == ETCD_ALL_KEYS);
	if (range_end != NULL)
		etcd_put_key(&message, 2, range_end, false);
	if (etcd_call(client, "/etcdserverpb.KV/DeleteRange", &message, &reply, cancel, err) != 0)
		return -1;
	if (deleted != NULL)
		*deleted = 0;
	reader = protobuf_reader_of(reply.data, reply.length);
	while (protobuf_next(&reader, &field))
		if (field.number == 2 && deleted != NULL)
			*deleted = (int64_t)field.value;
	return etcd_reply_check(&reader, "DeleteRange", err);
}

static void take_status_field(struct etcd_status *status, const struct protobuf_field *field)
{
	char *text = field->wire == PROTOBUF_BYTES && field->number != 1 ? protobuf_field_string(field) : NULL;

	switch (field->number) {
	case 2:
		(void)snprintf(status->version, sizeof(status->version), "%s", text ? text : "");
		break;
	case 3:
		status->database_size = (int64_t)field->value;
		break;
	case 4:
		status->leader = field->value;
		break;
	case 5:
		status->raft_index = field->value;
		break;
	case 6:
		status->raft_term = field->value;
		break;
	case 8:
		if (text != NULL)
			string_list_add(&status->errors, text);
		break;
	case 9:
		status->database_size_in_use = (int64_t)field->value;
		break;
	case 10:
		status->is_learner = field->value != 0;
		break;
	default:
		break;
	}
	free(text);
}

int etcd_client_status(struct etcd_client *client, struct etcd_status *status, struct cancel *cancel, struct error *err)
{
	struct buffer message = { 0 }, reply BUFFER_CLEANUP = { 0 };
	struct protobuf_reader reader;
	struct protobuf_field field;

	if (etcd_call(client, "/etcdserverpb.Maintenance/Status", &message, &reply, cancel, err) != 0)
		return -1;
	etcd_status_free(status);
	reader = protobuf_reader_of(reply.data, reply.length);
	while (protobuf_next(&reader, &field))
		take_status_field(status, &field);
	return etcd_reply_check(&reader, "Status", err);
}

void etcd_status_free(struct etcd_status *status)
{
	string_list_free(&status->errors);
	*status = (struct etcd_status){ 0 };
}
