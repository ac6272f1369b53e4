/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of an election with an injected clock, and which events are one. */
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
#include "kube/event_series.h"
#include "kube/lease_machine.h"

static struct lease_machine candidate(const char *identity)
{
	return (struct lease_machine){ .namespace = "n", .name = "l", .identity = identity, .lease_duration_ms = 15000 };
}

/* What the server would store: the claim with the next resourceVersion. */
static json_t *store(json_t *claim, int version)
{
	json_put(claim, "metadata.resourceVersion", json_string_printf("%d", version));
	return claim;
}

static void test_first_claim(void **state)
{
	struct lease_machine machine = candidate("me");
	json_t *claim;

	(void)lease_machine_observe(&machine, NULL, 1000);
	assert_int_equal(lease_machine_decide(&machine, 1000), LEASE_CREATE);
	claim = lease_machine_claim(&machine, 1700000000123456);
	assert_string_equal(json_string_at(claim, "apiVersion"), "coordination.k8s.io/v1");
	assert_string_equal(json_string_at(claim, "metadata.namespace"), "n");
	assert_string_equal(json_string_at(claim, "spec.holderIdentity"), "me");
	assert_int_equal(json_integer_or(claim, "spec.leaseDurationSeconds", 0), 15);
	assert_int_equal(json_integer_or(claim, "spec.leaseTransitions", -1), 0);
	assert_string_equal(json_string_at(claim, "spec.renewTime"), "2023-11-14T22:13:20.123456Z");
	assert_string_equal(json_string_at(claim, "spec.acquireTime"), "2023-11-14T22:13:20.123456Z");
	json_decref(claim);
	lease_machine_free(&machine);
}

static void test_renewal_keeps_acquire_time(void **state)
{
	struct lease_machine machine = candidate("me");
	json_t *claim = store(lease_machine_claim(&machine, 1700000000000000), 1), *renewal;

	machine.leading = true;
	assert_true(lease_machine_observe(&machine, claim, 1000));
	renewal = lease_machine_claim(&machine, 1700000002000000);
	assert_string_equal(json_string_at(renewal, "spec.acquireTime"), "2023-11-14T22:13:20.000000Z");
	assert_string_equal(json_string_at(renewal, "spec.renewTime"), "2023-11-14T22:13:22.000000Z");
	assert_int_equal(json_integer_or(renewal, "spec.leaseTransitions", -1), 0);
	assert_string_equal(json_string_at(renewal, "metadata.resourceVersion"), "1");
	assert_false(lease_machine_observe(&machine, renewal, 3000)); /* the same holder */
	json_decref(claim);
	json_decref(renewal);
	lease_machine_free(&machine);
}

/* Another's lease expires by OUR clock, counted from the last change that WE saw, whatever times it carries. */
static void test_expiry_by_observation(void **state)
{
	struct lease_machine other = candidate("other"), machine = candidate("me");
	json_t *held = store(lease_machine_claim(&other, 4000000000000000), 1), *renewed, *claim; /* its clock is in 2096 */

	assert_true(lease_machine_observe(&machine, held, 1000));
	assert_int_equal(lease_machine_decide(&machine, 1000), LEASE_WAIT);
	assert_false(lease_machine_observe(&machine, held, 9000)); /* seen again, unchanged */
	assert_int_equal(lease_machine_decide(&machine, 15999), LEASE_WAIT);
	renewed = json_deep_copy(held);
	json_put_string(renewed, "spec.renewTime", "1999-01-01T00:00:00.000000Z"); /* a change, however odd */
	(void)lease_machine_observe(&machine, renewed, 15999);
	assert_int_equal(lease_machine_decide(&machine, 16000), LEASE_WAIT);
	assert_int_equal(lease_machine_decide(&machine, 30998), LEASE_WAIT);
	assert_int_equal(lease_machine_decide(&machine, 30999), LEASE_UPDATE);
	claim = lease_machine_claim(&machine, 1700000000000000);
	assert_string_equal(json_string_at(claim, "spec.holderIdentity"), "me");
	assert_int_equal(json_integer_or(claim, "spec.leaseTransitions", -1), 1);
	assert_string_equal(json_string_at(claim, "spec.acquireTime"), "2023-11-14T22:13:20.000000Z");
	json_decref(held);
	json_decref(renewed);
	json_decref(claim);
	lease_machine_free(&machine);
	lease_machine_free(&other);
}

static void test_release(void **state)
{
	struct lease_machine machine = candidate("me"), next = candidate("next");
	json_t *claim = store(lease_machine_claim(&machine, 1700000000000000), 1), *given_up, *taken;

	assert_null(lease_machine_release(&machine, 0));
	machine.leading = true;
	(void)lease_machine_observe(&machine, claim, 1000);
	given_up = lease_machine_release(&machine, 1700000001000000);
	assert_string_equal(json_string_at(given_up, "spec.holderIdentity"), "");
	assert_int_equal(json_integer_or(given_up, "spec.leaseDurationSeconds", 0), 1);
	(void)lease_machine_observe(&next, claim, 1000);
	assert_int_equal(lease_machine_decide(&next, 1500), LEASE_WAIT);
	assert_true(lease_machine_observe(&next, given_up, 2000));
	assert_int_equal(lease_machine_decide(&next, 2000), LEASE_UPDATE); /* at once */
	taken = lease_machine_claim(&next, 1700000002000000);
	assert_int_equal(json_integer_or(taken, "spec.leaseTransitions", -1), 1);
	assert_int_equal(json_integer_or(taken, "spec.leaseDurationSeconds", 0), 15);
	json_decref(claim);
	json_decref(given_up);
	json_decref(taken);
	lease_machine_free(&machine);
	lease_machine_free(&next);
}

/* We crashed and came back under the same identity: ours, but taken anew. */
static void test_same_identity_again(void **state)
{
	struct lease_machine machine = candidate("me");
	json_t *held = store(lease_machine_claim(&machine, 1700000000000000), 1), *claim;

	(void)lease_machine_observe(&machine, held, 1000);
	assert_int_equal(lease_machine_decide(&machine, 1000), LEASE_UPDATE);
	claim = lease_machine_claim(&machine, 1700000009000000);
	assert_string_equal(json_string_at(claim, "spec.acquireTime"), "2023-11-14T22:13:29.000000Z");
	json_decref(held);
	json_decref(claim);
	lease_machine_free(&machine);
}

static void test_odd_leases(void **state)
{
	static const char *const texts[] = { "{}", "{\"spec\":{}}", "{\"spec\":{\"holderIdentity\":null}}", "{\"spec\":[]}",
		                             "{\"spec\":{\"holderIdentity\":\"\",\"leaseDurationSeconds\":\"x\"}}" };

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct lease_machine machine = candidate("me");
		struct error err = { 0 };
		json_t *lease = json_parse(texts[i], strlen(texts[i]), &err), *claim;

		(void)lease_machine_observe(&machine, lease, 1000);
		assert_int_equal(lease_machine_decide(&machine, 1000), LEASE_UPDATE); /* nobody holds it */
		claim = lease_machine_claim(&machine, 1700000000000000);
		assert_string_equal(json_string_at(claim, "spec.holderIdentity"), "me");
		json_decref(claim);
		json_decref(lease);
		lease_machine_free(&machine);
	}
}

static void test_event_series(void **state)
{
	struct event_series_table table = { 0 };
	struct event_series *series = event_series_next(&table, "a", 1000);

	assert_null(series->event_name);
	event_series_created(series, "a.1");
	series = event_series_next(&table, "a", 2000);
	assert_string_equal(series->event_name, "a.1");
	assert_int_equal(series->count, 2);
	series = event_series_next(&table, "b", 2000);
	assert_null(series->event_name);
	series = event_series_next(&table, "a", 2000 + EVENT_SERIES_MS);
	assert_int_equal(series->count, 3);
	series = event_series_next(&table, "a", 2000 + 2 * EVENT_SERIES_MS + 1);
	assert_null(series->event_name); /* too long ago: a new Event */
	assert_int_equal(series->count, 1);
	event_series_free(&table);
}

static void test_event_rate(void **state)
{
	struct event_series_table table = { 0 };

	for (int i = 0; i < EVENT_BURST; i++)
		assert_true(event_series_admit(&table, "a", 1000));
	assert_false(event_series_admit(&table, "a", 1000));
	assert_true(event_series_admit(&table, "b", 1000));
	assert_false(event_series_admit(&table, "a", 1000 + EVENT_REFILL_MS - 1));
	assert_true(event_series_admit(&table, "a", 1000 + EVENT_REFILL_MS));
	assert_false(event_series_admit(&table, "a", 1000 + EVENT_REFILL_MS));
	for (int i = 0; i < 3 * EVENT_TABLE_MAXIMUM; i++) {
		FREE_CLEANUP char *key = string_printf("object-%d", i);

		assert_true(event_series_admit(&table, key, 2000));
		(void)event_series_next(&table, key, 2000);
	}
	assert_true(table.buckets.count <= EVENT_TABLE_MAXIMUM);
	assert_true(table.series.count <= EVENT_TABLE_MAXIMUM);
	event_series_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_claim),           cmocka_unit_test(test_renewal_keeps_acquire_time),
		cmocka_unit_test(test_expiry_by_observation), cmocka_unit_test(test_release),
		cmocka_unit_test(test_same_identity_again),   cmocka_unit_test(test_odd_leases),
		cmocka_unit_test(test_event_series),          cmocka_unit_test(test_event_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
