/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of a space, decoded: the shapes and meanings of etcd's KV requests. Bytes are borrowed from the request's buffer, arrays
 * from its arena. Results live in the arena given to the call; their blobs are released with it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/blob.h"
#include "store/bytes.h"
#include "store/key_index.h"

enum sort_order { SORT_NONE, SORT_ASCEND, SORT_DESCEND };
enum sort_target { SORT_KEY, SORT_VERSION, SORT_CREATE, SORT_MOD, SORT_VALUE };

struct range_request {
	struct bytes key, range_end;
	int64_t limit;    /* 0: none */
	int64_t revision; /* <= 0: now */
	enum sort_order sort_order;
	enum sort_target sort_target;
	bool keys_only, count_only;
	int64_t min_mod_revision, max_mod_revision, min_create_revision, max_create_revision; /* 0: no bound */
};

struct put_request {
	struct bytes key, value;
	int64_t lease;
	bool previous, ignore_value, ignore_lease;
};

struct delete_request {
	struct bytes key, range_end;
	bool previous;
};

enum compare_result { COMPARE_EQUAL, COMPARE_GREATER, COMPARE_LESS, COMPARE_NOT_EQUAL };
enum compare_target { COMPARE_VERSION, COMPARE_CREATE, COMPARE_MOD, COMPARE_VALUE, COMPARE_LEASE };

struct compare_request {
	enum compare_result result;
	enum compare_target target;
	struct bytes key, range_end;
	int64_t number;     /* for all targets but VALUE; 0 when another one was given */
	struct bytes value; /* for VALUE; empty when a number was given */
};

enum operation_kind { OPERATION_NONE, OPERATION_RANGE, OPERATION_PUT, OPERATION_DELETE, OPERATION_TXN };

struct txn_request {
	struct compare_request *compares;
	struct operation *success, *failure;
	uint32_t compare_count, success_count, failure_count;
};

struct operation {
	enum operation_kind kind;
	union {
		struct range_request range;
		struct put_request put;
		struct delete_request delete;
		struct txn_request txn;
	};
};

struct key_value {
	struct bytes key; /* valid until the space changes: encode at once */
	int64_t create_revision, mod_revision, version, lease;
	struct blob *value; /* NULL with keys_only */
};

struct range_result {
	struct key_value *items;
	size_t count;  /* of items */
	int64_t total; /* keys in the range at that revision, before limit and filters */
	bool more;
};

struct operation_result {
	enum operation_kind kind;
	struct range_result range; /* RANGE: the answer; DELETE: what was deleted, when asked for */
	struct key_value previous; /* PUT */
	bool has_previous;
	int64_t deleted;  /* DELETE */
	bool succeeded;   /* TXN */
	int64_t revision; /* of the nested answer's header */
	struct operation_result *results;
	uint32_t result_count;
};
