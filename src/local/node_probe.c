/* SPDX-License-Identifier: Apache-2.0 */
#include "local/node_probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "io/process.h"

static bool try_connect(int family, const void *address, socklen_t length)
{
	DESCRIPTOR_CLEANUP int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && connect(fd, address, length) == 0;
}

static bool connect_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return false;
	memcpy(address.sun_path, path, strlen(path));
	return try_connect(AF_UNIX, &address, sizeof(address));
}

static bool connect_tcp(const char *target)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct error err;
	FREE_CLEANUP char *host = NULL;
	uint16_t port;
	if (string_split_host_port(target, "probe target", &host, &port, &err) < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return false;
	address.sin_port = htons(port);
	return try_connect(AF_INET, &address, sizeof(address));
}

static void begin_exec(struct node_probe *probe, const struct node_process *process)
{
	static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL };
	DESCRIPTOR_CLEANUP int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct process_options options = {
		.arguments = (const char *const *)process->probe_argv,
		.environment = environment,
		.output_descriptor = quiet,
	};
	struct error err;
	probe->state = process_start(&options, &probe->child, &err) == 0 ? NODE_PROBE_RUNNING : NODE_PROBE_FAILED;
}

void node_probe_begin(struct node_probe *probe, const struct node_process *process)
{
	bool passed = true;
	switch (process->probe) {
	case NODE_PROBE_EXEC:
		begin_exec(probe, process);
		return;
	case NODE_PROBE_UNIX:
		passed = connect_unix(process->probe_target);
		break;
	case NODE_PROBE_TCP:
		passed = connect_tcp(process->probe_target);
		break;
	case NODE_PROBE_NONE:
		break;
	}
	probe->state = passed ? NODE_PROBE_PASSED : NODE_PROBE_FAILED;
}

bool node_probe_reaped(struct node_probe *probe, pid_t child, int wait_status)
{
	if (probe->state != NODE_PROBE_RUNNING || probe->child != child)
		return false;
	probe->child = 0;
	probe->state = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 ? NODE_PROBE_PASSED : NODE_PROBE_FAILED;
	return true;
}

void node_probe_abandon(struct node_probe *probe)
{
	if (probe->child > 0)
		kill(probe->child, SIGKILL); /* reaped as an orphan would be */
	*probe = (struct node_probe){ 0 };
}
