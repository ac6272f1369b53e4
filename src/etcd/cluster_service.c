/* SPDX-License-Identifier: Apache-2.0 */
/* One member and no others: it can be listed, not changed. */
#include "base/strings.h"
#include "etcd/maintenance.h"
#include "etcd/snapshot_write.h"
#include "grpc/grpc_status.h"
#include "grpc/protobuf.h"

static const struct etcd_error not_enough_started = { 9, "etcdserver: re-configuration failed due to not enough started members" };
static const struct etcd_error not_a_learner = { 9, "etcdserver: can only promote a learner member" };
static const struct etcd_error bad_urls = { 3, "etcdserver: given member URLs are invalid" };
static const struct etcd_error no_peers = { GRPC_UNIMPLEMENTED,
	                                    "etcdserver: this member has no peers, so its peer URLs cannot be changed" };

static void put_member(struct etcd_server *server, struct buffer *answer)
{
	struct buffer member BUFFER_CLEANUP = { 0 };

	protobuf_put_unsigned(&member, 1, server->member_id);
	protobuf_put_string(&member, 2, server->options.name);
	protobuf_put_string(&member, 3, SNAPSHOT_PEER_URL);
	for (size_t i = 0; server->options.client_urls != NULL && server->options.client_urls[i] != NULL; i++)
		protobuf_put_string(&member, 4, server->options.client_urls[i]);
	protobuf_put_message(answer, 2, &member);
}

static void serve_list(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct etcd_header header = etcd_header(server, 0); /* etcd names no revision in the answers of this service */
	const struct etcd_error *error = etcd_require_user(server, call);

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	etcd_encode_header(&answer, &header);
	put_member(server, &answer);
	etcd_answer(call, &answer);
}

struct member_request {
	uint64_t id;       /* of Remove, Update, Promote */
	bool urls, broken; /* some were given; one of them is none */
};

static void note_url(struct member_request *request, const struct protobuf_field *field)
{
	char *url FREE_CLEANUP = protobuf_field_string(field);

	request->urls = true;
	if (url == NULL || !(string_has_prefix(url, "http://") || string_has_prefix(url, "https://") || string_has_prefix(url, "unix://")))
		request->broken = true;
}

static bool decode(const char *bytes, size_t length, struct member_request *request)
{
	struct protobuf_reader reader = protobuf_reader_of(bytes, length);
	struct protobuf_field field;

	*request = (struct member_request){ 0 };
	while (protobuf_next(&reader, &field)) {
		if (field.wire == PROTOBUF_BYTES && field.number <= 2)
			note_url(request, &field);
		else if (field.wire == PROTOBUF_VARINT && field.number == 1)
			request->id = field.value;
	}
	return !reader.corrupt;
}

static void refuse(struct grpc_call *call, const char *bytes, size_t length, struct etcd_server *server, bool by_id,
                   const struct etcd_error *why)
{
	struct member_request request;
	const struct etcd_error *error = &etcd_error_MALFORMED;

	if (decode(bytes, length, &request)) {
		if (!by_id && (!request.urls || request.broken))
			error = &bad_urls;
		else
			error = etcd_require_admin(server, call);
		if (error == NULL)
			error = by_id && request.id != server->member_id ? &etcd_error_MEMBER_NOT_FOUND : why;
	}
	etcd_refuse(call, error);
}

static void serve_add(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	refuse(call, bytes, length, argument, false, &not_enough_started);
}

static void serve_remove(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	refuse(call, bytes, length, argument, true, &not_enough_started);
}

static void serve_update(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	refuse(call, bytes, length, argument, true, &no_peers);
}

static void serve_promote(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	refuse(call, bytes, length, argument, true, &not_a_learner);
}

const struct grpc_method etcd_cluster_methods[] = {
	{ .path = "/etcdserverpb.Cluster/MemberList", .message = serve_list },
	{ .path = "/etcdserverpb.Cluster/MemberAdd", .message = serve_add },
	{ .path = "/etcdserverpb.Cluster/MemberRemove", .message = serve_remove },
	{ .path = "/etcdserverpb.Cluster/MemberUpdate", .message = serve_update },
	{ .path = "/etcdserverpb.Cluster/MemberPromote", .message = serve_promote },
};
const size_t etcd_cluster_method_count = sizeof(etcd_cluster_methods) / sizeof(etcd_cluster_methods[0]);
