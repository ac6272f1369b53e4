/* SPDX-License-Identifier: Apache-2.0 */
/* kube-scheduler: our five flags win over the user's. */
#include "controlplane/arguments.h"
#include "controlplane/renderer.h"

#define CONF "/etc/kubernetes/scheduler.conf"

json_t *container_scheduler(const struct renderer *renderer)
{
	static const struct component component = { "scheduler", CONTAINER_SCHEDULER, "schedulerImage", "/healthz", "/healthz", "/healthz",
		                                    10259 };
	json_t *container = container_new(renderer, &component), *mounts = mounts_new(renderer, "scheduler");
	struct arguments arguments ARGUMENTS_CLEANUP = { 0 };

	arguments_set_list(&arguments, extra_arguments(renderer, "scheduler"));
	arguments_set(&arguments, "--authentication-kubeconfig", CONF);
	arguments_set(&arguments, "--authorization-kubeconfig", CONF);
	arguments_set(&arguments, "--bind-address", "0.0.0.0");
	arguments_set(&arguments, "--kubeconfig", CONF);
	arguments_set(&arguments, "--leader-elect", "true");
	mounts_add(mounts, VOLUME_SCHEDULER_KUBECONFIG, "/etc/kubernetes", true);
	json_put(container, "args", arguments_sorted(&arguments));
	json_put(container, "volumeMounts", mounts);
	return container;
}
