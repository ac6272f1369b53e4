/* SPDX-License-Identifier: Apache-2.0 */
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/file.h"

union socket_address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

static socklen_t fill_address(const struct ip_address *address, uint16_t port, union socket_address *out)
{
	memset(out, 0, sizeof(*out));
	if (address->family == 4) {
		out->four.sin_family = AF_INET;
		out->four.sin_port = htons(port);
		memcpy(&out->four.sin_addr, address->bytes, 4);
		return sizeof(out->four);
	}
	out->six.sin6_family = AF_INET6;
	out->six.sin6_port = htons(port);
	memcpy(&out->six.sin6_addr, address->bytes, 16);
	return sizeof(out->six);
}

void socket_tune(int descriptor)
{
	int one = 1;
	unsigned timeout = SOCKET_UNACKNOWLEDGED_MS;

	/* Both are improvements only; a socket that refuses them (a unix socket in a test) still works. */
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

void socket_tune_accepted(int descriptor)
{
	int unsent = SOCKET_UNSENT;

	socket_tune(descriptor);
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

/* The class stays what errno says, but a network that is away is always worth another try. */
static int connect_error(struct error *err, int number, const char *where)
{
	error_set_errno(err, number, "connect to %s", where);
	if (err->class == ERROR_SYSTEM || err->class == ERROR_FORBIDDEN || err->class == ERROR_TIMEOUT)
		err->class = ERROR_TRANSIENT;
	return -1;
}

int socket_connect(const struct ip_address *address, uint16_t port, struct error *err)
{
	union socket_address to;
	socklen_t length = fill_address(address, port, &to);
	char text[IP_TEXT_SIZE], where[IP_TEXT_SIZE + 16];
	int descriptor;

	ip_format(address, text);
	ip_join_port(text, port, where, sizeof(where));
	descriptor = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return error_set_errno(err, errno, "make a socket for %s", where);
	socket_tune(descriptor);
	if (connect(descriptor, &to.any, length) != 0 && errno != EINPROGRESS) {
		int number = errno;

		(void)close(descriptor);
		return connect_error(err, number, where);
	}
	return descriptor;
}

int socket_connect_result(int descriptor, const char *where, struct error *err)
{
	int number = 0;
	socklen_t length = sizeof(number);

	if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length) != 0)
		number = errno;
	return number == 0 ? 0 : connect_error(err, number, where);
}

int socket_listen(const char *address, uint16_t port, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = -1;
	union socket_address at;
	struct ip_address parsed;
	socklen_t length;
	char where[IP_TEXT_SIZE + 16];
	int one = 1, zero = 0, result;

	if (ip_parse(address, &parsed) != 0)
		return error_set(err, ERROR_INVALID, "listen on \"%s\": not an IP address", address);
	ip_join_port(address, port, where, sizeof(where));
	length = fill_address(&parsed, port, &at);
	descriptor = socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return error_set_errno(err, errno, "listen on %s", where);
	(void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (parsed.family == 6)
		(void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)); /* "::" serves both families */
	if (bind(descriptor, &at.any, length) != 0 || listen(descriptor, SOCKET_BACKLOG) != 0)
		return error_set_errno(err, errno, "listen on %s", where);
	result = descriptor;
	descriptor = -1;
	return result;
}

uint16_t socket_local_port(int descriptor)
{
	union socket_address at;
	socklen_t length = sizeof(at);

	memset(&at, 0, sizeof(at));
	if (getsockname(descriptor, &at.any, &length) != 0)
		return 0;
	return ntohs(at.any.sa_family == AF_INET ? at.four.sin_port : at.six.sin6_port);
}

/* Removes a socket file that nobody listens on. -1: somebody does, or it is no socket. */
static int clear_stale(const struct sockaddr_un *at, struct error *err)
{
	int probe DESCRIPTOR_CLEANUP = -1;
	struct stat facts;

	if (lstat(at->sun_path, &facts) != 0)
		return 0; /* absent, or bind() will say why not */
	if (!S_ISSOCK(facts.st_mode))
		return error_set(err, ERROR_EXISTS, "listen on unix:%s: the path exists and is no socket", at->sun_path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return error_set_errno(err, errno, "listen on unix:%s", at->sun_path);
	if (connect(probe, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EAGAIN)
		return error_set(err, ERROR_EXISTS, "listen on unix:%s: another process listens there", at->sun_path);
	if (errno == ECONNREFUSED && unlink(at->sun_path) != 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove the old socket unix:%s", at->sun_path);
	return 0;
}

int socket_listen_unix(const char *path, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = -1;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int result;

	if (path[0] == '\0' || strlen(path) >= sizeof(at.sun_path))
		return error_set(err, ERROR_INVALID, "listen on unix:%s: a socket's path has 1 to %zu bytes", path,
		                 sizeof(at.sun_path) - 1);
	memcpy(at.sun_path, path, strlen(path));
	if (clear_stale(&at, err) != 0)
		return -1;
	descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0 || bind(descriptor, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(descriptor, SOCKET_BACKLOG) != 0)
		return error_set_errno(err, errno, "listen on unix:%s", path);
	result = descriptor;
	descriptor = -1;
	return result;
}
