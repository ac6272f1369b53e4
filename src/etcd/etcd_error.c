/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/etcd_error.h"

#define ETCD_ERROR_DEFINE(name, code, text) const struct etcd_error etcd_error_##name = { code, text };
ETCD_ERRORS(ETCD_ERROR_DEFINE)
#undef ETCD_ERROR_DEFINE

const struct etcd_error *etcd_error_of(enum store_status status)
{
	switch (status) {
	case STORE_OK:
		return NULL;
	case STORE_COMPACTED:
		return &etcd_error_COMPACTED;
	case STORE_FUTURE_REVISION:
		return &etcd_error_FUTURE_REVISION;
	case STORE_KEY_NOT_FOUND:
		return &etcd_error_KEY_NOT_FOUND;
	case STORE_LEASE_NOT_FOUND:
		return &etcd_error_LEASE_NOT_FOUND;
	case STORE_LEASE_EXISTS:
		return &etcd_error_LEASE_EXISTS;
	case STORE_LEASE_TTL_TOO_LARGE:
		return &etcd_error_LEASE_TTL_TOO_LARGE;
	case STORE_NO_SPACE:
		return &etcd_error_NO_SPACE;
	case STORE_UNREADABLE:
		return &etcd_error_CORRUPT;
	}
	return &etcd_error_CORRUPT;
}
