/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/secret.h"
#include "pki/certificate.h"
#include "pki/key.h"

static void make_key(struct certificate_pair *pair, struct key **key)
{
	struct error err = { 0 };

	assert_int_equal(key_generate(KEY_ECDSA_P256, key, &err), 0);
	assert_int_equal(key_write_private(*key, &pair->key, &err), 0);
}

static void issue(const struct store_fixture *fixture, const struct certificate_request *request, struct certificate_pair *pair)
{
	struct certificate_authority *authority CERTIFICATE_AUTHORITY_CLEANUP = NULL;
	struct key *key KEY_CLEANUP = NULL;
	struct error err = { 0 };

	assert_int_equal(
		certificate_authority_open(pem_text(&fixture->authority.certificate), pem_text(&fixture->authority.key), &authority, &err),
		0);
	make_key(pair, &key);
	assert_int_equal(certificate_issue(authority, request, key, &pair->certificate, &err), 0);
}

void store_fixture_issue(const struct store_fixture *fixture, const char *common_name, int64_t not_after, struct certificate_pair *pair)
{
	static const char *const organizations[] = { "system:masters", NULL };
	struct certificate_request request = { .common_name = common_name,
		                               .organizations = organizations,
		                               .profile = CERTIFICATE_PROFILE_TEN_YEARS,
		                               .not_before = not_after != 0 ? not_after - 3600 : 0,
		                               .not_after = not_after };

	issue(fixture, &request, pair);
}

void store_fixture_make(struct store_fixture *fixture)
{
	static const char *const sans[] = { "localhost", "127.0.0.1", NULL };
	struct certificate_request server = { .common_name = "etcd",
		                              .usages = CERTIFICATE_SERVER_AUTH | CERTIFICATE_CLIENT_AUTH,
		                              .sans = sans };
	struct key *key KEY_CLEANUP = NULL;
	struct error err = { 0 };

	*fixture = (struct store_fixture){ 0 };
	make_key(&fixture->authority, &key);
	assert_int_equal(certificate_create_authority("etcd-ca", key, &fixture->authority.certificate, &err), 0);
	store_fixture_issue(fixture, "root", 0, &fixture->client);
	issue(fixture, &server, &fixture->server);
}

void store_fixture_free(struct store_fixture *fixture)
{
	certificate_pair_free(&fixture->authority);
	certificate_pair_free(&fixture->client);
	certificate_pair_free(&fixture->server);
}

json_t *store_fixture_content(const struct buffer *bytes)
{
	char *text SECRET_CLEANUP = base64_encode_new(bytes->data, bytes->length);

	return json_build("{s:s}", "content", text);
}

json_t *store_fixture_object(const struct store_fixture *fixture, const char *name, const char *endpoint)
{
	return json_build("{s:{s:s}, s:{s:s, s:[s], s:{s:{s:o, s:o}, s:{s:o, s:o}}}}", "metadata", "name", name, "spec", "driver", "etcd",
	                  "endpoints", endpoint, "tlsConfig", "certificateAuthority", "certificate",
	                  store_fixture_content(&fixture->authority.certificate), "privateKey",
	                  store_fixture_content(&fixture->authority.key), "clientCertificate", "certificate",
	                  store_fixture_content(&fixture->client.certificate), "privateKey", store_fixture_content(&fixture->client.key));
}

void store_fixture_connect(const struct store_fixture *fixture, const char *name, const char *endpoint,
                           struct datastore_connection *connection)
{
	json_t *object JSON_CLEANUP = store_fixture_object(fixture, name, endpoint);
	struct error err = { 0 };

	if (datastore_connection_read(object, NULL, NULL, connection, &err))
		fail_msg("%s", err.message);
}
