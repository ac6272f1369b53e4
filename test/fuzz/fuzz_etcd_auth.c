/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the Auth service, and the records and snapshot entries of users and roles. The first byte chooses. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "etcd/auth_decode.h"
#include "etcd/auth_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_request(const char *bytes, size_t length)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct auth_permission permission;
	struct auth_request request;
	bool good;

	if (!auth_request_decode(bytes, length, &request))
		return;
	for (unsigned number = 1; number <= AUTH_REQUEST_FIELDS; number++) {
		struct bytes field = auth_request_bytes(&request, number);
		const char *text = auth_request_text(&request, number, arena);

		if (text != NULL && (strlen(text) != field.length || memcmp(text, field.data, field.length) != 0))
			abort();
		(void)auth_permission_decode(field.data, field.length, &permission);
	}
	(void)auth_request_no_password(&request, &good);
}

/* What was accepted is written, read back, and written the same. */
static void same_again(const struct buffer *first, const struct buffer *second)
{
	if (first->length != second->length || (first->length > 0 && memcmp(first->data, second->data, first->length) != 0))
		abort();
}

static void try_user(const char *bytes, size_t length)
{
	struct auth_user *user = auth_user_decode(bytes, length), *again;
	struct buffer first BUFFER_CLEANUP = { 0 }, second BUFFER_CLEANUP = { 0 };

	if (user == NULL)
		return;
	(void)auth_user_is_root(user);
	auth_user_encode(user, &first);
	again = auth_user_decode(first.data, first.length);
	if (again == NULL)
		abort();
	auth_user_encode(again, &second);
	same_again(&first, &second);
	auth_user_free(user);
	auth_user_free(again);
}

static void try_role(const char *bytes, size_t length)
{
	struct auth_role *role = auth_role_decode(bytes, length), *again;
	struct buffer first BUFFER_CLEANUP = { 0 }, second BUFFER_CLEANUP = { 0 };

	if (role == NULL)
		return;
	auth_role_encode(role, &first);
	again = auth_role_decode(first.data, first.length);
	if (again == NULL)
		abort();
	auth_role_encode(again, &second);
	same_again(&first, &second);
	auth_role_free(role);
	auth_role_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data + 1;

	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		try_request(bytes, size - 1);
		break;
	case 1:
		try_user(bytes, size - 1);
		break;
	default:
		try_role(bytes, size - 1);
		break;
	}
	return 0;
}
