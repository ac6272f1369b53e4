/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "etcd/auth_decode.h"
#include "etcd/auth_int.h"
#include "io/file.h"

static char directory[64];
static struct loop *loop;
static struct store *store;
static uint64_t sequence;

static void disk_failed(void *argument, const struct error *err)
{
	(void)fprintf(stderr, "disk failed: %s\n", err->message);
	abort();
}

static void open_store(void)
{
	struct store_options options = { .directory = directory, .failed = disk_failed };
	struct error err;

	loop = loop_start("engine", &err);
	assert_non_null(loop);
	store = store_open(loop, &options, NULL, &err);
	assert_non_null(store);
}

static void close_store(void)
{
	store_close(store);
	loop_stop(loop);
}

static int set_up(void **state)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/kamaji-auth-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	open_store();
	return 0;
}

static int tear_down(void **state)
{
	struct error err;

	close_store();
	return file_remove_tree(directory, &err);
}

/* The auth store belongs to the loop: every test runs on it. */
struct run {
	void (*function)(struct auth_store *auth);
};

static void run_on_loop(void *argument)
{
	struct run *run = argument;
	struct auth_store *auth = auth_store_new(store, STORE_SPACE_DEFAULT);

	run->function(auth);
	auth_store_free(auth);
}

static void on_loop(void (*function)(struct auth_store *auth))
{
	loop_call(loop, run_on_loop, &(struct run){ function });
}

#define OK(call) assert_null(call)
#define REFUSED(name, call) assert_ptr_equal(call, &etcd_error_##name)

/* Spelled as in etcdctl: "\0" in a table is written as "%". */
static struct bytes text_bytes(const char *text)
{
	return string_equal(text, "%") ? (struct bytes){ "", 1 } : BYTES(text);
}

static void grant(struct auth_store *auth, const char *role, enum auth_access access, const char *key, const char *end)
{
	OK(auth_role_grant(auth, role, &(struct auth_permission){ access, text_bytes(key), text_bytes(end) }, &sequence));
}

static void life(struct auth_store *auth)
{
	const struct string_list *roles;
	struct string_list names STRING_LIST_CLEANUP = { 0 };

	assert_int_equal(auth_revision(auth), 1);
	REFUSED(ROOT_USER_NOT_EXIST, auth_enable(auth, &sequence));
	REFUSED(USER_EMPTY, auth_user_add(auth, "", NULL, &sequence));
	OK(auth_user_add(auth, "root", NULL, &sequence));
	REFUSED(USER_EXISTS, auth_user_add(auth, "root", "hash", &sequence));
	REFUSED(ROOT_ROLE_NOT_EXIST, auth_enable(auth, &sequence));
	OK(auth_user_grant(auth, "root", "root", &sequence)); /* before the role exists */
	REFUSED(ROLE_EMPTY, auth_role_add(auth, "", &sequence));
	OK(auth_role_add(auth, "r", &sequence));
	REFUSED(ROLE_EXISTS, auth_role_add(auth, "r", &sequence));
	REFUSED(ROLE_NOT_FOUND, auth_user_grant(auth, "root", "unknown", &sequence));
	REFUSED(USER_NOT_FOUND, auth_user_grant(auth, "nobody", "r", &sequence));
	REFUSED(ROLE_NOT_GRANTED, auth_user_revoke(auth, "root", "r", &sequence));
	assert_int_equal(auth_revision(auth), 4);
	OK(auth_user_grant(auth, "root", "r", &sequence));
	OK(auth_user_grant(auth, "root", "r", &sequence)); /* again: ignored, not counted */
	assert_int_equal(auth_revision(auth), 5);
	OK(auth_user_roles(auth, "root", &roles));
	assert_string_equal(roles->items[0], "r");
	assert_string_equal(roles->items[1], "root");
	OK(auth_enable(auth, &sequence));
	OK(auth_enable(auth, &sequence));
	assert_int_equal(auth_revision(auth), 5);
	REFUSED(INVALID_AUTH_MANAGEMENT, auth_user_delete(auth, "root", &sequence));
	REFUSED(INVALID_AUTH_MANAGEMENT, auth_role_delete(auth, "root", &sequence));
	REFUSED(INVALID_AUTH_MANAGEMENT, auth_user_revoke(auth, "root", "root", &sequence));
	OK(auth_role_delete(auth, "r", &sequence));
	OK(auth_user_roles(auth, "root", &roles));
	assert_int_equal(roles->count, 1);
	OK(auth_disable(auth, &sequence));
	OK(auth_disable(auth, &sequence));
	assert_int_equal(auth_revision(auth), 7);
	OK(auth_user_delete(auth, "root", &sequence));
	auth_user_names(auth, &names);
	assert_int_equal(names.count, 0);
}

static void test_life(void **state)
{
	on_loop(life);
}

/* Which requests a set of permissions lets through. */
struct request_case {
	const char *key, *end;
	bool read, write;
};

static void check_cases(struct auth_store *auth, const struct request_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct bytes key = text_bytes(cases[i].key), end = text_bytes(cases[i].end);
		bool read = auth_check_range(auth, "u", key, end) == NULL, write = auth_check_delete(auth, "u", key, end) == NULL;

		if (read != cases[i].read || write != cases[i].write)
			fail_msg("[%s, %s): read %d, write %d", cases[i].key, cases[i].end, read, write);
		if (end.length == 0)
			assert_int_equal(auth_check_put(auth, "u", key) == NULL, cases[i].write);
	}
}

static void ranges(struct auth_store *auth)
{
	static const struct request_case cases[] = {
		{ "a", "", true, true },
		{ "a", "b", true, false },
		{ "b", "", true, false },
		{ "b", "d", true, false },
		{ "a", "g", true, false },
		{ "a", "h", true, false },
		{ "a", "h2", false, false },
		{ "h", "", false, false },
		{ "c", "f", true, false },
		{ "single", "", true, true },
		{ "single", "single2", false, false },
		{ "x", "%", true, true },
		{ "x", "", true, true },
		{ "zzz", "%", true, true },
		{ "w", "%", false, false },
		{ "%", "%", false, false },
		{ "p/1", "p/2", false, true },
		{ "p/", "p0", false, true },
		{ "p/", "p1", false, false },
		{ "z", "x", true, true }, /* ends before it begins */
		{ "o", "", false, false },
	};

	OK(auth_user_add(auth, "root", NULL, &sequence));
	OK(auth_user_grant(auth, "root", "root", &sequence));
	OK(auth_user_add(auth, "u", NULL, &sequence));
	OK(auth_role_add(auth, "one", &sequence));
	OK(auth_role_add(auth, "two", &sequence));
	grant(auth, "one", AUTH_READ, "a", "c");
	grant(auth, "two", AUTH_READ, "c", "e"); /* touches: one piece with the one before, over roles */
	grant(auth, "one", AUTH_READ, "d", "h");
	grant(auth, "one", AUTH_WRITE, "a", "");
	grant(auth, "two", AUTH_READ_WRITE, "single", "");
	grant(auth, "two", AUTH_READ_WRITE, "x", "%");
	grant(auth, "two", AUTH_WRITE, "p/", "p0");
	OK(auth_enable(auth, &sequence));
	REFUSED(USER_EMPTY, auth_check_range(auth, "", BYTES("a"), BYTES("")));
	REFUSED(PERMISSION_DENIED, auth_check_range(auth, "nobody", BYTES("a"), BYTES("")));
	REFUSED(PERMISSION_DENIED, auth_check_range(auth, "u", BYTES("a"), BYTES("")));
	OK(auth_user_grant(auth, "u", "one", &sequence));
	OK(auth_user_grant(auth, "u", "two", &sequence));
	check_cases(auth, cases, ARRAY_LENGTH(cases));
	OK(auth_check_delete(auth, "root", text_bytes("%"), text_bytes("%")));
	OK(auth_check_admin(auth, "root"));
	REFUSED(PERMISSION_DENIED, auth_check_admin(auth, "u"));
	REFUSED(USER_NOT_FOUND, auth_check_admin(auth, "nobody"));
	REFUSED(USER_EMPTY, auth_check_admin(auth, ""));
	/* A change takes effect at once. */
	OK(auth_role_revoke(auth, "two", BYTES("c"), BYTES("e"), &sequence));
	REFUSED(PERMISSION_DENIED, auth_check_range(auth, "u", BYTES("a"), BYTES("g")));
	OK(auth_user_revoke(auth, "u", "one", &sequence));
	REFUSED(PERMISSION_DENIED, auth_check_range(auth, "u", BYTES("a"), BYTES("")));
}

static void test_ranges(void **state)
{
	on_loop(ranges);
}

static void order(struct auth_store *auth)
{
	static const char *const keys[] = { "a", "a", "a", "k", "z" };
	static const char *const ends[] = { "c", "b", "b", "", "" };
	const struct auth_permission *permissions;
	size_t count;

	OK(auth_role_add(auth, "r", &sequence));
	grant(auth, "r", AUTH_READ, "z", "");
	grant(auth, "r", AUTH_READ, "a", "c");
	grant(auth, "r", AUTH_READ, "k", "");
	grant(auth, "r", AUTH_READ, "a", "b");
	grant(auth, "r", AUTH_WRITE, "a", "c"); /* changes the one there is */
	grant(auth, "r", AUTH_WRITE, "a", "b"); /* only the first of a key is looked at, as etcd does: this one comes twice */
	OK(auth_role_permissions(auth, "r", &permissions, &count));
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++) {
		assert_true(bytes_equal(permissions[i].key, BYTES(keys[i])));
		assert_true(bytes_equal(permissions[i].range_end, BYTES(ends[i])));
	}
	assert_int_equal(permissions[0].access, AUTH_WRITE);
	REFUSED(INVALID_AUTH_MANAGEMENT,
	        auth_role_grant(auth, "r", &(struct auth_permission){ AUTH_READ, BYTES("b"), BYTES("a") }, &sequence));
	REFUSED(INVALID_AUTH_MANAGEMENT,
	        auth_role_grant(auth, "r", &(struct auth_permission){ AUTH_READ, BYTES(""), BYTES("a") }, &sequence));
	REFUSED(ROLE_NOT_FOUND, auth_role_grant(auth, "x", &(struct auth_permission){ AUTH_READ, BYTES("a"), BYTES("") }, &sequence));
	REFUSED(PERMISSION_NOT_GRANTED, auth_role_revoke(auth, "r", BYTES("a"), BYTES("x"), &sequence));
	OK(auth_role_revoke(auth, "r", BYTES("a"), BYTES("b"), &sequence));
	OK(auth_role_permissions(auth, "r", &permissions, &count));
	assert_int_equal(count, 3);
	OK(auth_role_add(auth, "root", &sequence));
	OK(auth_role_permissions(auth, "root", &permissions, &count));
	assert_int_equal(count, 1);
	assert_int_equal(permissions[0].key.length, 0);
	assert_int_equal(permissions[0].range_end.length, 1);
}

static void test_order(void **state)
{
	on_loop(order);
}

static void make_lasting(struct auth_store *auth)
{
	OK(auth_user_add(auth, "root", "hash", &sequence));
	OK(auth_user_add(auth, "u", NULL, &sequence));
	OK(auth_role_add(auth, "r", &sequence));
	grant(auth, "r", AUTH_READ_WRITE, "/t/", "/t0");
	OK(auth_user_grant(auth, "root", "root", &sequence));
	OK(auth_user_grant(auth, "u", "r", &sequence));
	OK(auth_enable(auth, &sequence));
}

static void look_again(struct auth_store *auth)
{
	const char *hash;

	assert_true(auth_enabled(auth));
	assert_int_equal(auth_revision(auth), 7);
	OK(auth_password_hash(auth, "root", &hash));
	assert_string_equal(hash, "hash");
	assert_int_equal(auth_password_hash(auth, "u", &hash)->code, 2);
	REFUSED(AUTH_FAILED, auth_password_hash(auth, "nobody", &hash));
	OK(auth_check_put(auth, "u", BYTES("/t/x")));
	REFUSED(PERMISSION_DENIED, auth_check_put(auth, "u", BYTES("/s/x")));
}

static void test_restart(void **state)
{
	on_loop(make_lasting);
	close_store();
	open_store();
	on_loop(look_again);
}

/* The log's thread reads the time too. */
static _Atomic uint64_t test_time = UINT64_C(1000000000);

static uint64_t read_test_time(void)
{
	return test_time;
}

static void tokens(struct auth_store *auth)
{
	char *first, *second, *bearer;

	clock_set_for_test(read_test_time, NULL);
	OK(auth_user_add(auth, "u", "h", &sequence));
	first = string_dup(auth_token_new(auth, "u"));
	second = string_dup(auth_token_new(auth, "v"));
	bearer = string_printf("Bearer %s", first);
	assert_string_not_equal(first, second);
	assert_int_equal(strcspn(first, "."), 16);
	assert_string_equal(auth_token_user(auth, first), "u");
	assert_string_equal(auth_token_user(auth, bearer), "u");
	assert_null(auth_token_user(auth, "abcdefghijklmnop.1"));
	assert_null(auth_token_user(auth, ""));
	/* Use keeps a token alive; 5 minutes without end it. */
	test_time += UINT64_C(299) * 1000000000;
	assert_non_null(auth_token_user(auth, first));
	test_time += UINT64_C(299) * 1000000000;
	assert_non_null(auth_token_user(auth, first));
	assert_null(auth_token_user(auth, second));
	OK(auth_user_set_password(auth, "u", "other", &sequence));
	assert_null(auth_token_user(auth, first));
	clock_set_for_test(NULL, NULL);
	free(first);
	free(second);
	free(bearer);
}

static void test_tokens(void **state)
{
	on_loop(tokens);
}

static void test_passwords(void **state)
{
	/* Made by golang.org/x/crypto/bcrypt's own examples and test vectors of the algorithm ($2a$, cost 10 and less). */
	static const struct {
		const char *password, *hash;
		bool matches;
	} cases[] = {
		{ "allmine", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga", true },
		{ "allmine2", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga", false },
		{ "", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", true },
		{ "", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkY8jIucDrjc8deX1s.", false }, /* a character short */
		{ "abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", true },
		{ "x", "", false },
		{ "x", "plain", false },
	};
	char *hash SECRET_CLEANUP = auth_hash("secret"), *again SECRET_CLEANUP = auth_hash("secret");

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		if (auth_hash_matches(cases[i].password, cases[i].hash) != cases[i].matches)
			fail_msg("case %zu: %s", i, cases[i].password);
	assert_true(string_has_prefix(hash, "$2a$10$"));
	assert_int_equal(strlen(hash), 60);
	assert_string_not_equal(hash, again);
	assert_true(auth_hash_matches("secret", hash));
	assert_false(auth_hash_matches("Secret", hash));
}

static void test_request_text(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		bool good;
	} cases[] = {
		{ "name", 4, true },
		{ "", 0, true },
		{ "gr\xc3\xbc\xc3\x9f", 6, true },
		{ "\xf0\x9f\x98\x80", 4, true },
		{ "a\0b", 3, false },
		{ "\xc3", 1, false },
		{ "\xc0\x80", 2, false },
		{ "\xed\xa0\x80", 3, false },
		{ "\xff", 1, false },
		{ "\xf4\x90\x80\x80", 4, false },
	};
	struct arena *arena ARENA_CLEANUP = arena_new();

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct auth_request request = { .fields = { [1] = { cases[i].bytes, cases[i].length } } };

		assert_int_equal(auth_request_text(&request, 1, arena) != NULL, cases[i].good);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ranges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tokens, set_up, tear_down),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_request_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
