/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include <string.h>

#include "api/names.h"
#include "base/clock.h"
#include "base/strings.h"

/* Objects that exist from the first write on, empty as long as their step has not run. */
static const char *const skeleton_objects[] = {
	"addons.konnectivity.agent",
	"addons.konnectivity.certificate",
	"addons.konnectivity.clusterrolebinding",
	"addons.konnectivity.configMap",
	"addons.konnectivity.kubeconfig",
	"addons.konnectivity.sa",
	"addons.konnectivity.service.loadBalancer",
	"certificates.apiServer",
	"certificates.apiServerKubeletClient",
	"certificates.ca",
	"certificates.frontProxyCA",
	"certificates.frontProxyClient",
	"certificates.sa",
	"kubeadmPhase.bootstrapToken",
	"kubeadmconfig",
	"kubeconfig.admin",
	"kubeconfig.controllerManager",
	"kubeconfig.scheduler",
	"kubernetesResources.service.loadBalancer",
	"kubernetesResources.version",
	"storage.certificate",
	"storage.config",
	"storage.setup",
};
static const char *const skeleton_texts[] = {
	"addons.konnectivity.service.name",         "addons.konnectivity.service.namespace",   "kubernetesResources.deployment.name",
	"kubernetesResources.deployment.namespace", "kubernetesResources.deployment.selector", "kubernetesResources.service.name",
	"kubernetesResources.service.namespace",
};
static const char *const skeleton_numbers[] = { "addons.konnectivity.service.port", "kubernetesResources.service.port" };
static const char *const skeleton_flags[] = { "addons.coreDNS.enabled", "addons.konnectivity.enabled", "addons.kubeProxy.enabled" };

json_t *status_new(const json_t *stored)
{
	json_t *status = json_is_object(stored) ? json_deep_copy(stored) : json_object();

	for (size_t i = 0; i < ARRAY_LENGTH(skeleton_objects); i++)
		json_ensure_object(status, skeleton_objects[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(skeleton_texts); i++)
		if (!json_is_string(json_at(status, skeleton_texts[i])))
			json_put(status, skeleton_texts[i], json_string_new(""));
	for (size_t i = 0; i < ARRAY_LENGTH(skeleton_numbers); i++)
		if (!json_is_integer(json_at(status, skeleton_numbers[i])))
			json_put(status, skeleton_numbers[i], json_integer(0));
	for (size_t i = 0; i < ARRAY_LENGTH(skeleton_flags); i++)
		if (!json_is_boolean(json_at(status, skeleton_flags[i])))
			json_put(status, skeleton_flags[i], json_false());
	if (string_empty(json_string_or(status, "kubernetesResources.version.status", "")))
		json_put(status, "kubernetesResources.version.status", json_string_new(PHASE_PROVISIONING));
	return status;
}

static void stamp_update(json_t *object, int64_t now)
{
	char text[32];

	clock_format_rfc3339(now, text, sizeof(text));
	json_put_string(object, "lastUpdate", text);
}

bool status_record(json_t *status, const char *path, json_t *members, bool stamp, int64_t now)
{
	json_t *object = json_ensure_object(status, path), *value;
	bool changed = stamp && !json_object_get(object, "lastUpdate");
	const char *name;

	json_object_foreach(members, name, value) {
		if (json_equal(json_object_get(object, name), value))
			continue;
		changed = true;
		json_object_set(object, name, value);
	}
	json_decref(members);
	if (changed && stamp)
		stamp_update(object, now);
	return changed;
}

bool status_replace(json_t *status, const char *path, json_t *members, bool stamp, int64_t now)
{
	json_t *object = json_ensure_object(status, path);
	const char *updated = json_string_at(object, "lastUpdate");
	json_t *before JSON_CLEANUP = json_deep_copy(object);
	bool changed;

	json_object_del(before, "lastUpdate");
	changed = !json_equal(before, members) || (stamp && !updated);
	if (stamp && !changed)
		json_put_string(members, "lastUpdate", updated);
	else if (stamp)
		stamp_update(members, now);
	json_put(status, path, members);
	return changed;
}

void status_remove(json_t *status, const char *path)
{
	const char *dot = strrchr(path, '.');
	char *parent FREE_CLEANUP = dot ? string_ndup(path, (size_t)(dot - path)) : NULL;

	json_object_del(parent ? json_at(status, parent) : status, dot ? dot + 1 : path);
}

void status_set_phase(json_t *status, const char *phase, const char *version)
{
	json_put_string(status, "kubernetesResources.version.status", phase);
	json_put_string(status, "kubernetesResources.version.version", version);
}

const json_t *status_condition(const json_t *status, const char *type)
{
	json_t *condition;
	size_t i;

	json_array_foreach(json_object_get(status, "conditions"), i, condition)
		if (string_equal(json_string_at(condition, "type"), type))
			return condition;
	return NULL;
}

/*
 * At most `limit` bytes, cut at a character boundary. Messages may carry bytes from outside, or end in half a character because an
 * error was cut: what is no UTF-8 loses its bytes above ASCII.
 */
static char *clean_text(const char *text, size_t limit)
{
	size_t length = strlen(text);
	char *result;
	json_t *valid;

	if (length > limit)
		for (length = limit; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
			length--;
	result = string_ndup(text, length);
	valid = json_stringn(result, length);
	if (!valid)
		for (size_t i = 0; i < length; i++)
			if ((unsigned char)result[i] >= 0x80)
				result[i] = '?';
	json_decref(valid);
	return result;
}

void status_set_condition(json_t *status, const char *type, const char *value, const char *reason, const char *message, int64_t generation,
                          int64_t now)
{
	enum { MESSAGE_LIMIT = 1024 };
	json_t *condition = (json_t *)status_condition(status, type);
	char *short_message FREE_CLEANUP = clean_text(message ? message : "", MESSAGE_LIMIT);
	char time_text[32];

	if (!condition) {
		if (!json_is_array(json_object_get(status, "conditions")))
			json_put(status, "conditions", json_array());
		condition = json_object();
		json_array_append_new(json_object_get(status, "conditions"), condition);
		json_put_string(condition, "type", type);
	}
	if (!string_equal(json_string_at(condition, "status"), value) || !json_string_at(condition, "lastTransitionTime")) {
		clock_format_rfc3339(now, time_text, sizeof(time_text));
		json_put_string(condition, "status", value);
		json_put_string(condition, "lastTransitionTime", time_text);
	}
	json_put_string(condition, "reason", reason);
	json_put_string(condition, "message", short_message);
	json_put(condition, "observedGeneration", json_integer(generation));
}

bool status_equal(const json_t *wanted, const json_t *stored, bool conditions_supported)
{
	json_t *a JSON_CLEANUP = NULL, *b JSON_CLEANUP = NULL;

	if (conditions_supported || !json_is_object(wanted) || !json_is_object(stored))
		return json_equal(wanted, stored);
	a = json_copy((json_t *)wanted);
	b = json_copy((json_t *)stored);
	json_object_del(a, "conditions");
	json_object_del(b, "conditions");
	return json_equal(a, b);
}

bool status_conditions_pruned(const json_t *sent, const json_t *received)
{
	return json_array_size(json_object_get(sent, "conditions")) > 0 && json_is_object(received) &&
	       json_array_size(json_object_get(received, "conditions")) == 0;
}
