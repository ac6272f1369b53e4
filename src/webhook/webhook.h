/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admission webhooks of one operator process: an HTTPS server, and the certificate that API servers trust it by.
 *
 *   webhook_start -> (webhook_lead once the Lease is held) -> webhook_stop -> webhook_free
 *
 * kube-apiserver talks HTTP/1.1 to webhooks whatever the server offers (it wants its requests spread over replicas), so that is what is
 * served; ALPN offers nothing else.
 *
 * Where the certificate comes from, first match:
 *   files      tls.crt and tls.key in certificate_folder (mounted, from cert-manager); read again when they change
 *   a Secret   WEBHOOK_SECRET in the operator's namespace that somebody else wrote: used as it is
 *   ours       the same Secret, made and rotated by the leader; every replica serves what stands in it
 * With a certificate of our own the leader also writes the authority into the webhook configurations and the CRD's conversion stanza, and
 * again when somebody removes it. A new authority is published beside the old one before anything signed by it is served.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/names.h" /* WEBHOOK_SECRET */
#include "base/error.h"
#include "base/json.h"
#include "io/cancel.h"
#include "io/loop.h"

#define WEBHOOK_VALIDATING "kamaji-validating-webhook-configuration"
#define WEBHOOK_MUTATING "kamaji-mutating-webhook-configuration"
#define WEBHOOK_CRD "tenantcontrolplanes.kamaji.clastix.io"

enum {
	WEBHOOK_CONNECTIONS = 256,
	WEBHOOK_THREADS = 2,
	WEBHOOK_REQUEST_MS = 10 * 1000,     /* kube-apiserver's own limit, unless a configuration says otherwise */
	WEBHOOK_PROPAGATION_MS = 10 * 1000, /* an authority is known to every API server so long after it was published */
	WEBHOOK_FILE_POLL_MS = 10 * 1000,
	WEBHOOK_RETRY_MS = 2 * 1000,
};

struct kube_client;
struct kube_cache;
struct webhook;

/* Strings and objects outlive the webhook; the caches may be freed between webhook_stop() and webhook_free(). */
struct webhook_options {
	struct loop *loop;
	struct kube_client *client;
	struct kube_cache *data_stores;
	struct kube_cache *secrets;           /* metadata of the Secrets of namespace_name, at least */
	const char *address;                  /* "10.0.0.1:9443" or ":9443" */
	const char *namespace_name, *service; /* what the certificate is for */
	const char *url;                      /* "https://127.0.0.1:9443": configurations name it in place of the Service; "" mostly */
	const char *certificate_folder;       /* "" : not looked at */
	const char *data_store;               /* default DataStore */
	uint64_t certificate_lifetime_ms;     /* of one of ours; renewed when a third is left */
	/* Whether the Deployment of this tenant would be accepted (ERROR_INVALID: no). Blocks. May be NULL. */
	int (*check_deployment)(const json_t *tenant, struct cancel *cancel, void *argument, struct error *err);
	void *argument;
};

/* Listens, and serves as soon as a certificate is there. NULL when the address cannot be listened on. */
struct webhook *webhook_start(const struct webhook_options *options, struct error *err);
/* This replica may write: Secret, configurations. Returns at once. */
void webhook_lead(struct webhook *webhook);
/* Requests under way are answered, then everything is closed. The loop must run. */
void webhook_stop(struct webhook *webhook);
void webhook_free(struct webhook *webhook); /* stopped before; NULL is fine */
