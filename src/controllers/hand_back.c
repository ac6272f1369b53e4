/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/hand_back.h"

#include "api/names.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "cluster/cluster_objects.h"
#include "controllers/cluster_look.h"
#include "controllers/manager_context.h"
#include "controllers/review_internal.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/config.h"

enum { TENANT_LIMIT_MS = 10 * 1000, CONNECT_LIMIT_MS = 3000 };

static struct kube_client *connect_to(struct manager_context *context, const json_t *tenant, struct cancel *cancel, struct error *err)
{
	BUFFER_SECRET_CLEANUP struct buffer text = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *config = NULL;

	if (cluster_kubeconfig_read(context, tenant, &text, cancel, err) < 0)
		return NULL;
	config = kube_config_from_bytes(text.data, text.length, json_string_or(tenant, "metadata.name", ""), NULL, err);
	if (!config)
		return NULL;
	return kube_client_new(
		&(struct kube_client_options){
			.loop = context->loop, .config = config, .metrics_host = "tenant", .connect_timeout_ms = CONNECT_LIMIT_MS },
		err);
}

json_t *hand_back_find_slice(struct manager_context *context, const json_t *tenant, struct kube_client **client, struct cancel *cancel,
                             struct error *err)
{
	CANCEL_CLEANUP struct cancel *limit = cancel_new(cancel, clock_monotonic_ms() + TENANT_LIMIT_MS);
	json_t *slice = NULL;

	error_clear(err);
	*client = connect_to(context, tenant, limit, err);
	if (*client)
		slice = kube_client_get(*client, &kube_resource_endpoint_slice, "default", CLUSTER_OWN_ENDPOINT, limit, err);
	if (*client && !slice && err->class == ERROR_NOT_FOUND)
		error_clear(err);
	if (slice && !cluster_is_own_endpoint(slice)) {
		json_decref(slice);
		return NULL;
	}
	return slice;
}

void hand_back_free(struct hand_back *result)
{
	json_decref(result->tenants);
	json_decref(result->removed);
	json_decref(result->left);
	*result = (struct hand_back){ 0 };
}

static int visit_lease(json_t *lease, void *argument)
{
	struct error *held = argument;
	const char *holder = json_string_or(lease, "spec.holderIdentity", "");
	int64_t renewed = 0;

	/* A holder that was killed leaves its name behind. Clocks may differ by some seconds; the duration is 15. */
	if (*holder && clock_parse_rfc3339(json_string_or(lease, "spec.renewTime", ""), &renewed) == 0 &&
	    renewed + json_integer_or(lease, "spec.leaseDurationSeconds", 0) > clock_wall_seconds())
		(void)error_set(held, ERROR_CONFLICT,
		                "an operator runs (%s holds Lease %s/%s) and would put back what is taken away: stop it first "
		                "(kubectl -n %s scale deployment kamaji --replicas=0)",
		                holder, json_string_or(lease, "metadata.namespace", ""), LEASE_MANAGER,
		                json_string_or(lease, "metadata.namespace", ""));
	return 0;
}

/* In whatever namespace the operator runs. */
static int look_for_operator(struct manager_context *context, struct error *err)
{
	const struct kube_list_options only = { .field_selector = "metadata.name=" LEASE_MANAGER };
	struct error held = { 0 };

	if (kube_client_each(context->client, &kube_resource_lease, NULL, &only, visit_lease, &held, NULL, err) < 0)
		return error_wrap(err, "list leases");
	if (held.class == ERROR_NONE)
		return 0;
	*err = held;
	return -1;
}

/* True when it was there and is gone; err tells what was in the way. */
static bool remove_from(struct manager_context *context, const json_t *tenant, struct error *err)
{
	KUBE_CLIENT_CLEANUP struct kube_client *client = NULL;
	JSON_CLEANUP json_t *slice = hand_back_find_slice(context, tenant, &client, NULL, err);
	const struct kube_delete_options seen = { .uid = json_string_at(slice, "metadata.uid") };

	if (!slice || kube_client_delete(client, &kube_resource_endpoint_slice, "default", CLUSTER_OWN_ENDPOINT, &seen, NULL, err) == 0)
		return slice != NULL;
	if (err->class == ERROR_NOT_FOUND)
		error_clear(err);
	return false;
}

static void clean_tenant(struct manager_context *context, const char *key, struct hand_back *result)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries served = { 0 };
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get_key(context->tenants, key);
	JSON_CLEANUP json_t *tenant = entry ? kube_entry_parse(entry) : NULL;
	struct error err = { 0 };

	kube_cache_by_index(context->deployments, INDEX_SERVED, key, &served);
	if (served.count == 0)
		(void)error_set(&err, ERROR_PENDING, "no API server of it runs: do this again when it is awake");
	else if (tenant && remove_from(context, tenant, &err))
		(void)json_array_append_new(result->removed, json_string_new(key));
	if (err.class != ERROR_NONE)
		(void)json_array_append_new(result->left, json_build("{s:s, s:s}", "tenant", key, "why", err.message));
}

static void clean_all(struct manager_context *context, struct hand_back *result)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries entries = { 0 };

	kube_cache_list(context->tenants, &entries);
	kube_entries_sort(&entries);
	for (size_t i = 0; i < entries.count; i++) {
		(void)json_array_append_new(result->tenants, json_string_new(entries.items[i]->key));
		clean_tenant(context, entries.items[i]->key, result);
	}
}

int hand_back_clean(const struct manager_options *options, struct hand_back *result, struct error *err)
{
	struct manager_context context = { .options = options };
	int status = review_open_cluster(&context, err);

	*result = (struct hand_back){ .tenants = json_array(), .removed = json_array(), .left = json_array() };
	if (status == 0)
		status = look_for_operator(&context, err);
	if (status == 0)
		clean_all(&context, result);
	review_close_cluster(&context);
	return status;
}
