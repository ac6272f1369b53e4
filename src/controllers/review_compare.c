/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields of one object would change. */
#include <string.h>

#include "api/names.h"
#include "api/owned_fields.h"
#include "base/strings.h"
#include "controllers/review_internal.h"
#include "kube/apply.h"
#include "kube/cache.h"

enum { SHOWN_MAXIMUM = 120 };

struct comparison {
	struct review_tenant *tenant;
	const struct desired_object *desired;
};

/* Giving up a member that holds what the server would fill in anyway changes nothing. */
static bool is_server_default(const char *member, const json_t *value)
{
	static const struct {
		const char *member, *text;
	} defaults[] = {
		{ "terminationMessagePath", "/dev/termination-log" },
		{ "terminationMessagePolicy", "File" },
		{ "protocol", "TCP" },
		{ "restartPolicy", "Always" },
		{ "dnsPolicy", "ClusterFirst" },
		{ "schedulerName", "default-scheduler" },
		{ "terminationGracePeriodSeconds", "30" },
		{ "successThreshold", "1" },
		{ "failureThreshold", "3" },
		{ "timeoutSeconds", "1" },
		{ "periodSeconds", "10" },
		{ "progressDeadlineSeconds", "600" },
		{ "revisionHistoryLimit", "10" },
		{ "defaultMode", "420" },
		{ "internalTrafficPolicy", "Cluster" },
		{ "externalTrafficPolicy", "Cluster" },
		{ "sessionAffinity", "None" },
		{ "allocateLoadBalancerNodePorts", "true" },
		{ "scheme", "HTTP" },
		{ "type", "Opaque" },
		{ "type", "RollingUpdate" },
		{ "type", "ClusterIP" },
		{ "apiVersion", "v1" },
		{ "enableServiceLinks", "true" },
		{ "replicas", "1" },
		{ "imagePullPolicy", "IfNotPresent" },
	};
	/* Allocated once, kept by the server; the account has a second, older name. */
	static const char *const kept[] = { "clusterIP",           "clusterIPs", "ipFamilies",    "ipFamilyPolicy",
		                            "healthCheckNodePort", "nodePort",   "serviceAccount" };
	FREE_CLEANUP char *text = json_is_string(value) ? string_dup(json_string_value(value)) : json_text(value);

	if (!value || json_is_null(value) || ((json_is_object(value) || json_is_array(value)) && string_equal(text, "{}")) ||
	    string_equal(text, "[]"))
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(kept); i++) {
		if (string_equal(kept[i], member))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(defaults); i++) {
		if (string_equal(defaults[i].member, member) && string_equal(defaults[i].text, text))
			return true;
	}
	return false;
}

/* Every member that would be given up holds a default. */
static bool only_defaults(const char *member, const json_t *value)
{
	const char *name;
	json_t *below;

	if (!json_is_object(value) || json_object_size(value) == 0)
		return is_server_default(member, value);
	json_object_foreach((json_t *)(uintptr_t)value, name, below) {
		if (!only_defaults(name, below))
			return false;
	}
	return true;
}

static const char *last_member(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

static bool is_same(const struct kube_difference *difference)
{
	const char *member = last_member(difference->path);

	if (difference->kind == KUBE_NOT_DESIRED)
		return only_defaults(member, difference->live);
	/* In a list the API server matches items by their key: compare as it would. */
	const json_t *live = difference->live_list ? difference->live_list : difference->live;
	JSON_CLEANUP json_t *item = difference->live_list ? json_build("[O]", difference->desired) : NULL;
	JSON_CLEANUP json_t *wanted_holder = json_build("{s:O}", member, item ? item : difference->desired);
	JSON_CLEANUP json_t *live_holder = live ? json_build("{s:O}", member, live) : json_object();

	return owned_fields_match(wanted_holder, live_holder);
}

static char *shown(const json_t *value)
{
	if (!value)
		return string_dup("absent");
	JSON_CLEANUP json_t *holder = json_build("[O]", value);
	FREE_CLEANUP char *text = json_canonical(holder);
	size_t length = strlen(text) - 2;

	return string_printf("%.*s%s", (int)(length > SHOWN_MAXIMUM ? SHOWN_MAXIMUM : length), text + 1,
	                     length > SHOWN_MAXIMUM ? "..." : "");
}

static void on_difference(const struct kube_difference *difference, void *argument)
{
	const struct comparison *comparison = argument;
	const struct desired_object *desired = comparison->desired;
	struct arena *arena = comparison->tenant->snapshot->arena;
	bool template = desired->kind == OBJECT_DEPLOYMENT && string_has_prefix(difference->path, "spec.template");

	if (is_same(difference))
		return;
	FREE_CLEANUP char *wanted = shown(difference->desired);
	FREE_CLEANUP char *is = shown(difference->live ? difference->live : difference->live_list);
	const char *change;

	if (desired->sensitive && string_has_prefix(difference->path, "data"))
		change = "the value changes";
	else if (difference->kind == KUBE_NOT_DESIRED)
		change = arena_printf(arena, "%s goes", is);
	else
		change = arena_printf(arena, "%s becomes %s", is, wanted);
	review_add(comparison->tenant, json_string_or(desired->object, "kind", ""), desired->name, difference->path, change,
	           template && comparison->tenant->snapshot->tenant.replicas != 0);
}

void review_compare(struct review_tenant *tenant, const struct desired_object *desired, const json_t *live)
{
	static const char *const own_name[] = { KAMAJI_FIELD_MANAGER, NULL };
	static const struct kube_adoption adoption = { .from = own_name, .label = LABEL_COMPONENT };
	struct comparison comparison = { .tenant = tenant, .desired = desired };
	JSON_CLEANUP json_t *copy = json_deep_copy(live);
	JSON_CLEANUP json_t *wanted = json_deep_copy(desired->object);
	struct error err = { 0 };
	json_t *records = kube_apply_adopted_records(live, json_string_or(wanted, "apiVersion", "v1"), KAMAJI_FIELD_MANAGER, &adoption);

	if (records)
		json_put(copy, "metadata.managedFields", records);
	if (desired->kind == OBJECT_SECRET) {
		kube_secret_digest(copy);
		kube_secret_digest(wanted);
	}
	KUBE_ENTRY_CLEANUP struct kube_entry *entry = kube_entry_new(copy, KAMAJI_FIELD_MANAGER, &err);

	if (!entry)
		return;
	JSON_CLEANUP json_t *parsed = kube_entry_parse(entry);

	KUBE_ENTRY_TEXT_CLEANUP struct kube_entry_text text = { 0 };

	kube_entry_open(entry, &text);
	(void)kube_apply_visit_differences(wanted, parsed, text.owned, on_difference, &comparison);
}
