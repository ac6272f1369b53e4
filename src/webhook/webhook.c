/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/webhook.h"

#include <stdlib.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "io/thread.h"
#include "kube/cache.h"
#include "net/http2_listener.h"
#include "net/http_server.h"
#include "pki/certificate.h"
#include "pki/key.h"
#include "webhook/admission.h"
#include "webhook/certificate_keeper.h"

enum { HANDSHAKE_MS = 10 * 1000, ANSWER_MS = WEBHOOK_REQUEST_MS + 5 * 1000 };

struct webhook {
	struct webhook_options options;
	struct admission admission;
	struct http_server *server;
	struct http2_listener *listener;
	struct thread_pool *pool;
	struct certificate_keeper *keeper;
	struct cancel *stop;
	bool closing; /* the loop's: the pool takes no more */
};

/* The ecosystem's names. */
static const char *const request_labels[] = { "webhook", "code", NULL };
static struct metric_family requests_total = {
	.name = "controller_runtime_webhook_requests_total",
	.help = "Admission requests by HTTP status.",
	.type = METRIC_COUNTER,
	.labels = request_labels,
};
static const char *const latency_labels[] = { "webhook", NULL };
static const double latency_buckets[] = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 };
static struct metric_family latency_seconds = {
	.name = "controller_runtime_webhook_latency_seconds",
	.help = "Time of admission requests.",
	.type = METRIC_HISTOGRAM,
	.labels = latency_labels,
	.buckets = latency_buckets,
	.bucket_count = ARRAY_LENGTH(latency_buckets),
};

static const char *data_store_driver(const char *name, struct arena *arena, void *argument)
{
	struct webhook *webhook = argument;
	JSON_CLEANUP json_t *store = kube_cache_get_json(webhook->options.data_stores, NULL, name);
	struct error ignored;

	if (!store) {
		/* Perhaps it was made a moment ago, in the same `kubectl apply`. */
		CANCEL_CLEANUP struct cancel *cancel = cancel_new(webhook->stop, clock_monotonic_ms() + WEBHOOK_REQUEST_MS / 4);

		store = kube_client_get(webhook->options.client, &kube_resource_data_store, NULL, name, cancel, &ignored);
	}
	return store ? arena_strdup(arena, json_string_or(store, "spec.driver", "")) : NULL;
}

static int gateway_served(bool *group, bool *tls_route, struct cancel *cancel, void *argument, struct error *err)
{
	struct webhook *webhook = argument;

	if (kube_client_serves(webhook->options.client, &kube_resource_tls_route, tls_route, cancel, err) < 0)
		return -1;
	*group = *tls_route;
	return *group ? 0 : kube_client_serves(webhook->options.client, &kube_resource_gateway, group, cancel, err);
}

static int check_deployment(const json_t *tenant, struct cancel *cancel, void *argument, struct error *err)
{
	struct webhook *webhook = argument;

	return webhook->options.check_deployment(tenant, cancel, webhook->options.argument, err);
}

struct job {
	struct webhook *webhook;
	struct http_server_exchange *exchange;
	uint64_t began_ms;
};

/* "?timeout=10s" is how long the API server waits. */
static uint64_t request_deadline(const struct job *job)
{
	FREE_CLEANUP char *text = http_query_value(job->exchange->query, "timeout");
	uint64_t limit = WEBHOOK_REQUEST_MS, nanoseconds;
	struct error ignored;

	if (text && string_to_duration(text, "timeout", &nanoseconds, &ignored) == 0 && nanoseconds / 1000000 < limit)
		limit = nanoseconds / 1000000;
	return job->began_ms + limit;
}

static void count(const char *path, int status, uint64_t took_ms)
{
	char code[8];

	(void)snprintf(code, sizeof(code), "%d", status);
	metric_add(&requests_total, METRIC_VALUES(status == 404 ? "other" : path, code), 1);
	if (status != 404)
		metric_observe(&latency_seconds, METRIC_VALUES(path), (double)took_ms / 1000);
}

static void serve(void *argument)
{
	struct job *job = argument;
	struct webhook *webhook = job->webhook;
	struct http_server_response response = { 0 };
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(webhook->stop, request_deadline(job));
	const struct buffer *body = &job->exchange->body;

	response.status = admission_answer(&webhook->admission, job->exchange->path, body->data ? body->data : "", body->length, cancel,
	                                   &response.body);
	response.content_type = response.status == 200 ? "application/json" : "text/plain; charset=utf-8";
	count(job->exchange->path, response.status, clock_monotonic_ms() - job->began_ms);
	http_server_answer(job->exchange, &response);
	free(job);
}

static void on_post(struct http_server_exchange *exchange, void *argument)
{
	struct webhook *webhook = argument;
	struct job *job;

	if (webhook->closing) {
		http_server_answer(exchange, &(struct http_server_response){ .status = 503 });
		return;
	}
	job = malloc(sizeof(*job));
	if (!job)
		abort();
	*job = (struct job){ .webhook = webhook, .exchange = exchange, .began_ms = clock_monotonic_ms() };
	thread_pool_post(webhook->pool, serve, job);
}

static void on_get(const struct http_server_request *request, struct http_server_response *response, void *argument)
{
	response->status = 405;
	(void)buffer_append_string(&response->body, "webhooks take POST\n");
}

static void on_http1(struct transport *transport, const char *peer, void *argument)
{
	http_server_adopt(((struct webhook *)argument)->server, transport);
}

/* Not reached: ALPN offers HTTP/1.1 alone. */
static void on_http2(struct transport *transport, const char *peer, void *argument)
{
	transport_free(transport);
	http2_listener_release(((struct webhook *)argument)->listener);
}

static void on_certificate(struct tls_identity *identity, void *argument)
{
	http2_listener_set_identity(((struct webhook *)argument)->listener, identity);
}

/* Until the real certificate is there: nobody trusts this one, and the port is ours from the start. */
static struct tls_identity *placeholder(struct error *err)
{
	KEY_CLEANUP struct key *key = NULL;
	BUFFER_CLEANUP struct buffer certificate = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };

	if (key_generate(KEY_ECDSA_P256, &key, err) < 0 || certificate_create_authority("not-ready", key, &certificate, err) < 0 ||
	    key_write_private(key, &text, err) < 0)
		return NULL;
	return tls_server_identity_new(&(struct tls_server_options){ .certificate_pem = certificate.data,
	                                                             .certificate_pem_length = certificate.length,
	                                                             .key_pem = text.data,
	                                                             .key_pem_length = text.length,
	                                                             .http1 = true },
	                               err);
}

static int listen_at(struct webhook *webhook, struct error *err)
{
	TLS_IDENTITY_CLEANUP struct tls_identity *identity = placeholder(err);
	const char *address = webhook->options.address;
	FREE_CLEANUP char *both = string_printf("[::]%s", address), *four = string_printf("0.0.0.0%s", address);

	if (!identity)
		return -1;
	if (*address != ':')
		return http2_listener_add(webhook->listener, address, identity, err);
	/* All addresses of both families; a machine may have no IPv6. */
	if (http2_listener_add(webhook->listener, both, identity, err) == 0)
		return 0;
	return http2_listener_add(webhook->listener, four, identity, err);
}

static int start(struct webhook *webhook, struct error *err)
{
	const struct webhook_options *options = &webhook->options;

	webhook->pool = thread_pool_new("webhook", WEBHOOK_THREADS, err);
	if (!webhook->pool)
		return -1;
	webhook->server = http_server_new(&(struct http_server_options){ .loop = options->loop,
	                                                                 .handler = on_get,
	                                                                 .post = on_post,
	                                                                 .argument = webhook,
	                                                                 .maximum_body = ADMISSION_MAXIMUM_BODY,
	                                                                 .answer_timeout_ms = ANSWER_MS,
	                                                                 .maximum_connections = WEBHOOK_CONNECTIONS },
	                                  err);
	if (!webhook->server)
		return -1;
	webhook->listener = http2_listener_new(&(struct http2_listener_options){ .loop = options->loop,
	                                                                         .maximum_connections = WEBHOOK_CONNECTIONS,
	                                                                         .handshake_ms = HANDSHAKE_MS,
	                                                                         .on_http2 = on_http2,
	                                                                         .on_http1 = on_http1,
	                                                                         .argument = webhook });
	if (listen_at(webhook, err) < 0)
		return error_wrap(err, "webhooks");
	webhook->keeper = certificate_keeper_start(
		&(struct certificate_keeper_options){ .webhook = options, .serve = on_certificate, .argument = webhook }, err);
	return webhook->keeper ? 0 : -1;
}

struct webhook *webhook_start(const struct webhook_options *options, struct error *err)
{
	struct webhook *webhook = calloc(1, sizeof(*webhook));

	if (!webhook)
		abort();
	webhook->options = *options;
	webhook->stop = cancel_new(NULL, UINT64_MAX);
	webhook->admission = (struct admission){ .default_data_store = options->data_store,
		                                 .data_store_driver = data_store_driver,
		                                 .gateway_served = gateway_served,
		                                 .argument = webhook,
		                                 .check_deployment = options->check_deployment ? check_deployment : NULL };
	metric_register(&requests_total);
	metric_register(&latency_seconds);
	if (start(webhook, err) < 0) {
		webhook_stop(webhook);
		webhook_free(webhook);
		return NULL;
	}
	return webhook;
}

void webhook_lead(struct webhook *webhook)
{
	certificate_keeper_lead(webhook->keeper);
}

static void close_on_loop(void *argument)
{
	struct webhook *webhook = argument;

	webhook->closing = true;
	http2_listener_close(webhook->listener);
}

static void free_on_loop(void *argument)
{
	http2_listener_free(((struct webhook *)argument)->listener);
}

void webhook_stop(struct webhook *webhook)
{
	if (webhook->keeper)
		certificate_keeper_stop(webhook->keeper);
	if (webhook->listener)
		loop_call(webhook->options.loop, close_on_loop, webhook);
	if (webhook->pool)
		thread_pool_free(webhook->pool); /* answers what was asked */
	webhook->pool = NULL;
	http_server_free(webhook->server);
	webhook->server = NULL;
	if (webhook->listener)
		loop_call(webhook->options.loop, free_on_loop, webhook);
	webhook->listener = NULL;
}

void webhook_free(struct webhook *webhook)
{
	if (!webhook)
		return;
	certificate_keeper_free(webhook->keeper);
	cancel_free(webhook->stop);
	free(webhook);
}
