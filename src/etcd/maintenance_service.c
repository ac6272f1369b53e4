/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"
#include "etcd/admin.h"
#include "etcd/alarm.h"
#include "etcd/etcd_int.h"
#include "etcd/maintenance.h"
#include "etcd/snapshot_write.h"
#include "grpc/grpc_status.h"
#include "grpc/protobuf.h"

static const struct etcd_error bad_transferee = { 9, "etcdserver: bad leader transferee" };
static const struct etcd_error wrong_version_format = { 3, "etcdserver: wrong downgrade target version format" };
static const struct etcd_error invalid_target_version = { 3, "etcdserver: invalid downgrade target version" };
static const struct etcd_error unknown_method = { 2, "etcdserver: unknown method" };

void etcd_minor_version(const struct etcd_server *server, char text[ETCD_VERSION_SIZE])
{
	struct version version;
	struct error ignored;

	(void)version_parse(server->options.version, "version", &version, &ignored);
	(void)snprintf(text, ETCD_VERSION_SIZE, "%u.%u.0", version.major, version.minor);
}

const struct etcd_error *etcd_require_user(struct etcd_server *server, struct grpc_call *call)
{
	const char *user;
	const struct etcd_error *error = etcd_user(server, call, &user);

	if (error == NULL && auth_enabled(server->auth) && string_empty(user))
		error = &etcd_error_USER_EMPTY;
	return error;
}

static void put_header(struct etcd_server *server, struct buffer *answer)
{
	struct etcd_header header = etcd_header(server, space_visible_revision(server->space));

	etcd_encode_header(answer, &header);
}

/* Requests of two or three small fields. */
struct small_request {
	uint64_t numbers[4]; /* by field */
	struct bytes text;   /* of the last length-delimited field */
};

static bool decode(const char *bytes, size_t length, struct small_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct small_request){ .text = { "", 0 } };
	while (protobuf_next(&reader, &field)) {
		if (field.wire == PROTOBUF_BYTES)
			request->text = (struct bytes){ (const char *)field.bytes, field.length };
		else if (field.wire == PROTOBUF_VARINT && field.number < ARRAY_LENGTH(request->numbers))
			request->numbers[field.number] = field.value;
	}
	return !reader.corrupt;
}

static void put_alarm(struct buffer *answer, uint64_t member, enum alarm_type type)
{
	struct buffer alarm BUFFER_CLEANUP = { 0 };

	protobuf_put_unsigned(&alarm, 1, member);
	protobuf_put_unsigned(&alarm, 2, type);
	protobuf_put_message(answer, 2, &alarm);
}

struct alarm_list {
	struct buffer *answer;
	uint64_t type; /* NONE: all */
};

static void list_alarm(void *argument, uint64_t member, enum alarm_type type)
{
	const struct alarm_list *list = argument;

	if (list->type == ALARM_NONE || list->type == (uint64_t)type)
		put_alarm(list->answer, member, type);
}

static void serve_alarm(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	enum { GET, ACTIVATE, DEACTIVATE };
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct small_request request;
	const struct etcd_error *error = decode(bytes, length, &request) ? NULL : &etcd_error_MALFORMED;
	uint64_t sequence = 0, action = request.numbers[1], member = request.numbers[2], type = request.numbers[3];

	if (error == NULL)
		error = action == GET ? etcd_require_user(server, call) : etcd_require_admin(server, call);
	if (error == NULL && action > DEACTIVATE)
		error = &unknown_method;
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	put_header(server, &answer);
	if (action == GET) {
		alarm_each(server, list_alarm, &(struct alarm_list){ &answer, type });
	} else if (type == ALARM_NOSPACE || type == ALARM_CORRUPT) {
		bool known = action == ACTIVATE;

		if (action == ACTIVATE)
			(void)alarm_raise(server, member, (enum alarm_type)type, &sequence);
		else
			known = alarm_disarm(server, member, (enum alarm_type)type, &sequence);
		if (known)
			put_alarm(&answer, member, (enum alarm_type)type);
	}
	etcd_answer_when_durable(server, call, sequence, &answer);
}

static void add_error(void *argument, uint64_t member, enum alarm_type type)
{
	char *text FREE_CLEANUP = string_printf("memberID:%llu alarm:%s", (unsigned long long)member, alarm_name(type));

	protobuf_put_string(argument, 8, text);
}

static void serve_status(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 }, downgrade = { 0 };
	const struct etcd_error *error = etcd_require_user(server, call);
	uint64_t size = store_bytes(server->store), used = space_data_bytes(server->space), index = store_sequence(server->store);
	char version[ETCD_VERSION_SIZE];

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	etcd_minor_version(server, version);
	put_header(server, &answer);
	protobuf_put_string(&answer, 2, server->options.version);
	protobuf_put_unsigned(&answer, 3, size);
	protobuf_put_unsigned(&answer, 4, server->member_id);
	protobuf_put_unsigned(&answer, 5, index + 1);
	protobuf_put_unsigned(&answer, 6, ETCD_RAFT_TERM);
	protobuf_put_unsigned(&answer, 7, index + 1);
	alarm_each(server, add_error, &answer);
	protobuf_put_unsigned(&answer, 9, used < size ? used : size);
	protobuf_put_string(&answer, 11, version);
	protobuf_put_unsigned(&answer, 12, server->options.quota_bytes);
	protobuf_put_message(&answer, 13, &downgrade);
	etcd_answer(call, &answer);
}

/* There is nothing to do: compaction gives space back as it goes. */
static void serve_defragment(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error = etcd_require_admin(server, call);

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	put_header(server, &answer);
	etcd_answer(call, &answer);
}

/* A hash over the store, made where reading may take time. */
struct hashing {
	struct etcd_server *server;
	int64_t revision, compacted;
	uint64_t sequence;
	bool whole;   /* Hash, not HashKV */
	bool present; /* asked for without a revision */
	uint32_t hash;
	int result;
	struct error err;
};

static void hash_work(void *argument)
{
	struct hashing *hashing = argument;
	struct store_view *view =
		store_view_open(hashing->server->store, space_id(hashing->server->space), hashing->sequence, &hashing->err);

	hashing->result = view == NULL ? -1 : snapshot_hash(view, hashing->revision, &hashing->hash, &hashing->err);
	if (view != NULL)
		hashing->compacted = store_view_compacted(view);
	store_view_close(view);
}

static void answer_hash_kv(struct etcd_server *server, struct grpc_call *call, const struct compaction_hash *hash)
{
	struct buffer answer BUFFER_CLEANUP = { 0 };

	put_header(server, &answer);
	protobuf_put_unsigned(&answer, 2, hash->hash);
	protobuf_put_signed(&answer, 3, hash->compacted);
	protobuf_put_signed(&answer, 4, hash->revision);
	etcd_answer(call, &answer);
}

static void answer_hash(struct etcd_server *server, struct grpc_call *call, uint32_t hash)
{
	struct buffer answer BUFFER_CLEANUP = { 0 };

	put_header(server, &answer);
	protobuf_put_unsigned(&answer, 2, hash);
	etcd_answer(call, &answer);
}

static void hash_done(void *argument, struct grpc_call *call)
{
	struct hashing *hashing = argument;
	/* A compaction may have come to its end while this waited for its turn. */
	const struct compaction_hash *known =
		hashing->whole || hashing->present ? NULL : compaction_hash_find(hashing->server, hashing->revision);
	struct compaction_hash found = { hashing->revision, hashing->compacted, hashing->hash };

	if (call != NULL && hashing->result < 0) {
		log_error("datastore.hash", "cannot hash the store", &hashing->err);
		grpc_call_finish(call, GRPC_INTERNAL, hashing->err.message);
	} else if (call != NULL && hashing->whole) {
		answer_hash(hashing->server, call, hashing->hash);
	} else if (call != NULL) {
		answer_hash_kv(hashing->server, call, known != NULL ? known : &found);
	}
	free(hashing);
}

static const struct etcd_error *check_hash(struct etcd_server *server, int64_t revision)
{
	if (revision > 0 && revision < space_compacted_revision(server->space))
		return &etcd_error_COMPACTED;
	return revision > space_visible_revision(server->space) ? &etcd_error_FUTURE_REVISION : NULL;
}

static void start_hash(struct etcd_server *server, struct grpc_call *call, const char *bytes, size_t length, bool whole)
{
	struct small_request request;
	const struct etcd_error *error = &etcd_error_MALFORMED;
	struct hashing *hashing;
	int64_t revision = 0;

	if (decode(bytes, length, &request)) {
		revision = whole ? 0 : (int64_t)request.numbers[1];
		error = etcd_require_admin(server, call);
		if (error == NULL && compaction_hash_find(server, revision) != NULL) {
			answer_hash_kv(server, call, compaction_hash_find(server, revision));
			return;
		}
		if (error == NULL)
			error = check_hash(server, revision);
	}
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	hashing = calloc(1, sizeof(*hashing));
	if (hashing == NULL)
		abort();
	hashing->server = server;
	hashing->revision = revision != 0 ? revision : space_visible_revision(server->space); /* below 0 there is nothing to hash */
	hashing->sequence = store_sequence(server->store);
	hashing->whole = whole;
	hashing->present = revision == 0;
	if (!admin_run(server->admin, call, &(struct admin_work){ ADMIN_DATA, hash_work, hash_done, hashing })) {
		free(hashing);
		etcd_refuse(call, &etcd_error_TOO_MANY_REQUESTS);
	}
}

static void serve_hash(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	start_hash(argument, call, bytes, length, true);
}

static void serve_hash_kv(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	start_hash(argument, call, bytes, length, false);
}

static void hash_ended(struct grpc_call *call, void *argument)
{
	admin_call_ended(((struct etcd_server *)argument)->admin, call);
}

/* The only member leads, and can hand that to itself. */
static void serve_move_leader(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct small_request request;
	const struct etcd_error *error = decode(bytes, length, &request) ? etcd_require_admin(server, call) : &etcd_error_MALFORMED;

	if (error == NULL && request.numbers[1] != server->member_id)
		error = &bad_transferee;
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	put_header(server, &answer);
	etcd_answer(call, &answer);
}

/* "3.6" or "3.6.1", as etcd takes it. */
static bool is_version(struct bytes text)
{
	char copy[ETCD_VERSION_SIZE + 2];
	struct version version;
	struct error ignored;

	if (text.length >= ETCD_VERSION_SIZE || memchr(text.data, '\0', text.length) != NULL)
		return false;
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)text.length, text.data);
	if (version_parse(copy, "version", &version, &ignored) == 0)
		return true;
	(void)snprintf(copy, sizeof(copy), "%.*s.0", (int)text.length, text.data);
	return version_parse(copy, "version", &version, &ignored) == 0;
}

/* There is no older version of this store to go back to; a cancellation finds nothing to cancel, which etcd too calls a success. */
static void serve_downgrade(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	enum { VALIDATE, ENABLE, CANCEL };
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct small_request request;
	const struct etcd_error *error = decode(bytes, length, &request) ? etcd_require_admin(server, call) : &etcd_error_MALFORMED;
	char version[ETCD_VERSION_SIZE];

	if (error == NULL && request.numbers[1] > CANCEL)
		error = &unknown_method;
	if (error == NULL && request.numbers[1] != CANCEL)
		error = is_version(request.text) ? &invalid_target_version : &wrong_version_format;
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	etcd_minor_version(server, version);
	put_header(server, &answer);
	protobuf_put_string(&answer, 2, version);
	etcd_answer(call, &answer);
}

const struct grpc_method etcd_maintenance_methods[] = {
	{ .path = "/etcdserverpb.Maintenance/Alarm", .message = serve_alarm, .ended = etcd_held_ended },
	{ .path = "/etcdserverpb.Maintenance/Status", .message = serve_status },
	{ .path = "/etcdserverpb.Maintenance/Defragment", .message = serve_defragment },
	{ .path = "/etcdserverpb.Maintenance/Hash", .message = serve_hash, .ended = hash_ended },
	{ .path = "/etcdserverpb.Maintenance/HashKV", .message = serve_hash_kv, .ended = hash_ended },
	{ .path = "/etcdserverpb.Maintenance/Snapshot", .message = snapshot_serve, .drained = snapshot_drained, .ended = snapshot_ended },
	{ .path = "/etcdserverpb.Maintenance/MoveLeader", .message = serve_move_leader },
	{ .path = "/etcdserverpb.Maintenance/Downgrade", .message = serve_downgrade },
};
const size_t etcd_maintenance_method_count = sizeof(etcd_maintenance_methods) / sizeof(etcd_maintenance_methods[0]);
