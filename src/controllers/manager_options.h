/* SPDX-License-Identifier: Apache-2.0 */
/* How the manager runs: the flags of `kamaji manager` after parsing. Strings live as long as the process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct manager_options {
	const char *metrics_address; /* "host:port", ":8080"; "0" or "" turns the server off */
	const char *probe_address;   /* ":8081" */
	const char *namespace_name;  /* of the manager's own pod: Lease and its Events */
	const char *service_account; /* the manager's own; later Jobs run as it */
	const char *data_store;      /* default DataStore of tenants that name none; "" = none */
	const char *kine_image;
	const char *migrate_image;
	const char *webhook_service;
	const char *webhook_address;      /* ":9443"; "0" or "" turns the webhooks off */
	const char *webhook_url;          /* "https://127.0.0.1:9443": what configurations name in place of the Service; "" mostly */
	const char *webhook_certificates; /* folder with tls.crt and tls.key from elsewhere; used when they are there */
	uint64_t webhook_lifetime_ms;     /* of a serving certificate of our own */
	const char *template_profile;     /* "native" or "upstream", for Deployments created by us */
	const char *key_algorithm;        /* "ECDSA-P256" or "RSA-2048", for keys created by us */
	bool leader_elect;
	int64_t tenant_workers;           /* tenants reconciled at once */
	int64_t cluster_workers;          /* tenant clusters written to at once */
	uint64_t reconcile_timeout_ms;    /* one reconcile of one object */
	uint64_t resync_ms;               /* slow safety net: every object is looked at once in this time (from caches only) */
	uint64_t certificate_deadline_ms; /* certificates are renewed when they end within this */
	uint64_t lease_duration_ms, lease_renew_ms, lease_retry_ms;
	uint64_t stop_grace_ms; /* how long a stop waits for reconciles under way */
};

/* The defaults of every field. */
void manager_options_default(struct manager_options *options);
