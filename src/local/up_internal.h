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
	int64_t started_seconds; /* when the node began */
	struct up_images images;
};

/* up_node.c: everything until the node's processes run. */
int up_prepare(struct up *up, struct error *err);
int up_start_node(struct up *up, struct error *err);
/* Waits until the named process of the admin node is ready. */
int up_wait_process(struct up *up, const char *process, struct error *err);

/* up_images.c */
int up_images_start(struct up *up, struct error *err);
/* base: only what the admin cluster's pods need. */
int up_images_wait(struct up *up, bool base, struct error *err);
void up_images_join(struct up *up);

/* up_install.c: what is in the cluster. */
int up_install(struct up *up, struct error *err);
int up_sample_tenant(struct up *up, struct error *err);
