/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, Status bodies, the watch splitter, entries, quantities: what needs no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/apply.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/entry.h"
#include "kube/json_bytes.h"
#include "kube/pattern.h"
#include "kube/resource.h"
#include "kube/watch.h"

static void assert_path(const struct kube_resource *resource, const char *namespace, const char *name, const char *subresource,
                        const char *wanted)
{
	FREE_CLEANUP char *path = kube_resource_path(resource, namespace, name, subresource);

	assert_string_equal(path, wanted);
}

static void test_paths(void **state)
{
	FREE_CLEANUP char *path = NULL, *namespace = NULL, *name = NULL;

	assert_path(&kube_resource_secret, "a", "b", NULL, "/api/v1/namespaces/a/secrets/b");
	assert_path(&kube_resource_secret, NULL, NULL, NULL, "/api/v1/secrets");
	assert_path(&kube_resource_tenant_control_plane, "a", "b", "status",
	            "/apis/kamaji.clastix.io/v1alpha1/namespaces/a/tenantcontrolplanes/b/status");
	assert_path(&kube_resource_data_store, "ignored", "default", NULL, "/apis/kamaji.clastix.io/v1alpha1/datastores/default");
	assert_path(&kube_resource_cluster_role, NULL, "system:coredns", NULL,
	            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns");
	assert_path(&kube_resource_secret, "a", "../../nodes/x", NULL, "/api/v1/namespaces/a/secrets/..%2F..%2Fnodes%2Fx");
	assert_path(&kube_resource_secret, "..", ".", NULL, "/api/v1/namespaces/%2E%2E/secrets/%2E");
	assert_path(&kube_resource_secret, "a", "b?watch=1#c d", NULL, "/api/v1/namespaces/a/secrets/b%3Fwatch%3D1%23c%20d");
	path = kube_path_add_query(string_dup("/x"), "labelSelector", "a=b,c in (d)");
	path = kube_path_add_query(path, "none", NULL);
	path = kube_path_add_query(path, "limit", "50");
	assert_string_equal(path, "/x?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=50");
	kube_key_split("ns/x", &namespace, &name);
	assert_string_equal(namespace, "ns");
	assert_string_equal(name, "x");
}

static void test_resource_table(void **state)
{
	JSON_CLEANUP json_t *object = json_build("{s:s, s:s}", "apiVersion", "apps/v1", "kind", "Deployment");

	assert_ptr_equal(kube_resource_of(object), &kube_resource_deployment);
	assert_ptr_equal(kube_resource_find("v1", "Secret"), &kube_resource_secret);
	assert_ptr_equal(kube_resource_find("events.k8s.io/v1", "Event"), &kube_resource_events_event);
	assert_ptr_equal(kube_resource_find("v1", "Event"), &kube_resource_event);
	assert_null(kube_resource_find("v2", "Secret"));
}

static void assert_status(int http, const char *body, enum error_class class, const char *reason, const char *part)
{
	struct error err = { 0 };

	assert_int_equal(kube_status_error(http, NULL, body, strlen(body), "get x", &err), -1);
	assert_int_equal(err.class, class);
	assert_int_equal(err.status, http);
	assert_string_equal(err.reason, reason);
	assert_non_null(strstr(err.message, part));
	assert_true(string_has_prefix(err.message, "get x: HTTP "));
}

static void test_status(void **state)
{
	static const char in_body[] = "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":3}}";
	struct error err = { 0 };

	assert_status(404, "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"pods \\\"x\\\" not found\"}", ERROR_NOT_FOUND,
	              "NotFound", "pods \"x\"");
	assert_status(409, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"m\"}", ERROR_EXISTS, "AlreadyExists", "m");
	assert_status(409, "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"m\"}", ERROR_CONFLICT, "Conflict", "m");
	assert_status(410, "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"m\"}", ERROR_EXPIRED, "Expired", "m");
	assert_status(401, "Unauthorized\n", ERROR_FORBIDDEN, "", "Unauthorized");
	assert_status(403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\"}", ERROR_FORBIDDEN, "Forbidden", "Forbidden");
	assert_status(429, "", ERROR_TRANSIENT, "", "no reason given");
	assert_status(503, "apiserver is shutting down", ERROR_TRANSIENT, "", "shutting down");
	assert_status(504, "{}", ERROR_TIMEOUT, "", "no reason given");
	assert_status(500, "\x01\x02\xff", ERROR_TRANSIENT, "", "no reason given");
	assert_status(415, "[1]", ERROR_INVALID, "", "[1]");
	assert_status(422,
	              "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"bad\",\"details\":{\"causes\":[{\"field\":\"spec.x\","
	              "\"message\":\"Required\"},"
	              "{\"field\":\"spec.y\",\"reason\":\"FieldValueInvalid\"}]}}",
	              ERROR_INVALID, "Invalid", "bad; spec.x: Required; spec.y: FieldValueInvalid");
	(void)kube_status_error(429, "7", "", 0, "x", &err);
	assert_int_equal(err.retry_after_ms, 7000);
	(void)kube_status_error(429, "soon", "", 0, "x", &err);
	assert_int_equal(err.retry_after_ms, 0);
	(void)kube_status_error(503, "99999999", in_body, sizeof(in_body) - 1, "x", &err);
	assert_int_equal(err.retry_after_ms, 3000);
}

/* A Status cut at every length must give the same class, without reading past its end. */
static void test_status_cut(void **state)
{
	static const char whole[] = "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"bad\",\"details\":{\"causes\":[{\"field\":"
				    "\"a\",\"message\":\"b\"}]}}";

	for (size_t length = 0; length < sizeof(whole); length++) {
		FREE_CLEANUP char *cut = malloc(length + 1); /* exactly so long: the sanitizer sees every byte too far */
		struct error err = { 0 };

		memcpy(cut, whole, length);
		assert_int_equal(kube_status_error(422, NULL, cut, length, "x", &err), -1);
		assert_int_equal(err.class, ERROR_INVALID);
	}
}

struct collected {
	struct string_list lines;
};

static int collect(const char *line, size_t length, void *argument, struct error *err)
{
	string_list_take(&((struct collected *)argument)->lines, string_ndup(line, length));
	return 0;
}

static void test_splitter_at_every_boundary(void **state)
{
	static const char stream[] = "{\"a\":1}\n\n{\"b\":2}\r\n  \n{\"c\":3}\n{\"half";
	size_t total = sizeof(stream) - 1;

	for (size_t first = 0; first <= total; first++) {
		for (size_t second = first; second <= total; second++) {
			struct kube_watch_lines lines = { .secret = true };
			struct collected collected = { 0 };
			struct error err = { 0 };

			assert_int_equal(kube_watch_lines_feed(&lines, stream, first, collect, &collected, &err), 0);
			assert_int_equal(kube_watch_lines_feed(&lines, stream + first, second - first, collect, &collected, &err), 0);
			assert_int_equal(kube_watch_lines_feed(&lines, stream + second, total - second, collect, &collected, &err), 0);
			assert_int_equal(collected.lines.count, 3);
			assert_string_equal(collected.lines.items[0], "{\"a\":1}");
			assert_string_equal(collected.lines.items[1], "{\"b\":2}\r");
			assert_string_equal(collected.lines.items[2], "{\"c\":3}");
			assert_true(kube_watch_lines_pending(&lines));
			string_list_free(&collected.lines);
			kube_watch_lines_free(&lines);
		}
	}
}

static void test_splitter_limit(void **state)
{
	enum { PIECE = 1024 * 1024 };
	FREE_CLEANUP char *piece = malloc(PIECE);
	struct kube_watch_lines lines = { 0 };
	struct collected collected = { 0 };
	struct error err = { 0 };
	int result = 0;

	memset(piece, 'x', PIECE);
	for (int i = 0; i < 17 && result == 0; i++)
		result = kube_watch_lines_feed(&lines, piece, PIECE, collect, &collected, &err);
	assert_int_equal(result, -1);
	assert_int_equal(err.class, ERROR_EXHAUSTED);
	assert_int_equal(lines.partial.length, KUBE_WATCH_MAXIMUM_LINE);
	kube_watch_lines_free(&lines);
}

static void assert_event(const char *line, enum error_class class)
{
	struct kube_watch_event event = { 0 };
	struct error err = { 0 };

	assert_int_equal(kube_watch_event_parse(line, strlen(line), &event, &err), -1);
	assert_int_equal(err.class, class);
	assert_null(event.object);
}

static void test_events(void **state)
{
	static const char added[] = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}}";
	struct kube_watch_event event = { 0 };
	struct error err = { 0 };

	assert_int_equal(kube_watch_event_parse(added, sizeof(added) - 1, &event, &err), 0);
	assert_int_equal(event.type, KUBE_WATCH_ADDED);
	assert_string_equal(json_string_at(event.object, "metadata.name"), "x");
	json_decref(event.object);
	assert_event("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}", ERROR_EXPIRED);
	assert_event("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500}}", ERROR_TRANSIENT);
	assert_event("{\"type\":\"ERROR\",\"object\":{}}", ERROR_TRANSIENT);
	assert_event("{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}", ERROR_CORRUPT);
	assert_event("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}", ERROR_CORRUPT);
	assert_event("{\"type\":\"NEW\",\"object\":{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}}", ERROR_CORRUPT);
	assert_event("{\"type\":\"ADDED\"}", ERROR_CORRUPT);
	assert_event("[]", ERROR_CORRUPT);
	for (size_t length = 0; length < sizeof(added) - 1; length++) {
		FREE_CLEANUP char *cut = string_ndup(added, length);

		assert_event(cut, ERROR_CORRUPT);
	}
}

static void test_entry(void **state)
{
	static const char text[] =
		"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"uid\":\"u\","
		"\"resourceVersion\":\"5\","
		"\"generation\":3,\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\"},\"managedFields\":["
		"{\"manager\":\"kamaji\",\"operation\":\"Update\",\"fieldsV1\":{\"f:no\":{}}},"
		"{\"manager\":\"kamaji\",\"operation\":\"Apply\",\"subresource\":\"status\",\"fieldsV1\":{\"f:no\":{}}},"
		"{\"manager\":\"kamaji\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:data\":{\"f:a\":{}}}}]},\"data\":{\"a\":\"b\\u0000c\"}}";
	struct error err = { 0 };
	JSON_CLEANUP json_t *object = kube_json_parse(text, sizeof(text) - 1, false, &err);
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_entry_new(object, NULL, &err);
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text opened = { 0 };
	JSON_CLEANUP json_t *again = NULL;

	assert_non_null(entry);
	assert_string_equal(entry->key, "n/x");
	assert_string_equal(entry->name, "x");
	assert_string_equal(entry->namespace, "n");
	assert_string_equal(entry->uid, "u");
	assert_string_equal(entry->resource_version, "5");
	assert_int_equal(entry->generation, 3);
	kube_entry_open(entry, &opened);
	assert_string_equal(opened.owned, "{\"f:data\":{\"f:a\":{}}}");
	assert_null(strstr(opened.json, "managedFields"));
	assert_null(strstr(opened.json, "annotations"));
	again = kube_entry_parse(entry);
	assert_int_equal(json_string_length(json_at(again, "data.a")), 3); /* a NUL that somebody stored survives */
}

/* The n-th of many objects that resemble each other. */
static struct kube_entry *similar(unsigned number, struct kube_pattern *pattern)
{
	struct error err = { 0 };
	JSON_CLEANUP json_t *object =
		json_build("{s:s, s:s, s:{s:o, s:s, s:{s:s, s:s}, s:[{s:s, s:s, s:{s:{s:{}, s:{}}}}]}, s:{s:o}}", "apiVersion", "v1",
	                   "kind", "Secret", "metadata", "name", json_string_printf("tenant-%u", number), "namespace", "tenants", "labels",
	                   "kamaji.clastix.io/project", "kamaji", "kamaji.clastix.io/component", "certificate-authority", "managedFields",
	                   "manager", "kamaji", "operation", "Apply", "fieldsV1", "f:data", "f:ca.crt", "f:ca.key", "data", "ca.crt",
	                   json_string_printf("sha256:%08x", number * 2654435761U));
	struct kube_entry *entry = kube_entry_new_packed(object, NULL, pattern, &err);

	assert_non_null(entry);
	return entry;
}

static void test_packed_entry(void **state)
{
	KUBE_ENTRY_CLEANUP struct kube_entry *first = similar(1, NULL);
	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text plain = { 0 };
	struct kube_pattern *pattern;

	kube_entry_open(first, &plain);
	assert_null(plain.storage);
	pattern = kube_pattern_new(plain.json, plain.json_length);
	for (unsigned i = 2; i < 40; i++) {
		KUBE_ENTRY_CLEANUP struct kube_entry *packed = similar(i, pattern), *same = similar(i, NULL), *kept = NULL;
		KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text opened = { 0 }, wanted = { 0 };
		JSON_CLEANUP json_t *parsed = kube_entry_parse(packed), *wanted_tree = kube_entry_parse(same);

		kube_entry_open(packed, &opened);
		kube_entry_open(same, &wanted);
		assert_non_null(opened.storage);
		assert_string_equal(opened.json, wanted.json);
		assert_int_equal(opened.json_length, wanted.json_length);
		assert_string_equal(opened.owned, "{\"f:data\":{\"f:ca.crt\":{},\"f:ca.key\":{}}}");
		assert_true(json_equal(parsed, wanted_tree));
		assert_string_equal(packed->key, same->key);
		assert_true(packed->size < same->size - 150);
		assert_true(kube_entry_owns_the_same(packed, same));
		kept = kube_entry_ref(packed);
	}
	{
		KUBE_ENTRY_CLEANUP struct kube_entry *last = similar(50, pattern);
		JSON_CLEANUP json_t *tree = NULL;

		kube_pattern_unref(pattern); /* an entry outlives its cache, and keeps what it needs */
		tree = kube_entry_parse(last);
		assert_string_equal(json_string_at(tree, "metadata.name"), "tenant-50");
	}
}

static void test_glance_at_an_event(void **state)
{
	static const struct {
		const char *line, *key; /* NULL: not to be told without parsing */
	} cases[] = {
		{ "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\","
		  "\"resourceVersion\":\"5\"},\"data\":{",
		  "n a u 5" },
		{ " { \"type\" : \"MODIFIED\" , \"object\" : { \"spec\" : [ { \"}\" : \"\\\"]\" } , 1.5e3 , true ] , \"metadata\" : "
		  "{ \"resourceVersion\" : \"6\" , \"labels\" : { \"name\" : \"no\" } , \"uid\" : \"v\" , \"generation\" : 3 , \"name\" : "
		  "\"b\" } } }",
		  " b v 6" },
		{ "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"5\"}}}", NULL },
		{ "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"5\"}}}", NULL },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\\u0062\",\"uid\":\"u\",\"resourceVersion\":\"5\"}}}", NULL },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}}}", NULL },
		{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":5}}}", NULL },
		{ "{\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"5\"}},\"type\":\"ADDED\"}", NULL },
		{ "{\"type\":\"ADDED\",\"object\":[]}", NULL },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		size_t length = strlen(cases[i].line);
		struct kube_watch_glance glance;
		FREE_CLEANUP char *found = NULL;

		/* Every beginning of it, in memory of just that size: none is read behind its end. */
		for (size_t cut = 0; cut < length; cut++) {
			FREE_CLEANUP char *part = malloc(cut > 0 ? cut : 1);

			memcpy(part, cases[i].line, cut);
			if (cases[i].key == NULL)
				assert_false(kube_watch_glance(part, cut, &glance));
			else
				(void)kube_watch_glance(part, cut, &glance);
		}
		assert_int_equal(kube_watch_glance(cases[i].line, length, &glance), cases[i].key != NULL);
		if (cases[i].key == NULL)
			continue;
		found = string_printf("%.*s %.*s %.*s %.*s", (int)glance.namespace.length, glance.namespace.bytes, (int)glance.name.length,
		                      glance.name.bytes, (int)glance.uid.length, glance.uid.bytes, (int)glance.resource_version.length,
		                      glance.resource_version.bytes);
		assert_string_equal(found, cases[i].key);
	}
}

static void test_pattern(void **state)
{
	static const char sample[] = "the quick brown fox jumps over the lazy dog", other[] = "pack my box with five dozen liquor jugs";
	struct kube_pattern *pattern = kube_pattern_new(sample, strlen(sample)), *wrong = kube_pattern_new(other, strlen(other));
	unsigned char packed[64];
	char text[64];
	size_t length = kube_pattern_pack(pattern, sample, sizeof(sample), packed, sizeof(packed));

	assert_in_range(length, 1, 12);
	assert_true(kube_pattern_unpack(pattern, packed, length, text, sizeof(sample)));
	assert_string_equal(text, sample);
	assert_false(kube_pattern_unpack(pattern, packed, length, text, sizeof(sample) - 1));
	assert_false(kube_pattern_unpack(pattern, packed, length, text, sizeof(sample) + 1));
	assert_false(kube_pattern_unpack(pattern, packed, length - 1, text, sizeof(sample)));
	assert_false(kube_pattern_unpack(NULL, packed, length, text, sizeof(sample)));
	if (kube_pattern_unpack(wrong, packed, length, text, sizeof(sample)))
		assert_int_not_equal(memcmp(text, sample, sizeof(sample)), 0);
	assert_int_equal(kube_pattern_pack(wrong, sample, sizeof(sample), packed, 8), 0); /* no room */
	assert_int_equal(kube_pattern_pack(NULL, sample, sizeof(sample), packed, sizeof(packed)), 0);
	kube_pattern_unref(kube_pattern_ref(pattern));
	kube_pattern_unref(pattern);
	kube_pattern_unref(wrong);
}

static void test_secret_digest(void **state)
{
	static const char text[] =
		"{\"metadata\":{\"name\":\"x\",\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"aHVudGVyMg\"}},"
		"\"data\":{\"a\":\"aHVudGVyMg==\",\"bad\":\"%%\"},\"stringData\":{\"b\":\"hunter2\"}}";
	struct error err = { 0 };
	JSON_CLEANUP json_t *secret = kube_json_parse(text, sizeof(text) - 1, true, &err);
	FREE_CLEANUP char *left = NULL;

	kube_secret_digest(secret);
	/* SHA-256 of "hunter2", whichever way it was given. */
	assert_string_equal(json_string_at(secret, "data.a"), "sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7");
	assert_string_equal(json_string_at(secret, "data.b"), json_string_at(secret, "data.a"));
	assert_true(string_has_prefix(json_string_at(secret, "data.bad"), "sha256:"));
	assert_null(json_object_get(secret, "stringData"));
	left = json_text(secret);
	assert_null(strstr(left, "hunter2"));
	assert_null(strstr(left, "aHVudGVyMg"));
}

static void test_quantities(void **state)
{
	assert_true(kube_quantity_equal("1", "1000m"));
	assert_true(kube_quantity_equal("0.5", "500m"));
	assert_true(kube_quantity_equal("1Gi", "1024Mi"));
	assert_true(kube_quantity_equal("1.5Gi", "1536Mi"));
	assert_true(kube_quantity_equal("1e3", "1k"));
	assert_true(kube_quantity_equal("0", "0Mi"));
	assert_true(kube_quantity_equal("+1", "1"));
	assert_true(kube_quantity_equal("123456789012345678", "123456789012345678"));
	assert_false(kube_quantity_equal("1G", "1Gi"));
	assert_false(kube_quantity_equal("1", "-1"));
	assert_false(kube_quantity_equal("123456789012345678", "123456789012345679"));
	assert_false(kube_quantity_equal("x", "x"));
	assert_false(kube_quantity_equal("", ""));
	assert_false(kube_quantity_equal("1.1.1", "1.1.1"));
	assert_false(kube_quantity_equal("1e99", "1e99"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_resource_table),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_cut),
		cmocka_unit_test(test_splitter_at_every_boundary),
		cmocka_unit_test(test_splitter_limit),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_packed_entry),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_glance_at_an_event),
		cmocka_unit_test(test_secret_digest),
		cmocka_unit_test(test_quantities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
