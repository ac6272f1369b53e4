/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the request engine under the calls of client.h. */
#pragma once

#include "kube/client.h"
#include "net/http_client.h"

struct kube_request {
	const char *method;       /* NULL: GET */
	const char *path;         /* without the server's path prefix */
	const char *accept;       /* NULL: application/json */
	const char *content_type; /* of the body */
	const char *body;
	size_t body_length;
	bool secret;      /* errors must not quote the body */
	const char *what; /* begins every error message: "get secrets a/b" */
};

/*
 * Sends it: waits for a place among the requests in flight, honours 429 and the token. 0 with a 2xx response (http_response_free() by the
 * caller also after an error); -1 with *err from the Status.
 */
int kube_client_send(struct kube_client *client, const struct kube_request *request, struct http_response *response, struct cancel *cancel,
                     struct error *err);
/* The same with the body parsed as JSON; new reference. */
json_t *kube_client_send_json(struct kube_client *client, const struct kube_request *request, struct cancel *cancel, struct error *err);

/* "get secrets a/b" (free()). */
char *kube_call_text(const char *verb, const struct kube_resource *resource, const char *namespace, const char *name);
/* ERROR_BUG when the name, or the namespace of a namespaced resource, is empty. */
int kube_call_check(const struct kube_resource *resource, const char *namespace, const char *name, const char *what, struct error *err);

/* A list page or a watch on the loop (callbacks as of http_client_stream()). timeout_ms as there. */
struct http_stream *kube_client_stream(struct kube_client *client, const char *path, const char *accept, bool long_lived,
                                       unsigned timeout_ms, const struct http_stream_callbacks *callbacks, void *argument);
void kube_client_note_unauthorized(struct kube_client *client); /* a 401: read the token file again before the next request */
