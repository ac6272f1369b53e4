/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How to reach one API server: kubeconfig files (KUBECONFIG lists merged as kubectl does: the first file that sets a name or the current
 * context wins), a kubeconfig in memory (a tenant's admin Secret), or the service account of the pod we run in.
 *
 * Refused with an error that names the field: exec plugins, auth-provider, username/password, impersonation (as...),
 * insecure-skip-tls-verify. A kubeconfig from memory may not name files: it comes from a Secret that others can write, and must not make
 * this process read its own disk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { KUBE_CONFIG_MAXIMUM_BYTES = 1024 * 1024 };

/* Everything is owned by the struct; end with kube_config_free(), which zeroes keys and tokens. Unset text is NULL. */
struct kube_config {
	char *source;  /* for messages: "/home/me/.kube/config", "in-cluster", what the caller gave */
	char *context; /* name of the context in use, NULL in-cluster */
	char *user;    /* its user's name */
	char *server;  /* as written: "https://10.0.0.1:6443" */
	char *host;    /* host part without brackets */
	uint16_t port;
	char *path_prefix;     /* path of the server URL without a trailing slash; "" mostly */
	bool plaintext;        /* http:// (only ever on loopback: refused elsewhere) */
	char *namespace;       /* the context's default namespace; never NULL ("default") */
	char *ca_pem;          /* CA bundle; NULL: the system's */
	char *certificate_pem; /* client certificate chain */
	char *key_pem;         /* its key. Secret. */
	char *token;           /* bearer token. Secret. */
	char *token_file;      /* read again when it changes, at least every minute; wins over token */
	char *tls_server_name; /* name to verify instead of host */
	char *proxy_url;       /* "http://..." CONNECT proxy; from proxy-url, never from the environment */
};

/*
 * The order of every command: `path` when not NULL; then $KUBECONFIG when set and not empty; then in-cluster when
 * KUBERNETES_SERVICE_HOST is set; then ~/.kube/config. `context` (may be NULL) overrides current-context. New config or NULL.
 */
struct kube_config *kube_config_load(const char *path, const char *context, struct error *err);
/* One file, or several separated by ':' (missing ones are skipped unless all are). */
struct kube_config *kube_config_from_files(const char *list, const char *context, struct error *err);
/* `source` is for messages. Bytes are not kept. */
struct kube_config *kube_config_from_bytes(const char *bytes, size_t length, const char *source, const char *context, struct error *err);
/* `folder` is normally NULL: /var/run/secrets/kubernetes.io/serviceaccount. ERROR_NOT_FOUND when not in a cluster. */
struct kube_config *kube_config_in_cluster(const char *folder, struct error *err);
void kube_config_free(struct kube_config *config);

static inline void kube_config_cleanup(struct kube_config **config)
{
	kube_config_free(*config);
}
#define KUBE_CONFIG_CLEANUP __attribute__((cleanup(kube_config_cleanup)))
