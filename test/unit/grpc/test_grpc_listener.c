/* SPDX-License-Identifier: Apache-2.0 */
/* How connections come in: TLS and its records against OpenSSL's own client, identities, rotation, unix sockets, limits, bad starts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"
#include "grpc/grpc_client.h"
#include "grpc/grpc_server.h"
#include "io/cancel.h"
#include "io/file.h"
#include "test_certificates.h"

enum { DAY = 86400, BIG = 5 * 1000 * 1000 };

struct fixture {
	struct loop *loop;
	struct grpc_server *server;
	struct test_authority authority, other;
	struct test_leaf leaf, client;
	struct tls_identity *identity;
	uint16_t port;
};

static void describe(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	const struct grpc_identity *identity = grpc_call_identity(call);
	struct buffer text = { 0 };

	(void)buffer_printf(&text, "%d %s", identity->verified, identity->common_name);
	grpc_call_send_buffer(call, &text);
	grpc_call_finish(call, GRPC_OK, NULL);
}

static void echo(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	grpc_call_send(call, bytes, length);
	grpc_call_finish(call, GRPC_OK, NULL);
}

static int plain(const char *path, const char *query, struct buffer *body, const char **content_type, void *argument)
{
	if (strcmp(path, "/big") != 0) {
		(void)buffer_append_string(body, path);
		return 200;
	}
	for (unsigned i = 0; i < BIG / 10; i++)
		(void)buffer_printf(body, "%09u\n", i);
	return 200;
}

static struct tls_identity *server_identity(const struct fixture *fixture, const struct test_leaf *leaf, bool require)
{
	struct error err;
	struct tls_identity *identity = tls_server_identity_new(&(struct tls_server_options){ .certificate_pem = leaf->certificate_pem,
	                                                                                      .key_pem = leaf->key_pem,
	                                                                                      .client_ca_pem = fixture->authority.pem,
	                                                                                      .require_client_certificate = require },
	                                                        &err);

	assert_non_null(identity);
	return identity;
}

enum { PATIENT_MS = 30000, IMPATIENT_MS = 400 };

static struct grpc_server *server_new(struct fixture *fixture, unsigned maximum_connections, unsigned handshake_ms)
{
	static const struct grpc_method methods[] = {
		{ .path = "/test.Unary/Describe", .message = describe },
		{ .path = "/test.Unary/Echo", .message = echo },
	};

	return grpc_server_new(&(struct grpc_server_options){ .loop = fixture->loop,
	                                                      .methods = methods,
	                                                      .method_count = 2,
	                                                      .http = plain,
	                                                      .handshake_ms = handshake_ms,
	                                                      .maximum_connections = maximum_connections });
}

static int setup_with(void **state, unsigned handshake_ms)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;

	(void)signal(SIGPIPE, SIG_IGN);
	fixture->loop = loop_start("test", &err);
	fixture->authority = test_authority_new("ca");
	fixture->other = test_authority_new("other-ca");
	fixture->leaf = test_leaf_new(&fixture->authority, "server", "DNS:localhost,IP:127.0.0.1", -DAY, DAY);
	fixture->client = test_leaf_new(&fixture->authority, "client-name", NULL, -DAY, DAY);
	fixture->identity = server_identity(fixture, &fixture->leaf, false);
	fixture->server = server_new(fixture, 0, handshake_ms);
	assert_int_equal(grpc_server_listen(fixture->server, "127.0.0.1:0", fixture->identity, &err), 0);
	fixture->port = grpc_server_port(fixture->server);
	*state = fixture;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, PATIENT_MS);
}

static int setup_impatient(void **state)
{
	return setup_with(state, IMPATIENT_MS);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	grpc_server_free(fixture->server, 0);
	loop_stop(fixture->loop);
	tls_identity_unref(fixture->identity);
	test_leaf_free(&fixture->leaf);
	test_leaf_free(&fixture->client);
	test_authority_free(&fixture->authority);
	test_authority_free(&fixture->other);
	free(fixture);
	return 0;
}

static struct http_client *client_new(const struct fixture *fixture, const struct test_authority *trusted, const struct test_leaf *leaf)
{
	struct tls_client_options tls = { .ca_pem = trusted->pem };
	struct tls_identity *identity;
	struct http_client *client;
	struct error err;

	if (leaf != NULL) {
		tls.certificate_pem = leaf->certificate_pem;
		tls.key_pem = leaf->key_pem;
	}
	identity = tls_client_identity_new(&tls, &err);
	assert_non_null(identity);
	client = http_client_new(&(struct http_client_options){ .loop = fixture->loop,
	                                                        .host = "localhost",
	                                                        .connect_address = "127.0.0.1",
	                                                        .port = fixture->port,
	                                                        .identity = identity },
	                         &err);
	assert_non_null(client);
	tls_identity_unref(identity);
	return client;
}

static int ask(struct http_client *client, const char *method, const char *message, struct buffer *answer, struct error *err)
{
	struct grpc_request request = { .method = method, .message = message, .message_length = strlen(message), .timeout_ms = 5000 };

	buffer_clear(answer);
	return grpc_client_call(client, &request, answer, NULL, err);
}

static void clients_are_known_by_their_certificates(void **state)
{
	struct fixture *fixture = *state;
	struct http_client *named = client_new(fixture, &fixture->authority, &fixture->client);
	struct http_client *nobody = client_new(fixture, &fixture->authority, NULL);
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(ask(named, "/test.Unary/Describe", "", &answer, &err), 0);
	assert_string_equal(answer.data, "1 client-name");
	assert_int_equal(ask(nobody, "/test.Unary/Describe", "", &answer, &err), 0);
	assert_string_equal(answer.data, "0 ");
	assert_int_equal(grpc_server_statistics(fixture->server).connections, 2);
	http_client_free(named);
	http_client_free(nobody);
}

static void strangers_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct test_leaf stranger = test_leaf_new(&fixture->other, "client-name", NULL, -DAY, DAY);
	struct tls_identity *strict = server_identity(fixture, &fixture->leaf, true);
	struct http_client *client = client_new(fixture, &fixture->authority, &stranger), *nobody;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(ask(client, "/test.Unary/Describe", "", &answer, &err), -1);
	assert_int_equal(err.class, ERROR_FORBIDDEN);
	grpc_server_set_identity(fixture->server, strict);
	nobody = client_new(fixture, &fixture->authority, NULL);
	assert_int_equal(ask(nobody, "/test.Unary/Describe", "", &answer, &err), -1);
	assert_int_equal(err.class, ERROR_FORBIDDEN);
	assert_true(grpc_server_statistics(fixture->server).failed_handshakes >= 2);
	http_client_free(client);
	http_client_free(nobody);
	tls_identity_unref(strict);
	test_leaf_free(&stranger);
}

static void a_new_certificate_is_for_new_connections(void **state)
{
	struct fixture *fixture = *state;
	struct http_client *before = client_new(fixture, &fixture->authority, &fixture->client), *after, *late;
	struct test_leaf leaf = test_leaf_new(&fixture->other, "server", "DNS:localhost", -DAY, DAY);
	struct tls_identity *identity = server_identity(fixture, &leaf, false);
	struct buffer answer BUFFER_CLEANUP = { 0 };
	struct error err;

	assert_int_equal(ask(before, "/test.Unary/Describe", "", &answer, &err), 0);
	grpc_server_set_identity(fixture->server, identity);
	tls_identity_unref(identity);
	after = client_new(fixture, &fixture->other, &fixture->client);
	late = client_new(fixture, &fixture->authority, &fixture->client);
	assert_int_equal(ask(before, "/test.Unary/Describe", "", &answer, &err), 0);
	assert_string_equal(answer.data, "1 client-name");
	assert_int_equal(ask(after, "/test.Unary/Describe", "", &answer, &err), 0);
	assert_int_equal(ask(late, "/test.Unary/Describe", "", &answer, &err), -1);
	assert_string_equal(err.reason, TLS_REASON_UNKNOWN_AUTHORITY);
	assert_int_equal(grpc_server_statistics(fixture->server).accepted, 3);
	http_client_free(before);
	http_client_free(after);
	http_client_free(late);
	test_leaf_free(&leaf);
}

static int dial(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(descriptor, (struct sockaddr *)&at, sizeof(at)), 0);
	return descriptor;
}

/* A client of OpenSSL's own, HTTP/1.1, blocking. */
static SSL *tls_dial(uint16_t port, int version, const char *suite)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	assert_int_equal(SSL_CTX_set_max_proto_version(context, version), 1);
	if (suite != NULL)
		assert_int_equal(SSL_CTX_set_ciphersuites(context, suite), 1);
	assert_int_equal(SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1", 9), 0);
	ssl = SSL_new(context);
	SSL_CTX_free(context);
	assert_int_equal(SSL_set_fd(ssl, dial(port)), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

static void tls_close(SSL *ssl)
{
	int descriptor = SSL_get_fd(ssl);

	SSL_free(ssl);
	(void)close(descriptor);
}

static void get(SSL *ssl, const char *path, size_t wanted, size_t step)
{
	char text[100], piece[16 * 1024];
	size_t body = 0;
	bool in_body = false;
	int length = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);

	/* One record for each half. */
	assert_int_equal(SSL_write(ssl, text, 3), 3);
	assert_int_equal(SSL_write(ssl, text + 3, length - 3), length - 3);
	while (!in_body || body < wanted) {
		int got = SSL_read(ssl, piece, (int)(step < sizeof(piece) ? step : sizeof(piece)));
		const char *start;

		assert_true(got > 0);
		start = in_body ? piece : memmem(piece, (size_t)got, "\r\n\r\n", 4);
		if (start == NULL)
			continue;
		start += in_body ? 0 : 4;
		in_body = true;
		for (const char *at = start; wanted == BIG && at < piece + got; at++, body++)
			assert_int_equal(*at, body % 10 == 9 ? '\n'
			                                     : '0' + (int)(body / 10 /
			                                                   (size_t[]){ 100000000, 10000000, 1000000, 100000, 10000, 1000,
			                                                               100, 10, 1 }[body % 10] %
			                                                   10));
		body += wanted == BIG ? 0 : (size_t)(piece + got - start);
	}
	assert_int_equal(body, wanted);
}

static void every_cipher_works(void **state)
{
	static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LENGTH(suites); i++) {
		SSL *ssl = tls_dial(fixture->port, TLS1_3_VERSION, suites[i]);

		assert_string_equal(SSL_get_cipher_name(ssl), suites[i]);
		get(ssl, "/version", strlen("/version"), 16384);
		get(ssl, "/big", BIG, 16384);
		get(ssl, "/version", strlen("/version"), 16384);
		assert_int_equal(SSL_shutdown(ssl), 0);
		assert_int_equal(SSL_shutdown(ssl), 1); /* the server's close_notify */
		tls_close(ssl);
	}
}

static void older_tls_works(void **state)
{
	struct fixture *fixture = *state;
	SSL *ssl = tls_dial(fixture->port, TLS1_2_VERSION, NULL);

	assert_string_equal(SSL_get_version(ssl), "TLSv1.2");
	get(ssl, "/big", BIG, 16384);
	tls_close(ssl);
}

static void keys_are_changed_on_request(void **state)
{
	struct fixture *fixture = *state;
	SSL *ssl = tls_dial(fixture->port, TLS1_3_VERSION, NULL);

	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(SSL_key_update(ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		get(ssl, i == 3 ? "/big" : "/version", i == 3 ? BIG : strlen("/version"), 16384);
	}
	tls_close(ssl);
}

/* Records that the socket does not take at once are finished later, in order. */
static void a_slow_tls_reader_gets_everything(void **state)
{
	struct fixture *fixture = *state;
	SSL *ssl = tls_dial(fixture->port, TLS1_3_VERSION, NULL);
	int small = 48 * 1024; /* less would wait for timers of the kernel */

	assert_int_equal(setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	get(ssl, "/big", BIG, 1000);
	get(ssl, "/big", BIG, 7777);
	tls_close(ssl);
}

static void false_records_end_the_connection(void **state)
{
	static const struct {
		unsigned char bytes[64];
		size_t length;
		const char *alert;
	} rows[] = {
		{ { 23, 3, 3, 0, 30 }, 35, "bad record mac" },       { { 23, 3, 3, 0, 16 }, 21, "unexpected message" },
		{ { 23, 3, 3, 0xff, 0xff }, 40, "record overflow" }, { { 22, 3, 3, 0, 30 }, 35, "unexpected message" },
		{ "GET / HTTP/1.1\r\n", 16, "unexpected message" },
	};
	struct fixture *fixture = *state;
	char byte;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		SSL *ssl = tls_dial(fixture->port, TLS1_3_VERSION, NULL);
		char text[160];

		get(ssl, "/version", strlen("/version"), 16384);
		assert_int_equal(send(SSL_get_fd(ssl), rows[i].bytes, rows[i].length, 0), rows[i].length);
		assert_true(SSL_read(ssl, &byte, 1) <= 0);
		ERR_error_string_n(ERR_get_error(), text, sizeof(text));
		if (strstr(text, rows[i].alert) == NULL)
			fail_msg("row %zu: %s", i, text);
		tls_close(ssl);
	}
	assert_int_equal(grpc_server_statistics(fixture->server).connections, 0);
}

static bool closed_within(int descriptor, int milliseconds)
{
	struct pollfd ready = { .fd = descriptor, .events = POLLIN };
	uint64_t end = clock_monotonic_ms() + (uint64_t)milliseconds;
	char bytes[4096];

	while (clock_monotonic_ms() < end) {
		if (poll(&ready, 1, (int)clock_until(end)) > 0 && recv(descriptor, bytes, sizeof(bytes), 0) <= 0)
			return true;
	}
	return false;
}

static void slow_and_false_starts_are_closed(void **state)
{
	static const char *const starts[] = { "", "\x16\x03\x01", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" };
	static const char *const plain_starts[] = { "", "P", "PRI * HTTP", "\x16\x03\x01\x02\r\n\r\n",
		                                    "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nabcdefghijk" };
	struct fixture *fixture = *state;
	struct grpc_server *other = server_new(fixture, 0, IMPATIENT_MS);
	struct error err;

	assert_int_equal(grpc_server_listen(other, "127.0.0.1:0", NULL, &err), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(starts) + ARRAY_LENGTH(plain_starts); i++) {
		bool tls = i < ARRAY_LENGTH(starts);
		const char *start = tls ? starts[i] : plain_starts[i - ARRAY_LENGTH(starts)];
		int descriptor = dial(tls ? fixture->port : grpc_server_port(other));

		assert_int_equal(send(descriptor, start, strlen(start), 0), strlen(start));
		if (!closed_within(descriptor, 5000))
			fail_msg("start %zu was not closed", i);
		(void)close(descriptor);
	}
	assert_int_equal(grpc_server_statistics(fixture->server).connections, 0);
	assert_int_equal(grpc_server_statistics(fixture->server).failed_handshakes, ARRAY_LENGTH(starts));
	grpc_server_free(other, 0);
}

static void connections_are_limited(void **state)
{
	struct fixture *fixture = *state;
	struct grpc_server *server = server_new(fixture, 3, PATIENT_MS);
	int descriptors[4];
	struct error err;

	assert_int_equal(grpc_server_listen(server, "127.0.0.1:0", NULL, &err), 0);
	for (unsigned i = 0; i < 4; i++)
		descriptors[i] = dial(grpc_server_port(server));
	assert_true(closed_within(descriptors[3], 5000));
	assert_int_equal(grpc_server_statistics(server).refused_connections, 1);
	for (unsigned i = 0; i < 4; i++)
		(void)close(descriptors[i]);
	grpc_server_free(server, 0);
}

static void unix_sockets_are_taken_over_when_dead(void **state)
{
	struct fixture *fixture = *state;
	char folder[] = "/tmp/kamaji-listener-XXXXXX", path[64], address[80];
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct grpc_server *second;
	struct stat facts;
	struct error err;
	int descriptor;

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/socket", folder);
	(void)snprintf(address, sizeof(address), "unix:%s", path);
	memcpy(at.sun_path, path, strlen(path));
	descriptor = socket(AF_UNIX, SOCK_STREAM, 0); /* left behind by somebody who died */
	assert_int_equal(bind(descriptor, (struct sockaddr *)&at, sizeof(at)), 0);
	(void)close(descriptor);
	assert_int_equal(grpc_server_listen(fixture->server, address, NULL, &err), 0);
	descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(descriptor, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(descriptor, "GET /x HTTP/1.0\r\n\r\n", 19, 0), 19);
	assert_true(closed_within(descriptor, 5000));
	(void)close(descriptor);
	second = server_new(fixture, 0, PATIENT_MS);
	assert_int_equal(grpc_server_listen(second, address, NULL, &err), -1);
	assert_int_equal(err.class, ERROR_EXISTS);
	assert_non_null(strstr(err.message, "another process listens"));
	grpc_server_free(second, 0);
	grpc_server_free(fixture->server, 0);
	assert_int_equal(stat(path, &facts), -1);
	fixture->server = server_new(fixture, 0, PATIENT_MS);
	assert_int_equal(file_write_atomic(path, "x", 1, 0600, &err), 0);
	assert_int_equal(grpc_server_listen(fixture->server, address, NULL, &err), -1);
	assert_non_null(strstr(err.message, "no socket"));
	assert_int_equal(grpc_server_listen(fixture->server, "127.0.0.1", NULL, &err), -1);
	assert_int_equal(grpc_server_listen(fixture->server, "127.0.0.1:70000", NULL, &err), -1);
	assert_int_equal(file_remove_tree(folder, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(clients_are_known_by_their_certificates, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_certificate_is_for_new_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(every_cipher_works, setup, teardown),
		cmocka_unit_test_setup_teardown(older_tls_works, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_are_changed_on_request, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_tls_reader_gets_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(false_records_end_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_and_false_starts_are_closed, setup_impatient, teardown),
		cmocka_unit_test_setup_teardown(connections_are_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(unix_sockets_are_taken_over_when_dead, setup, teardown),
	};

	return cmocka_run_group_tests_name("grpc_listener", tests, NULL, NULL);
}
