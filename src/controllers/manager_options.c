/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/manager_options.h"

#include <string.h>

enum { SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS };

void manager_options_default(struct manager_options *options)
{
	memset(options, 0, sizeof(*options));
	options->metrics_address = ":8080";
	options->probe_address = ":8081";
	options->namespace_name = "";
	options->service_account = "";
	options->data_store = "";
	options->kine_image = "rancher/kine:v0.11.10-amd64";
	options->migrate_image = "";
	options->webhook_service = "kamaji-webhook-service";
	options->webhook_address = "";
	options->webhook_url = "";
	options->webhook_certificates = "/tmp/k8s-webhook-server/serving-certs";
	options->webhook_lifetime_ms = (uint64_t)365 * 24 * HOUR_MS;
	options->template_profile = "native";
	options->key_algorithm = "ECDSA-P256";
	options->leader_elect = true;
	options->tenant_workers = 4;
	options->cluster_workers = 2;
	options->reconcile_timeout_ms = 30 * SECOND_MS;
	options->resync_ms = 10 * HOUR_MS;
	options->certificate_deadline_ms = 24 * HOUR_MS;
	options->lease_duration_ms = 15 * SECOND_MS;
	options->lease_renew_ms = 10 * SECOND_MS;
	options->lease_retry_ms = 2 * SECOND_MS;
	options->stop_grace_ms = 20 * SECOND_MS;
}
