/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kamaji local up`: brings an environment from whatever state it is in to running. Every step looks before it acts, so a second `up` finds
 * everything done, and an `up` after a killed one takes over what runs and fits or clears it away.
 *
 *   checks -> components -> addresses, certificates -> network, cgroups, nodes
 *       nodes' processes start ---------> kube-apiserver ready -> add-ons, CRDs, store's users -> operator -> (sample tenant)
 *       containerd ready -> images ----------------------------------------^
 *   -> the workers that the environment has (environment_worker.h)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "local/progress.h"

struct up_options {
	const char *name;
	const char *state_root;
	const char *program;                           /* this program, absolute */
	const char *block;                             /* "10.77.0.0/16"; NULL: chosen */
	const char *components_from;                   /* folder; NULL: none */
	const struct string_list *kubernetes_versions; /* whose images are brought beside the default version's; NULL: none */
	unsigned nodes;        /* of the admin cluster, up to LOCAL_ADMIN_NODES_MAX; 0: what it has, one for a new one */
	const char *datastore; /* "etcd" or "kamaji"; "": what the environment has, kamaji for a new one */
	bool no_download, no_build;
	bool audit;
	bool without_operator; /* the admin cluster alone */
	bool sample_tenant;
	struct cancel *cancel;    /* interruption */
	uint64_t wait_timeout_ms; /* from when the components are there */
	struct progress *progress;
};

struct up_result {
	char *kubeconfig;        /* of the admin cluster */
	char *sample_kubeconfig; /* of the sample tenant, NULL without */
	char *kubectl;           /* the one of the components */
	struct buffer reasons;   /* when it failed: what a person should know, many lines */
	bool was_running;        /* nothing had to be started */
};

int environment_up(const struct up_options *options, struct up_result *ret_result, struct error *err);
void up_result_free(struct up_result *result);
