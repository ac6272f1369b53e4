/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_record.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "net/tls_record_keys.h"
#include "net/uninitialized.h"

enum {
	TYPE_ALERT = 21,
	TYPE_HANDSHAKE = 22,
	TYPE_DATA = 23,
	ALERT_CLOSE_NOTIFY = 0,
	ALERT_UNEXPECTED_MESSAGE = 10,
	ALERT_BAD_RECORD_MAC = 20,
	ALERT_RECORD_OVERFLOW = 22,
	ALERT_ILLEGAL_PARAMETER = 47,
	ALERT_DECODE_ERROR = 50,
	ALERT_USER_CANCELED = 90,
	HANDSHAKE_KEY_UPDATE = 24,
	KEY_UPDATE_LENGTH = 5,
	TAKEN_AT_ONCE = 2 * (TLS_HEADER + TLS_RECORD_ENCRYPTED), /* from the socket */
	RECORDS_AT_ONCE = 3,                                     /* to the socket */
	EMPTY_RECORDS = 32,                                      /* one after another that bring no data: more is an attack */
};

struct tls_record {
	struct tls_direction read, write;
	struct buffer input;  /* taken from the socket: at most records that did not fit, and an incomplete one */
	struct buffer plain;  /* decrypted, did not fit into the reader's place */
	struct buffer output; /* encrypted, not taken by the socket */
	size_t owed;          /* bytes whose records are in output: they will be offered again and count as written when it is empty */
	unsigned empty;       /* records without data since the last data */
	uint8_t message[KEY_UPDATE_LENGTH]; /* a handshake message whose end is in a record to come */
	uint8_t message_length;
	bool closed;       /* close_notify came */
	bool update_asked; /* the peer wants a new write key before our next data */
};

static bool hex_bytes(const char *text, uint8_t *out, size_t *length)
{
	long count = 0;
	unsigned char *bytes = OPENSSL_hexstr2buf(text, &count);
	bool fits = bytes != NULL && count <= TLS_SECRET_MAXIMUM;

	if (fits) {
		memcpy(out, bytes, (size_t)count);
		*length = (size_t)count;
	}
	OPENSSL_clear_free(bytes, count > 0 ? (size_t)count : 0);
	return fits;
}

void tls_secrets_take(struct tls_secrets *secrets, const char *line)
{
	static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ", server[] = "SERVER_TRAFFIC_SECRET_0 ";
	const char *value = strrchr(line, ' ');

	if (value == NULL)
		return;
	if (strncmp(line, client, sizeof(client) - 1) == 0)
		(void)hex_bytes(value + 1, secrets->client, &secrets->client_length);
	else if (strncmp(line, server, sizeof(server) - 1) == 0)
		(void)hex_bytes(value + 1, secrets->server, &secrets->server_length);
}

/* RFC 6066 section 4: a client that cannot take whole records; rare enough for OpenSSL. */
static bool wants_fragments(const SSL *ssl)
{
	const SSL_SESSION *session = SSL_get0_session(ssl);

	return session == NULL || SSL_SESSION_get_max_fragment_length(session) != TLSEXT_max_fragment_length_DISABLED;
}

struct tls_record *tls_record_new(SSL *ssl, const struct tls_secrets *secrets)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const struct tls_suite *suite = cipher != NULL ? tls_suite_find(SSL_CIPHER_get_protocol_id(cipher)) : NULL;
	struct tls_record *record;

	if (SSL_version(ssl) != TLS1_3_VERSION || !SSL_is_server(ssl) || SSL_has_pending(ssl) == 1 || suite == NULL ||
	    wants_fragments(ssl) || secrets->client_length != tls_suite_secret_length(suite) ||
	    secrets->server_length != tls_suite_secret_length(suite))
		return NULL;
	record = calloc(1, sizeof(*record));
	if (record == NULL)
		abort();
	tls_direction_init(&record->read, suite, secrets->client, false);
	tls_direction_init(&record->write, suite, secrets->server, true);
	return record;
}

void tls_record_free(struct tls_record *record)
{
	if (record == NULL)
		return;
	tls_direction_free(&record->read);
	tls_direction_free(&record->write);
	buffer_free(&record->input);
	buffer_free_secret(&record->plain);
	buffer_free(&record->output);
	free(record);
}

/* A single attempt: whoever sends an alert is about to close. */
static void send_alert(struct tls_record *record, int descriptor, uint8_t description)
{
	const uint8_t alert[2] = { description == ALERT_CLOSE_NOTIFY ? 1 : 2, description };
	uint8_t out[sizeof(alert) + TLS_RECORD_OVERHEAD];

	if (record->output.length > 0)
		return;
	(void)send(descriptor, out, tls_direction_seal(&record->write, TYPE_ALERT, alert, sizeof(alert), out), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void tls_record_close(struct tls_record *record, int descriptor)
{
	send_alert(record, descriptor, ALERT_CLOSE_NOTIFY);
}

bool tls_record_has_pending(const struct tls_record *record)
{
	const uint8_t *header = (const uint8_t *)record->input.data;

	if (record->plain.length > 0 || record->closed)
		return true;
	return record->input.length >= TLS_HEADER && record->input.length >= TLS_HEADER + ((size_t)header[3] << 8 | header[4]);
}

struct reading {
	struct tls_record *record;
	int descriptor;
	const char *peer;
	char *place;
	size_t size, got;
	struct error *err;
};

static enum transport_result refuse(const struct reading *reading, uint8_t alert, const char *what)
{
	ERR_clear_error();
	send_alert(reading->record, reading->descriptor, alert);
	error_set(reading->err, ERROR_TRANSIENT, "read from %s: TLS: %s", reading->peer, what);
	return TRANSPORT_FAILED;
}

static void give(struct reading *reading, const uint8_t *bytes, size_t length)
{
	size_t part = reading->size - reading->got;

	part = part < length ? part : length;
	memcpy(reading->place + reading->got, bytes, part);
	reading->got += part;
	if (part == length)
		return;
	/* All at once: what grows leaves copies behind. */
	if (reading->record->plain.length == 0)
		(void)buffer_reserve(&reading->record->plain, TAKEN_AT_ONCE);
	(void)buffer_append(&reading->record->plain, bytes + part, length - part);
}

static enum transport_result take_alert(struct reading *reading, const uint8_t *bytes, size_t length)
{
	if (length != 2)
		return refuse(reading, ALERT_DECODE_ERROR, "an alert of the wrong length");
	if (bytes[1] == ALERT_CLOSE_NOTIFY)
		reading->record->closed = true;
	if (bytes[1] == ALERT_CLOSE_NOTIFY || bytes[1] == ALERT_USER_CANCELED) /* close_notify follows */
		return TRANSPORT_DONE;
	error_set(reading->err, ERROR_TRANSIENT, "read from %s: TLS: the peer sent alert %d", reading->peer, bytes[1]);
	return TRANSPORT_FAILED;
}

/*
 * Nothing but KeyUpdate may come to a server that asked for nothing. It may be cut over records (section 5.1: none of them empty, nothing
 * else between them), so no more than its length is ever kept, and it ends its record, for a new key begins with the next one.
 */
static enum transport_result take_handshake(struct reading *reading, const uint8_t *bytes, size_t length)
{
	static const uint8_t begin[KEY_UPDATE_LENGTH - 1] = { HANDSHAKE_KEY_UPDATE, 0, 0, 1 };
	struct tls_record *record = reading->record;
	size_t known;

	if (length == 0 || length > KEY_UPDATE_LENGTH - (size_t)record->message_length)
		return refuse(reading, ALERT_UNEXPECTED_MESSAGE, "unexpected handshake message");
	memcpy(record->message + record->message_length, bytes, length);
	record->message_length = (uint8_t)(record->message_length + length);
	known = record->message_length < sizeof(begin) ? record->message_length : sizeof(begin);
	if (memcmp(record->message, begin, known) != 0)
		return refuse(reading, ALERT_UNEXPECTED_MESSAGE, "unexpected handshake message");
	if (record->message_length < KEY_UPDATE_LENGTH)
		return TRANSPORT_DONE;
	record->message_length = 0;
	if (record->message[KEY_UPDATE_LENGTH - 1] > 1)
		return refuse(reading, ALERT_ILLEGAL_PARAMETER, "a key update of an unknown kind");
	tls_direction_update(&record->read, false);
	record->update_asked = record->update_asked || record->message[KEY_UPDATE_LENGTH - 1] == 1;
	return TRANSPORT_DONE;
}

static enum transport_result handle(struct reading *reading, uint8_t type, const uint8_t *bytes, size_t length)
{
	struct tls_record *record = reading->record;

	record->empty = type == TYPE_DATA && length > 0 ? 0 : record->empty + 1;
	if (record->empty > EMPTY_RECORDS)
		return refuse(reading, ALERT_UNEXPECTED_MESSAGE, "too many records without data");
	if (record->message_length > 0 && type != TYPE_HANDSHAKE)
		return refuse(reading, ALERT_UNEXPECTED_MESSAGE, "another record within a handshake message");
	switch (type) {
	case TYPE_DATA:
		give(reading, bytes, length);
		return TRANSPORT_DONE;
	case TYPE_ALERT:
		return take_alert(reading, bytes, length);
	case TYPE_HANDSHAKE:
		return take_handshake(reading, bytes, length);
	default:
		return refuse(reading, ALERT_UNEXPECTED_MESSAGE, "unexpected kind of record");
	}
}

/* The record at `at`, which is complete. */
static enum transport_result take_record(struct reading *reading, uint8_t *at, size_t body)
{
	ssize_t length = tls_direction_open(&reading->record->read, at, at + TLS_HEADER, body);

	if (length < 0)
		return refuse(reading, ALERT_BAD_RECORD_MAC, "a record is not authentic");
	if (length > TLS_RECORD_PLAIN + 1) /* content, type and padding together: section 5.4 */
		return refuse(reading, ALERT_RECORD_OVERFLOW, "a record is too long");
	while (length > 0 && at[TLS_HEADER + length - 1] == 0)
		length--;
	if (length == 0)
		return refuse(reading, ALERT_UNEXPECTED_MESSAGE, "a record without content");
	return handle(reading, at[TLS_HEADER + length - 1], at + TLS_HEADER, (size_t)length - 1);
}

/* Every complete record, as long as there is room for what is inside. Returns the bytes that are done with. */
static size_t take_records(struct reading *reading, uint8_t *bytes, size_t length, enum transport_result *outcome)
{
	size_t at = 0, body;

	*outcome = TRANSPORT_DONE;
	while (length - at >= TLS_HEADER && reading->got < reading->size && !reading->record->closed && *outcome == TRANSPORT_DONE) {
		body = (size_t)bytes[at + 3] << 8 | bytes[at + 4];
		if (bytes[at] != TYPE_DATA || bytes[at + 1] != 3 || body <= TLS_TAG) {
			*outcome = refuse(reading, ALERT_UNEXPECTED_MESSAGE, "not a record");
		} else if (body > TLS_RECORD_ENCRYPTED) {
			*outcome = refuse(reading, ALERT_RECORD_OVERFLOW, "a record is too long");
		} else {
			if (length - at - TLS_HEADER < body)
				break;
			*outcome = take_record(reading, bytes + at, body);
			at += TLS_HEADER + body;
		}
	}
	return at;
}

static enum transport_result read_records(struct reading *reading)
{
	struct tls_record *record = reading->record;
	uint8_t taken[TAKEN_AT_ONCE] UNINITIALIZED;
	size_t length = record->input.length, done;
	enum transport_result outcome;
	bool complete = tls_record_has_pending(record); /* of what is in input: plain is empty and closed is not set here */
	ssize_t count = 0;

	if (length > 0)
		memcpy(taken, record->input.data, length);
	if (!complete) {
		do
			count = recv(reading->descriptor, taken + length, sizeof(taken) - length, 0);
		while (count < 0 && errno == EINTR);
		if (count == 0) {
			/* Anybody on the way can end a TCP connection, nobody else can say close_notify. */
			error_set(reading->err, ERROR_TRANSIENT, "read from %s: TLS: the connection ended without close_notify",
			          reading->peer);
			return TRANSPORT_FAILED;
		}
		if (count < 0 && errno == EAGAIN)
			return TRANSPORT_WANT_READ;
		if (count < 0) {
			error_set_errno(reading->err, errno, "read from %s", reading->peer);
			reading->err->class = ERROR_TRANSIENT;
			return TRANSPORT_FAILED;
		}
		length += (size_t)count;
	}
	done = take_records(reading, taken, length, &outcome);
	buffer_free(&record->input);
	if (outcome == TRANSPORT_DONE && done < length)
		(void)buffer_append(&record->input, taken + done, length - done);
	OPENSSL_cleanse(taken, done);
	return outcome;
}

enum transport_result tls_record_read(struct tls_record *record, int descriptor, const char *peer, void *bytes, size_t size, size_t *got,
                                      struct error *err)
{
	struct reading reading = { .record = record, .descriptor = descriptor, .peer = peer, .place = bytes, .size = size, .err = err };
	enum transport_result outcome = TRANSPORT_DONE;

	if (record->plain.length > 0) {
		reading.got = record->plain.length < size ? record->plain.length : size;
		memcpy(bytes, record->plain.data, reading.got);
		buffer_consume(&record->plain, reading.got);
		if (record->plain.length == 0)
			buffer_free_secret(&record->plain);
	} else if (!record->closed) {
		outcome = read_records(&reading);
	}
	*got = reading.got;
	if (reading.got > 0 && outcome != TRANSPORT_FAILED)
		return TRANSPORT_DONE;
	if (outcome == TRANSPORT_DONE)
		return record->closed ? TRANSPORT_CLOSED : TRANSPORT_WANT_READ;
	return outcome;
}

static enum transport_result push(struct tls_record *record, int descriptor, const char *peer, struct error *err)
{
	ssize_t count;

	while (record->output.length > 0) {
		count = send(descriptor, record->output.data, record->output.length, MSG_NOSIGNAL);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN)
			return TRANSPORT_WANT_WRITE;
		if (count < 0) {
			error_set_errno(err, errno, "write to %s", peer);
			err->class = ERROR_TRANSIENT;
			return TRANSPORT_FAILED;
		}
		buffer_consume(&record->output, (size_t)count);
	}
	buffer_free(&record->output);
	return TRANSPORT_DONE;
}

/* A new write key when the peer asked for it or the old one has done enough; returns the bytes put out. */
static size_t change_key(struct tls_record *record, uint8_t *out)
{
	static const uint8_t update[KEY_UPDATE_LENGTH] = { HANDSHAKE_KEY_UPDATE, 0, 0, 1, 0 };
	size_t length;

	if (!record->update_asked && record->write.sequence < TLS_RECORD_KEY_LIMIT)
		return 0;
	record->update_asked = false;
	length = tls_direction_seal(&record->write, TYPE_HANDSHAKE, update, sizeof(update), out);
	tls_direction_update(&record->write, true);
	return length;
}

static size_t plain_part(size_t left)
{
	return left < TLS_RECORD_PLAIN ? left : TLS_RECORD_PLAIN;
}

/* What of the records was not sent; its plain bytes are owed. */
static void keep_unsent(struct tls_record *record, const uint8_t *out, size_t sealed, size_t sent, size_t plain, size_t *written)
{
	size_t at = sealed, whole = plain, part;

	/* From the last record backwards: all of them are full but that one. */
	while (at > sent && whole > 0) {
		part = whole % TLS_RECORD_PLAIN ? whole % TLS_RECORD_PLAIN : TLS_RECORD_PLAIN;
		at -= part + TLS_RECORD_OVERHEAD;
		whole -= part;
	}
	*written = whole;
	record->owed = plain - whole;
	(void)buffer_append(&record->output, out + sent, sealed - sent);
}

enum transport_result tls_record_write(struct tls_record *record, int descriptor, const char *peer, const void *bytes, size_t length,
                                       size_t *written, struct error *err)
{
	uint8_t out[RECORDS_AT_ONCE * (TLS_RECORD_PLAIN + TLS_RECORD_OVERHEAD) + KEY_UPDATE_LENGTH + TLS_RECORD_OVERHEAD] UNINITIALIZED;
	enum transport_result outcome;
	size_t sealed, plain = 0;
	ssize_t count;

	*written = 0;
	if (record->output.length > 0) {
		outcome = push(record, descriptor, peer, err);
		if (outcome != TRANSPORT_DONE)
			return outcome;
		*written = record->owed; /* the same bytes are offered again, as to SSL_write() */
		record->owed = 0;
		if (*written > 0)
			return TRANSPORT_DONE;
	}
	sealed = change_key(record, out);
	for (unsigned i = 0; i < RECORDS_AT_ONCE && plain < length; i++) {
		size_t part = plain_part(length - plain);

		sealed += tls_direction_seal(&record->write, TYPE_DATA, (const uint8_t *)bytes + plain, part, out + sealed);
		plain += part;
	}
	do
		count = send(descriptor, out, sealed, MSG_NOSIGNAL);
	while (count < 0 && errno == EINTR);
	if (count < 0 && errno != EAGAIN) {
		error_set_errno(err, errno, "write to %s", peer);
		err->class = ERROR_TRANSIENT;
		return TRANSPORT_FAILED;
	}
	if (count == (ssize_t)sealed) {
		*written = plain;
		return TRANSPORT_DONE;
	}
	keep_unsent(record, out, sealed, count > 0 ? (size_t)count : 0, plain, written);
	return *written > 0 ? TRANSPORT_DONE : TRANSPORT_WANT_WRITE;
}
