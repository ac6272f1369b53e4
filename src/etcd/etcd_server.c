/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/etcd_server.h"

#include <stdlib.h>
#include <string.h>

#include "etcd/admin.h"
#include "etcd/etcd_int.h"

enum { SERVER_REQUEST_OVERHEAD = 512 * 1024 }; /* a message may be so much larger than a request: etcd's own allowance */

static void progress_due(void *argument)
{
	struct etcd_server *server = argument;

	watch_progress_tick(server);
	loop_timer_arm(server->progress_timer, server->options.progress_ms);
}

static void watched(void *argument)
{
	watch_caught_up(argument);
}

static void start_on_loop(void *argument)
{
	struct etcd_server *server = argument;

	server->auth = auth_store_new(server->store, STORE_SPACE_DEFAULT);
	alarms_load(server);
	server->progress_timer = loop_timer_new(server->options.loop, progress_due, server);
	loop_timer_arm(server->progress_timer, server->options.progress_ms);
	store_on_watched(server->store, watched, server);
	compaction_start(server);
}

static void stop_on_loop(void *argument)
{
	struct etcd_server *server = argument;

	store_on_watched(server->store, NULL, NULL);
	compaction_stop(server);
	loop_timer_free(server->progress_timer);
	auth_store_free(server->auth);
}

static size_t add_methods(struct etcd_server *server, struct grpc_method *all, const struct grpc_method *methods, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		all[i] = methods[i];
		all[i].argument = server;
	}
	return count;
}

static struct grpc_method *all_methods(struct etcd_server *server, size_t *count)
{
	size_t most = etcd_kv_method_count + etcd_watch_method_count + etcd_lease_method_count + etcd_maintenance_method_count +
	              etcd_cluster_method_count + etcd_auth_method_count;
	struct grpc_method *all = calloc(most, sizeof(*all));

	if (all == NULL)
		abort();
	*count = add_methods(server, all, etcd_kv_methods, etcd_kv_method_count);
	*count += add_methods(server, all + *count, etcd_watch_methods, etcd_watch_method_count);
	*count += add_methods(server, all + *count, etcd_lease_methods, etcd_lease_method_count);
	*count += add_methods(server, all + *count, etcd_maintenance_methods, etcd_maintenance_method_count);
	*count += add_methods(server, all + *count, etcd_cluster_methods, etcd_cluster_method_count);
	*count += add_methods(server, all + *count, etcd_auth_methods, etcd_auth_method_count);
	return all;
}

static int serve_http(const char *path, const char *query, struct buffer *body, const char **content_type, void *argument)
{
	return etcd_http_answer(argument, path, query, body, content_type);
}

struct etcd_server *etcd_server_new(const struct etcd_server_options *options, struct error *err)
{
	struct etcd_server *server = calloc(1, sizeof(*server));
	struct grpc_server_options grpc = {
		.loop = options->loop,
		.maximum_message = options->maximum_request_bytes + SERVER_REQUEST_OVERHEAD,
		.http = serve_http,
		.http_argument = server,
	};
	struct grpc_method *methods;

	if (server == NULL)
		abort();
	server->options = *options;
	server->admin = admin_new(options->loop);
	server->store = options->store;
	server->space = store_space(options->store, STORE_SPACE_DEFAULT);
	server->hub = store_hub(options->store, server->space);
	/* Random, lasting, and different from each other: tools print them. */
	server->cluster_id = store_identity(options->store);
	server->member_id = server->cluster_id * UINT64_C(0x9e3779b97f4a7c15) >> 1 | 1;
	loop_call(options->loop, start_on_loop, server);
	methods = all_methods(server, &grpc.method_count);
	grpc.methods = methods;
	server->grpc = grpc_server_new(&grpc);
	free(methods);
	return server;
}

int etcd_server_listen(struct etcd_server *server, const char *address, struct tls_identity *identity, struct error *err)
{
	return grpc_server_listen(server->grpc, address, identity, err);
}

void etcd_server_set_identity(struct etcd_server *server, struct tls_identity *identity)
{
	grpc_server_set_identity(server->grpc, identity);
}

void etcd_server_free(struct etcd_server *server, unsigned grace_ms)
{
	if (server == NULL)
		return;
	grpc_server_free(server->grpc, grace_ms);
	admin_free(server->admin);
	loop_call(server->options.loop, stop_on_loop, server);
	free(server);
}

struct http_question {
	struct etcd_server *server;
	const char *path, *query;
	struct buffer *body;
	const char **content_type;
	int status;
};

static void ask_on_loop(void *argument)
{
	struct http_question *question = argument;

	question->status = etcd_http_answer(question->server, question->path, question->query, question->body, question->content_type);
}

int etcd_server_http(struct etcd_server *server, const char *path, const char *query, struct buffer *body, const char **content_type)
{
	struct http_question question = { server, path, query, body, content_type, 0 };

	loop_call(server->options.loop, ask_on_loop, &question);
	return question.status;
}
