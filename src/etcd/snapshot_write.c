/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/snapshot_write.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "etcd/auth_int.h"
#include "etcd/bolt_write.h"
#include "grpc/protobuf.h"

enum { ALARM_PREFIX = 6 /* "alarm/" */ };

struct writing {
	struct bolt_writer *bolt;
	struct store_view *view;
	const struct snapshot_facts *facts;
	struct buffer value;
	const char *prefix; /* of the records being copied */
};

static void put_big_endian(uint64_t number, char bytes[8])
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (char)(number >> (56 - 8 * i));
}

size_t snapshot_revision_key(int64_t revision, uint32_t sub, bool deleted, char key[SNAPSHOT_TOMBSTONE_BYTES])
{
	put_big_endian((uint64_t)revision, key);
	key[8] = '_';
	put_big_endian(sub, key + 9);
	key[SNAPSHOT_KEY_BYTES] = 't';
	return deleted ? SNAPSHOT_TOMBSTONE_BYTES : SNAPSHOT_KEY_BYTES;
}

void snapshot_key_value(const struct store_view_entry *entry, struct buffer *out)
{
	protobuf_put_bytes(out, 1, entry->key.data, entry->key.length);
	if (entry->deleted)
		return;
	protobuf_put_signed(out, 2, entry->create_revision);
	protobuf_put_signed(out, 3, entry->revision);
	protobuf_put_signed(out, 4, entry->version);
	protobuf_put_bytes(out, 5, entry->value.data, entry->value.length);
	protobuf_put_signed(out, 6, entry->lease);
}

static int put(struct writing *writing, const char *name, const void *value, size_t length, struct error *err)
{
	return bolt_writer_put(writing->bolt, BYTES(name), (struct bytes){ value, length }, err);
}

static int put_number(struct writing *writing, const char *name, uint64_t number, struct error *err)
{
	char bytes[8];

	put_big_endian(number, bytes);
	return put(writing, name, bytes, sizeof(bytes), err);
}

static int put_version(void *argument, const struct store_view_entry *entry, struct error *err)
{
	struct writing *writing = argument;
	int64_t compacted = store_view_compacted(writing->view);
	char key[SNAPSHOT_TOMBSTONE_BYTES];
	size_t length;

	/* What compaction has ended is left out, whether home has dropped it yet or not. A deletion at exactly that revision stays. */
	if (entry->revision <= compacted && (!entry->newest || (entry->deleted && entry->revision < compacted)))
		return 0;
	length = snapshot_revision_key(entry->revision, entry->sub, entry->deleted, key);
	buffer_clear(&writing->value);
	snapshot_key_value(entry, &writing->value);
	return bolt_writer_put(writing->bolt, (struct bytes){ key, length }, (struct bytes){ writing->value.data, writing->value.length },
	                       err);
}

static int write_keys(struct writing *writing, struct error *err)
{
	bolt_writer_begin(writing->bolt, "key");
	if (store_view_each(writing->view, INT64_MAX, store_view_compacted(writing->view), put_version, writing, err) < 0)
		return -1;
	return bolt_writer_end(writing->bolt, err);
}

static int put_lease(void *argument, int64_t lease, int64_t ttl_seconds, struct error *err)
{
	struct writing *writing = argument;
	char key[8];

	put_big_endian((uint64_t)lease, key);
	buffer_clear(&writing->value);
	protobuf_put_signed(&writing->value, 1, lease);
	protobuf_put_signed(&writing->value, 2, ttl_seconds);
	return bolt_writer_put(writing->bolt, (struct bytes){ key, sizeof(key) },
	                       (struct bytes){ writing->value.data, writing->value.length }, err);
}

static int write_leases(struct writing *writing, struct error *err)
{
	bolt_writer_begin(writing->bolt, "lease");
	return store_view_leases(writing->view, put_lease, writing, err) < 0 ? -1 : bolt_writer_end(writing->bolt, err);
}

/* Users and roles: the record's message is etcd's own. */
static int put_auth_record(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct writing *writing = argument;
	size_t prefix = strlen(writing->prefix);

	if (key.length <= prefix || memcmp(key.data, writing->prefix, prefix) != 0 || value.length == 0 ||
	    value.data[0] != AUTH_RECORD_VERSION)
		return 0;
	return bolt_writer_put(writing->bolt, (struct bytes){ key.data + prefix, key.length - prefix },
	                       (struct bytes){ value.data + 1, value.length - 1 }, err);
}

static int write_records(struct writing *writing, const char *bucket, const char *prefix, struct error *err)
{
	writing->prefix = prefix;
	bolt_writer_begin(writing->bolt, bucket);
	return store_view_records(writing->view, put_auth_record, writing, err) < 0 ? -1 : bolt_writer_end(writing->bolt, err);
}

struct auth_state {
	bool enabled;
	uint64_t revision;
};

static int find_state(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct auth_state *state = argument;

	if (bytes_equal(key, BYTES(AUTH_STATE_RECORD)) && value.length > 0)
		(void)auth_state_decode(value.data + 1, value.length - 1, &state->enabled, &state->revision);
	return 0;
}

static int write_auth(struct writing *writing, struct error *err)
{
	struct auth_state state = { .revision = 1 };

	if (store_view_records(writing->view, find_state, &state, err) < 0)
		return -1;
	bolt_writer_begin(writing->bolt, "auth");
	if (put(writing, "authEnabled", state.enabled ? "\1" : "\0", 1, err) < 0 ||
	    put_number(writing, "authRevision", state.revision, err) < 0 || bolt_writer_end(writing->bolt, err) < 0)
		return -1;
	return write_records(writing, "authUsers", AUTH_USER_RECORD, err) < 0 ? -1
	                                                                      : write_records(writing, "authRoles", AUTH_ROLE_RECORD, err);
}

/* The alarm's message is the key. */
static int put_alarm(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct writing *writing = argument;

	if (key.length <= ALARM_PREFIX || memcmp(key.data, "alarm/", ALARM_PREFIX) != 0 || value.length < 2)
		return 0;
	return bolt_writer_put(writing->bolt, (struct bytes){ value.data + 1, value.length - 1 }, (struct bytes){ "", 0 }, err);
}

static int write_alarms(struct writing *writing, struct error *err)
{
	bolt_writer_begin(writing->bolt, "alarm");
	return store_view_records(writing->view, put_alarm, writing, err) < 0 ? -1 : bolt_writer_end(writing->bolt, err);
}

static int write_cluster(struct writing *writing, struct error *err)
{
	static const char downgrade[] = "{\"target-version\":\"\",\"enabled\":false}";

	bolt_writer_begin(writing->bolt, "cluster");
	if (put(writing, "clusterVersion", writing->facts->version, strlen(writing->facts->version), err) < 0 ||
	    put(writing, "downgrade", downgrade, sizeof(downgrade) - 1, err) < 0)
		return -1;
	return bolt_writer_end(writing->bolt, err);
}

static int write_members(struct writing *writing, struct error *err)
{
	const struct snapshot_facts *facts = writing->facts;
	char *id FREE_CLEANUP = string_printf("%" PRIx64, facts->member_id);
	json_t *member = json_pack("{s:o, s:[s]}", "id", json_integer((json_int_t)facts->member_id), "peerURLs", SNAPSHOT_PEER_URL);
	json_t *urls = json_array();
	char *text;
	int result;

	if (!string_empty(facts->name))
		(void)json_object_set_new(member, "name", json_string(facts->name));
	for (size_t i = 0; facts->client_urls != NULL && facts->client_urls[i] != NULL; i++)
		(void)json_array_append_new(urls, json_string(facts->client_urls[i]));
	(void)json_object_set_new(member, "clientURLs", urls);
	text = json_dumps(member, JSON_COMPACT);
	json_decref(member);
	if (text == NULL)
		return error_set(err, ERROR_INVALID, "the member's name or URLs are not valid UTF-8");
	bolt_writer_begin(writing->bolt, "members");
	result = put(writing, id, text, strlen(text), err) < 0 ? -1 : bolt_writer_end(writing->bolt, err);
	free(text);
	if (result < 0)
		return -1;
	bolt_writer_begin(writing->bolt, "members_removed");
	return bolt_writer_end(writing->bolt, err);
}

/* Keys in bytewise order. */
static int write_meta(struct writing *writing, struct error *err)
{
	const struct snapshot_facts *facts = writing->facts;
	char *state FREE_CLEANUP = string_printf("{\"voters\":[%" PRIu64 "],\"auto_leave\":false}", facts->member_id);
	int64_t compacted = store_view_compacted(writing->view);
	char key[SNAPSHOT_TOMBSTONE_BYTES];

	(void)snapshot_revision_key(compacted, 0, false, key);
	bolt_writer_begin(writing->bolt, "meta");
	if (put(writing, "confState", state, strlen(state), err) < 0 ||
	    put_number(writing, "consistent_index", facts->raft_index, err) < 0 ||
	    (compacted > 0 && (put(writing, "finishedCompactRev", key, SNAPSHOT_KEY_BYTES, err) < 0 ||
	                       put(writing, "scheduledCompactRev", key, SNAPSHOT_KEY_BYTES, err) < 0)) ||
	    put(writing, "storageVersion", facts->version, strlen(facts->version), err) < 0 ||
	    put_number(writing, "term", facts->raft_term, err) < 0)
		return -1;
	return bolt_writer_end(writing->bolt, err);
}

int snapshot_write(struct store_view *view, const struct snapshot_facts *facts, int descriptor, uint64_t *length, struct error *err)
{
	struct writing writing = { .bolt = bolt_writer_new(descriptor), .view = view, .facts = facts };
	int result = -1;

	if (write_keys(&writing, err) == 0 && write_leases(&writing, err) == 0 && write_auth(&writing, err) == 0 &&
	    write_alarms(&writing, err) == 0 && write_cluster(&writing, err) == 0 && write_members(&writing, err) == 0 &&
	    write_meta(&writing, err) == 0)
		result = bolt_writer_finish(writing.bolt, length, err);
	buffer_free(&writing.value);
	bolt_writer_free(writing.bolt);
	return result;
}
