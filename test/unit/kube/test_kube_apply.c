/* SPDX-License-Identifier: Apache-2.0 */
/* When is an apply needed? Desired, owned and live objects as real API servers store them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/strings.h"
#include "kube/apply.h"

/* Text with ' for " to keep the tables readable. */
static json_t *parse(const char *text)
{
	char *copy = string_dup(text);
	struct error err = { 0 };
	json_t *value;

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	value = json_parse(copy, strlen(copy), &err);
	if (value == NULL)
		fail_msg("%s: %s", err.message, text);
	free(copy);
	return value;
}

/* wanted: the differences' lines joined by "|", "" for none. */
static void assert_compare(const char *desired, const char *live, const char *owned, const char *const *ignore, const char *wanted)
{
	JSON_CLEANUP json_t *desired_value = parse(desired), *live_value = parse(live), *owned_value = parse(owned);
	FREE_CLEANUP char *owned_text = json_text(owned_value);
	BUFFER_CLEANUP struct buffer got = { 0 };
	size_t count = kube_apply_compare(desired_value, live_value, owned_text, ignore, &got), lines = 0;

	for (size_t i = 0; i < got.length; i++)
		if (got.data[i] == '\n') {
			got.data[i] = '|';
			lines++;
		}
	assert_int_equal(lines, count);
	if (got.length > 0)
		got.data[got.length - 1] = '\0';
	assert_string_equal(got.data != NULL ? got.data : "", wanted);
}

static void test_never_applied(void **state)
{
	JSON_CLEANUP json_t *desired = parse("{'data':{'a':'b'}}");
	BUFFER_CLEANUP struct buffer text = { 0 };

	assert_int_equal(kube_apply_compare(desired, desired, "", NULL, &text), 1);
	assert_int_equal(kube_apply_compare(desired, desired, NULL, NULL, &text), 1);
	assert_int_equal(kube_apply_compare(desired, desired, "garbage", NULL, &text), 1);
}

static void test_maps(void **state)
{
	static const char desired[] =
		"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','namespace':'n','labels':{'a':'b'}},'data':{'k':'v'}}";
	static const char owned[] = "{'f:metadata':{'f:labels':{'f:a':{}}},'f:data':{'f:k':{}}}";

	assert_compare(desired, "{'metadata':{'labels':{'a':'b','foreign':'x'},'uid':'u'},'data':{'k':'v','foreign':'y'}}", owned, NULL,
	               "");
	assert_compare(desired, "{'metadata':{'labels':{'a':'b'}},'data':{'k':'w'}}", owned, NULL,
	               "data.k: differs: wanted \"v\", is \"w\"");
	assert_compare(desired, "{'metadata':{'labels':{'a':'b'}},'data':{}}", owned, NULL, "data.k: differs: wanted \"v\", is absent");
	assert_compare(desired, "{'metadata':{'labels':{'a':'b'}}}", owned, NULL, "data: missing: wanted {\"k\":\"v\"}, is absent");
	/* Somebody took it over by update: the value may be equal, but we no longer own it. */
	assert_compare(desired, "{'metadata':{'labels':{'a':'b'}},'data':{'k':'v'}}",
	               "{'f:metadata':{'f:labels':{'f:a':{}}},'f:data':{'f:z':{}}}", NULL,
	               "data.k: not owned yet: wanted \"v\", is \"v\"|data.z: owned but no longer wanted");
	assert_compare(desired, "{'metadata':{'labels':{'a':'b'}},'data':{'k':'v'}}", "{'f:data':{'f:k':{}}}", NULL,
	               "metadata.labels: not owned yet: wanted {\"a\":\"b\"}, is {\"a\":\"b\"}");
}

static void test_removed_members(void **state)
{
	static const char live[] =
		"{'metadata':{'labels':{'a':'b','old':'c'},'annotations':{'x':'y'}},'data':{'k':'v','gone':'w'},'immutable':true}";

	assert_compare("{'metadata':{'name':'x','labels':{'a':'b'}},'data':{'k':'v'}}", live,
	               "{'f:metadata':{'f:labels':{'f:a':{},'f:old':{}},'f:annotations':{'f:x':{}}},'f:data':{'f:k':{},'f:gone':{}},'f:"
	               "immutable':{}}",
	               NULL,
	               "data.gone: owned but no longer wanted|immutable: owned but no longer wanted|metadata.labels.old: owned but no "
	               "longer wanted|"
	               "metadata.annotations: owned but no longer wanted");
}

/* A Service as the server completes it. */
static const char service_live[] =
	"{'metadata':{'ownerReferences':[{'apiVersion':'v','kind':'K','name':'t','uid':'u1','controller':true,'blockOwnerDeletion':true}]},"
	"'spec':{'clusterIP':'10.96.0.5','type':'ClusterIP','selector':{'a':'b'},'ports':["
	"{'name':'api','port':6443,'protocol':'TCP','targetPort':6443},{'name':'dns','port':53,'protocol':'UDP','targetPort':53},"
	"{'name':'dns-tcp','port':53,'protocol':'TCP','targetPort':53}]}}";
static const char service_owned[] =
	"{'f:metadata':{'f:ownerReferences':{'k:{\\\"uid\\\":\\\"u1\\\"}':{}}},'f:spec':{'f:selector':{},'f:type':{},'f:ports':{"
	"'k:{\\\"port\\\":53,\\\"protocol\\\":\\\"TCP\\\"}':{'.':{},'f:name':{},'f:port':{}},"
	"'k:{\\\"port\\\":53,\\\"protocol\\\":\\\"UDP\\\"}':{'.':{},'f:name':{},'f:port':{},'f:protocol':{}},"
	"'k:{\\\"port\\\":6443,\\\"protocol\\\":\\\"TCP\\\"}':{'.':{},'f:name':{},'f:port':{},'f:targetPort':{}}}}}";
#define SERVICE(ports) \
	"{'metadata':{'name':'x','ownerReferences':[{'apiVersion':'v','kind':'K','name':'t','uid':'u1','controller':true,'" \
	"blockOwnerDeletion':true}]}," \
	"'spec':{'type':'ClusterIP','selector':{'a':'b'},'ports':[" ports "]}}"
#define API "{'name':'api','port':6443,'targetPort':6443}"
#define DNS "{'name':'dns','port':53,'protocol':'UDP'}"
#define DNS_TCP "{'name':'dns-tcp','port':53}"

static void test_keyed_lists(void **state)
{
	assert_compare(SERVICE(API "," DNS "," DNS_TCP), service_live, service_owned, NULL, "");
	assert_compare(SERVICE(DNS_TCP "," DNS "," API), service_live, service_owned, NULL, ""); /* order does not matter */
	assert_compare(SERVICE(API "," DNS_TCP), service_live, service_owned, NULL,
	               "spec.ports.k:{\"port\":53,\"protocol\":\"UDP\"}: owned but no longer wanted");
	assert_compare(SERVICE(API "," DNS "," DNS_TCP ",{'name':'new','port':80}"), service_live, service_owned, NULL,
	               "spec.ports: not owned yet: wanted {\"name\":\"new\",\"port\":80}, is absent");
	assert_compare(SERVICE("{'name':'api','port':6443,'targetPort':'6443'}," DNS "," DNS_TCP), service_live, service_owned, NULL, "");
	assert_compare(SERVICE("{'name':'api','port':6443,'targetPort':7}," DNS "," DNS_TCP), service_live, service_owned, NULL,
	               "spec.ports.targetPort: differs: wanted 7, is 6443");
	assert_compare(SERVICE("{'name':'api','port':6443,'targetPort':7}," DNS "," DNS_TCP), service_live, service_owned,
	               (const char *const[]){ "spec.ports.targetPort", NULL }, "");
	assert_compare(SERVICE("{'name':'api','port':6443}," DNS "," DNS_TCP), service_live, service_owned, NULL,
	               "spec.ports.targetPort: owned but no longer wanted");
}

static void test_foreign_rows_do_not_count(void **state)
{
	static const char desired[] = "{'spec':{'containers':[{'name':'a','image':'i','args':['x','y']}]}}";
	static const char owned[] =
		"{'f:spec':{'f:containers':{'k:{\\\"name\\\":\\\"a\\\"}':{'.':{},'f:name':{},'f:image':{},'f:args':{}}}}}";

	assert_compare(desired,
	               "{'spec':{'containers':[{'name':'injected','image':'z'},{'name':'a','image':'i','args':['x','y'],'imagePullPolicy':'"
	               "Always'}]}}",
	               owned, NULL, "");
	assert_compare(desired, "{'spec':{'containers':[{'name':'a','image':'i','args':['y','x']}]}}", owned, NULL,
	               "spec.containers.args: differs: wanted \"x\", is \"y\"|spec.containers.args: differs: wanted \"y\", is \"x\"");
	assert_compare(desired, "{'spec':{'containers':[{'name':'a','image':'i','args':['x','y','z']}]}}", owned, NULL,
	               "spec.containers.args: differs: wanted [\"x\",\"y\"], is [\"x\",\"y\",\"z\"]");
	assert_compare(desired, "{'spec':{'containers':[]}}", owned, NULL,
	               "spec.containers: missing: wanted {\"args\":[\"x\",\"y\"],\"image\":\"i\",\"name\":\"a\"}, is absent");
}

static void test_sets(void **state)
{
	static const char owned[] = "{'f:metadata':{'f:finalizers':{'.':{},'v:\\\"a\\\"':{},'v:\\\"b\\\"':{}}}}";

	assert_compare("{'metadata':{'finalizers':['b','a']}}", "{'metadata':{'finalizers':['a','foreign','b']}}", owned, NULL, "");
	assert_compare("{'metadata':{'finalizers':['a']}}", "{'metadata':{'finalizers':['a','b']}}", owned, NULL,
	               "metadata.finalizers.v:\"b\": owned but no longer wanted");
	assert_compare("{'metadata':{'finalizers':['a','b','c']}}", "{'metadata':{'finalizers':['a','b']}}", owned, NULL,
	               "metadata.finalizers: not owned yet: wanted \"c\", is absent");
	assert_compare("{'metadata':{'finalizers':['a','b']}}", "{'metadata':{'finalizers':['a']}}", owned, NULL,
	               "metadata.finalizers: missing: wanted \"b\", is absent");
}

static void test_equal_in_other_words(void **state)
{
	static const char owned[] =
		"{'f:spec':{'f:resources':{'f:limits':{'f:cpu':{},'f:memory':{}}},'f:emptyDir':{},'f:n':{},'f:creation':{}}}";

	assert_compare("{'spec':{'resources':{'limits':{'cpu':'1000m','memory':1073741824}},'emptyDir':{},'n':1.0,'creation':null,'none':[]"
	               ",'nil':null}}",
	               "{'spec':{'resources':{'limits':{'cpu':'1','memory':'1Gi'}},'n':1}}", owned, NULL,
	               "spec.creation: owned but no longer wanted");
	assert_compare("{'spec':{'resources':{'limits':{'cpu':'1001m','memory':'1Gi'}},'emptyDir':{},'n':2,'creation':'x'}}",
	               "{'spec':{'resources':{'limits':{'cpu':'1','memory':'1Gi'}},'n':1,'creation':'x'}}", owned, NULL,
	               "spec.resources.limits.cpu: differs: wanted \"1001m\", is \"1\"|spec.n: differs: wanted 2, is 1");
	/* Only where a quantity stands: elsewhere these are two texts. */
	assert_compare("{'spec':{'n':'1000m'}}", "{'spec':{'n':'1'}}", "{'f:spec':{'f:n':{}}}", NULL,
	               "spec.n: differs: wanted \"1000m\", is \"1\"");
}

static void test_atomic(void **state)
{
	static const char owned[] = "{'f:spec':{'f:rules':{},'f:selector':{}}}";

	/* An atomic list whose elements the server completed. */
	assert_compare("{'spec':{'rules':[{'host':'a'}],'selector':{'x':'y'}}}",
	               "{'spec':{'rules':[{'host':'a','pathType':'Prefix'}],'selector':{'x':'y'}}}", owned, NULL, "");
	assert_compare("{'spec':{'rules':[{'host':'a'}],'selector':{'x':'y'}}}",
	               "{'spec':{'rules':[{'host':'a'},{'host':'b'}],'selector':{'x':'y'}}}", owned, NULL,
	               "spec.rules: differs: wanted [{\"host\":\"a\"}], is [{\"host\":\"a\"},{\"host\":\"b\"}]");
	assert_compare("{'spec':{'rules':[],'selector':{'x':'y'}}}", "{'spec':{'rules':[{'host':'a'}],'selector':{'x':'y'}}}", owned, NULL,
	               "spec.rules: differs: wanted [], is [{\"host\":\"a\"}]");
}

static void test_long_values_stay_apart(void **state)
{
	JSON_CLEANUP json_t *desired = json_build("{s:{s:s}}", "data", "k", "v"), *live = json_build("{s:{}}", "data"),
			    *other = json_build("{s:{}}", "data");
	char first[300], second[300];
	BUFFER_CLEANUP struct buffer a = { 0 }, b = { 0 };

	memset(first, 'x', sizeof(first));
	first[sizeof(first) - 1] = '\0';
	memcpy(second, first, sizeof(first));
	second[290] = 'y';
	json_put_string(live, "data.k", first);
	json_put_string(other, "data.k", second);
	(void)kube_apply_compare(desired, live, "{\"f:data\":{\"f:k\":{}}}", NULL, &a);
	(void)kube_apply_compare(desired, other, "{\"f:data\":{\"f:k\":{}}}", NULL, &b);
	assert_string_not_equal(a.data, b.data);
	assert_true(a.length < 200);
}

/* Records of the object, ours with and without a later Update under the same name, and of others. */
static json_t *object_with(const char *records)
{
	FREE_CLEANUP char *text = string_printf("{'metadata':{'name':'a','namespace':'n','managedFields':[%s]}}", records);

	return parse(text);
}

#define RECORD(manager, operation, fields) "{'manager':'" manager "','operation':'" operation "','apiVersion':'v1','fieldsV1':{" fields "}}"
#define LEFT_OVER "'f:metadata':{'f:labels':{'f:left':{}}}"

/* An operator that ran between two terms of ours writes by Update under our name, and owns what nobody wants any more. */
static void test_written_after_us(void **state)
{
	static const char *const own_name[] = { "kamaji", NULL };
	const struct kube_adoption adoption = { .from = own_name };
	static const struct {
		const char *records;
		bool updated, moves;
	} cases[] = {
		{ RECORD("kamaji", "Apply", "'f:data':{}"), false, false },
		{ RECORD("kamaji", "Apply", "'f:data':{}") "," RECORD("kamaji", "Update", LEFT_OVER), true, true },
		{ RECORD("kamaji", "Apply", "'f:data':{}") "," RECORD("injector", "Update", LEFT_OVER), false, false },
		{ RECORD("kamaji", "Update", LEFT_OVER), false, true },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		JSON_CLEANUP json_t *object = object_with(cases[i].records);
		JSON_CLEANUP json_t *moved = kube_apply_adopted_records(object, "v1", NULL, &adoption);
		struct error err = { 0 };
		KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_entry_new(object, NULL, &err);

		assert_int_equal(entry->updated, cases[i].updated);
		assert_int_equal(moved != NULL, cases[i].moves);
		if (moved) {
			assert_int_equal(json_array_size(moved), 1);
			assert_non_null(json_object_get(json_at(json_array_get(moved, 0), "fieldsV1.f:metadata.f:labels"), "f:left"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_applied),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_removed_members),
		cmocka_unit_test(test_keyed_lists),
		cmocka_unit_test(test_foreign_rows_do_not_count),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_equal_in_other_words),
		cmocka_unit_test(test_atomic),
		cmocka_unit_test(test_long_values_stay_apart),
		cmocka_unit_test(test_written_after_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
