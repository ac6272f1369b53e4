/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "h2_test_server.h"
#include "io/loop.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "test_certificates.h"

enum { DAY = 86400 };

struct fixture {
	struct loop *loop;
	struct test_authority authority, other;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	fixture->loop = loop_start("test", &err);
	fixture->authority = test_authority_new("first-ca");
	fixture->other = test_authority_new("second-ca");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	loop_stop(fixture->loop);
	test_authority_free(&fixture->authority);
	test_authority_free(&fixture->other);
	free(fixture);
	return 0;
}

static struct tls_identity *identity_new(const struct test_authority *trusted, const struct test_leaf *leaf)
{
	struct tls_client_options options = { .ca_pem = trusted->pem };
	struct tls_identity *identity;
	struct error err;

	if (leaf != NULL) {
		options.certificate_pem = leaf->certificate_pem;
		options.key_pem = leaf->key_pem;
	}
	identity = tls_client_identity_new(&options, &err);
	if (identity == NULL)
		fail_msg("%s", err.message);
	return identity;
}

struct attempt {
	const char *common_name, *sans;
	long not_before, not_after;
	const char *server_name;
	bool other_authority; /* the client trusts another one */
	const struct test_leaf *client;
	bool client_ca; /* the server wants a certificate of the first authority */
	const char *alpn;
	bool twice;
};

static int try(struct fixture *fixture, const struct attempt *attempt, struct error *err)
{
	struct test_leaf leaf =
		test_leaf_new(&fixture->authority, attempt->common_name ? attempt->common_name : "server", attempt->sans,
	                      attempt->not_before ? attempt->not_before : -60, attempt->not_after ? attempt->not_after : DAY);
	struct h2_test_server *server = h2_test_server_start(&(struct h2_test_options){
		.certificate_pem = leaf.certificate_pem,
		.key_pem = leaf.key_pem,
		.client_ca_pem = attempt->client_ca ? fixture->authority.pem : NULL,
		.alpn = attempt->alpn,
	});
	struct http_client_options options = {
		.loop = fixture->loop, .host = "127.0.0.1", .port = h2_test_server_port(server), .server_name = attempt->server_name
	};
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_client *client;
	int result;

	options.identity = identity_new(attempt->other_authority ? &fixture->other : &fixture->authority, attempt->client);
	client = http_client_new(&options, err);
	tls_identity_unref(options.identity);
	assert_non_null(client);
	result = http_client_request(client, &(struct http_request){ .path = "/ok", .timeout_ms = 30000 }, &response, NULL, err);
	if (result == 0)
		assert_string_equal(response.body.data, "hello");
	http_client_free(client);
	h2_test_server_stop(server);
	test_leaf_free(&leaf);
	return result;
}

static void good(struct fixture *fixture, struct attempt attempt)
{
	struct error err;

	if (try(fixture, &attempt, &err) != 0)
		fail_msg("%s", err.message);
}

static void bad(struct fixture *fixture, struct attempt attempt, enum error_class class, const char *reason, const char *text)
{
	struct error err;

	assert_int_equal(try(fixture, &attempt, &err), -1);
	if (err.class != class || strcmp(err.reason, reason) != 0 || strstr(err.message, text) == NULL)
		fail_msg("%s/%s: %s", error_class_name(err.class), err.reason, err.message);
}

static void names_and_addresses_are_verified(void **state)
{
	struct fixture *fixture = *state;

	good(fixture, (struct attempt){ .sans = "IP:127.0.0.1" });
	good(fixture, (struct attempt){ .sans = "DNS:kubernetes.default.svc,IP:10.96.0.1", .server_name = "kubernetes.default.svc" });
	good(fixture, (struct attempt){ .sans = "DNS:*.example.org", .server_name = "api.example.org" });
	good(fixture, (struct attempt){ .sans = "IP:0:0:0:0:0:0:0:1", .server_name = "::1" });
	bad(fixture, (struct attempt){ .sans = "DNS:kubernetes,IP:10.96.0.1" }, ERROR_FORBIDDEN, TLS_REASON_NAME_MISMATCH,
	    "is valid for kubernetes, 10.96.0.1, not for 127.0.0.1");
	bad(fixture, (struct attempt){ .sans = "DNS:kubernetes", .server_name = "api.example" }, ERROR_FORBIDDEN, TLS_REASON_NAME_MISMATCH,
	    "not for api.example");
	/* A common name alone is no name (RFC 9525). */
	bad(fixture, (struct attempt){ .common_name = "api.example", .server_name = "api.example" }, ERROR_FORBIDDEN,
	    TLS_REASON_NAME_MISMATCH, "no name at all");
}

static void times_and_authorities_are_verified(void **state)
{
	struct fixture *fixture = *state;

	bad(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .not_before = -2 * DAY, .not_after = -DAY }, ERROR_FORBIDDEN,
	    TLS_REASON_EXPIRED, "has expired on 20");
	bad(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .not_before = DAY, .not_after = 2 * DAY }, ERROR_FORBIDDEN,
	    TLS_REASON_NOT_YET_VALID, "is not valid before 20");
	bad(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .other_authority = true }, ERROR_FORBIDDEN, TLS_REASON_UNKNOWN_AUTHORITY,
	    "issuer CN=first-ca");
}

static void client_certificates_are_presented(void **state)
{
	struct fixture *fixture = *state;
	struct test_leaf mine = test_leaf_new(&fixture->authority, "client", NULL, -60, DAY);
	struct test_leaf foreign = test_leaf_new(&fixture->other, "client", NULL, -60, DAY);
	struct test_leaf expired = test_leaf_new(&fixture->authority, "client", NULL, -2 * DAY, -DAY);

	good(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .client_ca = true, .client = &mine });
	bad(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .client_ca = true, .client = &foreign }, ERROR_FORBIDDEN, TLS_REASON_REFUSED,
	    "peer refused our certificate: unknown authority");
	bad(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .client_ca = true, .client = &expired }, ERROR_FORBIDDEN, TLS_REASON_REFUSED,
	    "peer refused our certificate: certificate expired");
	bad(fixture, (struct attempt){ .sans = "IP:127.0.0.1", .client_ca = true }, ERROR_FORBIDDEN, TLS_REASON_REFUSED,
	    "a client certificate is required");
	test_leaf_free(&mine);
	test_leaf_free(&foreign);
	test_leaf_free(&expired);
}

static void http2_must_be_offered(void **state)
{
	bad(*state, (struct attempt){ .sans = "IP:127.0.0.1", .alpn = "none" }, ERROR_TRANSIENT, "", "does not offer HTTP/2");
}

static void plaintext_servers_are_no_tls(void **state)
{
	struct fixture *fixture = *state;
	struct h2_test_server *server = h2_test_server_start(&(struct h2_test_options){ 0 });
	struct http_client_options options = { .loop = fixture->loop, .host = "127.0.0.1", .port = h2_test_server_port(server) };
	struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
	struct http_client *client;
	struct error err;

	options.identity = identity_new(&fixture->authority, NULL);
	client = http_client_new(&options, &err);
	tls_identity_unref(options.identity);
	assert_int_equal(http_client_request(client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_TRANSIENT);
	assert_non_null(strstr(err.message, "TLS handshake with 127.0.0.1"));
	http_client_free(client);
	h2_test_server_stop(server);
}

static void wrong_pem_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct test_leaf leaf = test_leaf_new(&fixture->authority, "client", NULL, -60, DAY);
	struct test_leaf second = test_leaf_new(&fixture->authority, "client", NULL, -60, DAY);
	char *cut FREE_CLEANUP = string_ndup(fixture->authority.pem, strlen(fixture->authority.pem) / 2);
	char *damaged FREE_CLEANUP = string_dup(fixture->authority.pem);
	const char *ca = fixture->authority.pem;
	struct error err;
	struct {
		struct tls_client_options options;
		const char *text;
	} cases[] = {
		{ { .ca_pem = "nothing" }, "CA bundle: holds no PEM certificate" },
		{ { .ca_pem = cut }, "CA bundle: certificate 1 cannot be read" },
		{ { .ca_pem = damaged }, "CA bundle: certificate 1 cannot be read" },
		{ { .ca_pem = ca, .certificate_pem = leaf.certificate_pem }, "certificate and key are needed together" },
		{ { .ca_pem = ca, .key_pem = leaf.key_pem }, "certificate and key are needed together" },
		{ { .ca_pem = ca, .certificate_pem = "x", .key_pem = leaf.key_pem }, "client certificate: cannot be read" },
		{ { .ca_pem = ca, .certificate_pem = leaf.certificate_pem, .key_pem = "x" }, "client key: cannot be read" },
		{ { .ca_pem = ca, .certificate_pem = leaf.certificate_pem, .key_pem = second.key_pem }, "client key does not belong to" },
	};

	damaged[100] = '!';
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_null(tls_client_identity_new(&cases[i].options, &err));
		assert_int_equal(err.class, ERROR_INVALID);
		if (strstr(err.message, cases[i].text) == NULL)
			fail_msg("%zu: %s", i, err.message);
	}
	test_leaf_free(&leaf);
	test_leaf_free(&second);
}

static void credentials_are_swapped(void **state)
{
	struct fixture *fixture = *state;
	struct test_leaf leaf = test_leaf_new(&fixture->authority, "server", "IP:127.0.0.1", -60, DAY);
	struct h2_test_server *server =
		h2_test_server_start(&(struct h2_test_options){ .certificate_pem = leaf.certificate_pem, .key_pem = leaf.key_pem });
	struct http_client_options options = { .loop = fixture->loop, .host = "127.0.0.1", .port = h2_test_server_port(server) };
	struct tls_identity *wrong = identity_new(&fixture->other, NULL), *right = identity_new(&fixture->authority, NULL);
	struct http_client *client;
	struct error err;

	options.identity = wrong;
	client = http_client_new(&options, &err);
	for (int i = 0; i < 4; i++) {
		struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
		int result;

		http_client_set_identity(client, i % 2 ? right : wrong);
		result = http_client_request(client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err);
		assert_int_equal(result, i % 2 ? 0 : -1);
	}
	tls_identity_unref(wrong);
	tls_identity_unref(right);
	http_client_free(client);
	h2_test_server_stop(server);
	test_leaf_free(&leaf);
}

/* A CONNECT proxy of one connection: answers, then copies both ways. */
struct proxy {
	int listener;
	uint16_t port, target;
	const char *status;
	char request[1024];
	pthread_t thread;
};

static int dial_loopback(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int descriptor = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(descriptor, (struct sockaddr *)&to, sizeof(to)) != 0)
		abort();
	return descriptor;
}

static bool copy(int from, int to)
{
	char chunk[4096];
	ssize_t length = recv(from, chunk, sizeof(chunk), 0);

	return length > 0 && send(to, chunk, (size_t)length, MSG_NOSIGNAL) == length;
}

static void *proxy_thread(void *argument)
{
	struct proxy *proxy = argument;
	int client = accept(proxy->listener, NULL, NULL), server;
	size_t length = 0;
	char answer[200];

	while (length < sizeof(proxy->request) - 1 && strstr(proxy->request, "\r\n\r\n") == NULL &&
	       recv(client, proxy->request + length, 1, 0) == 1)
		length++;
	snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\nX-Proxy: yes\r\n\r\n", proxy->status);
	for (size_t i = 0; i < strlen(answer); i++) /* slowly: the reader must wait for the rest */
		if (send(client, answer + i, 1, MSG_NOSIGNAL) != 1)
			break;
	if (proxy->status[0] == '2') {
		server = dial_loopback(proxy->target);
		for (;;) {
			struct pollfd ready[2] = { { .fd = client, .events = POLLIN }, { .fd = server, .events = POLLIN } };

			if (poll(ready, 2, 5000) <= 0 || (ready[0].revents && !copy(client, server)) ||
			    (ready[1].revents && !copy(server, client)))
				break;
		}
		close(server);
	}
	close(client);
	return NULL;
}

static void proxy_start(struct proxy *proxy)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(at);

	proxy->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(proxy->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(proxy->listener, 4), 0);
	assert_int_equal(getsockname(proxy->listener, (struct sockaddr *)&at, &length), 0);
	proxy->port = ntohs(at.sin_port);
	pthread_create(&proxy->thread, NULL, proxy_thread, proxy);
}

static void proxies_are_used(void **state)
{
	struct fixture *fixture = *state;
	struct test_leaf leaf = test_leaf_new(&fixture->authority, "server", "DNS:api.example", -60, DAY);
	struct h2_test_server *server =
		h2_test_server_start(&(struct h2_test_options){ .certificate_pem = leaf.certificate_pem, .key_pem = leaf.key_pem });
	const char *statuses[] = { "200 Connection established", "407 Proxy Authentication Required", "502 Bad Gateway" };
	enum error_class classes[] = { ERROR_NONE, ERROR_FORBIDDEN, ERROR_TRANSIENT };

	for (int i = 0; i < 3; i++) {
		struct proxy proxy = { .target = h2_test_server_port(server), .status = statuses[i] };
		struct http_client_options options = { .loop = fixture->loop, .host = "api.example", .port = 6443 };
		struct http_response response HTTP_RESPONSE_CLEANUP = { 0 };
		struct http_client *client;
		struct error err = { 0 };
		char url[100];

		proxy_start(&proxy);
		snprintf(url, sizeof(url), "http://user:p%%40ss@127.0.0.1:%u/", proxy.port);
		options.proxy_url = url;
		options.identity = identity_new(&fixture->authority, NULL);
		client = http_client_new(&options, &err);
		tls_identity_unref(options.identity);
		assert_non_null(client);
		(void)http_client_request(client, &(struct http_request){ .path = "/ok" }, &response, NULL, &err);
		if (err.class != classes[i])
			fail_msg("%s", err.message);
		if (i > 0)
			assert_non_null(strstr(err.message, statuses[i]));
		http_client_free(client);
		pthread_join(proxy.thread, NULL);
		close(proxy.listener);
		assert_true(string_has_prefix(proxy.request, "CONNECT api.example:6443 HTTP/1.1\r\nHost: api.example:6443\r\n"));
		assert_non_null(strstr(proxy.request, "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"));
	}
	h2_test_server_stop(server);
	test_leaf_free(&leaf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_and_addresses_are_verified, setup, teardown),
		cmocka_unit_test_setup_teardown(times_and_authorities_are_verified, setup, teardown),
		cmocka_unit_test_setup_teardown(client_certificates_are_presented, setup, teardown),
		cmocka_unit_test_setup_teardown(http2_must_be_offered, setup, teardown),
		cmocka_unit_test_setup_teardown(plaintext_servers_are_no_tls, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_pem_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(credentials_are_swapped, setup, teardown),
		cmocka_unit_test_setup_teardown(proxies_are_used, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
