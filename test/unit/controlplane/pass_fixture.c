/* SPDX-License-Identifier: Apache-2.0 */
#include "pass_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "api/owned_fields.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/strings.h"
#include "base/yaml.h"
#include "pki/certificate.h"
#include "pki/key.h"

static void release(void *value)
{
	json_decref(value);
}

static struct key *generate_key(void *context, bool service_account, struct error *err)
{
	struct fixture *fixture = context;
	struct key *key = NULL;

	fixture->generated++;
	if (fixture->fail_key_after && fixture->generated >= fixture->fail_key_after) {
		error_set(err, ERROR_PENDING, "no key yet");
		return NULL;
	}
	assert_int_equal(key_generate(service_account ? KEY_RSA_2048 : KEY_ECDSA_P256, &key, err), 0);
	return key;
}

static json_t *read_yaml(struct arena *arena, const char *text)
{
	struct error err = { 0 };
	json_t *value = yaml_parse(text, strlen(text), &err);

	assert_string_equal(err.message, "");
	arena_defer(arena, release, value);
	return value;
}

static void make_authority(struct fixture *fixture)
{
	struct buffer certificate BUFFER_CLEANUP = { 0 };
	struct buffer key_text BUFFER_SECRET_CLEANUP = { 0 };
	struct key *key KEY_CLEANUP = NULL;
	struct error err;

	assert_int_equal(key_generate(KEY_ECDSA_P256, &key, &err), 0);
	assert_int_equal(certificate_create_authority("etcd-ca", key, &certificate, &err), 0);
	assert_int_equal(key_write_private(key, &key_text, &err), 0);
	fixture->input.data_store.ca_certificate = arena_strndup(fixture->arena, certificate.data, certificate.length);
	fixture->input.data_store.ca_private_key = arena_strndup(fixture->arena, key_text.data, key_text.length);
}

void fixture_open(struct fixture *fixture, const char *spec)
{
	static const char store_text[] = "metadata: {name: default}\nspec: {driver: etcd, endpoints: ['10.0.0.9:2379'], tlsConfig: {}}\n";
	struct error err = { 0 };
	json_t *object;

	memset(fixture, 0, sizeof(*fixture));
	fixture->arena = arena_new();
	object = read_yaml(
		fixture->arena,
		arena_printf(fixture->arena,
	                     "apiVersion: kamaji.clastix.io/v1alpha1\nkind: TenantControlPlane\n"
	                     "metadata: {name: t, namespace: n, uid: uid-1, generation: 3}\nspec:\n  kubernetes: {version: v1.36.0}\n%s",
	                     spec));
	assert_int_equal(tenant_parse(fixture->arena, object, "default", &fixture->tenant, &err), 0);
	assert_int_equal(data_store_parse(fixture->arena, read_yaml(fixture->arena, store_text), &fixture->store, &err), 0);
	fixture->options = (struct step_options){ .profile = PROFILE_NATIVE,
		                                  .certificate_threshold = 24 * 3600,
		                                  .kine_image = "kine:1",
		                                  .generate_key = generate_key,
		                                  .generate_key_context = fixture };
	fixture->input = (struct step_input){ .tenant = &fixture->tenant,
		                              .options = &fixture->options,
		                              .data_store.store = &fixture->store,
		                              .secrets = fixture->secrets,
		                              .now = clock_wall_seconds() };
	make_authority(fixture);
}

void fixture_close(struct fixture *fixture)
{
	arena_free(fixture->arena);
}

static void answer_service(struct fixture *fixture)
{
	json_t *answer;

	if (fixture->input.service)
		return;
	answer = json_deep_copy(fixture->pass->objects[0].object);
	arena_defer(fixture->arena, release, answer);
	json_put_string(answer, "spec.clusterIP", "10.96.7.7");
	fixture->input.service = answer;
	pass_set_live(fixture->pass, OBJECT_SERVICE, "t", answer);
}

int fixture_run(struct fixture *fixture, struct error *err)
{
	fixture->pass = pass_new(fixture->arena, &fixture->input);
	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		if (pass_plan(fixture->pass, (enum step_stage)stage, err) != 0)
			return -1;
		if (stage == STAGE_SERVICE)
			answer_service(fixture);
		if (stage == STAGE_WORKLOAD && !fixture->input.deployment)
			pass_set_live(fixture->pass, OBJECT_DEPLOYMENT, "t", fixture_object(fixture, OBJECT_DEPLOYMENT, "t"));
		if (pass_observe(fixture->pass, (enum step_stage)stage, err) != 0)
			return -1;
	}
	pass_complete(fixture->pass);
	return 0;
}

json_t *fixture_object(const struct fixture *fixture, enum object_kind kind, const char *name)
{
	for (size_t i = 0; i < fixture->pass->object_count; i++)
		if (fixture->pass->objects[i].kind == kind && string_equal(fixture->pass->objects[i].name, name))
			return fixture->pass->objects[i].object;
	return NULL;
}

size_t fixture_changes(const struct fixture *fixture)
{
	size_t count = 0;

	for (size_t i = 0; i < fixture->pass->object_count; i++)
		if (!fixture->pass->objects[i].object ||
		    !owned_fields_settled(fixture->pass->objects[i].object, fixture->pass->objects[i].live, "kamaji"))
			count++;
	return count;
}

void fixture_settle(struct fixture *fixture)
{
	struct error err;
	json_t *object = json_deep_copy(fixture->tenant.object), *status = json_deep_copy(fixture->pass->status);

	arena_defer(fixture->arena, release, object);
	json_put(object, "status", status);
	fixture->input.secret_count = 0;
	for (size_t i = 0; i < fixture->pass->object_count; i++) {
		const struct desired_object *wanted = &fixture->pass->objects[i];

		if (!wanted->object)
			continue;
		if (wanted->kind == OBJECT_SECRET)
			fixture->secrets[fixture->input.secret_count++] = wanted->object;
		else if (wanted->kind == OBJECT_DEPLOYMENT)
			fixture->input.deployment = wanted->object;
		else if (wanted->kind == OBJECT_CONFIG_MAP && string_has_suffix(wanted->name, "-kubeadmconfig"))
			fixture->input.kubeadm_config_map = wanted->object;
		else if (wanted->kind == OBJECT_CONFIG_MAP)
			fixture->input.egress_config_map = wanted->object;
		else if (wanted->kind == OBJECT_INGRESS)
			fixture->input.ingress = wanted->object;
	}
	assert_int_equal(tenant_parse(fixture->arena, object, "default", &fixture->tenant, &err), 0);
}

json_t *fixture_secret(struct fixture *fixture, const char *name)
{
	for (size_t i = 0; i < fixture->input.secret_count; i++)
		if (string_equal(json_string_at(fixture->secrets[i], "metadata.name"), name))
			return (json_t *)fixture->secrets[i];
	return NULL;
}
