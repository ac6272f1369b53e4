/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/event.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/thread.h"
#include "kube/event_series.h"

enum {
	MAXIMUM_QUEUED = 1000,
	MAXIMUM_MESSAGE = 1024, /* the server refuses longer ones */
	MAXIMUM_OBJECT_NAME = 230,
	SEND_TIMEOUT_MS = 10 * 1000,
	STOP_TIMEOUT_MS = 2 * 1000,
	RETRY_MS = 1000,
};

struct pending {
	struct pending *next;
	const struct kube_resource *resource;
	char *namespace, *name, *uid, *resource_version, *reason, *message;
	enum event_type type;
	int64_t seconds; /* when it happened */
};

struct event_recorder {
	struct kube_client *client;
	char *component, *instance;
	pthread_mutex_t mutex; /* guards the queue and the stop flag */
	pthread_cond_t condition;
	struct pending *first, *last;
	size_t queued;
	bool stopping;
	struct cancel *cancel;
	pthread_t thread;
	struct event_series_table series; /* the thread's alone */
};

static struct metric_family dropped_family = {
	.name = "kube_events_dropped_total",
	.help = "Events that were not sent: queue full, rate of the object over its limit, refused or failed",
	.type = METRIC_COUNTER,
	.labels = (const char *const[]){ "reason", NULL },
};

static void free_pending(struct pending *pending)
{
	if (pending == NULL)
		return;
	free(pending->namespace);
	free(pending->name);
	free(pending->uid);
	free(pending->resource_version);
	free(pending->reason);
	free(pending->message);
	free(pending);
}

static void count_dropped(const char *reason)
{
	metric_add(&dropped_family, METRIC_VALUES(reason), 1);
}

/* ---- sending: on the recorder's thread ---- */

static const char *type_text(enum event_type type)
{
	return type == EVENT_NORMAL ? "Normal" : "Warning";
}

static const char *event_namespace(const struct pending *pending)
{
	return string_empty(pending->namespace) ? "default" : pending->namespace;
}

static json_t *event_object(const struct event_recorder *recorder, const struct pending *pending, const char *event_name)
{
	char api_version[128], when[32];
	json_t *event, *involved;

	clock_format_rfc3339(pending->seconds, when, sizeof(when));
	event = json_build("{s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:i, s:s, s:s}", "apiVersion", "v1", "kind",
	                   "Event", "metadata", "name", event_name, "namespace", event_namespace(pending), "type", type_text(pending->type),
	                   "reason", pending->reason, "message", pending->message, "source", "component", recorder->component, "host",
	                   recorder->instance, "firstTimestamp", when, "lastTimestamp", when, "count", 1, "reportingComponent",
	                   recorder->component, "reportingInstance", recorder->instance);
	involved =
		json_build("{s:s, s:s, s:s}", "apiVersion", kube_resource_api_version(pending->resource, api_version, sizeof(api_version)),
	                   "kind", pending->resource->kind, "name", pending->name);
	json_put_string(involved, "namespace", string_empty(pending->namespace) ? NULL : pending->namespace);
	json_put_string(involved, "uid", string_empty(pending->uid) ? NULL : pending->uid);
	json_put_string(involved, "resourceVersion", string_empty(pending->resource_version) ? NULL : pending->resource_version);
	json_object_set_new(event, "involvedObject", involved);
	return event;
}

static int patch_event(struct event_recorder *recorder, const struct pending *pending, const struct event_series *series,
                       struct cancel *cancel, struct error *err)
{
	JSON_CLEANUP json_t *patch = NULL;
	JSON_CLEANUP json_t *stored = NULL;
	char when[32];

	clock_format_rfc3339(pending->seconds, when, sizeof(when));
	patch = json_build("{s:I, s:s}", "count", (json_int_t)series->count, "lastTimestamp", when);
	stored = kube_client_patch(recorder->client, &kube_resource_event, event_namespace(pending), series->event_name, KUBE_PATCH_MERGE,
	                           patch, NULL, cancel, err);
	return stored != NULL ? 0 : -1;
}

static int create_event(struct event_recorder *recorder, const struct pending *pending, struct event_series *series, struct cancel *cancel,
                        struct error *err)
{
	FREE_CLEANUP char *name =
		string_printf("%.*s.%016llx", MAXIMUM_OBJECT_NAME, pending->name, (unsigned long long)random_below(UINT64_MAX));
	JSON_CLEANUP json_t *event = event_object(recorder, pending, name);
	JSON_CLEANUP json_t *stored = kube_client_create(recorder->client, &kube_resource_event, event, NULL, cancel, err);

	if (stored == NULL)
		return -1;
	event_series_created(series, name);
	return 0;
}

static int send_once(struct event_recorder *recorder, const struct pending *pending, struct event_series *series, struct error *err)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(recorder->cancel, clock_monotonic_ms() + SEND_TIMEOUT_MS);

	if (series->event_name == NULL)
		return create_event(recorder, pending, series, cancel, err);
	if (patch_event(recorder, pending, series, cancel, err) == 0)
		return 0;
	if (err->class != ERROR_NOT_FOUND)
		return -1;
	/* The server forgets events after an hour: begin a new one. */
	return create_event(recorder, pending, series, cancel, err);
}

static void send_pending(struct event_recorder *recorder, const struct pending *pending)
{
	FREE_CLEANUP char *object_key =
		string_printf("%s/%s/%s/%s", pending->resource->kind, pending->namespace, pending->name, pending->uid);
	FREE_CLEANUP char *series_key =
		string_printf("%s\n%s\n%s\n%s", object_key, type_text(pending->type), pending->reason, pending->message);
	struct event_series *series;
	struct error err = { 0 };

	if (!event_series_admit(&recorder->series, object_key, clock_monotonic_ms())) {
		count_dropped("rate");
		return;
	}
	series = event_series_next(&recorder->series, series_key, clock_monotonic_ms());
	if (send_once(recorder, pending, series, &err) == 0)
		return;
	if ((err.class == ERROR_TRANSIENT || err.class == ERROR_TIMEOUT) && cancel_sleep(recorder->cancel, RETRY_MS, &err) == 0 &&
	    send_once(recorder, pending, series, &err) == 0)
		return;
	count_dropped(err.class == ERROR_CANCELLED ? "stopped" : "failed");
	log_debug("event.dropped", err.message, LOG_STRING("reason", pending->reason), LOG_STRING("object", object_key));
}

static struct pending *take_pending(struct event_recorder *recorder)
{
	struct pending *pending;
	THREAD_LOCKED(&recorder->mutex);

	while (recorder->first == NULL && !recorder->stopping)
		(void)thread_condition_wait(&recorder->condition, &recorder->mutex, UINT64_MAX);
	pending = recorder->first;
	if (pending == NULL)
		return NULL;
	recorder->first = pending->next;
	if (recorder->first == NULL)
		recorder->last = NULL;
	recorder->queued--;
	return pending;
}

static void *run(void *argument)
{
	struct event_recorder *recorder = argument;
	struct pending *pending;

	while ((pending = take_pending(recorder)) != NULL) {
		send_pending(recorder, pending);
		free_pending(pending);
	}
	THREAD_LOCKED(&recorder->mutex);
	recorder->queued = SIZE_MAX; /* ended */
	pthread_cond_broadcast(&recorder->condition);
	return NULL;
}

/* ---- recording: any thread ---- */

struct event_recorder *event_recorder_start(struct kube_client *client, const char *component, const char *instance, struct error *err)
{
	struct event_recorder *recorder = calloc(1, sizeof(*recorder));

	if (recorder == NULL)
		abort();
	recorder->client = kube_client_ref(client);
	recorder->component = string_dup(component);
	recorder->instance = string_dup(instance != NULL ? instance : "");
	recorder->cancel = cancel_new(NULL, UINT64_MAX);
	pthread_mutex_init(&recorder->mutex, NULL);
	thread_condition_init(&recorder->condition);
	metric_register(&dropped_family);
	if (thread_start(&recorder->thread, "events", run, recorder, err) == 0)
		return recorder;
	kube_client_unref(client);
	cancel_free(recorder->cancel);
	free(recorder->component);
	free(recorder->instance);
	free(recorder);
	return NULL;
}

static void wait_until_sent(struct event_recorder *recorder)
{
	uint64_t deadline = clock_monotonic_ms() + STOP_TIMEOUT_MS;
	THREAD_LOCKED(&recorder->mutex);

	recorder->stopping = true;
	pthread_cond_broadcast(&recorder->condition);
	while (recorder->queued != SIZE_MAX && clock_until(deadline) > 0)
		(void)thread_condition_wait(&recorder->condition, &recorder->mutex, deadline);
}

void event_recorder_stop(struct event_recorder *recorder)
{
	if (recorder == NULL)
		return;
	wait_until_sent(recorder);
	cancel_trigger(recorder->cancel); /* what is left fails at once and is counted */
	(void)pthread_join(recorder->thread, NULL);
	event_series_free(&recorder->series);
	cancel_free(recorder->cancel);
	kube_client_unref(recorder->client);
	pthread_mutex_destroy(&recorder->mutex);
	pthread_cond_destroy(&recorder->condition);
	free(recorder->component);
	free(recorder->instance);
	free(recorder);
}

/* Cuts to the limit at a character's border. */
static void cut_message(char *message)
{
	size_t end = MAXIMUM_MESSAGE;

	if (strlen(message) <= MAXIMUM_MESSAGE)
		return;
	while (end > 0 && ((unsigned char)message[end] & 0xc0) == 0x80)
		end--;
	message[end] = '\0';
}

void event_recorder_record(struct event_recorder *recorder, const struct event_object *object, enum event_type type, const char *reason,
                           const char *message_format, ...)
{
	struct pending *pending;
	va_list arguments;
	char *message = NULL;

	if (recorder == NULL)
		return;
	va_start(arguments, message_format);
	if (vasprintf(&message, message_format, arguments) < 0)
		abort();
	va_end(arguments);
	cut_message(message);
	pending = calloc(1, sizeof(*pending));
	if (pending == NULL)
		abort();
	*pending = (struct pending){
		.resource = object->resource,
		.namespace = string_dup(object->namespace != NULL ? object->namespace : ""),
		.name = string_dup(object->name),
		.uid = string_dup(object->uid != NULL ? object->uid : ""),
		.resource_version = string_dup(object->resource_version != NULL ? object->resource_version : ""),
		.reason = string_dup(reason),
		.message = message,
		.type = type,
		.seconds = clock_wall_seconds(),
	};
	THREAD_LOCKED(&recorder->mutex);
	if (recorder->stopping || recorder->queued >= MAXIMUM_QUEUED) {
		count_dropped(recorder->stopping ? "stopped" : "queue");
		free_pending(pending);
		return;
	}
	if (recorder->last != NULL)
		recorder->last->next = pending;
	else
		recorder->first = pending;
	recorder->last = pending;
	recorder->queued++;
	pthread_cond_broadcast(&recorder->condition);
}

struct event_object event_object_of(const struct kube_resource *resource, const json_t *object)
{
	return (struct event_object){
		.resource = resource,
		.namespace = json_string_at(object, "metadata.namespace"),
		.name = json_string_or(object, "metadata.name", ""),
		.uid = json_string_at(object, "metadata.uid"),
		.resource_version = json_string_at(object, "metadata.resourceVersion"),
	};
}
