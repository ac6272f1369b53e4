/* SPDX-License-Identifier: Apache-2.0 */
/* Caches against a server that says what the test wants: list, watch, relist, broken streams, own writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_script.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"
#include "io/cancel.h"
#include "io/loop.h"
#include "io/thread.h"
#include "kube/cache.h"

struct fixture {
	struct loop *loop, *server_loop;
	struct api_script *script;
	struct kube_client *client;
	struct kube_cache *cache;
	pthread_mutex_t mutex;
	struct string_list told, groups; /* "ADDED n/x 5", "OWN UPDATED n/x 6" */
};

static void note(const struct kube_notice *notice, void *argument)
{
	static const char *const names[] = { "ADDED", "UPDATED", "DELETED" };
	struct fixture *fixture = argument;
	const struct kube_entry *shown = notice->after != NULL ? notice->after : notice->before;
	KUBE_ENTRY_CLEANUP struct kube_entry *present = kube_cache_get_key(notice->cache, notice->key);
	THREAD_LOCKED(&fixture->mutex);

	/* A lookup in a handler sees the change that it is told. */
	if (notice->change == KUBE_DELETED ? present != NULL && string_equal(present->uid, shown->uid) : present != shown)
		string_list_add(&fixture->told, "STALE");
	/* The tree at hand is what the entry holds. */
	if ((notice->object != NULL) != (notice->after != NULL) ||
	    (notice->object != NULL &&
	     !string_equal(json_string_at(notice->object, "metadata.resourceVersion"), notice->after->resource_version)) ||
	    json_at(notice->object, "metadata.managedFields") != NULL)
		string_list_add(&fixture->told, "OTHER OBJECT");
	string_list_printf(&fixture->told, "%s%s %s %s", notice->own_write ? "OWN " : "", names[notice->change], notice->key,
	                   shown->resource_version);
}

static void setup_with(struct fixture *fixture, const struct kube_cache_options *given)
{
	struct kube_cache_options options = *given;
	struct error err = { 0 };

	*fixture = (struct fixture){ 0 };
	fixture->loop = loop_start("client", &err);
	fixture->server_loop = loop_start("server", &err);
	fixture->script = api_script_start(fixture->server_loop);
	fixture->client = api_script_client(fixture->script, fixture->loop, NULL);
	pthread_mutex_init(&fixture->mutex, NULL);
	options.loop = fixture->loop;
	options.client = fixture->client;
	if (options.resource == NULL)
		options.resource = &kube_resource_config_map;
	fixture->cache = kube_cache_new(&options);
	kube_cache_add_handler(fixture->cache, note, fixture);
	kube_cache_start(fixture->cache);
}

static void setup(struct fixture *fixture)
{
	setup_with(fixture, &(struct kube_cache_options){ 0 });
}

static void teardown(struct fixture *fixture)
{
	kube_cache_free(fixture->cache);
	kube_client_unref(fixture->client);
	api_script_stop(fixture->script);
	loop_stop(fixture->loop);
	loop_stop(fixture->server_loop);
	string_list_free(&fixture->told);
	pthread_mutex_destroy(&fixture->mutex);
}

static char *object(const char *name, const char *uid, const char *version)
{
	return string_printf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"%s\",\"resourceVersion\":\"%s\",\"labels\":{"
	                     "\"group\":\"%s\"}},"
	                     "\"data\":{\"k\":\"v%s\"}}",
	                     name, uid, version, uid, version);
}

static void send_event(struct api_call *watch, const char *type, const char *name, const char *uid, const char *version)
{
	FREE_CLEANUP char *text = object(name, uid, version);
	FREE_CLEANUP char *line = string_printf("{\"type\":\"%s\",\"object\":%s}\n", type, text);

	api_call_send(watch, line, SIZE_MAX, false);
}

/* Answers a list with objects "name:uid:version" given as one text, parted by spaces. */
static void answer_list(struct api_call *call, const char *version, const char *token, const char *objects)
{
	STRING_LIST_CLEANUP struct string_list specs = { 0 }, texts = { 0 };
	FREE_CLEANUP char *items = NULL, *body = NULL;

	string_list_split(&specs, objects, ' ');
	for (size_t i = 0; i < specs.count; i++) {
		STRING_LIST_CLEANUP struct string_list parts = { 0 };

		string_list_split(&parts, specs.items[i], ':');
		string_list_take(&texts, object(parts.items[0], parts.items[1], parts.items[2]));
	}
	items = string_list_join(&texts, ",");
	body = string_printf("{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"%s\",\"continue\":\"%s\"},\"items\":[%s]}", version,
	                     token, items);
	assert_null(strstr(api_call_path(call), "watch="));
	api_call_answer(call, 200, NULL, body);
}

static struct api_call *expect_list(struct fixture *fixture)
{
	struct api_call *call = api_script_next(fixture->script);

	assert_non_null(call);
	assert_null(strstr(api_call_path(call), "watch="));
	assert_non_null(strstr(api_call_path(call), "limit=50"));
	assert_null(strstr(api_call_path(call), "resourceVersion="));
	return call;
}

static struct api_call *expect_watch(struct fixture *fixture, const char *version)
{
	struct api_call *call = api_script_next(fixture->script);
	FREE_CLEANUP char *wanted = string_printf("&resourceVersion=%s", version);
	const char *timeout;

	assert_non_null(call);
	assert_non_null(strstr(api_call_path(call), "watch=true"));
	assert_non_null(strstr(api_call_path(call), "allowWatchBookmarks=true"));
	assert_non_null(strstr(api_call_path(call), wanted));
	timeout = strstr(api_call_path(call), "timeoutSeconds=");
	assert_non_null(timeout);
	assert_in_range(strtol(timeout + 15, NULL, 10), 300, 600);
	api_call_begin(call, 200);
	return call;
}

/* Waits until so many notices were told, then compares them all and forgets them. */
static void assert_told(struct fixture *fixture, const char *wanted)
{
	STRING_LIST_CLEANUP struct string_list expected = { 0 };
	FREE_CLEANUP char *got = NULL;
	uint64_t deadline = clock_monotonic_ms() + 5000;

	string_list_split(&expected, wanted, ',');
	for (;;) {
		pthread_mutex_lock(&fixture->mutex);
		if (fixture->told.count >= expected.count || clock_until(deadline) == 0)
			break;
		pthread_mutex_unlock(&fixture->mutex);
		(void)usleep(1000);
	}
	got = string_list_join(&fixture->told, ",");
	string_list_free(&fixture->told);
	pthread_mutex_unlock(&fixture->mutex);
	assert_string_equal(got, wanted);
}

static void wait_synced(struct fixture *fixture)
{
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + 5000);
	struct error err = { 0 };

	if (kube_cache_wait_synced(fixture->cache, cancel, &err) != 0)
		fail_msg("%s", err.message);
}

/* The first list and a watch. */
static struct api_call *begin(struct fixture *fixture, const char *objects)
{
	answer_list(expect_list(fixture), "10", "", objects);
	wait_synced(fixture);
	return expect_watch(fixture, "10");
}

static void assert_held(struct fixture *fixture, const char *name, const char *version)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_cache_get(fixture->cache, "n", name);

	if (version == NULL) {
		assert_null(entry);
		return;
	}
	assert_non_null(entry);
	assert_string_equal(entry->resource_version, version);
}

static void test_pages_and_events(void **state)
{
	struct fixture fixture;
	struct api_call *call, *watch;
	json_t *parsed;

	setup(&fixture);
	assert_false(kube_cache_synced(fixture.cache));
	answer_list(expect_list(&fixture), "7", "next page", "a:ua:1 b:ub:2");
	call = api_script_next(fixture.script);
	assert_non_null(strstr(api_call_path(call), "continue=next%20page"));
	assert_false(kube_cache_synced(fixture.cache));
	answer_list(call, "7", "", "c:uc:3");
	wait_synced(&fixture);
	watch = expect_watch(&fixture, "7");
	assert_told(&fixture, "ADDED n/a 1,ADDED n/b 2,ADDED n/c 3");
	parsed = kube_cache_get_json(fixture.cache, "n", "a");
	assert_string_equal(json_string_at(parsed, "kind"), "ConfigMap"); /* items of a list come without it */
	assert_string_equal(json_string_at(parsed, "apiVersion"), "v1");
	json_decref(parsed);
	send_event(watch, "MODIFIED", "a", "ua", "8");
	send_event(watch, "ADDED", "d", "ud", "9");
	send_event(watch, "DELETED", "b", "ub", "10");
	send_event(watch, "MODIFIED", "a", "ua", "8"); /* the same again is not told */
	send_event(watch, "BOOKMARK", "", "", "20");
	send_event(watch, "MODIFIED", "c", "uc", "21");
	assert_told(&fixture, "UPDATED n/a 8,ADDED n/d 9,DELETED n/b 2,UPDATED n/c 21");
	assert_int_equal(kube_cache_count(fixture.cache), 3);
	parsed = kube_cache_get_json(fixture.cache, "n", "a");
	assert_string_equal(json_string_at(parsed, "data.k"), "v8");
	json_decref(parsed);
	teardown(&fixture);
}

static void test_empty_list_and_null_items(void **state)
{
	struct fixture fixture;

	setup(&fixture);
	api_call_answer(expect_list(&fixture), 200, NULL, "{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":null}");
	wait_synced(&fixture);
	(void)expect_watch(&fixture, "10");
	assert_int_equal(kube_cache_count(fixture.cache), 0);
	teardown(&fixture);
}

/* An orderly end resumes at once from the last event or bookmark; a broken stream after a pause. */
static void test_resume(void **state)
{
	struct fixture fixture;
	struct api_call *watch;

	setup(&fixture);
	watch = begin(&fixture, "a:ua:1");
	send_event(watch, "MODIFIED", "a", "ua", "11");
	send_event(watch, "BOOKMARK", "", "", "15");
	assert_told(&fixture, "ADDED n/a 1,UPDATED n/a 11");
	(void)usleep(1100 * 1000);
	api_call_send(watch, "", 0, true);
	watch = expect_watch(&fixture, "15");
	send_event(watch, "MODIFIED", "a", "ua", "16");
	assert_told(&fixture, "UPDATED n/a 16");
	api_call_reset(watch);
	watch = expect_watch(&fixture, "16");
	send_event(watch, "MODIFIED", "a", "ua", "17");
	assert_told(&fixture, "UPDATED n/a 17");
	api_script_break(fixture.script);
	watch = expect_watch(&fixture, "17");
	send_event(watch, "DELETED", "a", "ua", "18");
	assert_told(&fixture, "DELETED n/a 17");
	teardown(&fixture);
}

static void test_expired_lists_again(void **state)
{
	struct fixture fixture;
	struct api_call *watch;

	setup(&fixture);
	watch = begin(&fixture, "a:ua:1 b:ub:2 c:uc:3");
	assert_told(&fixture, "ADDED n/a 1,ADDED n/b 2,ADDED n/c 3");
	api_call_send(watch, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n", SIZE_MAX,
	              false);
	/* Meanwhile: a unchanged, b gone, c made anew under its name, d new. */
	answer_list(expect_list(&fixture), "30", "", "a:ua:1 c:uc2:25 d:ud:26");
	watch = expect_watch(&fixture, "30");
	assert_told(&fixture, "DELETED n/c 3,ADDED n/c 25,ADDED n/d 26,DELETED n/b 2");
	api_call_send(watch, "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"31\"}}}\n", SIZE_MAX, false);
	teardown(&fixture);
}

static void test_refused_watch(void **state)
{
	struct fixture fixture;
	struct api_call *watch;
	struct error err = { 0 };

	setup(&fixture);
	answer_list(expect_list(&fixture), "10", "", "a:ua:1");
	wait_synced(&fixture);
	watch = api_script_next(fixture.script);
	api_call_answer(watch, 410, NULL, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
	answer_list(expect_list(&fixture), "12", "", "a:ua:1");
	watch = api_script_next(fixture.script);
	api_call_answer(watch, 503, NULL, "not now");
	watch = expect_watch(&fixture, "12"); /* a busy server is asked again, not listed */
	for (int i = 0; i < 100; i++) {
		kube_cache_last_error(fixture.cache, &err);
		if (err.class == ERROR_NONE)
			break;
		(void)usleep(10000);
	}
	assert_int_equal(err.class, ERROR_NONE);
	teardown(&fixture);
}

static void test_failing_list(void **state)
{
	struct fixture fixture;
	CANCEL_CLEANUP struct cancel *cancel = cancel_new(NULL, clock_monotonic_ms() + 200);
	struct error err = { 0 };

	setup(&fixture);
	api_call_answer(expect_list(&fixture), 403, NULL, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"may not list\"}");
	assert_int_equal(kube_cache_wait_synced(fixture.cache, cancel, &err), -1);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	assert_non_null(strstr(err.message, "may not list"));
	kube_cache_last_error(fixture.cache, &err);
	assert_int_equal(err.class, ERROR_FORBIDDEN);
	/* The second page fails: everything begins anew, and what the first try brought stays. */
	answer_list(expect_list(&fixture), "10", "more", "a:ua:1");
	api_call_answer(api_script_next(fixture.script), 410, NULL, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
	answer_list(expect_list(&fixture), "11", "", "b:ub:2");
	wait_synced(&fixture);
	assert_told(&fixture, "ADDED n/a 1,ADDED n/b 2,DELETED n/a 1");
	teardown(&fixture);
}

/* A list body cut at every length: never a crash, never half a state that counts as synced. */
static void test_cut_lists(void **state)
{
	static const char body[] = "{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[{\"metadata\":{\"name\":\"a\",\"uid\":\"u\","
				   "\"resourceVersion\":\"1\"}}]}";
	struct fixture fixture;

	/* One cache for each length would wait for the back-off; a fresh one needs none. */
	for (size_t length = 0; length < sizeof(body) - 1; length += 7) {
		FREE_CLEANUP char *cut = string_ndup(body, length);
		struct error err = { 0 };

		setup(&fixture);
		api_call_answer(expect_list(&fixture), 200, NULL, cut);
		for (int i = 0; i < 1000 && err.class == ERROR_NONE; i++) {
			(void)usleep(1000);
			kube_cache_last_error(fixture.cache, &err);
		}
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_false(kube_cache_synced(fixture.cache));
		teardown(&fixture);
	}
}

static void test_garbage_in_watch_lists_again(void **state)
{
	struct fixture fixture;
	struct api_call *watch;

	setup(&fixture);
	watch = begin(&fixture, "a:ua:1");
	api_call_send(watch, "no JSON\n", SIZE_MAX, false);
	answer_list(expect_list(&fixture), "20", "", "a:ua:19");
	watch = expect_watch(&fixture, "20");
	assert_told(&fixture, "ADDED n/a 1,UPDATED n/a 19");
	teardown(&fixture);
}

static void test_event_in_pieces(void **state)
{
	struct fixture fixture;
	struct api_call *watch;
	FREE_CLEANUP char *text = object("a", "ua", "11");
	FREE_CLEANUP char *line = string_printf("{\"type\":\"MODIFIED\",\"object\":%s}\n", text);

	setup(&fixture);
	watch = begin(&fixture, "a:ua:1");
	for (size_t i = 0; i < strlen(line); i += 5)
		api_call_send(watch, line + i, strlen(line + i) < 5 ? strlen(line + i) : 5, false);
	assert_told(&fixture, "ADDED n/a 1,UPDATED n/a 11");
	teardown(&fixture);
}

/* "group" of before and after, "-" for none. */
static void note_groups(const struct kube_notice *notice, void *argument)
{
	struct fixture *fixture = argument;
	const char *before = kube_notice_value(notice, "group", true), *after = kube_notice_value(notice, "group", false);
	THREAD_LOCKED(&fixture->mutex);

	string_list_printf(&fixture->groups, "%s %s>%s", notice->key, before != NULL ? before : "-", after != NULL ? after : "-");
}

static void test_index_values_in_notices(void **state)
{
	static const struct kube_cache_index index = { "group", kube_index_label, (void *)(uintptr_t)"group" };
	struct fixture fixture;
	struct api_call *watch;
	FREE_CLEANUP char *told = NULL;

	setup_with(&fixture, &(struct kube_cache_options){ .indexes = &index, .index_count = 1 });
	kube_cache_add_handler(fixture.cache, note_groups, &fixture);
	api_call_answer(expect_list(&fixture), 200, NULL,
	                "{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[{\"metadata\":{\"name\":\"a\",\"uid\":\"u\","
	                "\"resourceVersion\":\"1\",\"labels\":{\"group\":\"g\"}}}]}");
	wait_synced(&fixture);
	watch = expect_watch(&fixture, "10");
	api_call_send(watch,
	              "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"11\","
	              "\"labels\":{\"group\":\"h\"}}}}\n"
	              "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"12\"}}}\n"
	              "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"v\",\"resourceVersion\":\"13\","
	              "\"labels\":{\"group\":\"i\"}}}}\n"
	              "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"v\",\"resourceVersion\":\"14\"}}}\n",
	              SIZE_MAX, false);
	assert_told(&fixture, "ADDED a 1,UPDATED a 11,UPDATED a 12,DELETED a 12,ADDED a 13,DELETED a 13");
	told = string_list_join(&fixture.groups, ",");
	assert_string_equal(told, "a ->g,a g>h,a h>-,a ->-,a ->i,a i>-");
	string_list_free(&fixture.groups);
	teardown(&fixture);
}

static void test_indexes_and_late_handler(void **state)
{
	static const struct kube_cache_index indexes[] = { { "group", kube_index_label, (void *)(uintptr_t)"group" },
		                                           { "namespace", kube_index_namespace, NULL } };
	struct fixture fixture;
	struct api_call *watch;
	KUBE_ENTRIES_CLEANUP struct kube_entries found = { 0 };
	size_t full;

	setup_with(&fixture, &(struct kube_cache_options){ .indexes = indexes, .index_count = 2 });
	watch = begin(&fixture, "a:u1:1 b:u1:2 c:u2:3");
	kube_cache_by_index(fixture.cache, "group", "u1", &found);
	assert_int_equal(found.count, 2);
	kube_entries_free(&found);
	kube_cache_by_index(fixture.cache, "namespace", "n", &found);
	assert_int_equal(found.count, 3);
	kube_entries_free(&found);
	assert_told(&fixture, "ADDED n/a 1,ADDED n/b 2,ADDED n/c 3");
	full = kube_cache_memory(fixture.cache);
	send_event(watch, "MODIFIED", "b", "u3", "12"); /* another uid, so another label value */
	send_event(watch, "DELETED", "a", "u1", "13");
	assert_told(&fixture, "DELETED n/b 2,ADDED n/b 12,DELETED n/a 1");
	kube_cache_by_index(fixture.cache, "group", "u1", &found);
	assert_int_equal(found.count, 0);
	kube_cache_by_index(fixture.cache, "group", "u3", &found);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0]->key, "n/b");
	assert_true(kube_cache_memory(fixture.cache) < full);
	kube_cache_add_handler(fixture.cache, note, &fixture);
	pthread_mutex_lock(&fixture.mutex);
	assert_int_equal(fixture.told.count, 2); /* ADDED for what is there */
	pthread_mutex_unlock(&fixture.mutex);
	teardown(&fixture);
}

static void test_secrets_are_digests(void **state)
{
	struct fixture fixture;
	struct api_call *watch;
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = NULL;
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };

	setup_with(&fixture, &(struct kube_cache_options){ .resource = &kube_resource_secret });
	api_call_answer(
		expect_list(&fixture), 200, NULL,
		"{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\","
		"\"resourceVersion\":\"1\"},\"data\":{\"p\":\"aHVudGVyMg==\"}}]}");
	wait_synced(&fixture);
	watch = expect_watch(&fixture, "10");
	api_call_send(watch,
	              "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\",\"uid\":\"v\",\"resourceVersion\":"
	              "\"11\"},"
	              "\"data\":{\"p\":\"aHVudGVyMg==\"}}}\n",
	              SIZE_MAX, false);
	assert_told(&fixture, "ADDED n/a 1,ADDED n/b 11");
	entry = kube_cache_get(fixture.cache, "n", "b");
	kube_entry_open(entry, &text);
	assert_null(strstr(text.json, "aHVudGVyMg"));
	assert_non_null(strstr(text.json, "sha256:f52fbd32"));
	teardown(&fixture);
}

static json_t *parsed_object(const char *name, const char *uid, const char *version)
{
	FREE_CLEANUP char *text = object(name, uid, version);
	struct error err = { 0 };

	return json_parse(text, strlen(text), &err);
}

static bool observe(struct fixture *fixture, const struct kube_entry *before, const char *name, const char *uid, const char *version)
{
	JSON_CLEANUP json_t *written = parsed_object(name, uid, version);

	return kube_cache_observe(fixture->cache, before, written);
}

static void test_own_writes(void **state)
{
	struct fixture fixture;
	struct api_call *watch;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = NULL, *second = NULL;

	setup(&fixture);
	watch = begin(&fixture, "a:ua:1");
	assert_told(&fixture, "ADDED n/a 1");
	before = kube_cache_get(fixture.cache, "n", "a");
	assert_true(observe(&fixture, before, "a", "ua", "13"));
	assert_held(&fixture, "a", "13");
	assert_told(&fixture, "OWN UPDATED n/a 13");
	assert_false(observe(&fixture, before, "a", "ua", "14")); /* the cache has moved on from `before` */
	/* What happened before our write comes late and must not take us back; then the write itself, then what follows. */
	send_event(watch, "MODIFIED", "a", "ua", "12");
	send_event(watch, "MODIFIED", "a", "ua", "13");
	send_event(watch, "MODIFIED", "a", "ua", "15");
	assert_told(&fixture, "UPDATED n/a 15");
	second = kube_cache_get(fixture.cache, "n", "a");
	assert_true(observe(&fixture, second, "a", "ua", "16"));
	send_event(watch, "DELETED", "a", "ua", "17");
	assert_told(&fixture, "OWN UPDATED n/a 16,DELETED n/a 16");
	teardown(&fixture);
}

static void test_own_creation(void **state)
{
	struct fixture fixture;
	struct api_call *watch;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = NULL;

	setup(&fixture);
	watch = begin(&fixture, "");
	assert_true(observe(&fixture, NULL, "a", "ua", "11"));
	assert_told(&fixture, "OWN ADDED n/a 11");
	send_event(watch, "DELETED", "a", "older", "10"); /* an earlier object of that name */
	send_event(watch, "ADDED", "a", "ua", "11");
	send_event(watch, "ADDED", "b", "ub", "12");
	send_event(watch, "DELETED", "b", "ub", "13");
	assert_told(&fixture, "ADDED n/b 12,DELETED n/b 12");
	assert_false(observe(&fixture, NULL, "b", "ub", "12")); /* it lived and died while its creator looked away */
	assert_held(&fixture, "b", NULL);
	before = kube_cache_get(fixture.cache, "n", "a");
	assert_true(kube_cache_observe_deleted(fixture.cache, before));
	assert_held(&fixture, "a", NULL);
	send_event(watch, "MODIFIED", "a", "ua", "14"); /* from before the deletion */
	send_event(watch, "DELETED", "a", "ua", "15");
	send_event(watch, "ADDED", "a", "ua2", "16");
	assert_told(&fixture, "OWN DELETED n/a 11,ADDED n/a 16");
	teardown(&fixture);
}

/* A write during a list is not undone by the list that began before it. */
static void test_own_write_during_list(void **state)
{
	struct fixture fixture;
	struct api_call *watch, *list;
	KUBE_ENTRY_CLEANUP struct kube_entry *before = NULL;

	setup(&fixture);
	watch = begin(&fixture, "a:ua:1 z:uz:2");
	assert_told(&fixture, "ADDED n/a 1,ADDED n/z 2");
	before = kube_cache_get(fixture.cache, "n", "a");
	api_call_send(watch, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n", SIZE_MAX, false);
	list = expect_list(&fixture);
	assert_true(observe(&fixture, before, "a", "ua", "31"));
	assert_true(observe(&fixture, NULL, "b", "ub", "32"));
	answer_list(list, "30", "", "a:ua:1");
	watch = expect_watch(&fixture, "30");
	assert_told(&fixture, "OWN UPDATED n/a 31,OWN ADDED n/b 32,DELETED n/z 2");
	assert_held(&fixture, "a", "31");
	assert_held(&fixture, "b", "32");
	send_event(watch, "MODIFIED", "a", "ua", "31");
	send_event(watch, "ADDED", "b", "ub", "32");
	send_event(watch, "MODIFIED", "b", "ub", "33");
	assert_told(&fixture, "UPDATED n/b 33");
	teardown(&fixture);
}

static void test_freed_at_any_time(void **state)
{
	struct fixture fixture;

	setup(&fixture); /* its list unanswered */
	(void)expect_list(&fixture);
	teardown(&fixture);
	setup(&fixture); /* waiting to try again */
	api_call_answer(expect_list(&fixture), 500, NULL, "");
	(void)usleep(20000);
	teardown(&fixture);
	setup(&fixture); /* watching */
	(void)begin(&fixture, "a:ua:1");
	teardown(&fixture);
}

static bool is_not_x(const json_t *object, void *argument)
{
	assert_string_equal(argument, "argument");
	return !string_equal(json_string_at(object, "metadata.name"), "x");
}

/* What no selector can say is left out on arrival: neither held nor told of. */
static void test_kept_by_name(void **state)
{
	struct fixture fixture;
	struct api_call *watch;

	setup_with(&fixture, &(struct kube_cache_options){ .keep = is_not_x, .keep_argument = (char *)(uintptr_t)"argument" });
	watch = begin(&fixture, "a:ua:1 x:ux:2");
	send_event(watch, "MODIFIED", "x", "ux", "31");
	send_event(watch, "DELETED", "x", "ux", "32");
	send_event(watch, "MODIFIED", "a", "ua", "33");
	assert_told(&fixture, "ADDED n/a 1,UPDATED n/a 33");
	assert_int_equal(kube_cache_count(fixture.cache), 1);
	teardown(&fixture);
}

static void test_selectors_in_path(void **state)
{
	struct fixture fixture;
	struct api_call *call;

	setup_with(&fixture,
	           &(struct kube_cache_options){
			   .namespace = "n", .label_selector = "a=b", .field_selector = "metadata.name=x", .metadata_only = true });
	call = expect_list(&fixture);
	assert_non_null(strstr(api_call_path(call), "/api/v1/namespaces/n/configmaps?labelSelector=a%3Db&fieldSelector=metadata.name%3Dx"));
	assert_non_null(strstr(api_call_header(call, "accept"), "as=PartialObjectMetadataList"));
	answer_list(call, "10", "", "");
	call = expect_watch(&fixture, "10");
	assert_non_null(strstr(api_call_path(call), "labelSelector=a%3Db"));
	assert_non_null(strstr(api_call_header(call, "accept"), "as=PartialObjectMetadata;"));
	/* Through a selector "deleted" may mean "no longer matches": the same uid may come back. */
	send_event(call, "ADDED", "a", "ua", "11");
	send_event(call, "DELETED", "a", "ua", "12");
	send_event(call, "ADDED", "a", "ua", "13");
	assert_told(&fixture, "ADDED n/a 11,DELETED n/a 11,ADDED n/a 13");
	teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_and_events),
		cmocka_unit_test(test_empty_list_and_null_items),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_expired_lists_again),
		cmocka_unit_test(test_refused_watch),
		cmocka_unit_test(test_failing_list),
		cmocka_unit_test(test_cut_lists),
		cmocka_unit_test(test_garbage_in_watch_lists_again),
		cmocka_unit_test(test_event_in_pieces),
		cmocka_unit_test(test_index_values_in_notices),
		cmocka_unit_test(test_indexes_and_late_handler),
		cmocka_unit_test(test_secrets_are_digests),
		cmocka_unit_test(test_own_writes),
		cmocka_unit_test(test_own_creation),
		cmocka_unit_test(test_own_write_during_list),
		cmocka_unit_test(test_freed_at_any_time),
		cmocka_unit_test(test_kept_by_name),
		cmocka_unit_test(test_selectors_in_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
