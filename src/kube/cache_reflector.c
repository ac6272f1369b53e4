/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List and watch as a small machine on the loop:
 *
 *   STOPPED --start--> LISTING --last page--> WATCHING --ended by the server--> WATCHING again
 *                        ^  |                    |
 *                        |  +--failure--+        +--failure--> WAITING --timer--> LISTING or WATCHING
 *                        +---timer-- WAITING <---+ (410 and everything that is not understood: LISTING)
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "kube/cache_internal.h"
#include "kube/client_internal.h"
#include "kube/json_bytes.h"

enum {
	PAGE_TIMEOUT_MS = 60 * 1000,
	WATCH_HEADER_TIMEOUT_MS = 30 * 1000,
	WATCH_MINIMUM_SECONDS = 300,
	WATCH_MAXIMUM_SECONDS = 600,
	WATCH_GRACE_MS = 30 * 1000,   /* over its own timeoutSeconds: the server forgot us */
	WATCH_HEALTHY_MS = 10 * 1000, /* a watch that lived so long ends a row of failures */
	FIRST_DELAY_MS = 800,
	MAXIMUM_DELAY_MS = 30 * 1000,
	MAXIMUM_REFUSAL = 64 * 1024, /* body of an error response */
};

static struct metric_family lists_family = {
	.name = "kube_reflector_lists_total",
	.help = "Full lists begun by caches",
	.type = METRIC_COUNTER,
	.labels = (const char *const[]){ "resource", NULL },
};
static struct metric_family watches_family = {
	.name = "kube_reflector_watches_total",
	.help = "Watches begun by caches",
	.type = METRIC_COUNTER,
	.labels = (const char *const[]){ "resource", NULL },
};

static void begin_list(struct kube_cache *cache);
static void begin_page(struct kube_cache *cache);
static void begin_watch(struct kube_cache *cache);

static void end_stream(struct kube_reflector *reflector)
{
	struct http_stream *stream = reflector->stream;

	reflector->stream = NULL;
	if (stream != NULL)
		http_stream_close(stream);
	buffer_free_secret(&reflector->body);
	kube_watch_lines_free(&reflector->lines);
	free(reflector->retry_after);
	reflector->retry_after = NULL;
	loop_timer_disarm(reflector->timer);
}

static uint64_t delay_after(unsigned failures)
{
	uint64_t delay = FIRST_DELAY_MS;

	for (unsigned i = 1; i < failures && delay < MAXIMUM_DELAY_MS; i++)
		delay *= 2;
	if (delay > MAXIMUM_DELAY_MS)
		delay = MAXIMUM_DELAY_MS;
	/* Spread over [delay/2, delay], so that the caches of one broken connection do not come back as one. */
	return delay / 2 + random_below(delay / 2 + 1);
}

static void note_health(struct kube_reflector *reflector)
{
	if (reflector->state == KUBE_REFLECTOR_WATCHING && reflector->status == 200 &&
	    clock_monotonic_ms() - reflector->watch_since_ms >= WATCH_HEALTHY_MS)
		reflector->failures = reflector->expirations = 0;
}

static void fail(struct kube_cache *cache, const struct error *err, bool list_next)
{
	struct kube_reflector *reflector = &cache->reflector;
	uint64_t delay;

	note_health(reflector);
	end_stream(reflector);
	kube_cache_note_error(cache, err);
	/* A server that says "too old" works: the failures before it are over. */
	delay = delay_after(err->class == ERROR_EXPIRED ? ++reflector->expirations : ++reflector->failures);
	if (err->retry_after_ms > delay)
		delay = err->retry_after_ms;
	log_debug("cache.retry", err->message, LOG_STRING("resource", cache->resource->plural), LOG_INTEGER("delay_ms", (int64_t)delay));
	reflector->list_next = list_next;
	reflector->state = KUBE_REFLECTOR_WAITING;
	loop_timer_arm(reflector->timer, delay);
}

static void on_timer(void *argument)
{
	struct kube_cache *cache = argument;
	struct kube_reflector *reflector = &cache->reflector;
	struct error err = { 0 };

	if (reflector->state == KUBE_REFLECTOR_WATCHING) {
		error_set(&err, ERROR_TIMEOUT, "watch of %s outlived its time", cache->resource->plural);
		fail(cache, &err, false);
	} else if (reflector->state == KUBE_REFLECTOR_WAITING) {
		if (reflector->list_next)
			begin_list(cache);
		else
			begin_watch(cache);
	}
}

static void on_headers(struct http_stream *stream, int status, const struct http_headers *headers, void *argument)
{
	struct kube_cache *cache = argument;
	const char *retry_after = http_headers_get(headers, "retry-after");

	cache->reflector.status = status;
	free(cache->reflector.retry_after);
	cache->reflector.retry_after = string_dup(retry_after);
}

static bool refused(struct kube_cache *cache, struct error *err)
{
	struct kube_reflector *reflector = &cache->reflector;
	FREE_CLEANUP char *what = NULL;

	if (reflector->status >= 200 && reflector->status <= 299)
		return false;
	if (reflector->status == 401)
		kube_client_note_unauthorized(cache->client);
	what = string_printf("%s %s", reflector->state == KUBE_REFLECTOR_LISTING ? "list" : "watch", cache->resource->plural);
	(void)kube_status_error(reflector->status, reflector->retry_after, reflector->body.data != NULL ? reflector->body.data : "",
	                        reflector->body.length, what, err);
	return true;
}

/* ---- list ---- */

static int take_items(struct kube_cache *cache, const json_t *items, struct error *err)
{
	char api_version[128];
	json_t *item;
	size_t index;

	(void)kube_resource_api_version(cache->resource, api_version, sizeof(api_version));
	json_array_foreach(items, index, item) {
		if (!cache->metadata_only && json_is_object(item)) {
			/* Items of a typed list come without these. */
			if (json_object_get(item, "kind") == NULL)
				json_object_set_new(item, "kind", json_string(cache->resource->kind));
			if (json_object_get(item, "apiVersion") == NULL)
				json_object_set_new(item, "apiVersion", json_string(api_version));
		}
		if (kube_cache_take(cache, item, cache->reflector.list_number, err) != 0)
			return -1;
	}
	return 0;
}

static int take_page(struct kube_cache *cache, const json_t *page, struct error *err)
{
	struct kube_reflector *reflector = &cache->reflector;
	const json_t *items = json_object_get(page, "items");
	const char *version, *token;

	version = json_string_at(page, "metadata.resourceVersion");
	token = json_string_at(page, "metadata.continue");
	/* A server may write "items": null for none; a page without a version is not a list. */
	if ((items != NULL && !json_is_array(items) && !json_is_null(items)) || string_empty(version))
		return error_set(err, ERROR_CORRUPT, "the answer is not a list");
	if (take_items(cache, items, err) != 0)
		return -1;
	free(reflector->continue_token);
	reflector->continue_token = string_empty(token) ? NULL : string_dup(token);
	if (reflector->continue_token == NULL) {
		free(reflector->resource_version);
		reflector->resource_version = string_dup(version);
	}
	kube_cache_note_heard(cache);
	return 0;
}

static int parse_page(struct kube_cache *cache, struct error *err)
{
	struct buffer *body = &cache->reflector.body;
	json_t *page = kube_json_parse(body->data != NULL ? body->data : "", body->length, cache->secret, err);
	int result;

	buffer_free_secret(body);
	if (page == NULL)
		return -1;
	result = take_page(cache, page, err);
	if (cache->secret)
		kube_json_scrub(page);
	json_decref(page);
	return result;
}

static void on_list_data(struct http_stream *stream, const char *bytes, size_t length, void *argument)
{
	struct kube_cache *cache = argument;
	struct error err = { 0 };

	if (buffer_append(&cache->reflector.body, bytes, length))
		return;
	error_set(&err, ERROR_EXHAUSTED, "list %s: a page is larger than %d bytes", cache->resource->plural, KUBE_MAXIMUM_BODY);
	fail(cache, &err, true);
}

static void on_list_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *error, void *argument)
{
	struct kube_cache *cache = argument;
	struct kube_reflector *reflector = &cache->reflector;
	struct error err = { 0 };

	if (error != NULL)
		err = *error;
	if (error != NULL || refused(cache, &err)) {
		fail(cache, &err, true);
		return;
	}
	if (parse_page(cache, &err) != 0) {
		error_wrap(&err, "list %s", cache->resource->plural);
		fail(cache, &err, true);
		return;
	}
	end_stream(reflector);
	if (reflector->continue_token != NULL) {
		begin_page(cache);
		return;
	}
	kube_cache_finish_list(cache, reflector->list_number);
	kube_cache_note_error(cache, NULL);
	begin_watch(cache);
}

static char *selected_path(const struct kube_cache *cache)
{
	char *path = kube_resource_path(cache->resource, cache->namespace, NULL, NULL);

	path = kube_path_add_query(path, "labelSelector", cache->label_selector);
	return kube_path_add_query(path, "fieldSelector", cache->field_selector);
}

static void begin_page(struct kube_cache *cache)
{
	static const struct http_stream_callbacks callbacks = { .on_headers = on_headers, .on_data = on_list_data, .on_end = on_list_end };
	struct kube_reflector *reflector = &cache->reflector;
	FREE_CLEANUP char *limit = string_printf("%u", cache->page_size);
	FREE_CLEANUP char *path = kube_path_add_query(selected_path(cache), "limit", limit);

	path = kube_path_add_query(path, "continue", reflector->continue_token);
	reflector->status = 0;
	reflector->body.limit = KUBE_MAXIMUM_BODY;
	reflector->stream = kube_client_stream(
		cache->client, path, cache->metadata_only ? "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" : NULL,
		false, PAGE_TIMEOUT_MS, &callbacks, cache);
}

static void begin_list(struct kube_cache *cache)
{
	struct kube_reflector *reflector = &cache->reflector;

	metric_add(&lists_family, METRIC_VALUES(cache->resource->plural), 1);
	reflector->state = KUBE_REFLECTOR_LISTING;
	reflector->list_number++;
	free(reflector->continue_token);
	reflector->continue_token = NULL;
	kube_cache_begin_list(cache);
	begin_page(cache);
}

/* ---- watch ---- */

static int on_watch_line(const char *line, size_t length, void *argument, struct error *err)
{
	struct kube_cache *cache = argument;
	struct kube_reflector *reflector = &cache->reflector;
	struct kube_watch_event event = { 0 };
	struct kube_watch_glance glance;
	JSON_CLEANUP json_t *object = NULL;
	int result = 0;

	if (kube_watch_glance(line, length, &glance) && kube_cache_confirm(cache, &glance)) {
		free(reflector->resource_version);
		reflector->resource_version = string_ndup(glance.resource_version.bytes, glance.resource_version.length);
		return 0;
	}
	if (kube_watch_event_parse(line, length, &event, err) != 0)
		return -1;
	object = event.object;
	if (event.type != KUBE_WATCH_BOOKMARK ||
	    !string_equal(reflector->resource_version, json_string_at(object, "metadata.resourceVersion"))) {
		free(reflector->resource_version);
		reflector->resource_version = string_dup(json_string_at(object, "metadata.resourceVersion"));
	}
	if (event.type == KUBE_WATCH_DELETED)
		kube_cache_take_deleted(cache, object);
	else if (event.type != KUBE_WATCH_BOOKMARK)
		result = kube_cache_take(cache, object, 0, err);
	else if (kube_cache_has_stale_observation(cache))
		result = error_set(err, ERROR_EXPIRED, "a written object was never seen again");
	if (cache->secret)
		kube_json_scrub(object);
	return result;
}

static void on_watch_data(struct http_stream *stream, const char *bytes, size_t length, void *argument)
{
	struct kube_cache *cache = argument;
	struct kube_reflector *reflector = &cache->reflector;
	struct error err = { 0 };

	if (reflector->status != 200) {
		if (reflector->body.length + length <= MAXIMUM_REFUSAL)
			buffer_append(&reflector->body, bytes, length);
		return;
	}
	kube_cache_note_heard(cache);
	if (kube_watch_lines_feed(&reflector->lines, bytes, length, on_watch_line, cache, &err) == 0)
		return;
	/* An expired watch, and one that is not understood, begin again with a list; a busy server is only asked again. */
	error_wrap(&err, "watch %s", cache->resource->plural);
	fail(cache, &err, !(err.class == ERROR_TRANSIENT || err.class == ERROR_TIMEOUT));
}

static void on_watch_end(struct http_stream *stream, const struct http_headers *trailers, const struct error *error, void *argument)
{
	struct kube_cache *cache = argument;
	struct kube_reflector *reflector = &cache->reflector;
	uint64_t lived = clock_monotonic_ms() - reflector->watch_since_ms;
	struct error err = { 0 };

	if (error != NULL)
		err = *error;
	if (error != NULL) {
		error_wrap(&err, "watch %s", cache->resource->plural);
		fail(cache, &err, false);
		return;
	}
	if (refused(cache, &err)) {
		fail(cache, &err, !(err.class == ERROR_TRANSIENT || err.class == ERROR_TIMEOUT));
		return;
	}
	if (lived < 1000 || kube_watch_lines_pending(&reflector->lines)) {
		/* Ended too soon, or inside an event: what is lost comes again from the last version. */
		error_set(&err, ERROR_TRANSIENT, "watch %s: the server ended it", cache->resource->plural);
		fail(cache, &err, false);
		return;
	}
	note_health(reflector);
	end_stream(reflector);
	begin_watch(cache);
}

static void on_watch_headers(struct http_stream *stream, int status, const struct http_headers *headers, void *argument)
{
	struct kube_cache *cache = argument;

	on_headers(stream, status, headers, argument);
	if (status == 200) {
		kube_cache_note_error(cache, NULL);
		kube_cache_note_heard(cache);
	}
}

static void begin_watch(struct kube_cache *cache)
{
	static const struct http_stream_callbacks callbacks = { .on_headers = on_watch_headers,
		                                                .on_data = on_watch_data,
		                                                .on_end = on_watch_end };
	struct kube_reflector *reflector = &cache->reflector;
	unsigned seconds = WATCH_MINIMUM_SECONDS + (unsigned)random_below(WATCH_MAXIMUM_SECONDS - WATCH_MINIMUM_SECONDS + 1);
	FREE_CLEANUP char *timeout = string_printf("%u", seconds);
	FREE_CLEANUP char *path = kube_path_add_query(selected_path(cache), "watch", "true");

	metric_add(&watches_family, METRIC_VALUES(cache->resource->plural), 1);
	path = kube_path_add_query(path, "allowWatchBookmarks", "true");
	path = kube_path_add_query(path, "timeoutSeconds", timeout);
	path = kube_path_add_query(path, "resourceVersion", reflector->resource_version);
	reflector->state = KUBE_REFLECTOR_WATCHING;
	reflector->status = 0;
	reflector->watch_since_ms = clock_monotonic_ms();
	reflector->lines = (struct kube_watch_lines){ .secret = cache->secret };
	reflector->stream = kube_client_stream(cache->client, path,
	                                       cache->metadata_only ? "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" : NULL,
	                                       true, WATCH_HEADER_TIMEOUT_MS, &callbacks, cache);
	loop_timer_arm(reflector->timer, (uint64_t)seconds * 1000 + WATCH_GRACE_MS);
}

void kube_reflector_start(struct kube_cache *cache)
{
	struct kube_reflector *reflector = &cache->reflector;

	if (reflector->state != KUBE_REFLECTOR_STOPPED)
		return;
	reflector->timer = loop_timer_new(cache->loop, on_timer, cache);
	begin_list(cache);
}

void kube_reflector_stop(struct kube_cache *cache)
{
	struct kube_reflector *reflector = &cache->reflector;

	if (reflector->state != KUBE_REFLECTOR_STOPPED) {
		end_stream(reflector);
		loop_timer_free(reflector->timer);
	}
	reflector->state = KUBE_REFLECTOR_STOPPED;
	free(reflector->resource_version);
	free(reflector->continue_token);
}
