/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd's errors: gRPC code and text, to the byte, because clients turn the text into a typed error (etcd api/v3rpc/rpctypes). Functions of
 * the services return one of these, NULL for success.
 */
#pragma once

#include "store/space.h"

struct etcd_error {
	int code; /* gRPC status */
	const char *text;
};

#define ETCD_ERRORS(X) \
	X(EMPTY_KEY, 3, "etcdserver: key is not provided") \
	X(KEY_NOT_FOUND, 3, "etcdserver: key not found") \
	X(VALUE_PROVIDED, 3, "etcdserver: value is provided") \
	X(LEASE_PROVIDED, 3, "etcdserver: lease is provided") \
	X(TOO_MANY_OPERATIONS, 3, "etcdserver: too many operations in txn request") \
	X(DUPLICATE_KEY, 3, "etcdserver: duplicate key given in txn request") \
	X(INVALID_SORT, 3, "etcdserver: invalid sort option") \
	X(REQUEST_TOO_LARGE, 3, "etcdserver: request is too large") \
	X(USER_EMPTY, 3, "etcdserver: user name is empty") \
	X(ROLE_EMPTY, 3, "etcdserver: role name is empty") \
	X(AUTH_FAILED, 3, "etcdserver: authentication failed, invalid user ID or password") \
	X(PERMISSION_NOT_GIVEN, 3, "etcdserver: permission not given") \
	X(INVALID_AUTH_MANAGEMENT, 3, "etcdserver: invalid auth management") \
	X(AUTH_OLD_REVISION, 3, "etcdserver: revision of auth store is old") \
	X(COMPACTED, 11, "etcdserver: mvcc: required revision has been compacted") \
	X(FUTURE_REVISION, 11, "etcdserver: mvcc: required revision is a future revision") \
	X(LEASE_TTL_TOO_LARGE, 11, "etcdserver: too large lease TTL") \
	X(NO_SPACE, 8, "etcdserver: mvcc: database space exceeded") \
	X(TOO_MANY_REQUESTS, 8, "etcdserver: too many requests") \
	X(LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found") \
	X(MEMBER_NOT_FOUND, 5, "etcdserver: member not found") \
	X(LEASE_EXISTS, 9, "etcdserver: lease already exists") \
	X(ROOT_USER_NOT_EXIST, 9, "etcdserver: root user does not exist") \
	X(ROOT_ROLE_NOT_EXIST, 9, "etcdserver: root user does not have root role") \
	X(USER_EXISTS, 9, "etcdserver: user name already exists") \
	X(USER_NOT_FOUND, 9, "etcdserver: user name not found") \
	X(ROLE_EXISTS, 9, "etcdserver: role name already exists") \
	X(ROLE_NOT_FOUND, 9, "etcdserver: role name not found") \
	X(ROLE_NOT_GRANTED, 9, "etcdserver: role is not granted to the user") \
	X(PERMISSION_NOT_GRANTED, 9, "etcdserver: permission is not granted to the role") \
	X(AUTH_NOT_ENABLED, 9, "etcdserver: authentication is not enabled") \
	X(PERMISSION_DENIED, 7, "etcdserver: permission denied") \
	X(INVALID_AUTH_TOKEN, 16, "etcdserver: invalid auth token") \
	X(STOPPED, 14, "etcdserver: server stopped") \
	X(TIMEOUT, 14, "etcdserver: request timed out") \
	X(CORRUPT, 15, "etcdserver: corrupt cluster") \
	X(MALFORMED, 13, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data") \
	X(INVALID_TEXT, 13, "grpc: error unmarshalling request: string field contains invalid UTF-8")

#define ETCD_ERROR_DECLARE(name, code, text) extern const struct etcd_error etcd_error_##name;
ETCD_ERRORS(ETCD_ERROR_DECLARE)
#undef ETCD_ERROR_DECLARE

/* NULL for STORE_OK. */
const struct etcd_error *etcd_error_of(enum store_status status);
