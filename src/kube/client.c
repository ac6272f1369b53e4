/* SPDX-License-Identifier: Apache-2.0 */
/* The request engine: connections, credentials, places in flight, throttling. */
#include "kube/client.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "base/strings.h"
#include "base/version.h"
#include "io/thread.h"
#include "kube/client_internal.h"
#include "kube/json_bytes.h"
#include "kube/token_file.h"
#include "kube/waiter.h"

struct kube_client {
	atomic_uint references;
	struct http_client *http;
	char *server, *path_prefix, *metrics_host, *token;
	struct kube_token_file *token_file; /* NULL: a fixed token or none */
	pthread_mutex_t mutex;              /* guards in_flight */
	pthread_cond_t condition;
	unsigned in_flight, maximum_in_flight;
};

static const double duration_buckets[] = { 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60 };

static struct metric_family requests_family = {
	.name = "rest_client_requests_total",
	.help = "Number of HTTP requests, partitioned by status code, method, and host.",
	.type = METRIC_COUNTER,
	.labels = (const char *const[]){ "code", "host", "method", NULL },
};
static struct metric_family duration_family = {
	.name = "rest_client_request_duration_seconds",
	.help = "Request latency in seconds. Broken down by verb, and host.",
	.type = METRIC_HISTOGRAM,
	.labels = (const char *const[]){ "host", "verb", NULL },
	.buckets = duration_buckets,
	.bucket_count = ARRAY_LENGTH(duration_buckets),
};

static void observe(const struct http_observation *observation, void *argument)
{
	const struct kube_client *client = argument;
	char code[16] = "<error>";

	if (observation->status != 0)
		(void)snprintf(code, sizeof(code), "%d", observation->status);
	metric_add(&requests_family, METRIC_VALUES(code, client->metrics_host, observation->method), 1);
	metric_observe(&duration_family, METRIC_VALUES(client->metrics_host, observation->method), (double)observation->duration_ns / 1e9);
}

static int open_connections(struct kube_client *client, const struct kube_client_options *options, struct error *err)
{
	const struct kube_config *config = options->config;
	TLS_IDENTITY_CLEANUP struct tls_identity *identity = NULL;
	const char *server_name = options->server_name != NULL ? options->server_name : config->tls_server_name;
	const struct tls_client_options tls = {
		.ca_pem = config->ca_pem,
		.certificate_pem = config->certificate_pem,
		.key_pem = config->key_pem,
	};
	struct http_client_options http = {
		.loop = options->loop,
		.host = config->host,
		.port = config->port,
		.connect_address = options->connect_address,
		.connect_port = options->connect_port,
		.server_name = server_name,
		.proxy_url = config->proxy_url,
		.user_agent = options->user_agent,
		.connect_timeout_ms = (unsigned)options->connect_timeout_ms,
		.observe = observe,
		.observe_argument = client,
	};

	if (!config->plaintext) {
		identity = tls_client_identity_new(&tls, err);
		if (identity == NULL)
			return -1;
		http.identity = identity;
	}
	client->http = http_client_new(&http, err);
	return client->http != NULL ? 0 : -1;
}

struct kube_client *kube_client_new(const struct kube_client_options *options, struct error *err)
{
	const struct kube_config *config = options->config;
	struct kube_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		abort();
	atomic_init(&client->references, 1);
	pthread_mutex_init(&client->mutex, NULL);
	thread_condition_init(&client->condition);
	client->server = string_dup(config->server);
	client->path_prefix = string_dup(config->path_prefix != NULL ? config->path_prefix : "");
	client->metrics_host =
		options->metrics_host != NULL ? string_dup(options->metrics_host) : string_printf("%s:%u", config->host, config->port);
	client->token = string_dup(config->token);
	if (config->token_file != NULL)
		client->token_file = kube_token_file_new(config->token_file);
	client->maximum_in_flight = options->maximum_in_flight != 0 ? options->maximum_in_flight : KUBE_MAXIMUM_IN_FLIGHT;
	metric_register(&requests_family);
	metric_register(&duration_family);
	if (open_connections(client, options, err) != 0) {
		error_wrap(err, "client of %s (%s)", config->server, config->source != NULL ? config->source : "");
		kube_client_unref(client);
		return NULL;
	}
	return client;
}

struct kube_client *kube_client_ref(struct kube_client *client)
{
	if (client != NULL)
		atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
	return client;
}

void kube_client_unref(struct kube_client *client)
{
	if (client == NULL || atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) != 1)
		return;
	if (client->http != NULL)
		http_client_free(client->http);
	kube_token_file_free(client->token_file);
	secret_free(client->token);
	free(client->server);
	free(client->path_prefix);
	free(client->metrics_host);
	pthread_mutex_destroy(&client->mutex);
	pthread_cond_destroy(&client->condition);
	free(client);
}

const char *kube_client_server(const struct kube_client *client)
{
	return client->server;
}

void kube_client_note_unauthorized(struct kube_client *client)
{
	if (client->token_file != NULL)
		kube_token_file_distrust(client->token_file);
}

/* "Bearer TOKEN" (secret_free()), NULL when there is no token. */
static int authorization(struct kube_client *client, char **value, struct error *err)
{
	SECRET_CLEANUP char *token = NULL;

	*value = NULL;
	if (client->token_file != NULL) {
		token = kube_token_file_get(client->token_file, err);
		if (token == NULL)
			return -1;
	} else
		token = string_dup(client->token);
	if (token != NULL)
		*value = string_printf("Bearer %s", token);
	return 0;
}

static size_t fill_headers(struct http_header headers[3], const char *accept, const char *content_type, const char *bearer)
{
	size_t count = 0;

	headers[count++] = (struct http_header){ .name = "accept", .value = accept != NULL ? accept : "application/json" };
	if (content_type != NULL)
		headers[count++] = (struct http_header){ .name = "content-type", .value = content_type };
	if (bearer != NULL)
		headers[count++] = (struct http_header){ .name = "authorization", .value = bearer, .sensitive = true };
	return count;
}

static int attempt(struct kube_client *client, const struct kube_request *request, struct http_response *response, struct cancel *cancel,
                   struct error *err)
{
	FREE_CLEANUP char *path = string_printf("%s%s", client->path_prefix, request->path);
	SECRET_CLEANUP char *bearer = NULL;
	struct http_header headers[3];
	uint64_t left = clock_until(cancel_deadline(cancel));
	struct http_request http = {
		.method = request->method,
		.path = path,
		.headers = headers,
		.body = request->body,
		.body_length = request->body_length,
		.response_limit = KUBE_MAXIMUM_BODY,
		.timeout_ms = KUBE_CALL_TIMEOUT_MS,
	};

	if (cancel_deadline(cancel) != UINT64_MAX)
		http.timeout_ms = left == 0 ? 1 : left > UINT_MAX ? UINT_MAX : (unsigned)left;
	if (authorization(client, &bearer, err) != 0)
		return -1;
	http.header_count = fill_headers(headers, request->accept, request->content_type, bearer);
	return http_client_request(client->http, &http, response, cancel, err);
}

/* After an answer or a failure: true when the same request is to be sent again (it may have waited). */
struct retries {
	unsigned throttled;
	bool reconnected, authorized;
};

static bool retry_failure(const struct kube_request *request, struct retries *retries, const struct error *err)
{
	bool read = request->method == NULL || string_equal(request->method, "GET");

	if (!read || err->class != ERROR_TRANSIENT || retries->reconnected)
		return false;
	retries->reconnected = true;
	return true;
}

static bool retry_answer(struct kube_client *client, const struct http_response *response, struct retries *retries, struct cancel *cancel,
                         const struct error *err)
{
	uint64_t wait = err->retry_after_ms != 0 ? err->retry_after_ms : 1000;
	struct error ignored = { 0 };

	/* A 401 was not processed; with a token that has been rotated meanwhile it is worth one more try. */
	if (response->status == 401 && client->token_file != NULL && !retries->authorized) {
		retries->authorized = true;
		kube_token_file_distrust(client->token_file);
		return kube_token_file_changed(client->token_file);
	}
	if (response->status != 429 || retries->throttled++ >= KUBE_THROTTLE_RETRIES)
		return false;
	/* Without a deadline of the caller's, waits are kept within that of one call. */
	if (wait > clock_until(cancel_deadline(cancel)) || wait > KUBE_CALL_TIMEOUT_MS)
		return false;
	return cancel_sleep(cancel, wait, &ignored) == 0;
}

/*
 * What a server says about a body that it cannot read may quote it ("expected string, got ..."), and a Secret must not reach a log. Invalid
 * (422) is about fields, whose secret values the server redacts itself.
 */
static void withhold_values(const char *what, struct error *err)
{
	struct error shown = { .class = err->class, .status = err->status, .retry_after_ms = err->retry_after_ms };

	if (err->status != 400 && err->status != 500)
		return;
	memcpy(shown.reason, err->reason, sizeof(shown.reason));
	(void)snprintf(shown.message, sizeof(shown.message), "%s: HTTP %d: %s (the text is withheld: it may quote the Secret)", what,
	               err->status, err->reason[0] != '\0' ? err->reason : "refused");
	*err = shown;
}

static int send_in_place(struct kube_client *client, const struct kube_request *request, struct http_response *response,
                         struct cancel *cancel, struct error *err)
{
	struct retries retries = { 0 };

	for (;;) {
		http_response_free(response);
		*response = (struct http_response){ 0 };
		if (attempt(client, request, response, cancel, err) != 0) {
			if (retry_failure(request, &retries, err))
				continue;
			return error_wrap(err, "%s", request->what);
		}
		if (response->status >= 200 && response->status <= 299)
			return 0;
		(void)kube_status_error(response->status, http_headers_get(&response->headers, "retry-after"),
		                        response->body.data != NULL ? response->body.data : "", response->body.length, request->what, err);
		if (request->secret && request->body != NULL)
			withhold_values(request->what, err);
		if (!retry_answer(client, response, &retries, cancel, err))
			return -1;
	}
}

static int enter(struct kube_client *client, const char *what, struct cancel *cancel, struct error *err)
{
	KUBE_WAITER_CLEANUP struct kube_waiter waiter = kube_waiter_begin(cancel, &client->mutex, &client->condition);
	THREAD_LOCKED(&client->mutex);

	while (client->in_flight >= client->maximum_in_flight)
		if (kube_waiter_wait(&waiter, UINT64_MAX, err) != 0)
			return error_wrap(err, "%s: waiting for one of %u requests in flight", what, client->maximum_in_flight);
	client->in_flight++;
	return 0;
}

static void leave(struct kube_client *client)
{
	THREAD_LOCKED(&client->mutex);

	client->in_flight--;
	/* All: one that was woken may just have been cancelled. */
	pthread_cond_broadcast(&client->condition);
}

int kube_client_send(struct kube_client *client, const struct kube_request *request, struct http_response *response, struct cancel *cancel,
                     struct error *err)
{
	int result;

	if (enter(client, request->what, cancel, err) != 0)
		return -1;
	result = send_in_place(client, request, response, cancel, err);
	leave(client);
	return result;
}

json_t *kube_client_send_json(struct kube_client *client, const struct kube_request *request, struct cancel *cancel, struct error *err)
{
	HTTP_RESPONSE_CLEANUP struct http_response response = { 0 };
	json_t *value;

	if (kube_client_send(client, request, &response, cancel, err) != 0)
		return NULL;
	value = kube_json_parse(response.body.data != NULL ? response.body.data : "", response.body.length, request->secret, err);
	if (value == NULL || !json_is_object(value)) {
		if (value != NULL)
			error_set(err, ERROR_CORRUPT, "the answer is not a JSON object");
		json_decref(value);
		error_wrap(err, "%s", request->what);
		return NULL;
	}
	return value;
}

struct http_stream *kube_client_stream(struct kube_client *client, const char *path, const char *accept, bool long_lived,
                                       unsigned timeout_ms, const struct http_stream_callbacks *callbacks, void *argument)
{
	FREE_CLEANUP char *full = string_printf("%s%s", client->path_prefix, path);
	SECRET_CLEANUP char *bearer = NULL;
	struct error ignored = { 0 };
	struct http_header headers[3];
	struct http_request request = {
		.path = full,
		.headers = headers,
		.timeout_ms = timeout_ms,
		.long_lived = long_lived,
	};

	/* Without a readable token the server answers 401, which reaches the callbacks as any refusal does. */
	(void)authorization(client, &bearer, &ignored);
	request.header_count = fill_headers(headers, accept, NULL, bearer);
	return http_client_stream(client->http, &request, callbacks, argument);
}
