/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes Events (core/v1) about objects. Recording never waits and never fails: it puts the event on a bounded queue that one thread
 * sends. Aggregation: the same (object, type, reason, message) within 10 minutes is one Event whose count and lastTimestamp are patched.
 * Rate limit per object: a burst of 25, then one each 300 s, as client-go. What cannot be queued or sent is counted in
 * kube_events_dropped_total{reason}.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "kube/client.h"

struct event_recorder;

enum event_type { EVENT_NORMAL, EVENT_WARNING };

/* What the event is about. Texts are copied. */
struct event_object {
	const struct kube_resource *resource;
	const char *namespace; /* NULL for cluster-scoped: the Event then lives in "default" */
	const char *name;
	const char *uid;              /* may be NULL */
	const char *resource_version; /* may be NULL */
};

/* component: "kamaji"; instance: the pod's name (source.host, reportingInstance). Takes a reference of the client. */
struct event_recorder *event_recorder_start(struct kube_client *client, const char *component, const char *instance, struct error *err);
/* Sends what is queued for at most 2 s, then ends. */
void event_recorder_stop(struct event_recorder *recorder);
/* reason: CamelCase word; message: at most 1024 bytes are sent, never a secret. A NULL recorder records nothing. */
void event_recorder_record(struct event_recorder *recorder, const struct event_object *object, enum event_type type, const char *reason,
                           const char *message_format, ...) __attribute__((format(printf, 5, 6)));
/* Reads namespace, name, uid, resourceVersion of a live object. Borrowed texts. */
struct event_object event_object_of(const struct kube_resource *resource, const json_t *object);
