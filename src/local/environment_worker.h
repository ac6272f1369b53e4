/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kamaji local worker add | remove`: worker nodes of tenants, each in namespaces of its own, joined by the real `kubeadm join`. Every step
 * looks before it acts: a second `add` after a killed one goes on where that stopped, and `up` brings back the workers that it finds
 * recorded. The environment must be up.
 *
 *   record -> components -> node (containerd) -> images -> token, kubeadm join -> pod network -> Ready -> routes to the tenant's others
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "local/environment.h"
#include "local/progress.h"

struct worker_options {
	const char *name, *state_root;   /* of the environment */
	const char *program;             /* this program, absolute */
	const char *tenant;              /* "NAME" or "NAMESPACE/NAME" */
	const char *worker;              /* name of the Node */
	const char *endpoint;            /* add: "host:port" to join through instead of the tenant's own; NULL or "" */
	const struct string_list *hosts; /* add: "NAME=ADDRESS" for the node's /etc/hosts */
	bool force;                      /* remove: also when pods cannot be evicted or the tenant does not answer */
	uint64_t timeout_ms;             /* add: until Ready; remove: until every pod is evicted */
	struct cancel *cancel;
	struct progress *progress;
};

struct worker_result {
	char *namespace, *tenant, *version;
	char address[LOCAL_ADDRESS_TEXT_MAX];
	char *pods;            /* range of its pods */
	bool was_there;        /* add: was Ready already; remove: there was none */
	struct buffer reasons; /* when it failed: what a person should know */
};

int environment_worker_add(const struct worker_options *options, struct worker_result *ret_result, struct error *err);
int environment_worker_remove(const struct worker_options *options, struct worker_result *ret_result, struct error *err);
void worker_result_free(struct worker_result *result);

/*
 * For `up`, which holds the environment open for change: every recorded worker is brought to Ready, each within three minutes. One whose
 * tenant is gone or asleep, or that waits for its removal, is passed over with a line on `progress`. One that fails does not keep the others
 * away; the first failure is the result.
 */
int environment_workers_bring(struct local_environment *environment, const char *program, struct cancel *cancel, struct progress *progress,
                              struct buffer *reasons, struct error *err);
