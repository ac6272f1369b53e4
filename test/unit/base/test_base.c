/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/version.h"

static void error_wrap_keeps_the_cause(void **state)
{
	struct error err;
	char context[700];

	assert_int_equal(error_set(&err, ERROR_CONFLICT, "put: %s", "conflict"), -1);
	error_wrap(&err, "apply service %s", "a/b");
	assert_string_equal(err.message, "apply service a/b: put: conflict");
	assert_int_equal(err.class, ERROR_CONFLICT);
	memset(context, 'x', sizeof(context) - 1);
	context[sizeof(context) - 1] = '\0';
	error_wrap(&err, "%s", context);
	assert_true(string_has_suffix(err.message, ": apply service a/b: put: conflict"));
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	error_set_errno(&err, ENOENT, "open");
	assert_int_equal(err.class, ERROR_NOT_FOUND);
}

static void arena_serves_all_sizes(void **state)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	char *small[100];

	for (int i = 0; i < 100; i++)
		small[i] = arena_printf(arena, "item %d", i);
	for (size_t size = 1; size < 300000; size = size * 3 + 1) {
		unsigned char *piece = arena_alloc(arena, size);

		assert_int_equal((uintptr_t)piece % 16, 0);
		assert_int_equal(piece[0] | piece[size - 1], 0);
		memset(piece, 0xff, size);
	}
	assert_string_equal(small[0], "item 0");
	assert_string_equal(small[99], "item 99");
}

static void buffer_limit_refuses_whole_appends(void **state)
{
	struct buffer b BUFFER_CLEANUP = { .limit = 5 };

	assert_true(buffer_append_string(&b, "hello"));
	assert_false(buffer_append_char(&b, '!'));
	assert_true(b.overflow);
	assert_string_equal(b.data, "hello");
	buffer_consume(&b, 2);
	assert_string_equal(b.data, "llo");
	assert_true(buffer_printf(&b, "%d", 42));
	assert_string_equal(b.data, "llo42");
}

static void base64_round_trips_and_refuses(void **state)
{
	static const char *const bad[] = { "QQ", "QQ=", "Q===", "QQ==QQ==", "QU\n=", "A*==" };
	struct error err;

	for (size_t length = 0; length < 70; length++) {
		unsigned char bytes[70];
		struct buffer out BUFFER_CLEANUP = { 0 };
		char *text FREE_CLEANUP = NULL;

		random_bytes(bytes, length);
		text = base64_encode_new(bytes, length);
		assert_int_equal(base64_decode(text, strlen(text), &out, &err), 0);
		assert_int_equal(out.length, length);
		assert_memory_equal(out.data, bytes, length);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct buffer out BUFFER_CLEANUP = { 0 };

		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &out, &err), -1);
		assert_int_equal(out.length, 0);
	}
}

static void numbers_and_durations(void **state)
{
	struct error err;
	int64_t number;
	uint64_t duration;
	char text[32];

	assert_int_equal(string_to_integer("42", 0, 100, "port", &number, &err), 0);
	assert_int_equal(number, 42);
	assert_int_equal(string_to_integer("", 0, 100, "port", &number, &err), -1);
	assert_int_equal(string_to_integer("4x", 0, 100, "port", &number, &err), -1);
	assert_int_equal(string_to_integer("101", 0, 100, "port", &number, &err), -1);
	assert_non_null(strstr(err.message, "port"));
	assert_int_equal(string_to_integer("99999999999999999999", 0, INT64_MAX, "n", &number, &err), -1);
	assert_int_equal(string_to_duration("1h30m", "d", &duration, &err), 0);
	assert_true(duration == 5400ull * 1000000000ull);
	assert_int_equal(string_to_duration("1.5s", "d", &duration, &err), 0);
	assert_true(duration == 1500000000ull);
	assert_int_equal(string_to_duration("7d", "d", &duration, &err), -1);
	assert_int_equal(string_to_duration("5", "d", &duration, &err), -1);
	duration_to_string(86400, text, sizeof(text));
	assert_string_equal(text, "24h0m0s");
	duration_to_string(300, text, sizeof(text));
	assert_string_equal(text, "5m0s");
}

static void hosts_and_names(void **state)
{
	struct error err;
	char *host = NULL;
	uint16_t port;

	assert_int_equal(string_split_host_port("[fd00::1]:6443", "endpoint", &host, &port, &err), 0);
	assert_string_equal(host, "fd00::1");
	assert_int_equal(port, 6443);
	free(host);
	assert_int_equal(string_split_host_port("a.b:1", "endpoint", &host, &port, &err), 0);
	free(host);
	assert_int_equal(string_split_host_port("fd00::1:6443", "endpoint", &host, &port, &err), -1);
	assert_int_equal(string_split_host_port("a", "endpoint", &host, &port, &err), -1);
	assert_int_equal(string_split_host_port("a:70000", "endpoint", &host, &port, &err), -1);
	assert_true(name_is_dns1035_label("a-1"));
	assert_false(name_is_dns1035_label("1-a"));
	assert_true(name_is_dns1123_label("1-a"));
	assert_false(name_is_dns1123_label("a-"));
	assert_true(name_is_dns1123_subdomain("a.b-c.d"));
	assert_false(name_is_dns1123_subdomain("a..b"));
	assert_false(name_is_dns1123_subdomain("A.b"));
}

static void networks(void **state)
{
	struct ip_network network, other;
	struct ip_address address;
	char text[IP_TEXT_SIZE];

	assert_int_equal(ip_network_parse("10.96.0.0/16", &network), 0);
	assert_int_equal(ip_network_host(&network, 1, &address), 0);
	ip_format(&address, text);
	assert_string_equal(text, "10.96.0.1");
	assert_int_equal(ip_network_host(&network, 65536, &address), -1);
	assert_int_equal(ip_network_host(&network, 256, &address), 0);
	ip_format(&address, text);
	assert_string_equal(text, "10.96.1.0");
	assert_int_equal(ip_parse("10.97.0.1", &address), 0);
	assert_false(ip_network_contains(&network, &address));
	assert_int_equal(ip_network_parse("10.0.0.0/8", &other), 0);
	assert_true(ip_network_overlaps(&network, &other));
	assert_int_equal(ip_network_parse("fd00:112::/112", &network), 0);
	assert_int_equal(ip_network_host(&network, 16, &address), 0);
	ip_format(&address, text);
	assert_string_equal(text, "fd00:112::10");
	assert_int_equal(ip_network_parse("10.0.0.0/33", &network), -1);
	assert_int_equal(ip_network_parse("10.0.0.0", &network), -1);
	assert_int_equal(ip_parse("010.0.0.1", &address), -1);
}

static void versions(void **state)
{
	static const char *const order[] = { "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11",
		                             "1.0.0-rc.1",  "1.0.0",         "v1.36.0",          "v1.36.3" };
	struct version a, b;
	struct error err;

	for (size_t i = 0; i + 1 < ARRAY_LENGTH(order); i++) {
		assert_int_equal(version_parse(order[i], "v", &a, &err), 0);
		assert_int_equal(version_parse(order[i + 1], "v", &b, &err), 0);
		assert_true(version_compare(&a, &b) < 0);
		assert_true(version_compare(&b, &a) > 0);
	}
	assert_int_equal(version_parse("v1.36.0+k3s1", "v", &a, &err), 0);
	assert_int_equal(version_parse("v1.36", "v", &a, &err), -1);
	assert_int_equal(version_parse("1.36.03", "v", &a, &err), -1);
	assert_int_equal(version_parse("vv1.36.0", "v", &a, &err), -1);
}

static void map_grows_and_removes(void **state)
{
	struct map map = { 0 };
	static int values[1000];
	size_t seen = 0;
	char key[32];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "ns/name-%d", i);
		assert_null(map_put(&map, key, &values[i]));
	}
	assert_ptr_equal(map_get(&map, "ns/name-77"), &values[77]);
	assert_ptr_equal(map_put(&map, "ns/name-77", &values[0]), &values[77]);
	assert_ptr_equal(map_remove(&map, "ns/name-78"), &values[78]);
	assert_null(map_get(&map, "ns/name-78"));
	for (struct map_entry *e = map_first(&map); e != NULL; e = map_next(&map, e))
		seen++;
	assert_int_equal(seen, 999);
	map_free(&map, NULL);
}

static void log_lines_are_json(void **state)
{
	struct error err;
	char line[2048] = "";
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	log_set_descriptor(pipes[1]);
	error_set(&err, ERROR_TIMEOUT, "dial \"x\"\n");
	log_error("tenant.failed", "cannot reach", &err, LOG_STRING("tenant", "a/b"), LOG_INTEGER("attempt", 3));
	log_debug("hidden", "not shown");
	log_set_descriptor(2);
	assert_true(read(pipes[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "\"tenant\":\"a/b\",\"attempt\":3,\"error\":\"dial \\\"x\\\"\\n\",\"class\":\"timeout\"}\n"));
	assert_null(strstr(line, "hidden"));
	close(pipes[0]);
	close(pipes[1]);
}

/* A thousand tenants have ten thousand series, which a scrape sets anew. */
static void metrics_of_many_series(void **state)
{
	enum { SERIES = 30 * 1000 };
	static const char *const labels[] = { "name", NULL };
	static struct metric_family many = { .name = "test_many", .help = "Help.", .type = METRIC_GAUGE, .labels = labels };
	BUFFER_CLEANUP struct buffer out = { 0 };
	uint64_t begin = clock_thread_cpu_ns();
	const char *first, *second, *last;
	char name[32];

	for (unsigned i = SERIES; i > 0; i--) {
		(void)snprintf(name, sizeof(name), "tenant-%05u", i);
		metric_set(&many, METRIC_VALUES(name), i);
	}
	metrics_write(&out);
	assert_true(clock_thread_cpu_ns() - begin < UINT64_C(2000000000));
	first = strstr(out.data, "test_many{name=\"tenant-00001\"} 1\n");
	second = strstr(out.data, "test_many{name=\"tenant-00002\"} 2\n");
	last = strstr(out.data, "test_many{name=\"tenant-30000\"} 30000\n");
	assert_true(first != NULL && first < second && second < last);
	metric_remove(&many, METRIC_VALUES("tenant-00002"));
	assert_true(metric_value(&many, METRIC_VALUES("tenant-00002")) == 0 && metric_value(&many, METRIC_VALUES("tenant-00003")) == 3);
	metric_reset(&many);
	assert_true(metric_value(&many, METRIC_VALUES("tenant-00003")) == 0);
}

static void metrics_in_text_format(void **state)
{
	static const char *const labels[] = { "controller", NULL };
	static const double buckets[] = { 0.1, 1 };
	static struct metric_family counter = { .name = "test_total", .help = "Help.", .type = METRIC_COUNTER, .labels = labels };
	static struct metric_family histogram = {
		.name = "test_seconds", .help = "Time.", .type = METRIC_HISTOGRAM, .labels = labels, .buckets = buckets, .bucket_count = 2
	};
	struct buffer out BUFFER_CLEANUP = { 0 };

	metric_add(&counter, METRIC_VALUES("a\"b"), 2);
	metric_observe(&histogram, METRIC_VALUES("x"), 0.5);
	metrics_write(&out);
	assert_non_null(strstr(out.data, "# TYPE test_total counter\ntest_total{controller=\"a\\\"b\"} 2\n"));
	assert_non_null(strstr(out.data, "test_seconds_bucket{controller=\"x\",le=\"0.1\"} 0\n"));
	assert_non_null(strstr(out.data, "test_seconds_bucket{controller=\"x\",le=\"1\"} 1\n"));
	assert_non_null(strstr(out.data, "test_seconds_count{controller=\"x\"} 1\n"));
	assert_non_null(strstr(out.data, "process_resident_memory_bytes "));
	metric_reset(&counter);
	metric_reset(&histogram);
}

static void clock_formats(void **state)
{
	char text[32];
	int64_t seconds;

	clock_format_rfc3339(1700000000, text, sizeof(text));
	assert_string_equal(text, "2023-11-14T22:13:20Z");
	assert_int_equal(clock_parse_rfc3339("2023-11-14T22:13:20Z", &seconds), 0);
	assert_int_equal(seconds, 1700000000);
	assert_int_equal(clock_parse_rfc3339("2023-11-14T23:13:20.123456+01:00", &seconds), 0);
	assert_int_equal(seconds, 1700000000);
	assert_int_equal(clock_parse_rfc3339("2023-11-14", &seconds), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_wrap_keeps_the_cause),
		cmocka_unit_test(arena_serves_all_sizes),
		cmocka_unit_test(buffer_limit_refuses_whole_appends),
		cmocka_unit_test(base64_round_trips_and_refuses),
		cmocka_unit_test(numbers_and_durations),
		cmocka_unit_test(hosts_and_names),
		cmocka_unit_test(networks),
		cmocka_unit_test(versions),
		cmocka_unit_test(map_grows_and_removes),
		cmocka_unit_test(log_lines_are_json),
		cmocka_unit_test(metrics_in_text_format),
		cmocka_unit_test(metrics_of_many_series),
		cmocka_unit_test(clock_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
