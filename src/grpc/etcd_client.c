/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/etcd_client.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/etcd_internal.h"
#include "grpc/grpc_client.h"
#include "net/http_client.h"

enum { ETCD_MAXIMUM_ENDPOINTS = 32 };

const char ETCD_ALL_KEYS[] = "";

struct etcd_client {
	struct http_client **endpoints;
	size_t count;
	unsigned timeout_ms;
	atomic_size_t current; /* the endpoint that answered last */
};

/* etcd's texts (api/v3rpc/rpctypes/error.go) that say more than their gRPC codes, most of which are FailedPrecondition. */
static const struct {
	const char *text;
	enum error_class class;
} etcd_errors[] = {
	{ "user name already exists", ERROR_EXISTS },
	{ "role name already exists", ERROR_EXISTS },
	{ "user name not found", ERROR_NOT_FOUND },
	{ "role name not found", ERROR_NOT_FOUND },
	{ "role is not granted to the user", ERROR_NOT_FOUND },
	{ "permission is not granted to the role", ERROR_NOT_FOUND },
	{ "key not found", ERROR_NOT_FOUND },
	{ "user name is empty", ERROR_FORBIDDEN },
	{ "authentication failed", ERROR_FORBIDDEN },
	{ "invalid auth token", ERROR_FORBIDDEN },
	{ "permission denied", ERROR_FORBIDDEN },
	{ "revision of auth store is old", ERROR_TRANSIENT },
	{ "not leader", ERROR_TRANSIENT },
	{ "rpc not supported for learner", ERROR_TRANSIENT },
	{ "request is too large", ERROR_EXHAUSTED },
	{ "required revision has been compacted", ERROR_EXPIRED },
};

enum error_class etcd_error_class(const char *message, enum error_class class)
{
	for (size_t i = 0; i < ARRAY_LENGTH(etcd_errors); i++)
		if (strstr(message, etcd_errors[i].text) != NULL)
			return etcd_errors[i].class;
	return class;
}

static int open_endpoint(struct etcd_client *client, const struct etcd_client_options *options, const char *text, struct error *err)
{
	struct http_client_options http = { .loop = options->loop, .identity = options->identity };
	char *address FREE_CLEANUP = NULL, *host FREE_CLEANUP = NULL;
	const char *rest = text;

	if (string_has_prefix(text, "https://")) {
		rest = text + 8;
	} else if (string_has_prefix(text, "http://")) {
		rest = text + 7;
		http.identity = NULL;
	} else if (strstr(text, "://") != NULL) {
		return error_set(err, ERROR_INVALID, "etcd endpoint \"%s\": only https:// and http:// are known", text);
	}
	if (options->identity == NULL && !string_has_prefix(text, "http://"))
		return error_set(err, ERROR_INVALID, "etcd endpoint \"%s\" needs TLS credentials", text);
	address = string_ndup(rest, strcspn(rest, "/"));
	if (string_split_host_port(address, "etcd endpoint", &host, &http.port, err) != 0)
		return -1;
	http.host = host;
	client->endpoints[client->count] = http_client_new(&http, err);
	if (client->endpoints[client->count] == NULL)
		return error_wrap(err, "etcd endpoint \"%s\"", text);
	client->count++;
	return 0;
}

struct etcd_client *etcd_client_new(const struct etcd_client_options *options, struct error *err)
{
	struct etcd_client *client;

	if (options->endpoint_count == 0 || options->endpoint_count > ETCD_MAXIMUM_ENDPOINTS) {
		error_set(err, ERROR_INVALID, "1 to %d etcd endpoints are needed, not %zu", ETCD_MAXIMUM_ENDPOINTS,
		          options->endpoint_count);
		return NULL;
	}
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		abort();
	client->timeout_ms = options->timeout_ms ? options->timeout_ms : GRPC_CALL_TIMEOUT_MS;
	client->endpoints = calloc(options->endpoint_count, sizeof(struct http_client *));
	if (client->endpoints == NULL)
		abort();
	for (size_t i = 0; i < options->endpoint_count; i++) {
		if (open_endpoint(client, options, options->endpoints[i], err) != 0) {
			etcd_client_free(client);
			return NULL;
		}
	}
	return client;
}

void etcd_client_free(struct etcd_client *client)
{
	if (client == NULL)
		return;
	for (size_t i = 0; i < client->count; i++)
		http_client_free(client->endpoints[i]);
	free(client->endpoints);
	free(client);
}

void etcd_client_set_identity(struct etcd_client *client, struct tls_identity *identity)
{
	for (size_t i = 0; i < client->count; i++)
		http_client_set_identity(client->endpoints[i], identity);
}

/* Another member may do better: this one is away or slow, or its own certificate is wrong. What etcd itself denies stays denied. */
static bool worth_another_endpoint(const struct error *err)
{
	return err->class == ERROR_TRANSIENT || err->class == ERROR_TIMEOUT || (err->class == ERROR_FORBIDDEN && err->status == 0);
}

static int call_endpoint(struct etcd_client *client, size_t which, const struct grpc_request *call, struct buffer *reply,
                         struct cancel *cancel, struct error *err)
{
	if (grpc_client_call(client->endpoints[which], call, reply, cancel, err) == 0) {
		atomic_store(&client->current, which);
		return 0;
	}
	if (err->status > 0)
		err->class = etcd_error_class(err->message, err->class);
	return error_wrap(err, "etcd %s", http_client_authority(client->endpoints[which]));
}

int etcd_call(struct etcd_client *client, const char *method, const struct buffer *message, struct buffer *reply, struct cancel *cancel,
              struct error *err)
{
	struct buffer ignored BUFFER_CLEANUP = { 0 };
	struct grpc_request call = { .method = method, .message = message->data, .message_length = message->length };
	uint64_t deadline = clock_monotonic_ms() + client->timeout_ms, left;
	size_t first = atomic_load(&client->current);

	if (cancel_deadline(cancel) < deadline)
		deadline = cancel_deadline(cancel);
	for (size_t tried = 0; tried < client->count; tried++) {
		left = clock_until(deadline);
		if (tried > 0 && (left == 0 || cancel_is_triggered(cancel)))
			break;
		/* What is left is shared evenly by those not tried yet, so that a frozen member leaves time for the others. */
		call.timeout_ms = (unsigned)(left / (client->count - tried));
		if (call.timeout_ms == 0)
			call.timeout_ms = 1;
		if (call_endpoint(client, (first + tried) % client->count, &call, reply ? reply : &ignored, cancel, err) == 0)
			return 0;
		if (!worth_another_endpoint(err))
			break;
	}
	return -1;
}

int etcd_reply_check(const struct protobuf_reader *reader, const char *method, struct error *err)
{
	if (reader->corrupt)
		return error_set(err, ERROR_CORRUPT, "etcd: answer to %s cannot be read", method);
	return 0;
}

void etcd_put_key(struct buffer *message, uint32_t number, const char *key, bool first_of_all)
{
	if (key == ETCD_ALL_KEYS || (first_of_all && key[0] == '\0'))
		protobuf_put_bytes(message, number, "", 1);
	else
		protobuf_put_string(message, number, key);
}

char *etcd_prefix_end(const char *prefix)
{
	size_t length = strlen(prefix);
	char *end;

	while (length > 0 && (unsigned char)prefix[length - 1] == 0xff)
		length--;
	if (length == 0)
		return NULL;
	end = string_ndup(prefix, length);
	end[length - 1] = (char)((unsigned char)end[length - 1] + 1);
	return end;
}
