/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "etcd/maintenance.h"
#include "grpc/protobuf.h"

/* Requests of this service hold an id, and one more number at most. */
struct lease_request {
	int64_t first, second;
};

static bool decode(const char *bytes, size_t length, struct lease_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct lease_request){ 0 };
	while (protobuf_next(&reader, &field)) {
		if (field.number > 2)
			continue;
		if (field.wire != PROTOBUF_VARINT)
			return false;
		*(field.number == 1 ? &request->first : &request->second) = (int64_t)field.value;
	}
	return !reader.corrupt;
}

static void serve_grant(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error = NULL;
	struct lease_request request;
	struct etcd_header header;
	struct lease *lease = NULL;
	uint64_t sequence = 0;

	if (!decode(bytes, length, &request))
		error = &etcd_error_MALFORMED;
	if (error == NULL)
		error = etcd_require_user(server, call);
	if (error == NULL)
		error = etcd_check_growth(server);
	if (error == NULL)
		error = etcd_error_of(
			space_lease_grant(server->space, request.second, request.first, clock_monotonic_ms(), &lease, &sequence));
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	store_mind_leases(server->store);
	header = etcd_header(server, space_visible_revision(server->space));
	etcd_encode_header(&answer, &header);
	protobuf_put_signed(&answer, 2, lease->id);
	protobuf_put_signed(&answer, 3, lease->ttl_seconds);
	etcd_answer_when_durable(server, call, sequence, &answer);
}

/* etcd wants somebody to be named for everything about leases, whatever the lease holds. */
static const struct etcd_error *user_named(struct etcd_server *server, struct grpc_call *call, const char **user)
{
	const struct etcd_error *error = etcd_require_user(server, call);

	return error != NULL ? error : etcd_user(server, call, user);
}

/* Whoever ends a lease deletes its keys, so must be allowed to write them. */
static const struct etcd_error *check_keys(struct etcd_server *server, const char *user, int64_t id, bool read)
{
	const struct lease *lease = space_lease_find(server->space, id);
	const struct etcd_error *error = NULL;

	for (uint32_t i = 0; lease != NULL && i < lease->count && error == NULL; i++) {
		struct bytes key = key_record_key(lease->keys[i]);

		error = read ? auth_check_range(server->auth, user, key, (struct bytes){ "", 0 }) : auth_check_put(server->auth, user, key);
	}
	return error;
}

static void serve_revoke(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error = NULL;
	struct lease_request request;
	struct etcd_header header;
	uint64_t sequence = 0;
	int64_t revision = 0;
	const char *user;

	if (!decode(bytes, length, &request))
		error = &etcd_error_MALFORMED;
	if (error == NULL)
		error = user_named(server, call, &user);
	if (error == NULL && server->corrupt_alarm)
		error = &etcd_error_CORRUPT;
	if (error == NULL)
		error = check_keys(server, user, request.first, false);
	if (error == NULL)
		error = etcd_error_of(space_lease_revoke(server->space, request.first, &revision, &sequence));
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	header = etcd_header(server, revision);
	etcd_encode_header(&answer, &header);
	etcd_answer_when_durable(server, call, sequence, &answer);
}

/* A stream: every message renews one lease. An unknown lease is answered with TTL 0, not with an error. */
static void serve_keep_alive(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct lease_request request;
	struct etcd_header header;
	const struct etcd_error *error = decode(bytes, length, &request) ? NULL : &etcd_error_MALFORMED;
	const char *user;
	int64_t ttl = 0;

	if (error == NULL)
		error = user_named(server, call, &user);
	if (error == NULL)
		error = check_keys(server, user, request.first, false);
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	(void)space_lease_renew(server->space, request.first, clock_monotonic_ms(), &ttl);
	header = etcd_header(server, space_visible_revision(server->space));
	etcd_encode_header(&answer, &header);
	protobuf_put_signed(&answer, 2, request.first);
	protobuf_put_signed(&answer, 3, ttl);
	grpc_call_send(call, answer.data, answer.length);
}

static void finish_stream(struct grpc_call *call, void *argument)
{
	grpc_call_finish(call, 0, NULL);
}

static void serve_time_to_live(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const struct etcd_error *error = NULL;
	struct lease_request request;
	struct etcd_header header;
	const struct lease *lease;
	const char *user;
	uint64_t now = clock_monotonic_ms();

	if (!decode(bytes, length, &request))
		error = &etcd_error_MALFORMED;
	if (error == NULL)
		error = user_named(server, call, &user);
	if (error == NULL && request.second != 0)
		error = check_keys(server, user, request.first, true);
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	lease = space_lease_find(server->space, request.first);
	header = etcd_header(server, space_visible_revision(server->space));
	etcd_encode_header(&answer, &header);
	protobuf_put_signed(&answer, 2, request.first);
	protobuf_put_signed(&answer, 3, lease == NULL ? -1 : lease->ends_ms > now ? (int64_t)((lease->ends_ms - now) / 1000) : 0);
	if (lease != NULL) {
		protobuf_put_signed(&answer, 4, lease->ttl_seconds);
		for (uint32_t i = 0; request.second != 0 && i < lease->count; i++)
			protobuf_put_bytes(&answer, 5, lease->keys[i]->key, lease->keys[i]->key_length);
	}
	etcd_answer(call, &answer);
}

static void serve_leases(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	const struct lease_table *leases = space_leases(server->space);
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct etcd_header header = etcd_header(server, space_visible_revision(server->space));
	const struct etcd_error *error;
	const char *user;

	error = user_named(server, call, &user);
	for (size_t i = 0; error == NULL && i < leases->count; i++)
		error = check_keys(server, user, lease_table_at(leases, i)->id, true);
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	etcd_encode_header(&answer, &header);
	for (size_t i = 0; i < leases->count; i++) {
		struct buffer status BUFFER_CLEANUP = { 0 };

		protobuf_put_signed(&status, 1, lease_table_at(leases, i)->id);
		protobuf_put_message(&answer, 2, &status);
	}
	etcd_answer(call, &answer);
}

const struct grpc_method etcd_lease_methods[] = {
	{ .path = "/etcdserverpb.Lease/LeaseGrant", .message = serve_grant, .ended = etcd_held_ended },
	{ .path = "/etcdserverpb.Lease/LeaseRevoke", .message = serve_revoke, .ended = etcd_held_ended },
	{ .path = "/etcdserverpb.Lease/LeaseKeepAlive", .message = serve_keep_alive, .half_closed = finish_stream, .streaming = true },
	{ .path = "/etcdserverpb.Lease/LeaseTimeToLive", .message = serve_time_to_live },
	{ .path = "/etcdserverpb.Lease/LeaseLeases", .message = serve_leases },
};
const size_t etcd_lease_method_count = sizeof(etcd_lease_methods) / sizeof(etcd_lease_methods[0]);
