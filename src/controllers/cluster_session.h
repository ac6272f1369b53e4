/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to one tenant cluster with its watches. Made and ended by the worker that owns the tenant's key.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "cluster/cluster_reconcile.h"
#include "pki/digest.h"

struct manager_context;

struct cluster_session {
	struct cluster_target target;
	char *fingerprint;             /* credentials and address it was made for */
	char settled[DIGEST_HEX_SIZE]; /* inputs of the last look that wrote nothing */
	atomic_bool disturbed;         /* a watched object changed since the last look */
	void (*on_change)(const char *key, void *argument);
	void *argument;
	char *key;
};

struct cluster_session_options {
	struct manager_context *context;
	const char *key;     /* the tenant */
	const char *address; /* IP to dial */
	uint16_t port;
	const char *server_name; /* <tenant>.<namespace>.svc */
	const char *fingerprint;
	const char *kubeconfig; /* credentials; not kept */
	size_t kubeconfig_length;
	void (*on_change)(const char *key, void *argument); /* on the loop: a watched object changed */
	void *argument;
};

/* Connects lazily; NULL when the credentials cannot be used. */
struct cluster_session *cluster_session_new(const struct cluster_session_options *options, struct error *err);
/* 0 once it is known what is there. */
int cluster_session_wait(struct cluster_session *session, struct cancel *cancel, struct error *err);
void cluster_session_free(struct cluster_session *session); /* not on the loop; NULL is fine */
