/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox process of a pod: holds the pod's namespaces open, reaps orphans when it is their init (shareProcessNamespace), and
 * ends at once when asked. Static and FROM scratch.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	sigset_t signals;
	int number;

	if (argc > 1 && strcmp(argv[1], "-v") == 0) {
		puts("kamaji pause 1");
		return 0;
	}
	/* Blocked and read in turn: a pid 1 has no default dispositions, so an unhandled SIGTERM would be ignored. */
	if (sigemptyset(&signals) != 0 || sigaddset(&signals, SIGINT) != 0 || sigaddset(&signals, SIGTERM) != 0 ||
	    sigaddset(&signals, SIGCHLD) != 0 || sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
		perror("pause: signals");
		return 1;
	}
	for (;;) {
		if (sigwait(&signals, &number) != 0)
			continue;
		if (number == SIGINT || number == SIGTERM)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
