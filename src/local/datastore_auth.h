/* SPDX-License-Identifier: Apache-2.0 */
/* Users of the tenants' etcd, as upstream's chart leaves them: authentication on, user and role `root` for the operator's certificate. */
#pragma once

#include "base/error.h"
#include "io/cancel.h"

struct datastore_auth_options {
	const char *etcdctl;
	const char *endpoint; /* "https://10.200.0.2:2379" */
	const char *pki;      /* folder of local_pki_ensure() */
	struct cancel *cancel;
};

/* Safe to repeat; each step that an earlier run got done is recognised. */
int datastore_auth_ensure(const struct datastore_auth_options *options, struct error *err);
