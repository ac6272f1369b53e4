/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/cluster_session.h"

#include <stdlib.h>

#include "base/strings.h"
#include "controllers/manager_context.h"
#include "kube/apply.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/config.h"

static void on_change(const struct kube_notice *notice, void *argument)
{
	struct cluster_session *session = argument;

	if (notice->own_write || notice->change == KUBE_ADDED)
		return;
	atomic_store(&session->disturbed, true);
	session->on_change(session->key, session->argument);
}

static struct kube_cache *watch_one(struct cluster_session *session, struct loop *loop, const char *namespace_name, const char *name)
{
	FREE_CLEANUP char *selector = string_printf("metadata.name=%s", name);
	struct kube_cache *cache = kube_cache_new(&(struct kube_cache_options){ .loop = loop,
	                                                                        .client = session->target.client,
	                                                                        .resource = &kube_resource_config_map,
	                                                                        .namespace = namespace_name,
	                                                                        .field_selector = selector });

	kube_cache_add_handler(cache, on_change, session);
	kube_cache_start(cache);
	return cache;
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
	session->target.applied = &session->applied;
	session->target.applier = kube_applier_new(NULL);
	session->target.kubeadm_config = watch_one(session, options->context->loop, "kube-system", "kubeadm-config");
	session->target.kubelet_config = watch_one(session, options->context->loop, "kube-system", options->kubelet_config_name);
	session->target.cluster_info = watch_one(session, options->context->loop, "kube-public", "cluster-info");
	return session;
}

int cluster_session_wait(struct cluster_session *session, struct cancel *cancel, struct error *err)
{
	struct kube_cache *caches[] = { session->target.kubeadm_config, session->target.kubelet_config, session->target.cluster_info };

	for (size_t i = 0; i < ARRAY_LENGTH(caches); i++) {
		if (kube_cache_wait_synced(caches[i], cancel, err) < 0)
			return -1;
	}
	return 0;
}

void cluster_session_free(struct cluster_session *session)
{
	if (!session)
		return;
	kube_cache_free(session->target.kubeadm_config);
	kube_cache_free(session->target.kubelet_config);
	kube_cache_free(session->target.cluster_info);
	kube_applier_free(session->target.applier);
	kube_client_unref(session->target.client);
	cluster_applied_free(&session->applied);
	free(session->fingerprint);
	free(session->key);
	free(session);
}
