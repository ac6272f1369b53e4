/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node consists of, as data: its place in the network, what of the host it sees, and the processes that its init keeps
 * running. Written by `up` as JSON, read by `kamaji local node-init`. Roles differ only in the lists.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

enum { NODE_PROCESS_MAX = 32, NODE_AFTER_MAX = 8, NODE_CONFIG_BYTES_MAX = 1024 * 1024 };

enum node_probe_kind {
	NODE_PROBE_NONE, /* ready as soon as it runs */
	NODE_PROBE_UNIX, /* ready when a connection to the socket at `target` is accepted */
	NODE_PROBE_TCP,  /* ready when a connection to the node's own "a.b.c.d:port" at `target` is accepted */
	NODE_PROBE_EXEC  /* ready when the command ends with 0 */
};

struct node_process {
	const char *name;
	char **argv;                  /* NULL-terminated; argv[0] is an absolute path */
	char **environment;           /* NULL-terminated "KEY=value"; nothing else is passed on */
	size_t after[NODE_AFTER_MAX]; /* indexes of processes that must have been ready before the first start */
	size_t after_count;
	enum node_probe_kind probe;
	const char *probe_target;
	char **probe_argv;
	const char *needs; /* a file that somebody else makes: not started before it is there; NULL: none */
	bool stop_last;    /* a store: stopped after everything that writes to it */
};

struct node_bind {
	const char *from; /* on the host */
	const char *to;   /* in the node */
	bool read_only;
};

struct node_config {
	const char *name; /* "admin" */
	const char *role; /* "admin" or "worker" */
	const char *hostname;
	const char *directory; /* the node's folder; logs in log/, control socket "control" */
	const char *link;      /* interface waiting in the node's network namespace, renamed to eth0 */
	const char *address;   /* "10.200.0.2/24" */
	const char *gateway;
	char **routes;         /* NULL-terminated "a.b.c.d/n via e.f.g.h", beside the one to the gateway */
	const char *firewall;  /* nft rules of its own, "" for none */
	bool modules_folder;   /* pods mount /lib/modules: an empty one where the host has none */
	bool bridge_netfilter; /* switch net.bridge.bridge-nf-call-iptables on */
	const char *digest;    /* of the configuration, "" when it has none: tells whether a running node is the wanted one */
	const char *hosts;     /* text of /etc/hosts */
	const char *resolv_conf;
	struct node_bind *binds;
	size_t bind_count;
	struct node_process processes[NODE_PROCESS_MAX];
	size_t process_count;
};

/*
 * Everything returned lives in the arena. Unknown members are ignored; a wrong or missing one is named in the error. `after` may only
 * name processes that stand earlier in the list, so there are no cycles.
 */
int node_config_parse(const char *text, size_t length, struct arena *arena, struct node_config *ret_config, struct error *err);

/* Makes these folders (relative, with parents, 0755) in a node's folder. */
int node_config_make_folders(const char *directory, const char *const *folders, size_t count, struct error *err);
/* Writes a file (relative path, 0600, replaced at once) into a node's folder. */
int node_config_write(const char *directory, const char *file, const char *text, struct error *err);

/* Helpers to build the JSON: a process with its argument vector; more members are put by the caller. New reference. */
json_t *node_config_process_new(const char *name, const struct string_list *argv);
