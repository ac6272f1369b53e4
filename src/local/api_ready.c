/* SPDX-License-Identifier: Apache-2.0 */
#include "local/api_ready.h"

#include "base/clock.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "kube/client.h"
#include "kube/config.h"

int api_ready_ask(const char *kubeconfig, struct error *err)
{
	KUBE_CONFIG_CLEANUP struct kube_config *config = kube_config_load(kubeconfig, NULL, err);
	struct loop *loop = config ? loop_start("ready", err) : NULL;
	if (!loop)
		return -1;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + API_READY_TIMEOUT_MS);
	struct kube_client *client = kube_client_new(&(struct kube_client_options){ .loop = loop, .config = config }, err);
	int result = client ? kube_client_ready(client, cancel, err) : -1;
	kube_client_unref(client);
	loop_stop(loop);
	return result;
}
