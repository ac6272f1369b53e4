/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/renderer.h"

#include <stdarg.h>
#include <string.h>

static void release(void *value)
{
	json_decref(value);
}

json_t *pass_own(struct pass *pass, json_t *value)
{
	arena_defer(pass->arena, release, value);
	return value;
}

struct pass *pass_new(struct arena *arena, const struct step_input *input)
{
	struct pass *pass = arena_alloc(arena, sizeof(*pass));
	struct pass_state *state = arena_alloc(arena, sizeof(*state));

	pass->arena = arena;
	pass->input = input;
	pass->state = state;
	pass->status = pass_own(pass, status_new(input->tenant->status));
	pass->blocked = (struct step_block){ "", "", "" };
	state->records_end = &state->records;
	state->live[OBJECT_SERVICE] = input->service;
	state->live[OBJECT_DEPLOYMENT] = input->deployment;
	state->live[OBJECT_INGRESS] = input->ingress;
	state->live[OBJECT_TLS_ROUTE] = input->route;
	state->live_konnectivity_route = input->konnectivity_route;
	return pass;
}

void pass_set_live(struct pass *pass, enum object_kind kind, const char *name, const json_t *object)
{
	if (kind == OBJECT_TLS_ROUTE && strcmp(name, pass->input->tenant->name) != 0)
		pass->state->live_konnectivity_route = object;
	else
		pass->state->live[kind] = object;
}

int pass_block(struct pass *pass, struct error *err, enum error_class class, const char *reason, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	pass->blocked.message = arena_vprintf(pass->arena, format, arguments);
	va_end(arguments);
	pass->blocked.reason = reason;
	return error_set(err, class, "%s", pass->blocked.message);
}

static void fill_block(struct pass *pass, const char *step, const struct error *err)
{
	static const char *const reasons[] = {
		[ERROR_TIMEOUT] = "Timeout",        [ERROR_CONFLICT] = "Conflict",   [ERROR_NOT_FOUND] = "NotFound",
		[ERROR_PENDING] = "Waiting",        [ERROR_FORBIDDEN] = "Forbidden", [ERROR_INVALID] = "InvalidSpec",
		[ERROR_EXHAUSTED] = "LimitReached", [ERROR_CORRUPT] = "CorruptData", [ERROR_TRANSIENT] = "Unavailable",
	};
	const char *reason = (size_t)err->class < ARRAY_LENGTH(reasons) ? reasons[err->class] : NULL;

	if (string_empty(pass->blocked.step))
		pass->blocked.step = step;
	if (string_empty(pass->blocked.reason))
		pass->blocked.reason = reason ? reason : "ReconcileError";
	if (string_empty(pass->blocked.message))
		pass->blocked.message = arena_strdup(pass->arena, err->message);
}

/* A tenant that nothing was made for yet is held to the full rules; one that runs is left running. */
static int check_spec(struct pass *pass, struct error *err)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	const struct field_problem *problems;

	if (pass->input->deployment || tenant->status)
		return 0;
	problems = field_problems_blocking(tenant_validate(pass->arena, tenant->object, NULL));
	if (!problems)
		return 0;
	pass->blocked.step = "validation";
	return pass_block(pass, err, ERROR_INVALID, "InvalidSpec", "%s", field_problems_text(pass->arena, problems));
}

int pass_plan(struct pass *pass, enum step_stage stage, struct error *err)
{
	pass->stage_begin[stage] = pass->object_count;
	if (stage == STAGE_SERVICE && check_spec(pass, err) != 0)
		return -1;
	for (size_t i = 0; i < step_count; i++) {
		if (steps[i].stage != stage || !steps[i].plan)
			continue;
		if (steps[i].plan(pass, err) != 0) {
			fill_block(pass, steps[i].name, err);
			return error_wrap(err, "%s", steps[i].name);
		}
	}
	pass->stage_begin[stage + 1] = pass->object_count;
	return 0;
}

int pass_observe(struct pass *pass, enum step_stage stage, struct error *err)
{
	for (struct pending_record *record = pass->state->records; record; record = record->next) {
		if (record->stage != stage || !record->members)
			continue;
		status_record(pass->status, record->path, record->members, record->stamp, pass->input->now);
		record->members = NULL;
	}
	for (size_t i = 0; i < step_count; i++) {
		if (steps[i].stage != stage || !steps[i].observe)
			continue;
		if (steps[i].observe(pass, err) != 0) {
			fill_block(pass, steps[i].name, err);
			return error_wrap(err, "%s", steps[i].name);
		}
	}
	return 0;
}

static void release_members(void *argument)
{
	struct pending_record *record = argument;

	json_decref(record->members);
}

void pass_record(struct pass *pass, enum step_stage stage, const char *path, json_t *members, bool stamp)
{
	struct pending_record *record = arena_alloc(pass->arena, sizeof(*record));

	*record = (struct pending_record){ .stage = stage, .path = path, .members = members, .stamp = stamp };
	arena_defer(pass->arena, release_members, record);
	*pass->state->records_end = record;
	pass->state->records_end = &record->next;
}

static struct desired_object *next_object(struct pass *pass)
{
	enum { OBJECTS_PER_PASS = 32 }; /* the step table makes 21 at most */

	if (!pass->objects)
		pass->objects = arena_alloc(pass->arena, OBJECTS_PER_PASS * sizeof(*pass->objects));
	if (pass->object_count == OBJECTS_PER_PASS)
		abort();
	return &pass->objects[pass->object_count++];
}

void pass_want(struct pass *pass, const char *step, enum object_kind kind, const char *name, json_t *object, const json_t *live)
{
	*next_object(pass) = (struct desired_object){
		.kind = kind, .name = name, .step = step, .object = object, .live = live, .sensitive = kind == OBJECT_SECRET
	};
}

void pass_unwant(struct pass *pass, const char *step, enum object_kind kind, const char *name, const json_t *live)
{
	*next_object(pass) = (struct desired_object){ .kind = kind, .name = name, .step = step, .live = live };
}

json_t *pass_new_object(struct pass *pass, const char *api_version, const char *kind, const char *name, const char *component)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;

	return pass_own(pass, json_build("{s:s,s:s,s:{s:s,s:s,s:{s:s,s:s,s:s},s:[{s:s,s:s,s:s,s:s,s:b,s:b}]}}", "apiVersion", api_version,
	                                 "kind", kind, "metadata", "name", name, "namespace", tenant->namespace, "labels", LABEL_PROJECT,
	                                 LABEL_PROJECT_VALUE, LABEL_NAME, tenant->name, LABEL_COMPONENT, component, "ownerReferences",
	                                 "apiVersion", KAMAJI_API_VERSION, "kind", KAMAJI_KIND_TENANT_CONTROL_PLANE, "name", tenant->name,
	                                 "uid", tenant->uid, "controller", 1, "blockOwnerDeletion", 1));
}

void metadata_merge(json_t *object, const json_t *additional)
{
	static const char *const members[] = { "labels", "annotations" };

	for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
		json_t *source = json_object_get(additional, members[i]), *target, *value;
		const char *key;

		if (json_object_size(source) == 0)
			continue;
		target = json_ensure_object(json_ensure_object(object, "metadata"), members[i]);
		json_object_foreach(source, key, value)
			if (json_is_string(value))
				json_object_set(target, key, value);
	}
}

void pass_note_renewal(struct pass *pass, const char *certificate, size_t length)
{
	struct error ignored;
	int64_t not_after;

	if (certificate_not_after(pem_text_bytes(certificate, length), &not_after, &ignored) == 0)
		pass_note_end(pass, not_after);
}

void pass_note_end(struct pass *pass, int64_t not_after)
{
	int64_t moment = not_after - pass->input->options->certificate_threshold;

	if (not_after != 0 && (pass->state->next_renewal == 0 || moment < pass->state->next_renewal))
		pass->state->next_renewal = moment;
}

int64_t pass_next_renewal(const struct pass *pass)
{
	return pass->state->next_renewal;
}

static void set_ready(struct pass *pass, const char *value, const char *reason, const char *message)
{
	status_set_condition(pass->status, CONDITION_READY, value, reason, message, pass->input->tenant->generation, pass->input->now);
}

/* Whether anybody answers at all, whatever else is wrong. */
static void set_available(struct pass *pass)
{
	const struct tenant_control_plane *tenant = pass->input->tenant;
	bool serves = json_integer_or(pass->status, "kubernetesResources.deployment.readyReplicas", 0) > 0;
	const char *reason = tenant->replicas == 0 ? "Sleeping" : "NoPodReady";

	if (serves)
		status_set_condition(pass->status, CONDITION_AVAILABLE, "True", "PodsReady", "the control plane answers",
		                     tenant->generation, pass->input->now);
	else
		status_set_condition(pass->status, CONDITION_AVAILABLE, "False", reason, "no control-plane pod is ready",
		                     tenant->generation, pass->input->now);
}

/* What the phase says of readiness. */
static void condition_from_phase(struct pass *pass)
{
	const char *phase = json_string_or(pass->status, "kubernetesResources.version.status", PHASE_UNKNOWN);
	int64_t ready = json_integer_or(pass->status, "kubernetesResources.deployment.readyReplicas", 0);

	set_available(pass);
	if (strcmp(phase, PHASE_READY) == 0)
		set_ready(pass, "True", "Ready", "all replicas serve the wanted version");
	else if (strcmp(phase, PHASE_WRITE_LIMITED) == 0)
		set_ready(pass, "True", "WriteLimited", "the control plane serves; writes are limited by spec.writePermissions");
	else if (strcmp(phase, PHASE_SLEEPING) == 0)
		set_ready(pass, "False", "Sleeping", "spec.controlPlane.deployment.replicas is 0");
	else if (ready > 0 && strcmp(phase, PHASE_PROVISIONING) != 0)
		set_ready(pass, "True", phase, "the control plane serves while its pods are being replaced");
	else
		set_ready(pass, "False", phase, "no control-plane pod is ready yet");
}

void pass_complete(struct pass *pass)
{
	json_put(pass->status, "observedGeneration", json_integer(pass->input->tenant->generation));
	condition_from_phase(pass);
}

void pass_fail(struct pass *pass, const struct error *err)
{
	fill_block(pass, "", err);
	set_available(pass);
	set_ready(pass, "False", pass->blocked.reason,
	          string_empty(pass->blocked.step) ? pass->blocked.message
	                                           : arena_printf(pass->arena, "%s: %s", pass->blocked.step, pass->blocked.message));
}

int pass_refresh(struct pass *pass, struct error *err)
{
	if (service_observe(pass, err) != 0) {
		fill_block(pass, "service", err);
		return -1;
	}
	if (phase_observe(pass, err) != 0) {
		fill_block(pass, "deployment", err);
		return -1;
	}
	condition_from_phase(pass);
	return 0;
}

/* Only profile native mounts the signer's keys apart. Upstream, once it was handed the tenant back, renders its own template and leaves our
 * annotation behind. */
static bool is_native_template(const json_t *deployment)
{
	json_t *volume;
	size_t i;

	json_array_foreach(json_at(deployment, "spec.template.spec.volumes"), i, volume)
		if (string_equal(json_string_at(volume, "name"), VOLUME_SIGNER_PKI))
			return true;
	return false;
}

enum template_profile pass_profile(const struct pass *pass)
{
	const json_t *asked = json_object_get(json_at(pass->input->tenant->object, "metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE);
	const json_t *found = json_object_get(json_at(pass->input->deployment, "metadata.annotations"), ANNOTATION_TEMPLATE_PROFILE);
	enum template_profile profile;

	if (template_profile_parse(json_string_value(asked), &profile) == 0)
		return profile;
	if (!pass->input->deployment)
		return pass->input->options->profile;
	if (template_profile_parse(json_string_value(found), &profile) < 0)
		return PROFILE_UPSTREAM;
	return profile == PROFILE_NATIVE && !is_native_template(pass->input->deployment) ? PROFILE_UPSTREAM : profile;
}

const char *template_profile_name(enum template_profile profile)
{
	return profile == PROFILE_UPSTREAM ? "upstream" : "native";
}

int template_profile_parse(const char *text, enum template_profile *profile)
{
	if (string_equal(text, "native"))
		*profile = PROFILE_NATIVE;
	else if (string_equal(text, "upstream"))
		*profile = PROFILE_UPSTREAM;
	else
		return -1;
	return 0;
}
