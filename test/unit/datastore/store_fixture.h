/* SPDX-License-Identifier: Apache-2.0 */
/* Throw-away credentials and DataStore objects for the tests of this room. Failures end the test. */
#pragma once

#include "base/json.h"
#include "datastore/connection.h"
#include "pki/pem.h"

struct store_fixture {
	struct certificate_pair authority; /* CN etcd-ca */
	struct certificate_pair client;    /* CN root, O system:masters */
	struct certificate_pair server;    /* for 127.0.0.1 and localhost */
};

void store_fixture_make(struct store_fixture *fixture);
void store_fixture_free(struct store_fixture *fixture);
#define STORE_FIXTURE_CLEANUP __attribute__((cleanup(store_fixture_free)))

/* A client pair of the fixture's authority; not_after 0: the usual. */
void store_fixture_issue(const struct store_fixture *fixture, const char *common_name, int64_t not_after, struct certificate_pair *pair);
/* DataStore of driver etcd with inline contents. */
json_t *store_fixture_object(const struct store_fixture *fixture, const char *name, const char *endpoint);
/* The same, resolved. */
void store_fixture_connect(const struct store_fixture *fixture, const char *name, const char *endpoint,
                           struct datastore_connection *connection);
/* {"content": base64 of the bytes} */
json_t *store_fixture_content(const struct buffer *bytes);
