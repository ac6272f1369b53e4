/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3 records after the handshake, against OpenSSL's client and against forged records (RFC 8446 sections 5, 6 and 7). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strings.h"
#include "net/tls_record_keys.h"
#include "test_certificates.h"

/* The unit itself: its counters must be moved to where no test gets by sending. */
#include "net/tls_record.c"

static struct test_authority authority;
static struct test_leaf leaf;

struct pair {
	SSL_CTX *contexts[2];
	SSL *client;
	struct tls_record *record; /* NULL: left to OpenSSL */
	int ends[2];               /* client, server */
	struct tls_secrets secrets;
	struct tls_direction forge, listen; /* the client's own keys, beside OpenSSL's */
};

struct pair_options {
	const char *suite;
	int version;
	uint8_t fragment; /* TLSEXT_max_fragment_length_... */
	int send_buffer;
};

static void on_line(const SSL *ssl, const char *line)
{
	tls_secrets_take(SSL_get_app_data(ssl), line);
}

static SSL_CTX *server_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	BIO *certificate = BIO_new_mem_buf(leaf.certificate_pem, -1), *key = BIO_new_mem_buf(leaf.key_pem, -1);
	X509 *x509 = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
	EVP_PKEY *private_key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	assert_int_equal(SSL_CTX_use_certificate(context, x509), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, private_key), 1);
	(void)SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_keylog_callback(context, on_line);
	X509_free(x509);
	EVP_PKEY_free(private_key);
	BIO_free(certificate);
	BIO_free(key);
	return context;
}

static void shake_hands(SSL *client, SSL *server)
{
	int results[2] = { 0, 0 };

	for (int i = 0; i < 100 && (results[0] != 1 || results[1] != 1); i++) {
		results[0] = SSL_do_handshake(client);
		results[1] = SSL_do_handshake(server);
	}
	ERR_clear_error();
	assert_int_equal(results[0], 1);
	assert_int_equal(results[1], 1);
}

static void pair_open(struct pair *pair, const struct pair_options *options)
{
	SSL *server;
	int version = options->version ? options->version : TLS1_3_VERSION;

	*pair = (struct pair){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->ends), 0);
	if (options->send_buffer)
		(void)setsockopt(pair->ends[1], SOL_SOCKET, SO_SNDBUF, &options->send_buffer, sizeof(int));
	pair->contexts[0] = SSL_CTX_new(TLS_client_method());
	pair->contexts[1] = server_context();
	if (options->suite != NULL)
		assert_int_equal(SSL_CTX_set_ciphersuites(pair->contexts[0], options->suite), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(pair->contexts[0], version), 1);
	if (options->fragment)
		assert_int_equal(SSL_CTX_set_tlsext_max_fragment_length(pair->contexts[0], options->fragment), 1);
	pair->client = SSL_new(pair->contexts[0]);
	server = SSL_new(pair->contexts[1]);
	SSL_set_app_data(server, &pair->secrets);
	SSL_set_fd(pair->client, pair->ends[0]);
	SSL_set_fd(server, pair->ends[1]);
	SSL_set_mode(pair->client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_connect_state(pair->client);
	SSL_set_accept_state(server);
	shake_hands(pair->client, server);
	pair->record = tls_record_new(server, &pair->secrets);
	if (pair->record != NULL) {
		tls_direction_init(&pair->forge, pair->record->read.suite, pair->secrets.client, true);
		tls_direction_init(&pair->listen, pair->record->read.suite, pair->secrets.server, false);
	}
	SSL_free(server);
}

static void pair_close(struct pair *pair)
{
	if (pair->record != NULL) {
		tls_direction_free(&pair->forge);
		tls_direction_free(&pair->listen);
	}
	tls_record_free(pair->record);
	SSL_free(pair->client);
	SSL_CTX_free(pair->contexts[0]);
	SSL_CTX_free(pair->contexts[1]);
	close(pair->ends[0]);
	close(pair->ends[1]);
}

static enum transport_result server_read(struct pair *pair, void *bytes, size_t size, size_t *got, struct error *err)
{
	*got = 0;
	return tls_record_read(pair->record, pair->ends[1], "peer", bytes, size, got, err);
}

/* The same bytes through both sides at once, each in odd portions; back is what the other side of `to_server` received. */
static void exchange(struct pair *pair, bool to_server, const uint8_t *bytes, size_t length, size_t portion)
{
	uint8_t *back = malloc(length), chunk[40000];
	size_t sent = 0, received = 0, count;
	struct error err = { 0 };

	for (unsigned turn = 0; received < length; turn++) {
		size_t part = length - sent < portion ? length - sent : portion, size = 1 + (turn * 7919) % sizeof(chunk);

		assert_true(turn < 1000000);
		count = 0;
		if (to_server && part > 0 && SSL_write_ex(pair->client, bytes + sent, part, &count) == 1)
			sent += count;
		else if (!to_server && part > 0 &&
		         tls_record_write(pair->record, pair->ends[1], "peer", bytes + sent, part, &count, &err) == TRANSPORT_DONE)
			sent += count;
		count = 0;
		if (to_server) {
			enum transport_result outcome = server_read(pair, chunk, size, &count, &err);

			if (outcome == TRANSPORT_FAILED)
				fail_msg("%s", err.message);
		} else {
			(void)SSL_read_ex(pair->client, chunk, size, &count);
		}
		assert_true(count <= length - received);
		memcpy(back + received, chunk, count);
		received += count;
	}
	ERR_clear_error();
	assert_memory_equal(back, bytes, length);
	free(back);
}

static uint8_t *some_bytes(size_t length)
{
	uint8_t *bytes = malloc(length);

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 257);
	return bytes;
}

static void every_suite_carries_data_both_ways(void **state)
{
	static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };
	static const size_t lengths[] = { 1, 16383, 16384, 16385, 300000 };
	uint8_t *bytes = some_bytes(300000);

	for (size_t i = 0; i < ARRAY_LENGTH(suites); i++) {
		struct pair pair;

		pair_open(&pair, &(struct pair_options){ .suite = suites[i] });
		assert_non_null(pair.record);
		for (size_t n = 0; n < ARRAY_LENGTH(lengths); n++) {
			exchange(&pair, true, bytes, lengths[n], 70000);
			exchange(&pair, false, bytes, lengths[n], 70000);
		}
		pair_close(&pair);
	}
	free(bytes);
}

/* What the socket does not take is sent later, once, in order, and a key may change between. */
static void a_full_socket_loses_nothing(void **state)
{
	uint8_t *bytes = some_bytes(2000000);
	struct pair pair;

	pair_open(&pair, &(struct pair_options){ .send_buffer = 3000 });
	for (int i = 0; i < 3; i++) {
		pair.record->update_asked = i == 1;
		exchange(&pair, false, bytes, 2000000, 60000);
	}
	pair_close(&pair);
	free(bytes);
}

static void keys_change_when_the_peer_wants(void **state)
{
	uint8_t *bytes = some_bytes(50000);
	struct pair pair;

	pair_open(&pair, &(struct pair_options){ 0 });
	for (int i = 0; i < 100; i++) {
		uint8_t before[TLS_RECORD_SECRET], write_before[TLS_RECORD_SECRET];
		bool asked = i % 3 == 0;

		memcpy(before, pair.record->read.secret, sizeof(before));
		memcpy(write_before, pair.record->write.secret, sizeof(write_before));
		assert_int_equal(SSL_key_update(pair.client, asked ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		exchange(&pair, true, bytes, 20000, 20000);
		exchange(&pair, false, bytes, 50000, 50000);
		assert_memory_not_equal(before, pair.record->read.secret, 32);
		assert_int_equal(memcmp(write_before, pair.record->write.secret, 32) != 0, asked);
		assert_true(pair.record->write.sequence <= 8 * 3);
	}
	pair_close(&pair);
	free(bytes);
}

/* Our own key ends before the limit of section 5.5 without being asked: seen by what is put out, for nobody can send so much. */
static void keys_end_before_their_limit(void **state)
{
	uint8_t before[TLS_RECORD_SECRET];
	struct error err;
	struct pair pair;
	size_t count;

	pair_open(&pair, &(struct pair_options){ 0 });
	pair.record->write.sequence = pair.listen.sequence = TLS_RECORD_KEY_LIMIT - 1;
	for (int i = 0; i < 3; i++) {
		uint8_t body[200];
		ssize_t length, got;

		memcpy(before, pair.record->write.secret, sizeof(before));
		assert_int_equal(tls_record_write(pair.record, pair.ends[1], "peer", "data", 4, &count, &err), TRANSPORT_DONE);
		assert_int_equal(memcmp(before, pair.record->write.secret, 32) != 0, i == 1);
		got = recv(pair.ends[0], body, sizeof(body), 0);
		if (i == 1) {
			length = tls_direction_open(&pair.listen, body, body + TLS_HEADER, KEY_UPDATE_LENGTH + 1 + TLS_TAG);
			assert_int_equal(length, KEY_UPDATE_LENGTH + 1);
			assert_memory_equal(body + TLS_HEADER, "\x18\0\0\1\0\x16", 6);
			tls_direction_update(&pair.listen, false);
			memmove(body, body + TLS_HEADER + length + TLS_TAG, (size_t)got);
		}
		assert_int_equal(tls_direction_open(&pair.listen, body, body + TLS_HEADER, 4 + 1 + TLS_TAG), 5);
		assert_memory_equal(body + TLS_HEADER, "data\x17", 5);
	}
	assert_int_equal(pair.record->write.sequence, 2);
	pair_close(&pair);
}

static void send_all(struct pair *pair, const uint8_t *bytes, size_t length)
{
	assert_int_equal(send(pair->ends[0], bytes, length, 0), (ssize_t)length);
}

static void forge(struct pair *pair, uint8_t type, const void *bytes, size_t length)
{
	static uint8_t out[TLS_RECORD_ENCRYPTED + 100];

	send_all(pair, out, tls_direction_seal(&pair->forge, type, bytes, length, out));
}

/* The server must fail, and have said why with this alert (-1: none). */
static void expect_failure(struct pair *pair, int alert, const char *text)
{
	uint8_t chunk[65536], body[64];
	struct error err = { 0 };
	size_t got;
	enum transport_result outcome;
	int turns = 0;

	do
		outcome = server_read(pair, chunk, sizeof(chunk), &got, &err);
	while (outcome == TRANSPORT_DONE || (outcome == TRANSPORT_WANT_READ && turns++ < 10));
	assert_int_equal(outcome, TRANSPORT_FAILED);
	if (strstr(err.message, text) == NULL)
		fail_msg("%s", err.message);
	if (alert < 0) {
		assert_int_equal(recv(pair->ends[0], body, sizeof(body), 0), -1);
		return;
	}
	assert_int_equal(recv(pair->ends[0], body, sizeof(body), 0), 2 + TLS_RECORD_OVERHEAD);
	assert_int_equal(tls_direction_open(&pair->listen, body, body + TLS_HEADER, 3 + TLS_TAG), 3);
	assert_int_equal(body[TLS_HEADER], 2);
	assert_int_equal(body[TLS_HEADER + 1], alert);
	assert_int_equal(body[TLS_HEADER + 2], TYPE_ALERT);
}

static void records_that_are_refused(void **state)
{
	static uint8_t zeros[TLS_RECORD_ENCRYPTED];
	struct {
		const char *text;
		int alert;
		uint8_t type;
		const char *bytes;
		size_t length;
	} cases[] = {
		{ "unexpected handshake message", 10, TYPE_HANDSHAKE, "\x04\0\0\1\0", 5 },              /* NewSessionTicket */
		{ "unexpected handshake message", 10, TYPE_HANDSHAKE, "\x01\0\0\1\0", 5 },              /* ClientHello: no renegotiation */
		{ "unexpected handshake message", 10, TYPE_HANDSHAKE, "\x18\0\0\1\0\x18\0\0\1\0", 10 }, /* goes on after a key change */
		{ "unexpected handshake message", 10, TYPE_HANDSHAKE, "", 0 },
		{ "key update of an unknown kind", 47, TYPE_HANDSHAKE, "\x18\0\0\1\2", 5 },
		{ "unexpected kind of record", 10, 20, "\1", 1 }, /* change_cipher_spec */
		{ "unexpected kind of record", 10, 24, "\1", 1 },
		{ "a record without content", 10, 0, "\0\0\0", 3 },
		{ "an alert of the wrong length", 50, TYPE_ALERT, "\2", 1 },
		{ "an alert of the wrong length", 50, TYPE_ALERT, "\2\x28\2\x28", 4 },
		{ "the peer sent alert 40", -1, TYPE_ALERT, "\2\x28", 2 },
		{ "the peer sent alert 80", -1, TYPE_ALERT, "\1\x50", 2 }, /* whatever its level */
		{ "a record is too long", 22, TYPE_DATA, (const char *)zeros, TLS_RECORD_PLAIN + 1 },
		{ "a record is too long", 22, 0, (const char *)zeros, TLS_RECORD_PLAIN + 200 }, /* by its padding */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct pair pair;

		pair_open(&pair, &(struct pair_options){ 0 });
		forge(&pair, cases[i].type, cases[i].bytes, cases[i].length);
		expect_failure(&pair, cases[i].alert, cases[i].text);
		pair_close(&pair);
	}
}

/* RFC 8446 section 5.1 lets a message be cut anywhere; the next record is read with the new key, and an answer to it comes with one too. */
static void a_key_update_may_come_in_pieces(void **state)
{
	static const uint8_t update[KEY_UPDATE_LENGTH] = { HANDSHAKE_KEY_UPDATE, 0, 0, 1, 1 };

	for (unsigned cuts = 0; cuts < 1u << (KEY_UPDATE_LENGTH - 1); cuts++) {
		uint8_t chunk[100], before[TLS_RECORD_SECRET];
		struct error err = { 0 };
		struct pair pair;
		size_t from = 0, got;

		pair_open(&pair, &(struct pair_options){ 0 });
		for (int again = 0; again < 2; again++) { /* nothing of the first is left over */
			memcpy(before, pair.record->read.secret, sizeof(before));
			for (size_t i = 1; i <= KEY_UPDATE_LENGTH; i++) {
				if (i < KEY_UPDATE_LENGTH && !(cuts & 1u << (i - 1)))
					continue;
				assert_memory_equal(before, pair.record->read.secret, 32);
				forge(&pair, TYPE_HANDSHAKE, update + from, i - from);
				from = i % KEY_UPDATE_LENGTH;
				assert_int_equal(server_read(&pair, chunk, sizeof(chunk), &got, &err), TRANSPORT_WANT_READ);
			}
			assert_memory_not_equal(before, pair.record->read.secret, 32);
			assert_true(pair.record->update_asked);
			pair.record->update_asked = false;
			tls_direction_update(&pair.forge, true);
			forge(&pair, TYPE_DATA, "data", 4);
			assert_int_equal(server_read(&pair, chunk, sizeof(chunk), &got, &err), TRANSPORT_DONE);
			assert_int_equal(got, 4);
		}
		pair_close(&pair);
	}
}

/* The second piece decides, or what comes in its place. */
static void pieces_that_are_refused(void **state)
{
	struct {
		const char *text;
		int alert;
		const char *first;
		size_t first_length;
		uint8_t type;
		const char *bytes;
		size_t length;
	} cases[] = {
		{ "another record within a handshake message", 10, "\x18\0", 2, TYPE_DATA, "data", 4 },
		{ "another record within a handshake message", 10, "\x18\0", 2, TYPE_DATA, "", 0 },
		{ "another record within a handshake message", 10, "\x18\0\0\1", 4, TYPE_ALERT, "\1\0", 2 },
		{ "another record within a handshake message", 10, "\x18", 1, 20, "\1", 1 },
		{ "unexpected handshake message", 10, "\x18\0", 2, TYPE_HANDSHAKE, "", 0 },
		{ "unexpected handshake message", 10, "\x18\0", 2, TYPE_HANDSHAKE, "\x04\0\0\1\0", 5 }, /* NewSessionTicket within it */
		{ "unexpected handshake message", 10, "\x18\0", 2, TYPE_HANDSHAKE, "\x04\0", 2 },
		{ "unexpected handshake message", 10, "\x18\0", 2, TYPE_HANDSHAKE, "\0\2\0", 3 },           /* longer than it can be */
		{ "unexpected handshake message", 10, "\x18\0", 2, TYPE_HANDSHAKE, "\0\1\0\x18", 4 },       /* goes on after a key change */
		{ "unexpected handshake message", 10, "\x18\0\0\1", 4, TYPE_HANDSHAKE, "\0\x18\0\0\1", 5 }, /* the same */
		{ "key update of an unknown kind", 47, "\x18\0\0\1", 4, TYPE_HANDSHAKE, "\2", 1 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct pair pair;

		pair_open(&pair, &(struct pair_options){ 0 });
		forge(&pair, TYPE_HANDSHAKE, cases[i].first, cases[i].first_length);
		forge(&pair, cases[i].type, cases[i].bytes, cases[i].length);
		expect_failure(&pair, cases[i].alert, cases[i].text);
		pair_close(&pair);
	}
}

/* What can be no KeyUpdate is refused at its first byte, not waited for. */
static void a_first_piece_of_something_else_is_refused(void **state)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_options){ 0 });
	forge(&pair, TYPE_HANDSHAKE, "\x0b", 1); /* Certificate */
	expect_failure(&pair, 10, "unexpected handshake message");
	pair_close(&pair);
}

static void headers_that_are_refused(void **state)
{
	struct {
		const char *text;
		int alert;
		uint8_t header[TLS_HEADER + 20];
	} cases[] = {
		{ "not a record", 10, { 22, 3, 3, 0, 20 } },
		{ "not a record", 10, { 21, 3, 3, 0, 2, 1, 0 } }, /* an alert in clear: anybody could end the connection */
		{ "not a record", 10, { 20, 3, 3, 0, 1, 1 } },
		{ "not a record", 10, { 23, 2, 3, 0, 20 } },
		{ "not a record", 10, { 23, 3, 3, 0, 16 } },
		{ "a record is too long", 22, { 23, 3, 3, 0x41, 1 } },
		{ "a record is not authentic", 20, { 23, 3, 3, 0, 20 } },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct pair pair;

		pair_open(&pair, &(struct pair_options){ 0 });
		send_all(&pair, cases[i].header, sizeof(cases[i].header));
		expect_failure(&pair, cases[i].alert, cases[i].text);
		pair_close(&pair);
	}
}

static void copies_and_changes_are_noticed(void **state)
{
	uint8_t out[100];
	size_t length;

	for (int i = 0; i < 3; i++) {
		struct pair pair;

		pair_open(&pair, &(struct pair_options){ 0 });
		length = tls_direction_seal(&pair.forge, TYPE_DATA, (const uint8_t *)"data", 4, out);
		if (i == 0)
			send_all(&pair, out, length); /* then once more: a replay */
		if (i == 1)
			out[TLS_HEADER] ^= 1;
		if (i == 2)
			out[length - 1] ^= 1;
		send_all(&pair, out, length);
		expect_failure(&pair, 20, "a record is not authentic");
		pair_close(&pair);
	}
}

static void padding_is_taken_off(void **state)
{
	struct pair pair;
	uint8_t padded[TLS_RECORD_PLAIN] = "data\x17", chunk[100];
	struct error err;
	size_t got;

	pair_open(&pair, &(struct pair_options){ 0 });
	forge(&pair, 0, padded, sizeof(padded));
	assert_int_equal(server_read(&pair, chunk, sizeof(chunk), &got, &err), TRANSPORT_DONE);
	assert_int_equal(got, 4);
	assert_memory_equal(chunk, "data", 4);
	pair_close(&pair);
}

static void records_without_data_have_a_limit(void **state)
{
	for (int kind = 0; kind < 3; kind++) {
		struct pair pair;

		pair_open(&pair, &(struct pair_options){ 0 });
		for (int i = 0; i <= 2 * EMPTY_RECORDS; i++) {
			uint8_t type = kind == 0 ? TYPE_DATA : kind == 1 ? TYPE_HANDSHAKE : TYPE_ALERT;

			if (i == EMPTY_RECORDS) /* data begins the count anew */
				forge(&pair, TYPE_DATA, "data", 4);
			forge(&pair, type, kind == 1 ? "\x18\0\0\1\0" : "\1\x5a", kind == 0 ? 0 : kind == 1 ? 5 : 2);
			if (kind == 1)
				tls_direction_update(&pair.forge, true);
		}
		expect_failure(&pair, 10, "too many records without data");
		assert_int_equal(pair.record->empty, EMPTY_RECORDS + 1);
		pair_close(&pair);
	}
}

static void ends_are_told_apart(void **state)
{
	struct error err = { 0 };
	struct pair pair;
	uint8_t chunk[100];
	size_t got;

	/* close_notify ends one direction; what follows it is nothing, and ours goes on. user_canceled before it changes nothing. */
	pair_open(&pair, &(struct pair_options){ 0 });
	forge(&pair, TYPE_DATA, "data", 4);
	forge(&pair, TYPE_ALERT, "\1\x5a", 2);
	forge(&pair, TYPE_ALERT, "\1\0", 2);
	forge(&pair, TYPE_DATA, "more", 4);
	assert_int_equal(server_read(&pair, chunk, sizeof(chunk), &got, &err), TRANSPORT_DONE);
	assert_int_equal(got, 4);
	assert_true(tls_record_has_pending(pair.record));
	assert_int_equal(server_read(&pair, chunk, sizeof(chunk), &got, &err), TRANSPORT_CLOSED);
	assert_int_equal(server_read(&pair, chunk, sizeof(chunk), &got, &err), TRANSPORT_CLOSED);
	exchange(&pair, false, (const uint8_t *)"still here", 10, 10);
	tls_record_close(pair.record, pair.ends[1]);
	assert_int_equal(SSL_read_ex(pair.client, chunk, sizeof(chunk), &got), 0);
	assert_int_equal(SSL_get_error(pair.client, 0), SSL_ERROR_ZERO_RETURN);
	pair_close(&pair);

	/* The end of TCP without it is none that the peer stands for. */
	for (int i = 0; i < 2; i++) {
		pair_open(&pair, &(struct pair_options){ 0 });
		if (i == 1)
			send_all(&pair, (const uint8_t *)"\x17\3\3\0\x20half", 9);
		shutdown(pair.ends[0], SHUT_WR);
		expect_failure(&pair, -1, "without close_notify");
		pair_close(&pair);
	}
}

static void others_stay_with_openssl(void **state)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_options){ .version = TLS1_2_VERSION });
	assert_null(pair.record);
	pair_close(&pair);
	pair_open(&pair, &(struct pair_options){ .fragment = TLSEXT_max_fragment_length_512 });
	assert_null(pair.record); /* it must never be sent whole records */
	pair_close(&pair);
}

static size_t hex(const char *text, uint8_t *out)
{
	long length = 0;
	unsigned char *bytes = OPENSSL_hexstr2buf(text, &length);

	memcpy(out, bytes, (size_t)length);
	OPENSSL_free(bytes);
	return (size_t)length;
}

/* RFC 8448 section 3: the client's application data. */
static void a_published_record_comes_out(void **state)
{
	static const char record[] =
		"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a62"
		"92a2977014bd1e3deae63aeebb21694915e4";
	uint8_t plain[50], secret[TLS_SECRET_MAXIMUM], expected[100], out[100];
	struct tls_direction direction = { 0 };

	for (uint8_t i = 0; i < sizeof(plain); i++)
		plain[i] = i;
	(void)hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", secret);
	tls_direction_init(&direction, tls_suite_find(0x1301), secret, true);
	assert_int_equal(hex(record, expected), tls_direction_seal(&direction, TYPE_DATA, plain, sizeof(plain), out));
	assert_memory_equal(out, expected, 5 + 67);
	tls_direction_free(&direction);
}

static int setup_all(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	authority = test_authority_new("ca");
	leaf = test_leaf_new(&authority, "server", "DNS:server", -60, 86400);
	return 0;
}

static int teardown_all(void **state)
{
	test_leaf_free(&leaf);
	test_authority_free(&authority);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_published_record_comes_out),
		cmocka_unit_test(every_suite_carries_data_both_ways),
		cmocka_unit_test(a_full_socket_loses_nothing),
		cmocka_unit_test(keys_change_when_the_peer_wants),
		cmocka_unit_test(keys_end_before_their_limit),
		cmocka_unit_test(records_that_are_refused),
		cmocka_unit_test(a_key_update_may_come_in_pieces),
		cmocka_unit_test(pieces_that_are_refused),
		cmocka_unit_test(a_first_piece_of_something_else_is_refused),
		cmocka_unit_test(headers_that_are_refused),
		cmocka_unit_test(copies_and_changes_are_noticed),
		cmocka_unit_test(padding_is_taken_off),
		cmocka_unit_test(records_without_data_have_a_limit),
		cmocka_unit_test(ends_are_told_apart),
		cmocka_unit_test(others_stay_with_openssl),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
