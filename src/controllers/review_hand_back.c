/* SPDX-License-Identifier: Apache-2.0 */
/* What upstream would do to objects of ours beside what a comparison with its own rendering shows (review.c). */
#include <string.h>

#include "api/names.h"
#include "base/base64.h"
#include "base/strings.h"
#include "cluster/cluster_objects.h"
#include "controllers/cluster_look.h"
#include "controllers/hand_back.h"
#include "controllers/review_internal.h"
#include "kube/client.h"

static const char sec1_marker[] = "-----BEGIN EC PRIVATE KEY";
static const char sec1_marker_in_kubeconfig[] = "LS0tLS1CRUdJTiBFQyBQUklWQVRF";

static bool holds_ecdsa_key(const json_t *secret)
{
	const char *key;
	json_t *value;
	bool found = false;

	json_object_foreach(json_object_get(secret, "data"), key, value) {
		BUFFER_SECRET_CLEANUP struct buffer decoded = { 0 };
		struct error ignored = { 0 };

		if (!json_is_string(value) || base64_decode(json_string_value(value), json_string_length(value), &decoded, &ignored) < 0 ||
		    !decoded.data)
			continue;
		found = found || memmem(decoded.data, decoded.length, sec1_marker, strlen(sec1_marker)) ||
		        memmem(decoded.data, decoded.length, sec1_marker_in_kubeconfig, strlen(sec1_marker_in_kubeconfig));
	}
	return found;
}

/* Upstream makes RSA keys only. It reads ECDSA keys of authorities; that it keeps every leaf is not promised anywhere. */
static void look_at_keys(struct review_tenant *tenant)
{
	const struct step_input *input = &tenant->snapshot->input;

	for (size_t i = 0; i < input->secret_count; i++) {
		if (holds_ecdsa_key(input->secrets[i]))
			review_add(tenant, "Secret", json_string_or(input->secrets[i], "metadata.name", ""), "data",
			           "holds an ECDSA key: upstream may issue it anew with RSA-2048 (create tenants with "
			           "--key-algorithm=RSA-2048 to avoid this)",
			           tenant->snapshot->tenant.replicas != 0);
	}
}

/* Added by upstream with an update of the whole object, which writes empty objects into spec. */
static void look_at_finalizer(struct review_tenant *tenant)
{
	size_t index;
	json_t *item;

	json_array_foreach(json_at(tenant->snapshot->object, "metadata.finalizers"), index, item) {
		if (string_equal(json_string_value(item), FINALIZER_TENANT))
			return;
	}
	review_add(tenant, KAMAJI_KIND_TENANT_CONTROL_PLANE, tenant->snapshot->tenant.name, "metadata.finalizers",
	           FINALIZER_TENANT " is added by rewriting the whole object", false);
}

/* Only of a tenant that runs; of one that sleeps nothing can be said. */
static void look_inside(struct review_tenant *tenant)
{
	const struct step_input *input = &tenant->snapshot->input;
	KUBE_CLIENT_CLEANUP struct kube_client *client = NULL;
	struct error err = { 0 };

	if (!cluster_is_served(tenant->snapshot->object, input->deployment))
		return;
	JSON_CLEANUP json_t *slice = hand_back_find_slice(tenant->context, tenant->snapshot->object, &client, NULL, &err);

	if (slice)
		review_add(tenant, "EndpointSlice", CLUSTER_OWN_ENDPOINT, "",
		           "stays inside the tenant (namespace default) and is kept by nobody: wrong once the tenant gets another "
		           "address; with this operator stopped, `kamaji handback --clean` takes it away",
		           false);
	else if (err.class != ERROR_NONE)
		review_add(tenant, "EndpointSlice", CLUSTER_OWN_ENDPOINT, "",
		           arena_printf(tenant->snapshot->arena, "may be inside the tenant, which cannot be asked: %s", err.message),
		           false);
}

void review_hand_back(struct review_tenant *tenant)
{
	look_at_keys(tenant);
	look_at_finalizer(tenant);
	look_inside(tenant);
}
