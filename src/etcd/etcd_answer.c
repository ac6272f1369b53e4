/* SPDX-License-Identifier: Apache-2.0 */
/* How calls are answered: at once, or when what they did is durable. */
#include <stdlib.h>

#include "etcd/etcd_int.h"

/* An answer that waits for the log. The call may end before; the log's notice always comes. */
struct held {
	struct grpc_call *call; /* NULL when the client has gone */
	struct buffer message;
};

struct etcd_header etcd_header(const struct etcd_server *server, int64_t revision)
{
	return (struct etcd_header){
		.cluster_id = server->cluster_id,
		.member_id = server->member_id,
		.revision = revision,
		.raft_term = ETCD_RAFT_TERM,
	};
}

void etcd_answer(struct grpc_call *call, struct buffer *message)
{
	grpc_call_send_buffer(call, message);
	grpc_call_finish(call, 0, NULL);
}

void etcd_refuse(struct grpc_call *call, const struct etcd_error *error)
{
	grpc_call_finish(call, error->code, error->text);
}

static void held_durable(void *argument)
{
	struct held *held = argument;

	if (held->call != NULL) {
		struct grpc_call *call = held->call;

		grpc_call_set_data(call, NULL);
		grpc_call_send_buffer(call, &held->message);
		grpc_call_finish(call, 0, NULL);
	}
	buffer_free(&held->message);
	free(held);
}

void etcd_answer_when_durable(struct etcd_server *server, struct grpc_call *call, uint64_t sequence, struct buffer *message)
{
	struct held *held = calloc(1, sizeof(*held));

	if (held == NULL)
		abort();
	held->call = call;
	held->message = *message;
	*message = (struct buffer){ 0 };
	grpc_call_set_data(call, held);
	store_wait(server->store, sequence, held_durable, held);
}

void etcd_held_ended(struct grpc_call *call, void *argument)
{
	struct held *held = grpc_call_data(call);

	if (held != NULL)
		held->call = NULL;
}

const struct etcd_error *etcd_user(struct etcd_server *server, struct grpc_call *call, const char **user)
{
	const char *token = grpc_call_metadata(call, "token");
	const struct grpc_identity *identity = grpc_call_identity(call);

	*user = "";
	if (!auth_enabled(server->auth))
		return NULL;
	if (token == NULL)
		token = grpc_call_metadata(call, "authorization");
	if (token != NULL) {
		*user = auth_token_user(server->auth, token);
		return *user != NULL ? NULL : &etcd_error_INVALID_AUTH_TOKEN;
	}
	if (server->options.certificate_users && identity->verified)
		*user = identity->common_name;
	return NULL;
}

const struct etcd_error *etcd_require_admin(struct etcd_server *server, struct grpc_call *call)
{
	const char *user;
	const struct etcd_error *error = etcd_user(server, call, &user);

	return error != NULL ? error : auth_check_admin(server->auth, user);
}
