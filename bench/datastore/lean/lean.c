/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lean: the work of kube-apiserver done to one etcd v3 server by a client that costs next to nothing, so that the server is what is measured.
 * One thread; requests are bytes written by hand, answers are looked at only as far as they can be wrong. No TLS. Prints one JSON object.
 *
 *     lean PORT [OBJECTS [BYTES]]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS = 4, /* each with one watch of everything, as the ordinary run has it */
	SLOTS = 8,       /* requests at the same time on each */
	PAGE = 500,
	HEAD = 64, /* of an answer's message, kept */
	INPUT = 1 << 20,
	STAMP_DIGITS = 19,
	READ_SECONDS = 5, /* no step of reads takes longer */
	PATIENCE_SECONDS = 120,
	FRAME_HEADER = 9,
	MESSAGE_HEADER = 5,
	HUGE_WINDOW = INT32_MAX,
	SETTINGS_HEADER_TABLE_SIZE = 1,
	DEFAULT_TABLE = 4096,
	LEAST_TABLE = 512,
};

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct bytes_out {
	uint8_t *data;
	size_t length, capacity;
};

struct slot {
	uint32_t stream; /* 0: free */
	size_t object;   /* number of the request within its step */
	size_t received;
	uint8_t head[MESSAGE_HEADER + HEAD];
};

struct connection {
	int descriptor;
	struct bytes_out out;
	size_t sent;
	uint8_t *input;
	size_t have;
	uint32_t next_stream, watch_stream;
	int64_t send_window;
	uint64_t unacknowledged;
	/* The peer's table of our headers: what was inserted as number n is at 62 + inserted - 1 - n. */
	unsigned inserted;
	uint32_t table_size; /* to be confirmed in the next block of headers; 0: nothing */
	int authority, content_type, trailers, paths[3];
	struct slot slots[SLOTS];
	struct bytes_out watched; /* an incomplete message of the watch */
};

enum path { PATH_TXN, PATH_RANGE, PATH_WATCH };
static const char *const path_names[] = { "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Range", "/etcdserverpb.Watch/Watch" };

static struct connection connections[CONNECTIONS];
static size_t objects = 10000, value_bytes = 1024;
static int64_t *revisions;
static double *lags;
static size_t lag_count, lag_capacity, events;
static unsigned watches;
static char prefix[64];

static void fail(const char *what)
{
	(void)fprintf(stderr, "lean: %s\n", what);
	exit(1);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec time;

	(void)clock_gettime(clock, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void put(struct bytes_out *out, const void *bytes, size_t length)
{
	if (out->length + length > out->capacity) {
		out->capacity = (out->length + length) * 2;
		out->data = realloc(out->data, out->capacity);
		if (out->data == NULL)
			fail("out of memory");
	}
	if (length > 0)
		memcpy(out->data + out->length, bytes, length);
	out->length += length;
}

static void put_byte(struct bytes_out *out, unsigned byte)
{
	put(out, &(uint8_t){ (uint8_t)byte }, 1);
}

static void put_varint(struct bytes_out *out, uint64_t value)
{
	for (; value > 127; value >>= 7)
		put_byte(out, (value & 127) | 128);
	put_byte(out, (unsigned)value);
}

static void put_field(struct bytes_out *out, unsigned number, const void *bytes, size_t length)
{
	put_varint(out, number << 3 | 2);
	put_varint(out, length);
	put(out, bytes, length);
}

static void put_big_endian(struct bytes_out *out, uint32_t value, unsigned bytes)
{
	while (bytes-- > 0)
		put_byte(out, value >> (8 * bytes) & 255);
}

static void put_frame(struct bytes_out *out, size_t length, unsigned type, unsigned flags, uint32_t stream)
{
	put_big_endian(out, (uint32_t)length, 3);
	put_byte(out, type);
	put_byte(out, flags);
	put_big_endian(out, stream, 4);
}

/* RFC 7541: the first time a literal that enters the table, later its number. `name` is a number of the static table or 0 with a text. */
static void put_header(struct connection *connection, struct bytes_out *out, int *order, unsigned name, const char *text, const char *value)
{
	if (*order >= 0) {
		put_byte(out, 0x80 | (62 + connection->inserted - 1 - (unsigned)*order));
		return;
	}
	put_byte(out, 0x40 | name);
	if (name == 0) {
		put_byte(out, (unsigned)strlen(text));
		put(out, text, strlen(text));
	}
	put_byte(out, (unsigned)strlen(value));
	put(out, value, strlen(value));
	*order = (int)connection->inserted++;
}

static void send_request(struct connection *connection, uint32_t stream, enum path path, const struct bytes_out *message, bool last)
{
	struct bytes_out block = { 0 };

	if (connection->table_size > 0) {
		put_byte(&block, 0x3f); /* 31 and the rest */
		put_varint(&block, connection->table_size - 31);
		connection->table_size = 0;
	}
	put_byte(&block, 0x83); /* :method POST */
	put_byte(&block, 0x86); /* :scheme http */
	put_header(connection, &block, &connection->paths[path], 4, NULL, path_names[path]);
	put_header(connection, &block, &connection->authority, 1, NULL, "localhost");
	put_header(connection, &block, &connection->content_type, 31, NULL, "application/grpc");
	put_header(connection, &block, &connection->trailers, 0, "te", "trailers");
	put_frame(&connection->out, block.length, HEADERS, END_HEADERS, stream);
	put(&connection->out, block.data, block.length);
	put_frame(&connection->out, MESSAGE_HEADER + message->length, DATA, last ? END_STREAM : 0, stream);
	put_byte(&connection->out, 0);
	put_big_endian(&connection->out, (uint32_t)message->length, 4);
	put(&connection->out, message->data, message->length);
	connection->send_window -= (int64_t)(MESSAGE_HEADER + message->length);
	free(block.data);
}

static size_t key_of(size_t object, char key[128])
{
	return (size_t)snprintf(key, 128, "%sdefault/object-%06zu", prefix, object);
}

/* The end of the range of all keys with the prefix. */
static size_t end_of_prefix(char end[64])
{
	size_t length = strlen(prefix);

	memcpy(end, prefix, length);
	end[length - 1]++;
	return length;
}

/* A value begins with the time it is sent, by which watchers know how late they are. */
static void encode_put(struct bytes_out *out, const char *key, size_t key_length)
{
	static char value[1 << 20];

	if (value[value_bytes - 1] == 0)
		for (size_t i = 0; i < value_bytes; i++)
			value[i] = (char)('a' + i % 26);
	(void)snprintf(value, STAMP_DIGITS + 1, "%" PRId64, now_ns(CLOCK_REALTIME));
	value[STAMP_DIGITS] = 'x';
	put_field(out, 1, key, key_length);
	put_field(out, 2, value, value_bytes);
}

static void put_operation(struct bytes_out *out, unsigned branch, unsigned kind, const struct bytes_out *request)
{
	struct bytes_out operation = { 0 };

	put_field(&operation, kind, request->data, request->length);
	put_field(out, branch, operation.data, operation.length);
	free(operation.data);
}

/* If the key's mod_revision is what we know, put or delete; else read it. */
static void encode_txn(struct bytes_out *out, size_t object, bool remove)
{
	struct bytes_out compare = { 0 }, then = { 0 }, otherwise = { 0 };
	char key[128];
	size_t length = key_of(object, key);

	put_byte(&compare, 0x10); /* target: MOD */
	put_byte(&compare, 2);
	put_field(&compare, 3, key, length);
	put_byte(&compare, 0x30);
	put_varint(&compare, (uint64_t)revisions[object]);
	put_field(out, 1, compare.data, compare.length);
	if (remove)
		put_field(&then, 1, key, length);
	else
		encode_put(&then, key, length);
	put_operation(out, 2, remove ? 3 : 2, &then);
	put_field(&otherwise, 1, key, length);
	put_operation(out, 3, 1, &otherwise);
	free(compare.data);
	free(then.data);
	free(otherwise.data);
}

static void encode_range(struct bytes_out *out, size_t object, bool page)
{
	char key[128], end[64];

	put_field(out, 1, key, key_of(object, key));
	if (page)
		put_field(out, 2, end, end_of_prefix(end));
	put_byte(out, 0x18);
	put_varint(out, page ? PAGE : 1);
}

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		*value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

/* One field: number, and bytes for those with a length, else value. */
static bool get_field(const uint8_t **at, const uint8_t *end, unsigned *number, const uint8_t **bytes, uint64_t *value)
{
	uint64_t tag;

	*bytes = NULL;
	if (!get_varint(at, end, &tag) || !get_varint(at, end, value))
		return false;
	*number = (unsigned)(tag >> 3);
	if ((tag & 7) == 0)
		return true;
	if ((tag & 7) != 2 || *value > (uint64_t)(end - *at))
		return false;
	*bytes = *at;
	*at += *value;
	return true;
}

struct step {
	const char *name;
	enum path path;
	size_t count;
	bool remove, page;
	size_t next, done;
	int64_t deadline; /* no new requests after it */
};

static void begin_request(struct connection *connection, struct slot *slot, struct step *step)
{
	struct bytes_out message = { 0 };

	*slot = (struct slot){ .stream = connection->next_stream, .object = step->next++ };
	connection->next_stream += 2;
	if (step->path == PATH_TXN)
		encode_txn(&message, slot->object, step->remove);
	else
		encode_range(&message, step->page ? slot->object * PAGE % objects : slot->object % objects, step->page);
	send_request(connection, slot->stream, step->path, &message, true);
	free(message.data);
}

/* A transaction must have succeeded, a read must have brought what it asked for. */
static void check_answer(const struct slot *slot, const struct step *step)
{
	const uint8_t *at = slot->head + MESSAGE_HEADER, *end = slot->head + sizeof(slot->head), *header, *bytes;
	size_t least = step->page ? value_bytes * (objects < PAGE ? objects : PAGE) : value_bytes;
	unsigned number;
	uint64_t value, length;

	if (slot->received < MESSAGE_HEADER)
		fail("an answer without a message");
	if (step->path == PATH_RANGE) {
		if (slot->received < least)
			fail("a read brought too little");
		return;
	}
	if (!get_field(&at, end, &number, &header, &length) || number != 1 || header == NULL)
		fail("an answer without a header");
	for (const uint8_t *place = header; place < header + length;)
		if (get_field(&place, header + length, &number, &bytes, &value) && number == 3)
			revisions[slot->object] = (int64_t)value;
	if (!get_field(&at, end, &number, &bytes, &value) || number != 2 || value != 1)
		fail("a transaction found another revision than it knew");
}

static void note_lag(const uint8_t *stamp, size_t length)
{
	char digits[STAMP_DIGITS + 1] = { 0 };

	if (length < STAMP_DIGITS)
		return;
	memcpy(digits, stamp, STAMP_DIGITS);
	if (lag_count < lag_capacity)
		lags[lag_count++] = (double)(now_ns(CLOCK_REALTIME) - strtoll(digits, NULL, 10)) / 1e6;
}

static void take_event(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *item, *bytes;
	unsigned number;
	uint64_t length, value;

	events++;
	while (at < end && get_field(&at, end, &number, &item, &length)) {
		if (number != 2 || item == NULL)
			continue;
		for (const uint8_t *place = item; place < item + length;) {
			if (!get_field(&place, item + length, &number, &bytes, &value))
				fail("an event that cannot be read");
			if (number == 5)
				note_lag(bytes, value);
		}
		return;
	}
}

static void take_watch_message(const uint8_t *at, size_t length)
{
	const uint8_t *end = at + length, *bytes;
	unsigned number;
	uint64_t value;

	while (at < end) {
		if (!get_field(&at, end, &number, &bytes, &value))
			fail("a watch answer that cannot be read");
		if (number == 3)
			watches++;
		if (number == 4)
			fail("a watch was cancelled");
		if (number == 11)
			take_event(bytes, bytes + value);
	}
}

static void take_watched(struct connection *connection, const uint8_t *bytes, size_t length)
{
	struct bytes_out *watched = &connection->watched;
	size_t at = 0;

	put(watched, bytes, length);
	while (watched->length - at >= MESSAGE_HEADER) {
		const uint8_t *head = watched->data + at;
		size_t size = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];

		if (watched->length - at - MESSAGE_HEADER < size)
			break;
		take_watch_message(head + MESSAGE_HEADER, size);
		at += MESSAGE_HEADER + size;
	}
	memmove(watched->data, watched->data + at, watched->length - at);
	watched->length -= at;
}

static struct slot *slot_of(struct connection *connection, uint32_t stream)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (connection->slots[i].stream == stream)
			return &connection->slots[i];
	return NULL;
}

static void take_data(struct connection *connection, uint32_t stream, const uint8_t *bytes, size_t length)
{
	struct slot *slot;

	connection->unacknowledged += length;
	if (connection->unacknowledged > HUGE_WINDOW / 4) {
		put_frame(&connection->out, 4, WINDOW_UPDATE, 0, 0);
		put_big_endian(&connection->out, (uint32_t)connection->unacknowledged, 4);
		connection->unacknowledged = 0;
	}
	if (stream == connection->watch_stream) {
		take_watched(connection, bytes, length);
		return;
	}
	slot = slot_of(connection, stream);
	if (slot == NULL)
		fail("an answer nobody asked for");
	if (slot->received < sizeof(slot->head)) {
		size_t room = sizeof(slot->head) - slot->received;

		memcpy(slot->head + slot->received, bytes, length < room ? length : room);
	}
	slot->received += length;
}

static uint32_t big_endian(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* A smaller header table must be confirmed; ours holds seven short headers, so every sensible size is enough. */
static void take_settings(struct connection *connection, const uint8_t *bytes, size_t length)
{
	for (; length >= 6; bytes += 6, length -= 6) {
		uint32_t value = big_endian(bytes + 2);

		if (bytes[0] != 0 || bytes[1] != SETTINGS_HEADER_TABLE_SIZE || value >= DEFAULT_TABLE)
			continue;
		if (value < LEAST_TABLE)
			fail("the server has no room for headers");
		connection->table_size = value;
	}
	put_frame(&connection->out, 0, SETTINGS, ACK, 0);
}

static void take_frame(struct connection *connection, const uint8_t *head, const uint8_t *bytes, size_t length, struct step *step)
{
	unsigned flags = head[4];
	uint32_t stream = big_endian(head + 5) & INT32_MAX;
	struct slot *slot;

	switch (head[3]) {
	case DATA:
		take_data(connection, stream, bytes, length);
		break;
	case HEADERS:
		if (!(flags & END_STREAM))
			break;
		slot = slot_of(connection, stream);
		if (slot == NULL || step == NULL)
			fail("the server ended a watch");
		check_answer(slot, step);
		slot->stream = 0;
		step->done++;
		break;
	case SETTINGS:
		if (!(flags & ACK))
			take_settings(connection, bytes, length);
		break;
	case PING:
		if (!(flags & ACK)) {
			put_frame(&connection->out, 8, PING, ACK, 0);
			put(&connection->out, bytes, 8);
		}
		break;
	case WINDOW_UPDATE:
		if (stream == 0)
			connection->send_window += big_endian(bytes);
		break;
	case RST_STREAM:
		fail("the server reset a stream");
		break;
	case GOAWAY:
		(void)fprintf(stderr, "lean: error %u: %.*s\n", big_endian(bytes + 4), (int)length - 8, (const char *)bytes + 8);
		fail("the server says goodbye");
		break;
	default:
		break;
	}
}

static void take_input(struct connection *connection, struct step *step)
{
	ssize_t count = recv(connection->descriptor, connection->input + connection->have, INPUT - connection->have, MSG_DONTWAIT);
	size_t at = 0;

	if (count == 0)
		fail("the server closed a connection");
	if (count < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(strerror(errno));
		return;
	}
	connection->have += (size_t)count;
	while (connection->have - at >= FRAME_HEADER) {
		const uint8_t *head = connection->input + at;
		size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

		if (length > INPUT - FRAME_HEADER)
			fail("a frame is too large");
		if (connection->have - at - FRAME_HEADER < length)
			break;
		take_frame(connection, head, head + FRAME_HEADER, length, step);
		at += FRAME_HEADER + length;
	}
	memmove(connection->input, connection->input + at, connection->have - at);
	connection->have -= at;
}

static void push_output(struct connection *connection)
{
	ssize_t count;

	if (connection->out.length == connection->sent)
		return;
	count = send(connection->descriptor, connection->out.data + connection->sent, connection->out.length - connection->sent,
	             MSG_NOSIGNAL | MSG_DONTWAIT);
	if (count < 0 && errno != EAGAIN && errno != EINTR)
		fail(strerror(errno));
	connection->sent += count > 0 ? (size_t)count : 0;
	if (connection->sent == connection->out.length)
		connection->sent = connection->out.length = 0;
}

/* Waits for something to happen on any connection and takes it. */
static void turn(struct step *step)
{
	struct pollfd ready[CONNECTIONS];

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		push_output(&connections[i]);
		ready[i] = (struct pollfd){ connections[i].descriptor, POLLIN, 0 };
		if (connections[i].out.length > connections[i].sent)
			ready[i].events |= POLLOUT;
	}
	if (poll(ready, CONNECTIONS, PATIENCE_SECONDS * 1000) <= 0)
		fail("the server is silent");
	for (unsigned i = 0; i < CONNECTIONS; i++)
		if (ready[i].revents & (POLLIN | POLLERR | POLLHUP))
			take_input(&connections[i], step);
}

static double run_step(struct step *step)
{
	int64_t start = now_ns(CLOCK_MONOTONIC);

	step->deadline = step->path == PATH_RANGE ? start + (int64_t)READ_SECONDS * 1000000000 : INT64_MAX;
	for (;;) {
		if (step->next < step->count && now_ns(CLOCK_MONOTONIC) > step->deadline)
			step->count = step->next;
		for (unsigned i = 0; i < CONNECTIONS; i++)
			for (unsigned n = 0; n < SLOTS && step->next < step->count; n++)
				if (connections[i].slots[n].stream == 0 && connections[i].send_window > (int64_t)value_bytes + 1024)
					begin_request(&connections[i], &connections[i].slots[n], step);
		if (step->done == step->count)
			return (double)step->count * 1e9 / (double)(now_ns(CLOCK_MONOTONIC) - start);
		turn(step);
	}
}

static void open_connection(struct connection *connection, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct bytes_out watch = { 0 }, create = { 0 };
	char end[64];

	connection->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->descriptor < 0 || connect(connection->descriptor, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(strerror(errno));
	(void)setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	connection->input = malloc(INPUT);
	if (connection->input == NULL)
		fail("out of memory");
	connection->authority = connection->content_type = connection->trailers = -1;
	connection->paths[0] = connection->paths[1] = connection->paths[2] = -1;
	connection->send_window = 65535;
	put(&connection->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	put_frame(&connection->out, 6, SETTINGS, 0, 0);
	put_big_endian(&connection->out, 4, 2); /* SETTINGS_INITIAL_WINDOW_SIZE */
	put_big_endian(&connection->out, HUGE_WINDOW, 4);
	put_frame(&connection->out, 4, WINDOW_UPDATE, 0, 0);
	put_big_endian(&connection->out, HUGE_WINDOW - 65535, 4);
	connection->watch_stream = 1;
	connection->next_stream = 3;
	put_field(&create, 1, prefix, strlen(prefix));
	put_field(&create, 2, end, end_of_prefix(end));
	put_byte(&create, 0x30); /* prev_kv */
	put_byte(&create, 1);
	put_field(&watch, 1, create.data, create.length);
	send_request(connection, connection->watch_stream, PATH_WATCH, &watch, false);
	free(create.data);
	free(watch.data);
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double percentile(double part)
{
	return lag_count > 0 ? lags[(size_t)((double)(lag_count - 1) * part)] : 0;
}

int main(int argc, char **argv)
{
	struct step steps[] = {
		{ .name = "create", .path = PATH_TXN },
		{ .name = "update", .path = PATH_TXN },
		{ .name = "get", .path = PATH_RANGE },
		{ .name = "page", .path = PATH_RANGE, .page = true },
		{ .name = "delete", .path = PATH_TXN, .remove = true },
	};
	size_t expected = 0;

	if (argc < 2)
		fail("usage: lean PORT [OBJECTS [BYTES]]");
	objects = argc > 2 ? strtoul(argv[2], NULL, 10) : objects;
	value_bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : value_bytes;
	if (objects == 0 || objects > 1000000 || value_bytes <= STAMP_DIGITS || value_bytes > 16384)
		fail("OBJECTS is 1 to 1000000, BYTES 20 to 16384");
	(void)snprintf(prefix, sizeof(prefix), "/registry/bench/%" PRId64 "/", now_ns(CLOCK_REALTIME));
	revisions = calloc(objects, sizeof(*revisions));
	lag_capacity = 2 * objects * CONNECTIONS;
	lags = calloc(lag_capacity, sizeof(*lags));
	if (revisions == NULL || lags == NULL)
		fail("out of memory");
	for (unsigned i = 0; i < CONNECTIONS; i++)
		open_connection(&connections[i], (uint16_t)strtoul(argv[1], NULL, 10));
	while (watches < CONNECTIONS)
		turn(NULL);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		steps[i].count = steps[i].page ? 1200 : steps[i].path == PATH_RANGE ? 4 * objects : objects;
		(void)printf("%s\"%s\":%.1f", i == 0 ? "{" : ",", steps[i].name, run_step(&steps[i]));
		expected += steps[i].path == PATH_TXN ? steps[i].done * CONNECTIONS : 0;
		while (events < expected)
			turn(NULL);
	}
	if (events != expected)
		fail("watchers saw too many events");
	qsort(lags, lag_count, sizeof(*lags), compare_doubles);
	(void)printf(",\"lag_p50_ms\":%.3f,\"lag_p99_ms\":%.3f}\n", percentile(0.5), percentile(0.99));
	return 0;
}
