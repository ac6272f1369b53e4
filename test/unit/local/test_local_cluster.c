/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from and said about the cluster: image tables, pods, manifests, LoadBalancer addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strings.h"
#include "local/balancer_plan.h"
#include "local/cluster_explain.h"
#include "local/cluster_pods.h"
#include "local/manifest.h"
#include "local/node_images.h"

/* `ctr -n k8s.io images list`, containerd 2.4. */
static const char recorded_images[] =
	"REF                                TYPE                                       DIGEST                                              "
	"                    SIZE     PLATFORMS   LABELS                                          \n"
	"localhost/kamaji:local             application/vnd.oci.image.manifest.v1+json "
	"sha256:aa7d8b16ad6f7a90bbcd1b819afd0658c6a358019106c130a8060fdbdd01a410 9.1 MiB  linux/amd64 "
	"io.cri-containerd.image=managed,io.kamaji.image.made-from-components=true \n"
	"registry.k8s.io/pause:3.10.2       application/vnd.oci.image.manifest.v1+json "
	"sha256:dc7d8b16ad6f7a90bbcd1b819afd0658c6a358019106c130a8060fdbdd01a410 752 KiB  linux/amd64 "
	"io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned \n"
	"\n";

static void test_image_table(void **state)
{
	struct node_image_list list = { 0 };
	struct error err;
	assert_int_equal(node_image_list_parse(recorded_images, &list, &err), 0);
	assert_int_equal(list.count, 2);
	const struct node_image *ours = node_image_list_find(&list, "localhost/kamaji:local");
	assert_non_null(ours);
	assert_true(ours->made_here);
	assert_string_equal(ours->digest, "sha256:aa7d8b16ad6f7a90bbcd1b819afd0658c6a358019106c130a8060fdbdd01a410");
	assert_false(node_image_list_find(&list, "registry.k8s.io/pause:3.10.2")->made_here);
	assert_null(node_image_list_find(&list, "registry.k8s.io/pause:3.10"));
	node_image_list_free(&list);
	assert_int_equal(node_image_list_parse("REF TYPE DIGEST SIZE PLATFORMS LABELS \n", &list, &err), 0);
	assert_int_equal(list.count, 0);
	node_image_list_free(&list);
	assert_int_equal(node_image_list_parse("ctr: failed to dial\n", &list, &err), -1);
	assert_int_equal(node_image_list_parse("", &list, &err), -1);
}

static json_t *parse(const char *text)
{
	struct error err;
	json_t *value = json_parse(text, strlen(text), &err);
	assert_non_null(value);
	return value;
}

static void test_explain_pod(void **state)
{
	JSON_CLEANUP json_t *pod = parse("{\"metadata\":{\"namespace\":\"default\",\"name\":\"sample-1\",\"uid\":\"u1\"},\"status\":{"
	                                 "\"phase\":\"Pending\",\"conditions\":["
	                                 "{\"type\":\"Ready\",\"status\":\"False\",\"message\":\"containers with unready status: "
	                                 "[kube-apiserver]\"}],\"containerStatuses\":["
	                                 "{\"name\":\"kube-apiserver\",\"ready\":false,\"restartCount\":3,\"state\":{\"waiting\":{"
	                                 "\"reason\":\"ErrImagePull\",\"message\":\"no such host\"}},"
	                                 "\"lastState\":{\"terminated\":{\"reason\":\"Error\",\"exitCode\":137}}}]}}");
	JSON_CLEANUP json_t *events = parse(
		"{\"items\":[{\"type\":\"Warning\",\"reason\":\"Failed\",\"message\":\"of another\",\"involvedObject\":{\"uid\":\"u2\"}},"
		"{\"type\":\"Warning\",\"reason\":\"BackOff\",\"message\":\"Back-off pulling "
		"image\",\"involvedObject\":{\"uid\":\"u1\"}}]}");
	BUFFER_CLEANUP struct buffer out = { 0 };
	assert_true(cluster_explain_pod(pod, events, &out));
	static const char *const wanted[] = { "default/sample-1", "Pending",    "ErrImagePull", "no such host",
		                              "exit code 137",    "restarts 3", "BackOff",      "containers with unready status" };
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++)
		if (!strstr(out.data, wanted[i]))
			fail_msg("'%s' is not in: %s", wanted[i], out.data);
	assert_null(strstr(out.data, "of another"));
	JSON_CLEANUP json_t *fine = parse("{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
	buffer_clear(&out);
	assert_false(cluster_explain_pod(fine, NULL, &out));
	assert_int_equal(out.length, 0);
}

static void test_fresh_pod(void **state)
{
	static const char ready[] =
		"{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}],\"containerStatuses\":["
		"{\"state\":{\"running\":{\"startedAt\":\"2026-11-20T12:00:05Z\"}}}]}}";
	FREE_CLEANUP char *yes = string_printf(ready, "True"), *no = string_printf(ready, "False");
	JSON_CLEANUP json_t *pod = parse(yes);
	JSON_CLEANUP json_t *unready = parse(no);
	JSON_CLEANUP json_t *ended = parse("{\"status\":{\"phase\":\"Succeeded\"}}");
	JSON_CLEANUP json_t *starting = parse("{\"status\":{\"phase\":\"Pending\"}}");
	int64_t at_five = 1795176005; /* 2026-11-20T12:00:05Z */
	assert_true(cluster_pod_is_fresh(pod, at_five));
	assert_false(cluster_pod_is_fresh(pod, at_five + 1));
	assert_false(cluster_pod_is_fresh(unready, at_five));
	assert_true(cluster_pod_is_fresh(ended, at_five));
	assert_false(cluster_pod_is_fresh(starting, 0));
}

static void test_manifest_fill(void **state)
{
	static const struct manifest_value values[] = { { "A", "one" }, { "LONG_NAME", "two" }, { NULL, NULL } };
	static const struct {
		const char *text, *filled;
	} rows[] = {
		{ "", "" },
		{ "plain $A and {A}", "plain $A and {A}" },
		{ "${A}", "one" },
		{ "x${A}y${LONG_NAME}${A}z", "xoneytwoonez" },
		{ "unfinished ${A", "unfinished ${A" },
	};
	struct error err;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		BUFFER_CLEANUP struct buffer out = { 0 };
		assert_int_equal(manifest_fill(rows[i].text, values, &out, &err), 0);
		assert_string_equal(out.data ? out.data : "", rows[i].filled);
	}
	BUFFER_CLEANUP struct buffer out = { 0 };
	assert_int_equal(manifest_fill("${B}", values, &out, &err), -1);
	assert_non_null(strstr(err.message, "${B}"));
}

static void test_balancer_plan(void **state)
{
	struct balancer_range range = { .first = 10, .last = 13 };
	struct balancer_service services[] = {
		{ .key = "a/new", .created = 50, .wanted = true },
		{ .key = "a/kept", .created = 20, .wanted = true, .current = 11 },
		{ .key = "a/thief", .created = 30, .wanted = true, .current = 11 },
		{ .key = "a/asks", .created = 60, .wanted = true, .requested = 13 },
		{ .key = "a/plain", .created = 10, .current = 12 },
	};
	balancer_plan(&range, services, ARRAY_LENGTH(services));
	assert_int_equal(services[1].address, 11);
	assert_int_equal(services[3].address, 13);
	assert_int_equal(services[4].address, 0);
	/* The older of the two that are left is served first. */
	assert_int_equal(services[2].address, 10);
	assert_int_equal(services[0].address, 12);
	/* A second round changes nothing. */
	for (size_t i = 0; i < ARRAY_LENGTH(services); i++)
		services[i].current = services[i].address;
	struct balancer_service before[ARRAY_LENGTH(services)];
	memcpy(before, services, sizeof(services));
	balancer_plan(&range, services, ARRAY_LENGTH(services));
	for (size_t i = 0; i < ARRAY_LENGTH(services); i++)
		assert_int_equal(services[i].address, before[i].address);
}

static void test_balancer_range(void **state)
{
	struct balancer_range range = { .first = 10, .last = 11 };
	struct balancer_service services[3] = { { .key = "a", .wanted = true },
		                                { .key = "b", .wanted = true },
		                                { .key = "c", .wanted = true } };
	balancer_plan(&range, services, 3);
	assert_int_equal(services[0].address, 10);
	assert_int_equal(services[1].address, 11);
	assert_int_equal(services[2].address, 0);
	/* A released address is the last to be given out again. */
	range = (struct balancer_range){ .first = 10, .last = 12 };
	struct balancer_service one = { .key = "a", .wanted = true };
	balancer_plan(&range, &one, 1);
	assert_int_equal(one.address, 10);
	one = (struct balancer_service){ .key = "b", .wanted = true };
	balancer_plan(&range, &one, 1);
	assert_int_equal(one.address, 11);
}

static void test_balancer_service(void **state)
{
	const struct balancer_range range = { .first = 0x0ac8010a, .last = 0x0ac801fa };
	JSON_CLEANUP json_t *service =
		parse("{\"metadata\":{\"creationTimestamp\":\"2026-11-20T12:00:05Z\"},\"spec\":{\"type\":\"LoadBalancer\","
	              "\"loadBalancerIP\":\"10.200.1.20\"},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"10.200.1.11\"}]}}}");
	JSON_CLEANUP json_t *other_class = parse("{\"spec\":{\"type\":\"LoadBalancer\",\"loadBalancerClass\":\"example.org/x\"}}");
	JSON_CLEANUP json_t *foreign =
		parse("{\"spec\":{\"type\":\"LoadBalancer\",\"loadBalancerIP\":\"192.0.2.1\"},\"status\":{\"loadBalancer\":{\"ingress\":"
	              "[{\"ip\":\"192.0.2.9\"}]}}}");
	JSON_CLEANUP json_t *plain = parse("{\"spec\":{\"type\":\"ClusterIP\"}}");
	struct balancer_service read = balancer_service_read(service, "k", &range);
	assert_true(read.wanted);
	assert_int_equal(read.current, 0x0ac8010b);
	assert_int_equal(read.requested, 0x0ac80114);
	assert_false(balancer_service_read(other_class, "k", &range).wanted);
	assert_false(balancer_service_read(plain, "k", &range).wanted);
	assert_int_equal(balancer_service_read(foreign, "k", &range).current, 0);
	assert_int_equal(balancer_service_read(foreign, "k", &range).requested, 0);
	JSON_CLEANUP json_t *patch = balancer_status_patch(0x0ac8010b);
	assert_string_equal(json_string_at(patch, "status.loadBalancer.ingress[0].ip"), "10.200.1.11");
	JSON_CLEANUP json_t *clear = balancer_status_patch(0);
	assert_true(json_is_null(json_at(clear, "status.loadBalancer.ingress")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image_table),      cmocka_unit_test(test_explain_pod),   cmocka_unit_test(test_fresh_pod),
		cmocka_unit_test(test_manifest_fill),    cmocka_unit_test(test_balancer_plan), cmocka_unit_test(test_balancer_range),
		cmocka_unit_test(test_balancer_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
