/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/cluster_session.h"

#include <stdlib.h>

#include "base/strings.h"
#include "controllers/manager_context.h"
#include "kube/apply.h"
#include "kube/client.h"
#include "kube/config.h"

static void on_change(void *argument)
{
	struct cluster_session *session = argument;

	atomic_store(&session->disturbed, true);
	session->on_change(session->key, session->argument);
}

static struct kube_client *connect_to(const struct cluster_session_options *options, struct error *err)
{
	KUBE_CONFIG_CLEANUP struct kube_config *config =
		kube_config_from_bytes(options->kubeconfig, options->kubeconfig_length, options->key, NULL, err);

	if (!config)
		return NULL;
	return kube_client_new(&(struct kube_client_options){ .loop = options->context->loop,
	                                                      .config = config,
	                                                      .connect_address = options->address,
	                                                      .connect_port = options->port,
	                                                      .server_name = options->server_name,
	                                                      .metrics_host = "tenant",
	                                                      .maximum_in_flight = 4,
	                                                      .connect_timeout_ms = 3000 },
	                       err);
}

struct cluster_session *cluster_session_new(const struct cluster_session_options *options, struct error *err)
{
	struct cluster_session *session = calloc(1, sizeof(*session));

	if (!session)
		abort();
	session->target.client = connect_to(options, err);
	if (!session->target.client) {
		free(session);
		return NULL;
	}
	session->key = string_dup(options->key);
	session->fingerprint = string_dup(options->fingerprint);
	session->on_change = options->on_change;
	session->argument = options->argument;
	session->target.applier = kube_applier_new(NULL);
	session->target.watches = cluster_watches_new(&(struct cluster_watches_options){
		.loop = options->context->loop, .client = session->target.client, .on_change = on_change, .argument = session });
	return session;
}

int cluster_session_wait(struct cluster_session *session, struct cancel *cancel, struct error *err)
{
	return cluster_watches_wait(session->target.watches, cancel, err);
}

void cluster_session_free(struct cluster_session *session)
{
	if (!session)
		return;
	cluster_watches_free(session->target.watches);
	kube_applier_free(session->target.applier);
	kube_client_unref(session->target.client);
	free(session->fingerprint);
	free(session->key);
	free(session);
}
