/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/status.h"
#include "base/strings.h"

static void the_skeleton_is_whole_from_the_first_write(void **state)
{
	json_t *status JSON_CLEANUP = status_new(NULL);
	json_t *again JSON_CLEANUP = status_new(status);

	assert_string_equal(json_string_at(status, "kubernetesResources.version.status"), PHASE_PROVISIONING);
	assert_false(json_boolean_or(status, "addons.coreDNS.enabled", true));
	assert_int_equal(json_integer_or(status, "addons.konnectivity.service.port", -1), 0);
	assert_true(json_is_object(json_at(status, "kubeadmPhase.bootstrapToken")));
	assert_string_equal(json_string_at(status, "kubernetesResources.deployment.selector"), "");
	assert_null(json_at(status, "kubernetesResources.ingress"));
	assert_null(json_at(status, "observedGeneration"));
	assert_true(json_equal(status, again));
}

static void time_moves_only_with_a_change(void **state)
{
	json_t *status JSON_CLEANUP = status_new(NULL);

	assert_true(status_record(status, "certificates.ca", json_build("{s:s}", "checksum", "a"), true, 0));
	assert_string_equal(json_string_at(status, "certificates.ca.lastUpdate"), "1970-01-01T00:00:00Z");
	assert_false(status_record(status, "certificates.ca", json_build("{s:s}", "checksum", "a"), true, 60));
	assert_string_equal(json_string_at(status, "certificates.ca.lastUpdate"), "1970-01-01T00:00:00Z");
	assert_true(status_record(status, "certificates.ca", json_build("{s:s}", "checksum", "b"), true, 60));
	assert_string_equal(json_string_at(status, "certificates.ca.lastUpdate"), "1970-01-01T00:01:00Z");
}

static void replacing_drops_what_is_gone(void **state)
{
	json_t *status JSON_CLEANUP = status_new(NULL);

	assert_true(status_replace(status, "kubernetesResources.deployment", json_build("{s:i,s:s}", "readyReplicas", 1, "name", "a"), true,
	                           0));
	assert_false(status_replace(status, "kubernetesResources.deployment", json_build("{s:i,s:s}", "readyReplicas", 1, "name", "a"),
	                            true, 9));
	assert_true(status_replace(status, "kubernetesResources.deployment", json_build("{s:s}", "name", "a"), true, 60));
	assert_null(json_at(status, "kubernetesResources.deployment.readyReplicas"));
	assert_string_equal(json_string_at(status, "kubernetesResources.deployment.lastUpdate"), "1970-01-01T00:01:00Z");
	status_remove(status, "kubernetesResources.deployment");
	assert_null(json_at(status, "kubernetesResources.deployment"));
}

static void a_condition_keeps_its_transition_time(void **state)
{
	json_t *status JSON_CLEANUP = status_new(NULL);
	const json_t *condition;

	status_set_condition(status, "Ready", "False", "Waiting", "one", 1, 0);
	status_set_condition(status, "Ready", "False", "Other", "two", 2, 60);
	condition = status_condition(status, "Ready");
	assert_int_equal(json_array_size(json_at(status, "conditions")), 1);
	assert_string_equal(json_string_at(condition, "lastTransitionTime"), "1970-01-01T00:00:00Z");
	assert_string_equal(json_string_at(condition, "reason"), "Other");
	assert_int_equal(json_integer_or(condition, "observedGeneration", 0), 2);
	status_set_condition(status, "Ready", "True", "Ready", "", 2, 60);
	assert_string_equal(json_string_at(condition, "lastTransitionTime"), "1970-01-01T00:01:00Z");
	assert_null(status_condition(status, "Available"));
}

static const char *message_of(const json_t *status)
{
	return json_string_at(status_condition(status, "Ready"), "message");
}

static void a_long_message_is_cut_between_characters(void **state)
{
	json_t *status JSON_CLEANUP = status_new(NULL);
	char message[2050] = "x";

	for (size_t i = 0; i < 1024; i++)
		memcpy(message + 1 + 2 * i, "\xc3\xa4", 2);
	status_set_condition(status, "Ready", "False", "Long", message, 1, 0);
	assert_int_equal(strlen(message_of(status)), 1023);
	assert_memory_equal(message_of(status), message, 1023);
}

static void half_a_character_does_no_harm(void **state)
{
	json_t *status JSON_CLEANUP = status_new(NULL);

	status_set_condition(status, "Ready", "False", "Cut", "cut here \xc3", 1, 0);
	assert_string_equal(message_of(status), "cut here ?");
}

static void pruned_conditions_are_not_missed(void **state)
{
	json_t *sent JSON_CLEANUP = status_new(NULL);
	json_t *received JSON_CLEANUP = status_new(NULL);

	status_set_condition(sent, "Ready", "True", "Ready", "", 1, 0);
	assert_false(status_equal(sent, received, true));
	assert_true(status_equal(sent, received, false));
	assert_true(status_conditions_pruned(sent, received));
	assert_false(status_conditions_pruned(received, received));
	assert_false(status_conditions_pruned(sent, sent));
	assert_false(status_equal(sent, NULL, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_skeleton_is_whole_from_the_first_write),
		cmocka_unit_test(time_moves_only_with_a_change),
		cmocka_unit_test(replacing_drops_what_is_gone),
		cmocka_unit_test(a_condition_keeps_its_transition_time),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(half_a_character_does_no_harm),
		cmocka_unit_test(pruned_conditions_are_not_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
