/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of one API server: connections, credentials, typed errors. Calls block and may come from any thread but the loop's; each takes
 * a cancel token (its deadline is honoured; a call without one has KUBE_CALL_TIMEOUT_MS). Objects go in and out as json_t.
 *
 * Errors: class from the HTTP code and Status.reason, err->status the HTTP code, err->reason the Status.reason, err->retry_after_ms what
 * the server asked for, the message with the causes' fields.
 *   404 NOT_FOUND; 409 AlreadyExists EXISTS, other 409 CONFLICT; 410 EXPIRED; 400, 405, 406, 413, 415, 422 INVALID; 401, 403 FORBIDDEN;
 *   408, 504 TIMEOUT; 429, 500, 502, 503 and every network failure TRANSIENT; a body that is no JSON or too large CORRUPT or EXHAUSTED.
 * A 429 is waited for and tried again inside the call (at most KUBE_THROTTLE_RETRIES times, within the deadline), as is one connection
 * failure of a read. Writes are never repeated blindly: a caller whose write failed TRANSIENT reads again.
 *
 * Secrets: response buffers of the resource `secrets`, and of every call with `secret` set, are zeroed after parsing, as are request bodies
 * of Secrets. (jansson's own nodes are not; keep such trees short-lived.)
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "kube/config.h"
#include "kube/resource.h"

enum {
	KUBE_CALL_TIMEOUT_MS = 30000,
	KUBE_PAGE_SIZE = 50,
	KUBE_MAXIMUM_BODY = 64 * 1024 * 1024,
	KUBE_MAXIMUM_IN_FLIGHT = 32,
	KUBE_THROTTLE_RETRIES = 4,
};

struct kube_client;

struct kube_client_options {
	struct loop *loop;                /* drives the connections; outlives the client */
	const struct kube_config *config; /* copied as needed; may be freed afterwards */
	const char *connect_address; /* IP to dial in place of config->host (a tenant's Service address); the certificate is still verified
	                                   * against tls-server-name, else host. NULL: resolve host */
	uint16_t connect_port;       /* 0: config->port */
	const char *server_name;     /* name to verify, over config->tls_server_name; NULL: config's */
	const char *user_agent;      /* NULL: "kamaji/VERSION" */
	const char *metrics_host;   /* label `host` of rest_client_*; NULL: host:port. Give tenants one shared word: labels must stay few */
	unsigned maximum_in_flight; /* 0: KUBE_MAXIMUM_IN_FLIGHT; more calls wait */
	uint64_t connect_timeout_ms; /* 0: 10 s */
};

/* Does not connect yet. NULL with *err when credentials cannot be used (wrong PEM, key and certificate differ, ...). */
struct kube_client *kube_client_new(const struct kube_client_options *options, struct error *err);
/* Clients are counted: caches, elections and recorders hold one reference each. */
struct kube_client *kube_client_ref(struct kube_client *client);
/* The last reference closes the connections and must not be dropped on the loop's thread. NULL is fine. */
void kube_client_unref(struct kube_client *client);
/* "https://10.0.0.1:6443", for messages. */
const char *kube_client_server(const struct kube_client *client);

static inline void kube_client_cleanup(struct kube_client **client)
{
	kube_client_unref(*client);
}
#define KUBE_CLIENT_CLEANUP __attribute__((cleanup(kube_client_cleanup)))

/* New reference, or NULL with *err. namespace NULL for cluster-scoped. */
json_t *kube_client_get(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                        struct cancel *cancel, struct error *err);

struct kube_list_options {
	const char *label_selector, *field_selector; /* NULL: all */
	bool metadata_only;                          /* PartialObjectMetadata: only apiVersion, kind, metadata */
	bool secret;                                 /* zero buffers (always for Secrets) */
	unsigned page_size;                          /* 0: KUBE_PAGE_SIZE */
};
/* Calls visit(item) for every object, page by page (one page in memory); items get apiVersion and kind filled in. A visit that returns
 * nonzero ends the walk (0 is returned). options may be NULL; namespace NULL: all. */
int kube_client_each(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                     const struct kube_list_options *options, int (*visit)(json_t *item, void *argument), void *argument,
                     struct cancel *cancel, struct error *err);
/* The same as one JSON array: for lists known to be short. */
json_t *kube_client_list(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                         const struct kube_list_options *options, struct cancel *cancel, struct error *err);

enum kube_patch_type { KUBE_PATCH_MERGE, KUBE_PATCH_JSON, KUBE_PATCH_STRATEGIC, KUBE_PATCH_APPLY };

struct kube_write_options {        /* all may be zero; a NULL pointer means all zero */
	const char *subresource;   /* "status", "scale" */
	const char *field_manager; /* NULL: "kamaji" */
	bool force;                /* apply: take over fields of other managers */
	bool dry_run;
	bool secret; /* zero buffers (always for Secrets) */
};
/*
 * Namespace and name are read from the object's metadata; apiVersion and kind are filled in when missing (in a copy). They return the
 * object as the server stored it, a new reference, or NULL. create: metadata.generateName is allowed. replace: guarded by the object's
 * resourceVersion when it has one. apply: server-side apply, creates when absent (when the object carries a uid or resourceVersion it only
 * updates, CONFLICT otherwise).
 */
json_t *kube_client_create(struct kube_client *client, const struct kube_resource *resource, const json_t *object,
                           const struct kube_write_options *options, struct cancel *cancel, struct error *err);
json_t *kube_client_replace(struct kube_client *client, const struct kube_resource *resource, const json_t *object,
                            const struct kube_write_options *options, struct cancel *cancel, struct error *err);
json_t *kube_client_apply(struct kube_client *client, const struct kube_resource *resource, const json_t *object,
                          const struct kube_write_options *options, struct cancel *cancel, struct error *err);
json_t *kube_client_patch(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                          enum kube_patch_type type, const json_t *patch, const struct kube_write_options *options, struct cancel *cancel,
                          struct error *err);

struct kube_delete_options {
	const char *uid, *resource_version; /* preconditions: another object of that name gives CONFLICT */
	const char *propagation;            /* "Background" (NULL), "Foreground", "Orphan" */
	int64_t grace_seconds;              /* 0: the server's default; -1: at once (0 s) */
	bool dry_run;
	bool *completed; /* may be NULL; set true when the object is gone, false when it waits for finalizers or a grace period */
};
/* 0 also when the object is being deleted (finalizers); NOT_FOUND when it was not there. */
int kube_client_delete(struct kube_client *client, const struct kube_resource *resource, const char *namespace, const char *name,
                       const struct kube_delete_options *options, struct cancel *cancel, struct error *err);
/* Deletes everything that the selectors of the options match, in one request; a namespaced resource needs its namespace. */
int kube_client_delete_collection(struct kube_client *client, const struct kube_resource *resource, const char *namespace,
                                  const struct kube_list_options *list, const struct kube_delete_options *options, struct cancel *cancel,
                                  struct error *err);

/* GET of any path ("/readyz", "/version", "/openapi/v3"). The body is appended to out. Answers of 400 and above are errors. */
int kube_client_get_raw(struct kube_client *client, const char *path, struct buffer *out, struct cancel *cancel, struct error *err);
/* {"major":"1","minor":"36","gitVersion":"v1.36.3",...} */
json_t *kube_client_version(struct kube_client *client, struct cancel *cancel, struct error *err);
/* 0 when /readyz answers ok; -1 with what it said. */
int kube_client_ready(struct kube_client *client, struct cancel *cancel, struct error *err);
/* Asks discovery whether the group and version serve this plural. -1 only when that could not be found out. */
int kube_client_serves(struct kube_client *client, const struct kube_resource *resource, bool *served, struct cancel *cancel,
                       struct error *err);

/* Fills *err from a Status body (any bytes) of a response with that HTTP code; "what" begins the message. Always -1. Pure. */
int kube_status_error(int http_status, const char *retry_after, const char *body, size_t length, const char *what, struct error *err);

/* Metric families with labels host, method, code / host, verb: registered by the first client. */
