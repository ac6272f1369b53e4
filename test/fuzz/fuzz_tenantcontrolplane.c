/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TenantControlPlane, alone or in a list with a DataStore and live objects, is defaulted, validated and rendered with both profiles. What was
 * rendered once and is live must be wanted again unchanged.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/owned_fields.h"
#include "api/status.h"
#include "base/buffer.h"
#include "base/strings.h"
#include "controlplane/steps.h"
#include "pki/certificate.h"
#include "pki/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAXIMUM_OBJECTS = 64, NOW = 1790000000 };

/* Keys are slow to make and of no interest here: one of each kind serves all runs. */
static struct {
	char *certificate_key, *account_key, *authority;
} fixed;

static char *key_text(enum key_algorithm algorithm)
{
	struct buffer text = { 0 };
	struct key *key KEY_CLEANUP = NULL;
	struct error err;

	if (key_generate(algorithm, &key, &err) != 0 || key_write_private(key, &text, &err) != 0)
		abort();
	return buffer_take(&text);
}

static void make_fixed(void)
{
	struct buffer certificate = { 0 };
	struct key *key KEY_CLEANUP = NULL;
	struct error err;

	fixed.certificate_key = key_text(KEY_ECDSA_P256);
	fixed.account_key = key_text(KEY_RSA_2048);
	if (key_parse(pem_text_string(fixed.certificate_key), &key, &err) != 0 ||
	    certificate_create_authority("ca", key, &certificate, &err) != 0)
		abort();
	fixed.authority = buffer_take(&certificate);
}

static struct key *generate_key(void *context, bool service_account, struct error *err)
{
	struct key *key = NULL;

	return key_parse(pem_text_string(service_account ? fixed.account_key : fixed.certificate_key), &key, err) == 0 ? key : NULL;
}

struct world {
	struct tenant_control_plane tenant;
	struct data_store store;
	struct step_data_store overrides[8];
	struct step_options options;
	struct step_input input;
	const json_t *secrets[MAXIMUM_OBJECTS];
	json_t *default_store;
};

static const json_t *of_kind(const json_t *list, const char *kind)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (string_equal(json_string_at(item, "kind"), kind))
			return item;
	return NULL;
}

static int read_world(struct arena *arena, const json_t *value, struct world *world, struct error *err)
{
	const json_t *tenant = json_is_array(value) ? of_kind(value, "TenantControlPlane") : value;
	const json_t *store = of_kind(value, "DataStore");
	json_t *item;
	size_t i;

	if (tenant_parse(arena, tenant, "default", &world->tenant, err) != 0 ||
	    data_store_parse(arena, store ? store : world->default_store, &world->store, err) != 0)
		return -1;
	if (world->tenant.override_count > 8)
		return -1;
	data_store_validate(arena, store, NULL);
	world->options = (struct step_options){
		.certificate_threshold = 86400, .kine_image = "kine", .gateway_served = true, .generate_key = generate_key
	};
	world->input = (struct step_input){ .tenant = &world->tenant,
		                            .options = &world->options,
		                            .secrets = world->secrets,
		                            .now = NOW,
		                            .data_store = { .store = &world->store,
		                                            .ca_certificate = fixed.authority,
		                                            .ca_private_key = fixed.certificate_key,
		                                            .username = "u",
		                                            .password = "p" },
		                            .overrides = world->overrides };
	for (i = 0; i < world->tenant.override_count; i++)
		world->overrides[i] = world->input.data_store;
	world->input.service = of_kind(value, "Service");
	world->input.deployment = of_kind(value, "Deployment");
	world->input.ingress = of_kind(value, "Ingress");
	world->input.route = of_kind(value, "TLSRoute");
	world->input.kubeadm_config_map = of_kind(value, "ConfigMap");
	json_array_foreach(value, i, item)
		if (string_equal(json_string_at(item, "kind"), "Secret") && world->input.secret_count < MAXIMUM_OBJECTS)
			world->secrets[world->input.secret_count++] = item;
	return 0;
}

static int run_pass(struct arena *arena, struct world *world, struct pass **result, struct error *err)
{
	struct pass *pass = pass_new(arena, &world->input);
	int code = 0;

	*result = pass;
	for (int stage = 0; stage < STAGE_COUNT && code == 0; stage++) {
		code = pass_plan(pass, (enum step_stage)stage, err);
		if (code == 0 && stage == STAGE_SERVICE && !world->input.service) {
			json_put_string(pass->objects[0].object, "spec.clusterIP", "10.0.0.1");
			world->input.service = pass->objects[0].object;
			pass_set_live(pass, OBJECT_SERVICE, world->tenant.name, world->input.service);
		}
		if (code == 0)
			code = pass_observe(pass, (enum step_stage)stage, err);
	}
	if (code == 0)
		pass_complete(pass);
	else
		pass_fail(pass, err);
	if (!json_string_at(status_condition(pass->status, "Ready"), "reason"))
		abort();
	return code;
}

/* What a server-side apply leaves: the keys that somebody else put in stay, and they count in the checksum. */
static const json_t *applied(const struct desired_object *wanted)
{
	json_t *object = wanted->object;
	json_t *others = json_object_get(wanted->live, "data");

	if (!wanted->replace_data && json_is_object(others))
		(void)json_object_update_missing(json_ensure_object(object, "data"), others);
	return object;
}

/* With its own Secrets live, a second pass keeps every one of them. */
static void run_again(struct arena *arena, struct world *world, const struct pass *before)
{
	struct error err = { 0 };
	struct pass *pass;

	world->input.secret_count = 0;
	for (size_t i = 0; i < before->object_count; i++)
		if (before->objects[i].kind == OBJECT_SECRET && before->objects[i].object)
			world->secrets[world->input.secret_count++] = applied(&before->objects[i]);
	if (run_pass(arena, world, &pass, &err) != 0)
		abort();
	for (size_t i = 0; i < pass->object_count; i++)
		if (pass->objects[i].kind == OBJECT_SECRET && pass->objects[i].object &&
		    !owned_fields_match(pass->objects[i].object, pass->objects[i].live))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct world *world = arena_alloc(arena, sizeof(*world));
	struct error err = { 0 };
	json_t *value JSON_CLEANUP = json_parse((const char *)data, size, &err);
	json_t *store JSON_CLEANUP = json_build("{s:{s:s},s:{s:s,s:[s],s:{}}}", "metadata", "name", "default", "spec", "driver", "etcd",
	                                        "endpoints", "10.0.0.9:2379", "tlsConfig");
	struct pass *pass;

	if (!fixed.authority)
		make_fixed();
	if (!value)
		return 0;
	world->default_store = store;
	field_problems_text(arena, tenant_validate(arena, value, NULL));
	field_problems_text(arena, tenant_validate(arena, value, value));
	if (read_world(arena, value, world, &err) != 0)
		return 0;
	for (int profile = PROFILE_NATIVE; profile <= PROFILE_UPSTREAM; profile++) {
		world->options.profile = (enum template_profile)profile;
		if (run_pass(arena, world, &pass, &err) == 0)
			run_again(arena, world, pass);
		(void)pass_refresh(pass, &err);
		(void)owned_fields_settled(of_kind(value, "Deployment"), of_kind(value, "Service"), "kamaji");
		(void)owned_fields_settled(value, value, "kamaji");
	}
	return 0;
}
