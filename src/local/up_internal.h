/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `up` share: one run of it. Lives in the caller's frame; the image thread is joined before it ends. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "local/cluster_tool.h"
#include "local/component_fetch.h"
#include "local/environment.h"
#include "local/environment_up.h"
#include "local/image_set.h"
#include "local/node_admin.h"
#include "local/node_images.h"

struct up_images {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool started, base_ready, done, failed;
	struct error err;
	struct node_images_result result;
	unsigned phase;
};

struct up {
	const struct up_options *options;
	struct up_result *result;
	struct local_environment environment;
	struct cancel *cancel; /* the caller's, with the deadline once the components are there; NULL before */
	unsigned components_phase;
	struct component_lock *lock;
	struct component_fetch *fetch;
	struct node_programs programs;
	const char *ctr, *etcdctl;
	char *pki, *node_directory, *cni_folder;
	struct string_list proxy_environment;
	struct cluster_tool tool;
	int64_t started_seconds; /* when the admin node began */
	struct up_images images;
};

/* up_prepare.c: what nodes need before they can be started. */
int up_prepare(struct up *up, struct error *err);

/* up_nodes.c: the nodes of the admin cluster, numbered from 1. Starts those that do not run as they should. */
int up_start_nodes(struct up *up, struct error *err);
/* Waits until the named process of a node is ready. */
int up_wait_process(struct up *up, unsigned number, const char *process, struct error *err);
/* When the node began, in whole seconds since the epoch: what times in the cluster are compared with. */
int up_node_start_time(struct up *up, unsigned number, int64_t *ret_seconds, struct error *err);
/* Waits until the cluster has seen this life of the node, and that it is Ready. */
int up_wait_node(struct up *up, unsigned number, struct error *err);

/* up_images.c */
int up_images_start(struct up *up, struct error *err);
/* base: only what the admin cluster's pods need. */
int up_images_wait(struct up *up, bool base, struct error *err);
void up_images_join(struct up *up);

/* up_install.c: what is in the cluster. */
int up_install(struct up *up, struct error *err);
int up_sample_tenant(struct up *up, struct error *err);
