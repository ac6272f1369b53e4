/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the Auth service from their wire form (field numbers of etcd's rpc.proto). They share a shape: fields 1 to 4, all of them
 * length-delimited. Bytes borrow from the message, texts live in the arena.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "etcd/auth_store.h"

enum { AUTH_REQUEST_FIELDS = 4 };

struct auth_request {
	struct bytes fields[AUTH_REQUEST_FIELDS + 1]; /* by number; data NULL when absent */
};

bool auth_request_decode(const char *bytes, size_t length, struct auth_request *request);
/* "" when absent, NULL when it is no valid UTF-8 or holds a NUL: such a name could not be told to clients again. */
const char *auth_request_text(const struct auth_request *request, unsigned number, struct arena *arena);
struct bytes auth_request_bytes(const struct auth_request *request, unsigned number);
/* UserAddOptions.no_password of field 3. False in *good for a malformed message. */
bool auth_request_no_password(const struct auth_request *request, bool *good);
