/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_client.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/ip.h"
#include "base/secret.h"
#include "base/strings.h"
#include "base/version.h"
#include "net/http_client_internal.h"

void http_client_ref(struct http_client *client)
{
	atomic_fetch_add(&client->references, 1);
}

void http_client_unref(struct http_client *client)
{
	if (atomic_fetch_sub(&client->references, 1) != 1)
		return;
	tls_identity_unref(client->identity);
	secret_free(client->proxy_authorization);
	free(client->authority);
	free(client->server_name);
	free(client->user_agent);
	free(client->proxy);
	free(client);
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)(digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The part of user:password before the '@', percent-decoded as URLs write it, to "Basic ...". */
static char *basic_authorization(const char *user, size_t length)
{
	struct buffer plain BUFFER_SECRET_CLEANUP = { 0 };
	char *encoded SECRET_CLEANUP = NULL;

	(void)buffer_reserve(&plain, length);
	for (size_t i = 0; i < length; i++) {
		if (user[i] == '%' && i + 2 < length && hex_digit(user[i + 1]) >= 0 && hex_digit(user[i + 2]) >= 0) {
			(void)buffer_append_char(&plain, (char)(hex_digit(user[i + 1]) * 16 + hex_digit(user[i + 2])));
			i += 2;
		} else {
			(void)buffer_append_char(&plain, user[i]);
		}
	}
	encoded = base64_encode_new(plain.data ? plain.data : "", plain.length);
	return string_printf("Basic %s", encoded);
}

/* On success the client's dial target becomes the proxy. */
static int parse_proxy(struct http_client *client, const char *url, char **host, uint16_t *port, struct error *err)
{
	const char *rest, *at;
	char *address FREE_CLEANUP = NULL;

	if (strncmp(url, "http://", 7) != 0)
		return error_set(err, ERROR_INVALID, "proxy: only http:// addresses are supported (write http://host:port)");
	rest = url + 7;
	at = strrchr(rest, '@');
	if (at != NULL) {
		client->proxy_authorization = basic_authorization(rest, (size_t)(at - rest));
		rest = at + 1;
	}
	address = string_ndup(rest, strcspn(rest, "/?#"));
	if (string_split_host_port(address, "proxy", host, port, err) != 0)
		return -1;
	client->proxy = string_dup(address);
	return 0;
}

static int fill_target(struct http_client *client, const struct http_client_options *options, struct error *err)
{
	char *host FREE_CLEANUP = NULL;
	struct ip_address ignored;
	char authority[300];

	if (options->loop == NULL || string_empty(options->host) || options->port == 0)
		return error_set(err, ERROR_INVALID, "HTTP client: loop, host and port are needed");
	if (strlen(options->host) > 253)
		return error_set(err, ERROR_INVALID, "HTTP client: host name of more than 253 characters");
	if (options->connect_address != NULL && ip_parse(options->connect_address, &ignored) != 0)
		return error_set(err, ERROR_INVALID, "HTTP client: connect address \"%s\" is no IP address", options->connect_address);
	ip_join_port(options->host, options->port, authority, sizeof(authority));
	client->authority = string_dup(authority);
	client->server_name = string_dup(string_empty(options->server_name) ? options->host : options->server_name);
	client->dial_port = options->connect_port ? options->connect_port : options->port;
	host = string_dup(options->connect_address ? options->connect_address : options->host);
	if (!string_empty(options->proxy_url)) {
		free(host);
		host = NULL;
		if (parse_proxy(client, options->proxy_url, &host, &client->dial_port, err) != 0)
			return -1;
	}
	client->resolver = resolver_new(options->loop, host);
	return 0;
}

static unsigned or_default(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

struct http_client *http_client_new(const struct http_client_options *options, struct error *err)
{
	struct http_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		abort();
	atomic_init(&client->references, 1);
	LIST_INIT(&client->connections);
	for (int kind = 0; kind < POOL_KINDS; kind++)
		TAILQ_INIT(&client->waiting[kind]);
	if (fill_target(client, options, err) != 0) {
		http_client_unref(client);
		return NULL;
	}
	client->loop = options->loop;
	client->identity = tls_identity_ref(options->identity);
	client->user_agent = options->user_agent ? string_dup(options->user_agent) : string_printf("kamaji/%s", kamaji_version);
	client->connect_timeout_ms = or_default(options->connect_timeout_ms, HTTP_CLIENT_CONNECT_TIMEOUT_MS);
	client->ping_idle_ms = or_default(options->ping_idle_ms, HTTP_CLIENT_PING_IDLE_MS);
	client->ping_answer_ms = or_default(options->ping_answer_ms, HTTP_CLIENT_PING_ANSWER_MS);
	client->idle_close_ms = or_default(options->idle_close_ms, HTTP_CLIENT_IDLE_CLOSE_MS);
	client->maximum_connections = or_default(options->maximum_connections, HTTP_CLIENT_MAXIMUM_CONNECTIONS);
	client->observe = options->observe;
	client->observe_argument = options->observe_argument;
	return client;
}

static void teardown(void *argument)
{
	http_pool_teardown(argument);
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	loop_call(client->loop, teardown, client);
	resolver_free(client->resolver);
	client->resolver = NULL;
	http_client_unref(client);
}

struct identity_change {
	struct http_client *client;
	struct tls_identity *identity;
};

static void change_identity(void *argument)
{
	struct identity_change *change = argument;
	struct http_client *client = change->client;

	tls_identity_unref(client->identity);
	client->identity = change->identity;
	if (!client->ending)
		http_pool_retire(client);
	http_client_unref(client);
	free(change);
}

void http_client_set_identity(struct http_client *client, struct tls_identity *identity)
{
	struct identity_change *change = calloc(1, sizeof(*change));

	if (change == NULL)
		abort();
	http_client_ref(client);
	change->client = client;
	change->identity = tls_identity_ref(identity);
	loop_post(client->loop, change_identity, change);
}

const char *http_client_authority(const struct http_client *client)
{
	return client->authority;
}
