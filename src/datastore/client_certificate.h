/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret `<t>-datastore-certificate`, keys ca.crt, server.crt, server.key: the certificate a tenant's API server shows to its store.
 * For etcd we make it: CN = the tenant's user, O = system:masters, signed with the DataStore's CA key, ten calendar years. For other drivers
 * with TLS it is a copy of the DataStore's client certificate (kamaji-behaviour 1.4).
 */
#pragma once

#include "datastore/connection.h"
#include "pki/check.h"
#include "pki/issuer.h"

/*
 * etcd: the stored pair may stay: key matches, signed by the DataStore's present CA for clientAuth, CN is the user, valid beyond the threshold.
 * (The caller also compares the Secret's checksum annotation and the rotation request.)
 */
bool datastore_client_certificate_is_good(const struct datastore_connection *connection, const char *user, struct pem_text certificate,
                                          struct pem_text key, int64_t threshold_seconds, struct check_reason *reason);
/* A new pair with a key of this algorithm. */
int datastore_client_certificate_make(const struct datastore_connection *connection, const char *user, enum key_algorithm algorithm,
                                      struct issuer *issuer, struct certificate_pair *pair, struct cancel *cancel, struct error *err);
