/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_test_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAXIMUM_CONNECTIONS = 64, TICK_MS = 5 };

struct h2_test_server {
	struct h2_test_options options;
	SSL_CTX *context;
	int listener;
	uint16_t port;
	pthread_t thread;
	atomic_bool stopping;
	atomic_uint connections, open, requests, cancels, refused, flooded;
	pthread_t threads[MAXIMUM_CONNECTIONS];
	unsigned thread_count;
};

struct stream {
	struct stream *next;
	int32_t id;
	char *path, *body, *out, *header;
	size_t body_length, body_capacity, out_length, out_at, flood, trickle_left;
	bool hold, deferred, close_after, trailers, trickle, answered;
	uint64_t next_ms;
	int grpc_status;
	const char *grpc_message;
	char wanted_header[64];
};

struct connection {
	struct h2_test_server *server;
	int descriptor;
	SSL *ssl;
	nghttp2_session *session;
	struct stream *streams;
	bool dead, frozen, close_when_sent;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t path_number(const char *path)
{
	const char *at = strstr(path, "?n=");

	return at != NULL ? strtoul(at + 3, NULL, 10) : 0;
}

static bool is_path(const struct stream *stream, const char *name)
{
	size_t length = strlen(name);

	return strncmp(stream->path, name, length) == 0 && (stream->path[length] == '\0' || stream->path[length] == '?');
}

static ssize_t provide(nghttp2_session *session, int32_t id, uint8_t *place, size_t size, uint32_t *flags, nghttp2_data_source *source,
                       void *argument)
{
	struct connection *connection = argument;
	struct stream *stream = source->ptr;
	size_t length = stream->out_length - stream->out_at;

	if (stream->flood > 0) {
		length = stream->flood < size ? stream->flood : size;
		memset(place, 'f', length);
		stream->flood -= length;
		atomic_fetch_add(&connection->server->flooded, (unsigned)length);
		return (ssize_t)length;
	}
	if (length > size)
		length = size;
	if (length > 0)
		memcpy(place, stream->out + stream->out_at, length);
	stream->out_at += length;
	if (stream->out_at == stream->out_length && !stream->hold) {
		if (stream->close_after) {
			connection->close_when_sent = true;
			return length > 0 ? (ssize_t)length : NGHTTP2_ERR_DEFERRED;
		}
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (stream->trailers) {
			char status[16];
			nghttp2_nv trailers[] = {
				{ (uint8_t *)"x-end", (uint8_t *)"yes", 5, 3, 0 },
				{ (uint8_t *)"grpc-status", (uint8_t *)status, 11, 0, 0 },
				{ (uint8_t *)"grpc-message", (uint8_t *)stream->grpc_message, 12, 0, 0 },
			};

			(void)snprintf(status, sizeof(status), "%d", stream->grpc_status);
			trailers[1].valuelen = strlen(status);
			trailers[2].valuelen = stream->grpc_message ? strlen(stream->grpc_message) : 0;
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			nghttp2_submit_trailer(session, id, trailers, stream->grpc_message ? 3 : 2);
		}
	}
	if (length == 0 && !(*flags & NGHTTP2_DATA_FLAG_EOF)) {
		stream->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)length;
}

static void reply(struct connection *connection, struct stream *stream, const char *status, const char *extra_name, const char *extra_value,
                  const void *bytes, size_t length)
{
	nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = provide };
	nghttp2_nv headers[2] = { { (uint8_t *)":status", (uint8_t *)status, 7, strlen(status), 0 } };
	size_t count = 1;

	stream->answered = true;
	if (extra_name != NULL)
		headers[count++] =
			(nghttp2_nv){ (uint8_t *)extra_name, (uint8_t *)extra_value, strlen(extra_name), strlen(extra_value), 0 };
	if (length > 0) {
		stream->out = malloc(length);
		memcpy(stream->out, bytes, length);
		stream->out_length = length;
	}
	nghttp2_submit_response(connection->session, stream->id, headers, count, &provider);
}

static void answer_big(struct connection *connection, struct stream *stream)
{
	size_t length = path_number(stream->path);
	char *bytes = malloc(length + 1);

	memset(bytes, 'x', length);
	reply(connection, stream, "200", NULL, NULL, bytes, length);
	free(bytes);
}

static void answer_refusal(struct connection *connection, struct stream *stream)
{
	bool first = atomic_fetch_add(&connection->server->refused, 1) < path_number(stream->path);

	if (!first) {
		reply(connection, stream, "200", NULL, NULL, "hello", 5);
	} else if (is_path(stream, "/refuse")) {
		nghttp2_submit_rst_stream(connection->session, 0, stream->id, NGHTTP2_REFUSED_STREAM);
	} else {
		nghttp2_submit_goaway(connection->session, 0, stream->id > 2 ? stream->id - 2 : 0, NGHTTP2_NO_ERROR, NULL, 0);
		connection->close_when_sent = true;
	}
}

static void answer_odd(struct connection *connection, struct stream *stream)
{
	size_t number = path_number(stream->path);
	char *value;

	if (is_path(stream, "/goaway-mid")) {
		stream->close_after = true;
		reply(connection, stream, "200", NULL, NULL, "12345", 5);
		nghttp2_submit_goaway(connection->session, 0, stream->id, NGHTTP2_NO_ERROR, NULL, 0);
	} else if (is_path(stream, "/truncate")) {
		stream->close_after = true;
		reply(connection, stream, "200", "content-length", "100", "0123456789", 10);
	} else if (is_path(stream, "/reset")) {
		nghttp2_submit_rst_stream(connection->session, 0, stream->id, NGHTTP2_INTERNAL_ERROR);
	} else if (is_path(stream, "/huge-header")) {
		value = calloc(1, number + 1);
		memset(value, 'h', number);
		reply(connection, stream, "200", "x-huge", value, "", 0);
		free(value);
	} else if (is_path(stream, "/freeze")) {
		connection->frozen = true;
	} else if (is_path(stream, "/close")) {
		connection->dead = true;
	} else if (is_path(stream, "/garbage")) {
		static const char garbage[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";

		if (connection->ssl != NULL)
			(void)!SSL_write(connection->ssl, garbage, sizeof(garbage));
		else
			(void)!send(connection->descriptor, garbage, sizeof(garbage), MSG_NOSIGNAL);
	}
}

static void answer(struct connection *connection, struct stream *stream)
{
	size_t number = path_number(stream->path);
	char status[16];

	if (connection->server->options.answer != NULL) {
		size_t length = 0;
		char *bytes = connection->server->options.answer(stream->path, stream->body, stream->body_length, &length,
		                                                 &stream->grpc_status, &stream->grpc_message);

		stream->trailers = true;
		reply(connection, stream, "200", "content-type", "application/grpc", bytes, length);
		free(bytes);
	} else if (is_path(stream, "/ok")) {
		reply(connection, stream, "200", "content-type", "text/plain", "hello", 5);
	} else if (is_path(stream, "/echo")) {
		reply(connection, stream, "200", NULL, NULL, stream->body, stream->body_length);
	} else if (is_path(stream, "/header")) {
		reply(connection, stream, "200", NULL, NULL, stream->header ? stream->header : "",
		      stream->header ? strlen(stream->header) : 0);
	} else if (is_path(stream, "/big")) {
		answer_big(connection, stream);
	} else if (is_path(stream, "/flood")) {
		stream->flood = number;
		stream->hold = true;
		reply(connection, stream, "200", NULL, NULL, "", 0);
	} else if (is_path(stream, "/status")) {
		(void)snprintf(status, sizeof(status), "%zu", number);
		reply(connection, stream, status, NULL, NULL, "", 0);
	} else if (is_path(stream, "/trailers")) {
		stream->trailers = true;
		reply(connection, stream, "200", NULL, NULL, "body", 4);
	} else if (is_path(stream, "/watch")) {
		stream->hold = true;
		reply(connection, stream, "200", NULL, NULL, "one\n", 4);
	} else if (is_path(stream, "/trickle")) {
		stream->hold = stream->trickle = true;
		stream->trickle_left = number - 1;
		stream->next_ms = now_ms() + 10;
		reply(connection, stream, "200", NULL, NULL, "x", 1);
	} else if (is_path(stream, "/refuse") || is_path(stream, "/goaway-refuse")) {
		answer_refusal(connection, stream);
	} else {
		answer_odd(connection, stream);
	}
}

static void trickle(struct connection *connection, struct stream *stream)
{
	if (!stream->trickle || now_ms() < stream->next_ms || !stream->deferred)
		return;
	stream->next_ms = now_ms() + 10;
	stream->deferred = false;
	if (stream->trickle_left == 0) {
		stream->hold = false;
	} else {
		stream->trickle_left--;
		stream->out_at = 0; /* the same byte again */
	}
	nghttp2_session_resume_data(connection->session, stream->id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct connection *connection = argument;
	struct stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = calloc(1, sizeof(*stream));
	stream->id = frame->hd.stream_id;
	stream->path = strdup("");
	stream->next = connection->streams;
	connection->streams = stream;
	return nghttp2_session_set_stream_user_data(session, stream->id, stream);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value,
                     size_t value_length, uint8_t flags, void *argument)
{
	struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	const char *wanted;

	if (stream == NULL)
		return 0;
	if (strcmp((const char *)name, ":path") == 0) {
		free(stream->path);
		stream->path = strdup((const char *)value);
		wanted = strstr(stream->path, "?n=");
		(void)snprintf(stream->wanted_header, sizeof(stream->wanted_header), "%s", wanted ? wanted + 3 : "");
	} else if (strcmp((const char *)name, stream->wanted_header) == 0) {
		free(stream->header);
		stream->header = malloc(value_length + 32);
		(void)snprintf(stream->header, value_length + 32, "%s%s", (const char *)value,
		               flags & NGHTTP2_NV_FLAG_NO_INDEX ? " (never indexed)" : "");
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length, void *argument)
{
	struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

	if (stream != NULL) {
		while (stream->body_length + length > stream->body_capacity) {
			stream->body_capacity = stream->body_capacity ? stream->body_capacity * 2 : 65536;
			stream->body = realloc(stream->body, stream->body_capacity);
		}
		memcpy(stream->body + stream->body_length, bytes, length);
		stream->body_length += length;
	}
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
	struct connection *connection = argument;
	struct stream *stream = frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;

	if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code == NGHTTP2_CANCEL)
		atomic_fetch_add(&connection->server->cancels, 1);
	if (stream == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		atomic_fetch_add(&connection->server->requests, 1);
		if (is_path(stream, "/early")) {
			reply(connection, stream, "200", NULL, NULL, "early", 5);
			return 0;
		}
	}
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    !stream->answered)
		answer(connection, stream);
	return 0;
}

static void stream_free(struct stream *stream)
{
	free(stream->path);
	free(stream->body);
	free(stream->out);
	free(stream->header);
	free(stream);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
	struct connection *connection = argument;

	for (struct stream **place = &connection->streams; *place != NULL; place = &(*place)->next) {
		if ((*place)->id == id) {
			struct stream *stream = *place;

			*place = stream->next;
			stream_free(stream);
			return 0;
		}
	}
	return 0;
}

static bool write_all(struct connection *connection, const uint8_t *bytes, size_t length)
{
	while (length > 0 && !atomic_load(&connection->server->stopping)) {
		ssize_t count;

		if (connection->ssl != NULL) {
			int result = SSL_write(connection->ssl, bytes, (int)length);
			int code = SSL_get_error(connection->ssl, result);

			count = result;
			if (result <= 0 && (code == SSL_ERROR_WANT_WRITE || code == SSL_ERROR_WANT_READ))
				count = 0;
			else if (result <= 0)
				return false;
		} else {
			count = send(connection->descriptor, bytes, length, MSG_NOSIGNAL);
			if (count < 0 && errno == EAGAIN)
				count = 0;
			else if (count < 0)
				return false;
		}
		if (count == 0) {
			struct pollfd ready = { .fd = connection->descriptor, .events = POLLOUT };

			(void)poll(&ready, 1, TICK_MS);
		}
		bytes += count;
		length -= (size_t)count;
	}
	return length == 0;
}

static void read_some(struct connection *connection)
{
	uint8_t chunk[16384];
	ssize_t count;

	for (;;) {
		if (connection->ssl != NULL) {
			int result = SSL_read(connection->ssl, chunk, sizeof(chunk));
			int code = SSL_get_error(connection->ssl, result);

			if (result <= 0 && (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE))
				return;
			count = result;
		} else {
			count = recv(connection->descriptor, chunk, sizeof(chunk), 0);
			if (count < 0 && errno == EAGAIN)
				return;
		}
		if (count <= 0 || nghttp2_session_mem_recv(connection->session, chunk, (size_t)count) < 0) {
			connection->dead = true;
			return;
		}
		if (connection->frozen || connection->dead)
			return;
	}
}

static void serve(struct connection *connection)
{
	const uint8_t *bytes;

	while (!connection->dead && !atomic_load(&connection->server->stopping)) {
		struct pollfd ready = { .fd = connection->descriptor, .events = connection->frozen ? 0 : POLLIN };

		(void)poll(&ready, 1, TICK_MS);
		if (connection->frozen) {
			connection->dead = (ready.revents & (POLLERR | POLLHUP)) != 0;
			continue;
		}
		read_some(connection);
		for (struct stream *stream = connection->streams; stream != NULL; stream = stream->next)
			trickle(connection, stream);
		while (!connection->dead && !connection->frozen) {
			ssize_t length = nghttp2_session_mem_send(connection->session, &bytes);

			if (length <= 0)
				break;
			if (!write_all(connection, bytes, (size_t)length))
				connection->dead = true;
		}
		if (connection->close_when_sent ||
		    (!nghttp2_session_want_read(connection->session) && !nghttp2_session_want_write(connection->session)))
			connection->dead = true;
	}
}

/* Ends our side and waits for the peer's: a close with unread bytes would be a reset, which eats what was sent last. */
static void linger(struct connection *connection)
{
	uint64_t end = now_ms() + 500;
	char chunk[4096];

	if (connection->ssl != NULL)
		(void)SSL_shutdown(connection->ssl);
	(void)shutdown(connection->descriptor, SHUT_WR);
	while (now_ms() < end && !atomic_load(&connection->server->stopping)) {
		struct pollfd ready = { .fd = connection->descriptor, .events = POLLIN };

		if (poll(&ready, 1, TICK_MS) > 0 && recv(connection->descriptor, chunk, sizeof(chunk), 0) <= 0)
			return;
	}
}

static bool handshake(struct connection *connection)
{
	struct h2_test_server *server = connection->server;

	if (server->context == NULL)
		return true;
	connection->ssl = SSL_new(server->context);
	SSL_set_fd(connection->ssl, connection->descriptor);
	while (!atomic_load(&server->stopping)) {
		int result = SSL_accept(connection->ssl);
		int code = SSL_get_error(connection->ssl, result);
		struct pollfd ready = { .fd = connection->descriptor, .events = POLLIN };

		if (result == 1)
			return true;
		if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE)
			return false;
		(void)poll(&ready, 1, TICK_MS);
	}
	return false;
}

static void session_start(struct connection *connection)
{
	unsigned streams = connection->server->options.maximum_streams;
	nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams ? streams : 100 } };
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	nghttp2_option_new(&option);
	nghttp2_option_set_max_send_header_block_length(option, 1024 * 1024);
	nghttp2_session_server_new2(&connection->session, callbacks, connection, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(connection->session, 0, settings, 1);
}

static void *connection_thread(void *argument)
{
	struct connection *connection = argument;

	if (handshake(connection)) {
		session_start(connection);
		serve(connection);
		if (connection->close_when_sent)
			linger(connection);
		nghttp2_session_del(connection->session);
	}
	while (connection->streams != NULL) {
		struct stream *stream = connection->streams;

		connection->streams = stream->next;
		stream_free(stream);
	}
	if (connection->ssl != NULL) {
		ERR_clear_error();
		SSL_free(connection->ssl);
	}
	close(connection->descriptor);
	atomic_fetch_sub(&connection->server->open, 1);
	free(connection);
	return NULL;
}

static void *accept_thread(void *argument)
{
	struct h2_test_server *server = argument;

	while (!atomic_load(&server->stopping)) {
		struct pollfd ready = { .fd = server->listener, .events = POLLIN };
		struct connection *connection;
		int descriptor;

		if (poll(&ready, 1, TICK_MS) <= 0)
			continue;
		descriptor = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (descriptor < 0)
			continue;
		if (server->thread_count == MAXIMUM_CONNECTIONS) {
			close(descriptor);
			continue;
		}
		(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		connection = calloc(1, sizeof(*connection));
		connection->server = server;
		connection->descriptor = descriptor;
		atomic_fetch_add(&server->connections, 1);
		atomic_fetch_add(&server->open, 1);
		pthread_create(&server->threads[server->thread_count++], NULL, connection_thread, connection);
	}
	return NULL;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned length,
                       void *argument)
{
	const struct h2_test_server *server = argument;

	if (server->options.alpn != NULL)
		return SSL_TLSEXT_ERR_NOACK;
	*out = (const unsigned char *)"h2";
	*out_length = 2;
	return SSL_TLSEXT_ERR_OK;
}

static void load_tls(struct h2_test_server *server)
{
	BIO *bio;
	X509 *certificate;
	EVP_PKEY *key;

	if (server->options.certificate_pem == NULL)
		return;
	server->context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_mode(server->context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
	bio = BIO_new_mem_buf(server->options.certificate_pem, -1);
	certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	SSL_CTX_use_certificate(server->context, certificate);
	X509_free(certificate);
	bio = BIO_new_mem_buf(server->options.key_pem, -1);
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	SSL_CTX_use_PrivateKey(server->context, key);
	EVP_PKEY_free(key);
	if (server->options.client_ca_pem != NULL) {
		bio = BIO_new_mem_buf(server->options.client_ca_pem, -1);
		certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		BIO_free(bio);
		X509_STORE_add_cert(SSL_CTX_get_cert_store(server->context), certificate);
		X509_free(certificate);
		SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	SSL_CTX_set_alpn_select_cb(server->context, select_alpn, server);
}

struct h2_test_server *h2_test_server_start(const struct h2_test_options *options)
{
	struct h2_test_server *server = calloc(1, sizeof(*server));
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(at);

	server->options = *options;
	load_tls(server);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(server->listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(server->listener, 64) != 0 ||
	    getsockname(server->listener, (struct sockaddr *)&at, &length) != 0)
		abort();
	server->port = ntohs(at.sin_port);
	pthread_create(&server->thread, NULL, accept_thread, server);
	return server;
}

void h2_test_server_stop(struct h2_test_server *server)
{
	atomic_store(&server->stopping, true);
	pthread_join(server->thread, NULL);
	for (unsigned i = 0; i < server->thread_count; i++)
		pthread_join(server->threads[i], NULL);
	close(server->listener);
	SSL_CTX_free(server->context);
	free(server);
}

uint16_t h2_test_server_port(const struct h2_test_server *server)
{
	return server->port;
}

unsigned h2_test_server_connections(struct h2_test_server *server)
{
	return atomic_load(&server->connections);
}

unsigned h2_test_server_open(struct h2_test_server *server)
{
	return atomic_load(&server->open);
}

unsigned h2_test_server_requests(struct h2_test_server *server)
{
	return atomic_load(&server->requests);
}

unsigned h2_test_server_cancels(struct h2_test_server *server)
{
	return atomic_load(&server->cancels);
}

unsigned h2_test_server_flooded(struct h2_test_server *server)
{
	return atomic_load(&server->flooded);
}
