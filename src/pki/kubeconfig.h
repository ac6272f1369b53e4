/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubeconfig text with embedded client credentials, to the byte as upstream writes it (client-go's YAML: apiVersion, clusters, contexts,
 * current-context, kind, users; context and current-context `USER@CLUSTER`; no preferences, no namespace). Holds a private key:
 * free buffers with buffer_free_secret().
 */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "pki/pem.h"

enum { KUBECONFIG_MAXIMUM_BYTES = 1024 * 1024 };

struct kubeconfig_content {
	const char *server;                          /* "https://10.96.171.202:6443" */
	const char *cluster;                         /* the tenant's name; "kubernetes" for konnectivity */
	const char *user;                            /* the client certificate's CN */
	struct pem_text authority, certificate, key; /* authority or the pair may be absent (length 0): left out of the text */
};
void kubeconfig_write(const struct kubeconfig_content *content, struct buffer *out); /* appends */

/* What the current context of a kubeconfig says. Free with kubeconfig_credentials_free(). */
struct kubeconfig_credentials {
	char *server, *cluster, *user, *context;   /* never NULL; server "" when absent */
	struct buffer authority, certificate, key; /* decoded *-data members; empty when absent */
};
/* YAML or JSON. ERROR_CORRUPT names the member that is missing or malformed. Files named in it are never opened. */
int kubeconfig_read(struct pem_text text, struct kubeconfig_credentials *credentials, struct error *err);
/*
 * The client certificate alone (PEM, appended), for those that look at many: where the text has exactly one, nothing else of it is decoded.
 * ERROR_CORRUPT when there is none.
 */
int kubeconfig_read_certificate(struct pem_text text, struct buffer *certificate, struct error *err);
void kubeconfig_credentials_free(struct kubeconfig_credentials *credentials); /* zeroes the key */
#define KUBECONFIG_CREDENTIALS_CLEANUP __attribute__((cleanup(kubeconfig_credentials_free)))
