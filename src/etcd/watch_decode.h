/* SPDX-License-Identifier: Apache-2.0 */
/* WatchRequest from its wire form (etcd's rpc.proto). Keys borrow from the message. False for a malformed one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/bytes.h"

enum watch_request_kind { WATCH_NOTHING, WATCH_CREATE, WATCH_CANCEL, WATCH_PROGRESS };

struct watch_create {
	struct bytes key, range_end; /* an empty key was turned into "\0" */
	int64_t start_revision, id;
	bool progress_notify, previous, fragment, no_put, no_delete;
};

struct watch_request {
	enum watch_request_kind kind;
	struct watch_create create;
	int64_t cancel_id;
};

bool watch_decode(const char *bytes, size_t length, struct watch_request *request);
