/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "io/file.h"

/* "/proc/self/fd/N/control" is short whatever the length of the folder's path; the descriptor must stay open while it is used. */
static int control_address(const char *directory, struct sockaddr_un *address, struct error *err)
{
	int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return error_set_errno(err, errno, "open %s", directory);
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/control", folder);
	return folder;
}

int node_control_listen(const char *directory, struct error *err)
{
	struct sockaddr_un address;
	DESCRIPTOR_CLEANUP int folder = control_address(directory, &address, err);
	if (folder < 0)
		return -1;
	if (unlinkat(folder, "control", 0) < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "remove %s/control", directory);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0) {
		error_set_errno(err, errno, "listen on %s/control", directory);
		close(fd);
		return -1;
	}
	return fd;
}

static int control_request(const char *directory, const char *request, struct buffer *answer, struct error *err)
{
	struct sockaddr_un address;
	DESCRIPTOR_CLEANUP int folder = control_address(directory, &address, err);
	if (folder < 0)
		return -1;
	DESCRIPTOR_CLEANUP int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "socket");
	struct timeval limit = { .tv_sec = NODE_CONTROL_TIMEOUT_MS / 1000 };
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return error_set(err, ERROR_NOT_FOUND, "no init of a node listens at %s/control", directory);
		return error_set_errno(err, errno, "connect to %s/control", directory);
	}
	if (file_write_all(fd, request, strlen(request), err) < 0)
		return error_wrap(err, "ask the node's init");
	answer->limit = NODE_CONTROL_ANSWER_MAX;
	for (;;) {
		char part[4096];
		ssize_t count = read(fd, part, sizeof(part));
		if (count == 0)
			return 0;
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_set_errno(err, errno == EAGAIN ? ETIMEDOUT : errno, "answer of the node's init");
		if (!buffer_append(answer, part, (size_t)count))
			return error_set(err, ERROR_EXHAUSTED, "the node's init answered more than %d bytes", NODE_CONTROL_ANSWER_MAX);
	}
}

json_t *node_control_status(const char *directory, struct error *err)
{
	BUFFER_CLEANUP struct buffer answer = { 0 };
	if (control_request(directory, "status\n", &answer, err) < 0)
		return NULL;
	return json_parse(answer.data ? answer.data : "", answer.length, err);
}

int node_control_stop(const char *directory, struct error *err)
{
	BUFFER_CLEANUP struct buffer answer = { 0 };
	return control_request(directory, "stop\n", &answer, err);
}
