/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes of which objects ask for a pass, and which do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "controllers/tenant_digest.h"

typedef void (*digest_function)(struct string_list *lines, const json_t *object);

static json_t *parse(const char *text)
{
	struct error err;
	json_t *value = json_parse(text, strlen(text), &err);

	assert_non_null(value);
	return value;
}

static void digest_of(digest_function function, const char *text, char hex[DIGEST_HEX_SIZE])
{
	STRING_LIST_CLEANUP struct string_list lines = { 0 };
	JSON_CLEANUP json_t *object = parse(text);

	function(&lines, object);
	tenant_digest_finish(&lines, hex);
}

static bool differ(digest_function function, const char *a, const char *b)
{
	char one[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];

	digest_of(function, a, one);
	digest_of(function, b, other);
	return strcmp(one, other) != 0;
}

#define TENANT(generation, annotations, phase, schema) \
	"{\"metadata\":{\"uid\":\"u\",\"generation\":" generation ",\"annotations\":" annotations ",\"resourceVersion\":\"" phase "\"}," \
	"\"status\":{\"kubernetesResources\":{\"version\":{\"status\":\"" phase "\"}},\"storage\":{\"setup\":{\"schema\":\"" schema \
	"\"}}}}"

static void test_tenant(void **state)
{
	const char *base = TENANT("1", "{}", "NotReady", "s");

	assert_false(differ(tenant_digest_tenant, base, TENANT("1", "{}", "Ready", "s")));
	assert_true(differ(tenant_digest_tenant, base, TENANT("2", "{}", "NotReady", "s")));
	assert_true(differ(tenant_digest_tenant, base, TENANT("1", "{\"a\":\"b\"}", "NotReady", "s")));
	assert_true(differ(tenant_digest_tenant, base, TENANT("1", "{}", "NotReady", "other")));
}

#define DEPLOYMENT(generation, annotations, ready) \
	"{\"metadata\":{\"uid\":\"u\",\"generation\":" generation ",\"annotations\":" annotations ",\"resourceVersion\":\"" ready "\"}," \
	"\"spec\":{\"replicas\":1},\"status\":{\"readyReplicas\":" ready "}}"

static void test_deployment(void **state)
{
	const char *base = DEPLOYMENT("1", "{\"deployment.kubernetes.io/revision\":\"1\"}", "0");

	assert_false(differ(tenant_digest_deployment, base, DEPLOYMENT("1", "{\"deployment.kubernetes.io/revision\":\"1\"}", "1")));
	assert_false(differ(tenant_digest_deployment, base, DEPLOYMENT("1", "{\"deployment.kubernetes.io/revision\":\"2\"}", "0")));
	assert_true(differ(tenant_digest_deployment, base, DEPLOYMENT("2", "{\"deployment.kubernetes.io/revision\":\"1\"}", "0")));
	assert_true(differ(tenant_digest_deployment, base, DEPLOYMENT("1", "{\"x\":\"1\"}", "0")));
}

#define SERVICE(port, address) \
	"{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"9\"},\"spec\":{\"port\":" port "},\"status\":{\"loadBalancer\":{" address "}}" \
	"}"

static void test_service(void **state)
{
	const char *base = SERVICE("1", "");

	assert_false(differ(tenant_digest_service, base, SERVICE("1", "")));
	assert_true(differ(tenant_digest_service, base, SERVICE("2", "")));
	assert_true(differ(tenant_digest_service, base, SERVICE("1", "\"ingress\":[{\"ip\":\"192.0.2.1\"}]")));
}

static void test_order_does_not_matter(void **state)
{
	STRING_LIST_CLEANUP struct string_list one = { 0 };
	STRING_LIST_CLEANUP struct string_list other = { 0 };
	char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE];

	tenant_digest_version(&one, "secret", "n/a", "u1", "1");
	tenant_digest_version(&one, "secret", "n/b", "u2", "2");
	tenant_digest_version(&other, "secret", "n/b", "u2", "2");
	tenant_digest_version(&other, "secret", "n/a", "u1", "1");
	tenant_digest_finish(&one, a);
	tenant_digest_finish(&other, b);
	assert_string_equal(a, b);
	tenant_digest_version(&other, "secret", "n/c", "u3", "3");
	tenant_digest_finish(&other, b);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tenant),
		cmocka_unit_test(test_deployment),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_order_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
