/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kube room against a real API server (KUBECONFIG names it; it must be a throw-away one). Prints what it saw; exit 0 when all held.
 *
 *   kube_client_check calls               every kind of call, typed errors, apply that settles
 *   kube_client_check caches COUNT        COUNT ConfigMaps made, listed, watched, changed, deleted
 *   kube_client_check follow SECONDS      a cache of all ConfigMaps; prints its size and a digest of keys and versions once a second
 *   kube_client_check lease SECONDS       takes part in an election; prints what happens; releases at the end
 *   kube_client_check events              one Event seen three times
 *   kube_client_check settle FILE         applies every object of a YAML stream; says what an apply after a restart would still change
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "io/file.h"
#include "io/loop.h"
#include "io/signals.h"
#include "kube/apply.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/event.h"
#include "kube/lease.h"
#include "kube/work_queue.h"

static const char namespace[] = "kube-check";

struct check {
	struct loop *loop;
	struct kube_client *client;
	unsigned failures;
};

static void expect(struct check *check, bool held, const char *what, const struct error *err)
{
	printf("%-4s %s%s%s\n", held ? "ok" : "FAIL", what, err != NULL && err->message[0] != '\0' ? " | " : "",
	       err != NULL ? err->message : "");
	if (!held)
		check->failures++;
}

static void expect_class(struct check *check, const struct error *err, enum error_class class, const char *what)
{
	expect(check, err->class == class, what, err);
}

static json_t *config_map(const char *name, const char *value)
{
	return json_build("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata", "name", name,
	                  "namespace", namespace, "labels", "group", "check", "data", "value", value);
}

static void make_namespace(struct check *check)
{
	JSON_CLEANUP json_t *wanted = json_build("{s:{s:s}}", "metadata", "name", namespace);
	struct error err = { 0 };
	JSON_CLEANUP json_t *stored = kube_client_create(check->client, &kube_resource_namespace, wanted, NULL, NULL, &err);

	expect(check, stored != NULL || err.class == ERROR_EXISTS, "namespace", stored == NULL ? &err : NULL);
}

/* ---- calls ---- */

static void check_reading(struct check *check)
{
	struct error err = { 0 };
	JSON_CLEANUP json_t *version = kube_client_version(check->client, NULL, &err);
	bool served = false;

	expect(check, version != NULL, json_string_or(version, "gitVersion", "version"), &err);
	expect(check, kube_client_ready(check->client, NULL, &err) == 0, "readyz", &err);
	expect(check, kube_client_serves(check->client, &kube_resource_deployment, &served, NULL, &err) == 0 && served,
	       "serves deployments", &err);
	expect(check, kube_client_serves(check->client, &kube_resource_gateway, &served, NULL, &err) == 0 && !served, "serves no gateways",
	       &err);
	expect(check, kube_client_get(check->client, &kube_resource_secret, namespace, "absent", NULL, &err) == NULL,
	       "get of what is absent", NULL);
	expect_class(check, &err, ERROR_NOT_FOUND, "  is NOT_FOUND");
}

static void check_writing(struct check *check)
{
	JSON_CLEANUP json_t *wanted = config_map("written", "one");
	JSON_CLEANUP json_t *patch = json_build("{s:{s:s}}", "data", "merged", "yes");
	JSON_CLEANUP json_t *json_patch = json_build("[{s:s, s:s, s:s}]", "op", "add", "path", "/data/patched", "value", "yes");
	JSON_CLEANUP json_t *first = NULL, *second = NULL, *third = NULL, *none = NULL;
	bool completed = false;
	struct error err = { 0 };

	(void)kube_client_delete(check->client, &kube_resource_config_map, namespace, "written", NULL, NULL, &err);
	first = kube_client_create(check->client, &kube_resource_config_map, wanted, NULL, NULL, &err);
	expect(check, first != NULL, "create", first == NULL ? &err : NULL);
	none = kube_client_create(check->client, &kube_resource_config_map, wanted, NULL, NULL, &err);
	expect_class(check, &err, ERROR_EXISTS, "create again is EXISTS");
	second = kube_client_patch(check->client, &kube_resource_config_map, namespace, "written", KUBE_PATCH_MERGE, patch, NULL, NULL,
	                           &err);
	expect(check, second != NULL && string_equal(json_string_at(second, "data.merged"), "yes"), "merge patch", NULL);
	none = kube_client_replace(check->client, &kube_resource_config_map, first, NULL, NULL, &err);
	expect_class(check, &err, ERROR_CONFLICT, "replace with an old resourceVersion is CONFLICT");
	expect(check, string_equal(err.reason, "Conflict") && err.status == 409, "  with reason and status", NULL);
	third = kube_client_patch(check->client, &kube_resource_config_map, namespace, "written", KUBE_PATCH_JSON, json_patch, NULL, NULL,
	                          &err);
	expect(check, third != NULL && string_equal(json_string_at(third, "data.patched"), "yes"), "JSON patch", NULL);
	json_put_string(wanted, "metadata.name", "Not_A_Name");
	none = kube_client_create(check->client, &kube_resource_config_map, wanted, NULL, NULL, &err);
	expect_class(check, &err, ERROR_INVALID, "a wrong name is INVALID");
	expect(check,
	       kube_client_delete(check->client, &kube_resource_config_map, namespace, "written",
	                          &(struct kube_delete_options){ .uid = "00000000-0000-0000-0000-000000000000" }, NULL, &err) != 0,
	       "delete with another uid", NULL);
	expect_class(check, &err, ERROR_CONFLICT, "  is CONFLICT");
	expect(check,
	       kube_client_delete(check->client, &kube_resource_config_map, namespace, "written",
	                          &(struct kube_delete_options){ .uid = json_string_at(third, "metadata.uid"), .completed = &completed },
	                          NULL, &err) == 0 &&
	               completed,
	       "delete, completed at once", NULL);
	expect(check, none == NULL, "refused calls return nothing", NULL);
}

static json_t *service(int64_t port)
{
	return json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:s}, s:[{s:s, s:I}, {s:s, s:i, s:s}]}}", "apiVersion", "v1", "kind", "Service",
	                  "metadata", "name", "applied", "namespace", namespace, "spec", "selector", "app", "x", "ports", "name", "api",
	                  "port", (json_int_t)port, "name", "dns", "port", 53, "protocol", "UDP");
}

static bool apply_once(struct check *check, struct kube_applier *applier, struct kube_cache *cache, const struct kube_resource *resource,
                       const json_t *desired, bool expected, const char *what)
{
	const struct kube_apply_request request = { .client = check->client, .resource = resource, .desired = desired, .cache = cache };
	KUBE_APPLY_RESULT_CLEANUP struct kube_apply_result result = { 0 };
	struct error err = { 0 };
	int status = kube_apply_if_different(applier, &request, &result, NULL, &err);

	expect(check, status == 0 && result.wrote == expected && (result.object != NULL) == expected, what, &err);
	return status == 0;
}

static void check_apply(struct check *check)
{
	struct kube_cache *services = kube_cache_new(&(struct kube_cache_options){
		.loop = check->loop, .client = check->client, .resource = &kube_resource_service, .namespace = namespace });
	struct kube_cache *secrets = kube_cache_new(&(struct kube_cache_options){
		.loop = check->loop, .client = check->client, .resource = &kube_resource_secret, .namespace = namespace });
	struct kube_applier *applier = kube_applier_new(NULL), *restarted = kube_applier_new(NULL);
	JSON_CLEANUP json_t *wanted = service(6443), *changed = service(6444);
	JSON_CLEANUP json_t *secret = json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:s}}", "apiVersion", "v1", "kind", "Secret", "metadata",
	                                         "name", "applied", "namespace", namespace, "data", "password", "aHVudGVyMg==");
	JSON_CLEANUP json_t *live = NULL;
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = NULL;
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };
	struct error err = { 0 };

	(void)kube_client_delete(check->client, &kube_resource_service, namespace, "applied", NULL, NULL, &err);
	(void)kube_client_delete(check->client, &kube_resource_secret, namespace, "applied", NULL, NULL, &err);
	kube_cache_start(services);
	kube_cache_start(secrets);
	expect(check, kube_cache_wait_synced(services, NULL, &err) == 0 && kube_cache_wait_synced(secrets, NULL, &err) == 0,
	       "caches synced", NULL);
	apply_once(check, applier, services, &kube_resource_service, wanted, true, "apply of a new Service writes");
	apply_once(check, applier, services, &kube_resource_service, wanted, false, "again: nothing, read from our own write");
	(void)usleep(300 * 1000);
	apply_once(check, restarted, services, &kube_resource_service, wanted, false, "with a fresh applier (a restart): nothing");
	apply_once(check, applier, services, &kube_resource_service, changed, true, "a changed port writes");
	live = kube_cache_get_json(services, namespace, "applied");
	expect(check, json_array_size(json_at(live, "spec.ports")) == 2 && json_integer_or(live, "spec.ports[0].port", 0) == 6444,
	       "  and is in the cache", NULL);
	json_array_remove(json_at(changed, "spec.ports"), 1);
	apply_once(check, applier, services, &kube_resource_service, changed, true, "a removed port writes");
	json_decref(live);
	live = kube_client_get(check->client, &kube_resource_service, namespace, "applied", NULL, &err);
	expect(check, json_array_size(json_at(live, "spec.ports")) == 1, "  and is gone", NULL);
	apply_once(check, applier, secrets, &kube_resource_secret, secret, true, "apply of a new Secret writes");
	apply_once(check, restarted, secrets, &kube_resource_secret, secret, false, "again: nothing");
	entry = kube_cache_get(secrets, namespace, "applied");
	if (entry != NULL)
		kube_entry_open(entry, &text);
	expect(check, text.json != NULL && strstr(text.json, "aHVudGVyMg") == NULL && strstr(text.json, "sha256:") != NULL,
	       "the cache holds its digest only", NULL);
	json_put_string(secret, "data.password", "aHVudGVyMw==");
	apply_once(check, applier, secrets, &kube_resource_secret, secret, true, "a changed value writes");
	kube_cache_free(services);
	kube_cache_free(secrets);
	kube_applier_free(applier);
	kube_applier_free(restarted);
}

static void check_adopt(struct check *check)
{
	JSON_CLEANUP json_t *wanted = config_map("adopted", "one");
	struct kube_applier *applier = kube_applier_new(NULL);
	struct kube_cache *cache = kube_cache_new(&(struct kube_cache_options){
		.loop = check->loop, .client = check->client, .resource = &kube_resource_config_map, .namespace = namespace });
	const char *const managers[] = { "upstream", NULL };
	const struct kube_apply_request request = {
		.client = check->client, .resource = &kube_resource_config_map, .desired = wanted, .cache = cache, .adopt_from = managers
	};
	KUBE_APPLY_RESULT_CLEANUP struct kube_apply_result result = { 0 };
	JSON_CLEANUP json_t *before = config_map("adopted", "one");
	JSON_CLEANUP json_t *stored = NULL;
	struct error err = { 0 };

	json_put_string(before, "data.leftover", "from before");
	(void)kube_client_delete(check->client, &kube_resource_config_map, namespace, "adopted", NULL, NULL, &err);
	stored = kube_client_create(check->client, &kube_resource_config_map, before,
	                            &(struct kube_write_options){ .field_manager = "upstream" }, NULL, &err);
	kube_cache_start(cache);
	(void)kube_cache_wait_synced(cache, NULL, &err);
	expect(check, stored != NULL && kube_apply_if_different(applier, &request, &result, NULL, &err) == 0 && result.wrote, "adoption",
	       &err);
	expect(check, json_string_at(result.object, "data.leftover") == NULL && json_string_at(result.object, "data.value") != NULL,
	       "  removes what the former manager set and we do not want", NULL);
	apply_once(check, applier, cache, &kube_resource_config_map, wanted, false, "  and settles");
	kube_cache_free(cache);
	kube_applier_free(applier);
}

static void run_calls(struct check *check)
{
	make_namespace(check);
	check_reading(check);
	check_writing(check);
	check_apply(check);
	check_adopt(check);
}

/* ---- caches ---- */

struct counts {
	atomic_uint added, updated, deleted, own;
};

static void count(const struct kube_notice *notice, void *argument)
{
	struct counts *counts = argument;

	atomic_fetch_add(notice->change == KUBE_ADDED     ? &counts->added
	                 : notice->change == KUBE_UPDATED ? &counts->updated
	                                                  : &counts->deleted,
	                 1);
	if (notice->own_write)
		atomic_fetch_add(&counts->own, 1);
}

static bool reaches(atomic_uint *value, unsigned wanted, unsigned milliseconds)
{
	for (unsigned waited = 0; waited < milliseconds && atomic_load(value) < wanted; waited += 5)
		(void)usleep(5000);
	return atomic_load(value) == wanted;
}

static void make_config_maps(struct check *check, unsigned wanted)
{
	uint64_t begun = clock_monotonic_ms();
	struct error err = { 0 };

	for (unsigned i = 0; i < wanted; i++) {
		FREE_CLEANUP char *name = string_printf("cm-%05u", i);
		JSON_CLEANUP json_t *object = config_map(name, "one");
		JSON_CLEANUP json_t *stored = kube_client_create(check->client, &kube_resource_config_map, object, NULL, NULL, &err);

		if (stored == NULL && err.class != ERROR_EXISTS) {
			expect(check, false, "create of a ConfigMap", &err);
			return;
		}
	}
	printf("     %u ConfigMaps made in %llu ms\n", wanted, (unsigned long long)(clock_monotonic_ms() - begun));
}

static void run_caches(struct check *check, unsigned wanted)
{
	static const struct kube_cache_index indexes[] = { { "group", kube_index_label, (void *)(uintptr_t)"group" } };
	KUBE_ENTRIES_CLEANUP struct kube_entries grouped = { 0 };
	JSON_CLEANUP json_t *patch = json_build("{s:{s:s}}", "data", "value", "two");
	struct counts counts = { 0 };
	struct error err = { 0 };
	struct kube_cache *cache;
	uint64_t begun;

	make_namespace(check);
	(void)kube_client_delete_collection(check->client, &kube_resource_config_map, namespace, NULL, NULL, NULL, &err);
	make_config_maps(check, wanted);
	cache = kube_cache_new(&(struct kube_cache_options){ .loop = check->loop,
	                                                     .client = check->client,
	                                                     .resource = &kube_resource_config_map,
	                                                     .namespace = namespace,
	                                                     .label_selector = "group=check",
	                                                     .indexes = indexes,
	                                                     .index_count = 1 });
	kube_cache_add_handler(cache, count, &counts);
	begun = clock_monotonic_ms();
	kube_cache_start(cache);
	expect(check, kube_cache_wait_synced(cache, NULL, &err) == 0, "synced", &err);
	printf("     %zu entries, %zu bytes, in %llu ms\n", kube_cache_count(cache), kube_cache_memory(cache),
	       (unsigned long long)(clock_monotonic_ms() - begun));
	expect(check, kube_cache_count(cache) == wanted && atomic_load(&counts.added) == wanted, "all are there and were told", NULL);
	kube_cache_by_index(cache, "group", "check", &grouped);
	expect(check, grouped.count == wanted, "and are indexed", NULL);
	begun = clock_monotonic_ms();
	for (unsigned i = 0; i < 100; i++) {
		FREE_CLEANUP char *name = string_printf("cm-%05u", i);
		JSON_CLEANUP json_t *stored = kube_client_patch(check->client, &kube_resource_config_map, namespace, name, KUBE_PATCH_MERGE,
		                                                patch, NULL, NULL, &err);

		expect(check, stored != NULL, stored != NULL ? name : "patch", stored == NULL ? &err : NULL);
	}
	expect(check, reaches(&counts.updated, 100, 5000), "100 updates were told", NULL);
	printf("     after %llu ms\n", (unsigned long long)(clock_monotonic_ms() - begun));
	(void)kube_client_delete_collection(check->client, &kube_resource_config_map, namespace,
	                                    &(struct kube_list_options){ .label_selector = "group=check" }, NULL, NULL, &err);
	expect(check, reaches(&counts.deleted, wanted, 20000) && kube_cache_count(cache) == 0, "all deletions were told", NULL);
	kube_cache_free(cache);
}

static uint64_t digest_entries(struct kube_cache *cache)
{
	KUBE_ENTRIES_CLEANUP struct kube_entries all = { 0 };
	uint64_t sum = 0;

	kube_cache_list(cache, &all);
	for (size_t i = 0; i < all.count; i++) {
		FREE_CLEANUP char *text = string_printf("%s=%s", all.items[i]->key, all.items[i]->resource_version);
		uint64_t hash = 0xcbf29ce484222325u;

		for (const char *p = text; *p != '\0'; p++)
			hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
		sum += hash; /* order does not matter */
	}
	return sum;
}

static void run_follow(struct check *check, unsigned seconds)
{
	struct kube_cache *cache = kube_cache_new(
		&(struct kube_cache_options){ .loop = check->loop, .client = check->client, .resource = &kube_resource_config_map });
	struct counts counts = { 0 };
	struct error err = { 0 };

	kube_cache_add_handler(cache, count, &counts);
	kube_cache_start(cache);
	for (unsigned i = 0; i < seconds && signals_wait(1000) == 0; i++) {
		kube_cache_last_error(cache, &err);
		printf("follow count=%zu digest=%016llx added=%u updated=%u deleted=%u age_ms=%lld error=%s\n", kube_cache_count(cache),
		       (unsigned long long)digest_entries(cache), atomic_load(&counts.added), atomic_load(&counts.updated),
		       atomic_load(&counts.deleted), (long long)kube_cache_age_ms(cache), err.message);
		(void)fflush(stdout);
	}
	kube_cache_free(cache);
}

/* ---- election and events ---- */

static void say(const char *what, const char *detail)
{
	printf("%lld.%03u lease: %s %s\n", (long long)clock_wall_seconds(), (unsigned)(clock_wall_micros() / 1000 % 1000), what, detail);
	(void)fflush(stdout);
}

static void on_acquired(void *argument)
{
	say("acquired by", argument);
}

static void on_lost(void *argument, const struct error *why)
{
	say("lost:", why->message);
}

static void on_leader(const char *identity, void *argument)
{
	say("leader is", identity);
}

static void run_lease(struct check *check, unsigned seconds)
{
	FREE_CLEANUP char *identity = lease_identity_new();
	struct error err = { 0 };
	struct lease_election *election = lease_election_start(&(struct lease_election_options){ .client = check->client,
	                                                                                         .namespace = "default",
	                                                                                         .name = "kube-check",
	                                                                                         .identity = identity,
	                                                                                         .on_acquired = on_acquired,
	                                                                                         .on_lost = on_lost,
	                                                                                         .on_leader = on_leader,
	                                                                                         .argument = identity },
	                                                       &err);

	expect(check, election != NULL, "election", &err);
	(void)signals_wait((uint64_t)seconds * 1000);
	lease_election_stop(election, true);
	say("stopped", identity);
}

static void run_events(struct check *check)
{
	struct error err = { 0 };
	struct event_recorder *recorder = event_recorder_start(check->client, "kamaji", "kube-check", &err);
	JSON_CLEANUP json_t *object = NULL;
	JSON_CLEANUP json_t *events = NULL;

	make_namespace(check);
	object = kube_client_get(check->client, &kube_resource_namespace, NULL, namespace, NULL, &err);
	for (int i = 0; i < 3; i++) {
		const struct event_object about = event_object_of(&kube_resource_namespace, object);

		event_recorder_record(recorder, &about, EVENT_WARNING, "Checked", "seen %s", "here");
	}
	event_recorder_stop(recorder);
	events = kube_client_list(check->client, &kube_resource_event, "default",
	                          &(struct kube_list_options){ .field_selector = "reason=Checked" }, NULL, &err);
	expect(check, json_array_size(events) >= 1 && json_integer_or(json_array_get(events, json_array_size(events) - 1), "count", 0) == 3,
	       "three Events are one with count 3", NULL);
}

/* ---- do applied objects settle? ---- */

static void settle_one(struct check *check, json_t *object)
{
	const struct kube_resource *resource = kube_resource_of(object);
	struct kube_applier *applier = kube_applier_new(NULL);
	BUFFER_CLEANUP struct buffer differences = { 0 };
	KUBE_APPLY_RESULT_CLEANUP struct kube_apply_result result = { 0 };
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = NULL;
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };
	JSON_CLEANUP json_t *desired = NULL;
	JSON_CLEANUP json_t *live = NULL;
	struct error err = { 0 };
	FREE_CLEANUP char *what = string_printf("%s %s", json_string_or(object, "kind", "?"), json_string_or(object, "metadata.name", "?"));
	struct kube_apply_request request = { .client = check->client, .resource = resource, .desired = object };

	(void)json_object_del(object, "status");
	for (size_t i = 0; i < 7; i++)
		(void)json_object_del(json_object_get(object, "metadata"),
		                      (const char *const[]){ "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields",
		                                             "selfLink", "ownerReferences" }[i]);
	if (resource == NULL || kube_apply_if_different(applier, &request, &result, NULL, &err) != 0) {
		expect(check, resource == NULL, what, &err);
		kube_applier_free(applier);
		return;
	}
	if (resource == &kube_resource_secret)
		kube_secret_digest(result.object);
	entry = kube_entry_new(result.object, NULL, &err);
	live = kube_entry_parse(entry);
	desired = json_deep_copy(object);
	if (resource == &kube_resource_secret)
		kube_secret_digest(desired);
	kube_entry_open(entry, &text);
	(void)kube_apply_compare(desired, live, text.owned, NULL, &differences);
	expect(check, differences.length == 0, what, NULL);
	if (differences.length > 0)
		printf("     %s", differences.data);
	kube_applier_free(applier);
}

static void run_settle(struct check *check, const char *path)
{
	BUFFER_CLEANUP struct buffer bytes = { 0 };
	struct error err = { 0 };
	JSON_CLEANUP json_t *documents = NULL;
	json_t *document, *item;
	size_t index, inner;

	make_namespace(check);
	if (file_read(path, KUBE_MAXIMUM_BODY, &bytes, &err) == 0)
		documents = yaml_parse_all(bytes.data, bytes.length, &err);
	expect(check, documents != NULL, path, &err);
	json_array_foreach(documents, index, document) {
		if (json_object_get(document, "items") == NULL) {
			settle_one(check, document);
			continue;
		}
		json_array_foreach(json_object_get(document, "items"), inner, item)
			settle_one(check, item);
	}
}

int main(int argc, char **argv)
{
	struct check check = { 0 };
	struct error err = { 0 };
	KUBE_CONFIG_CLEANUP struct kube_config *config = NULL;
	const char *what = argc > 1 ? argv[1] : "calls";
	int64_t number = 10;

	signals_block();
	log_set_level(LOG_LEVEL_DEBUG);
	if (argc > 2 && !string_equal(what, "settle") && string_to_integer(argv[2], 0, 100000, "number", &number, &err) != 0) {
		(void)fprintf(stderr, "%s\n", err.message);
		return 2;
	}
	config = kube_config_load(NULL, NULL, &err);
	check.loop = config != NULL ? loop_start("check", &err) : NULL;
	if (check.loop != NULL)
		check.client = kube_client_new(&(struct kube_client_options){ .loop = check.loop, .config = config }, &err);
	if (check.client == NULL) {
		(void)fprintf(stderr, "%s\n", err.message);
		return 2;
	}
	if (string_equal(what, "calls"))
		run_calls(&check);
	else if (string_equal(what, "caches"))
		run_caches(&check, (unsigned)number);
	else if (string_equal(what, "follow"))
		run_follow(&check, (unsigned)number);
	else if (string_equal(what, "lease"))
		run_lease(&check, (unsigned)number);
	else if (string_equal(what, "settle") && argc > 2)
		run_settle(&check, argv[2]);
	else if (string_equal(what, "events"))
		run_events(&check);
	kube_client_unref(check.client);
	loop_stop(check.loop);
	printf("%u failures\n", check.failures);
	return check.failures == 0 ? 0 : 1;
}
