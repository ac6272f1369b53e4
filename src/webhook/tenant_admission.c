/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream's chain of checks, then ours. The first of upstream's that refuses speaks alone; ours are told all at once. */
#include "api/names.h"
#include "webhook/admission_internal.h"

struct candidate {
	const struct admission_request *request;
	struct admission_verdict *verdict;
	struct tenant_control_plane tenant;
	const struct tenant_control_plane *previous; /* NULL on CREATE */
};

/* What the stored object has already is no reason to refuse a change of something else. */
static void refuse_or_warn(struct candidate *candidate, const char *problem, const char *previous_problem)
{
	if (!problem || candidate->verdict->denied)
		return;
	if (previous_problem && string_equal(problem, previous_problem))
		verdict_warn(candidate->verdict, candidate->request->arena, "%s", problem);
	else
		verdict_deny(candidate->verdict, candidate->request->arena, 403, "%s", problem);
}

static void check_form(struct candidate *candidate)
{
	static const char *(*const checks[])(struct arena *, const struct tenant_control_plane *) = { upstream_check_names,
		                                                                                      upstream_check_dns };
	struct arena *arena = candidate->request->arena;
	const struct tenant_control_plane *previous = candidate->previous;

	for (size_t i = 0; i < ARRAY_LENGTH(checks); i++)
		refuse_or_warn(candidate, checks[i](arena, &candidate->tenant), previous ? checks[i](arena, previous) : NULL);
	if (!previous) {
		refuse_or_warn(candidate, upstream_check_name(arena, &candidate->tenant), NULL);
		refuse_or_warn(candidate, upstream_check_version(arena, candidate->tenant.version), NULL);
	} else if (!string_equal(previous->version, candidate->tenant.version)) {
		refuse_or_warn(candidate, upstream_check_upgrade(arena, previous->version, candidate->tenant.version), NULL);
	}
}

static const char *driver_of(const struct candidate *candidate, const char *name)
{
	const struct admission *admission = candidate->request->admission;

	return string_empty(name) ? NULL : admission->data_store_driver(name, candidate->request->arena, admission->argument);
}

static void check_main_store(struct candidate *candidate)
{
	const struct tenant_control_plane *previous = candidate->previous;
	struct arena *arena = candidate->request->arena;
	const char *name = json_string_or(candidate->tenant.spec, "dataStore", "");
	const char *driver = driver_of(candidate, name), *before;
	bool kept = previous && string_equal(name, json_string_or(previous->spec, "dataStore", ""));

	if (string_empty(name))
		return;
	if (!driver) {
		refuse_or_warn(candidate, arena_printf(arena, "%s DataStore does not exist", name),
		               kept ? arena_printf(arena, "%s DataStore does not exist", name) : NULL);
		return;
	}
	if (!previous || kept || string_empty(candidate->tenant.used_data_store))
		return;
	before = driver_of(candidate, candidate->tenant.used_data_store);
	if (before && !string_equal(before, driver))
		refuse_or_warn(
			candidate,
			arena_printf(
				arena,
				"spec.dataStore: the tenant's data is in %s (%s) and cannot be moved to %s (%s) (name a DataStore of the "
				"same driver)",
				candidate->tenant.used_data_store, before, name, driver),
			NULL);
}

static bool has_override(const struct tenant_control_plane *tenant, const struct data_store_override *wanted)
{
	for (size_t i = 0; tenant && i < tenant->override_count; i++)
		if (string_equal(tenant->overrides[i].data_store, wanted->data_store) &&
		    string_equal(tenant->overrides[i].resource, wanted->resource))
			return true;
	return false;
}

/* The API server has one set of store credentials, and behind kine none: all stores are etcd, or there is but one. */
static void check_override_base(struct candidate *candidate)
{
	const char *name = json_string_or(candidate->tenant.spec, "dataStore", ""), *driver = driver_of(candidate, name), *problem;
	const struct tenant_control_plane *previous = candidate->previous;
	bool kept = previous && previous->override_count > 0 && string_equal(name, json_string_or(previous->spec, "dataStore", ""));

	if (candidate->tenant.override_count == 0 || !driver || string_equal(driver, "etcd"))
		return;
	problem = arena_printf(candidate->request->arena,
	                       "spec.dataStoreOverrides: the tenant's own DataStore %s is %s, and overrides work beside etcd only (name "
	                       "one of driver etcd in spec.dataStore, or leave the overrides out)",
	                       name, driver);
	refuse_or_warn(candidate, problem, kept ? problem : NULL);
}

/* A store that does not exist may still come; one that is no etcd never becomes one. */
static void check_override_stores(struct candidate *candidate)
{
	struct arena *arena = candidate->request->arena;

	for (size_t i = 0; i < candidate->tenant.override_count; i++) {
		const struct data_store_override *override = &candidate->tenant.overrides[i];
		const char *driver = driver_of(candidate, override->data_store), *problem;

		if (string_empty(override->data_store))
			continue;
		if (!driver) {
			verdict_warn(candidate->verdict, arena, "spec.dataStoreOverrides: DataStore %s of %s does not exist",
			             override->data_store, override->resource);
		} else if (!string_equal(driver, "etcd")) {
			problem = arena_printf(arena, "spec.dataStoreOverrides: DataStore %s of %s is %s (name one of driver etcd)",
			                       override->data_store, override->resource, driver);
			refuse_or_warn(candidate, problem, has_override(candidate->previous, override) ? problem : NULL);
		}
	}
}

static void check_gateway(struct candidate *candidate)
{
	const struct admission_request *request = candidate->request;
	bool group = false, tls_route = false;
	const char *problem = NULL;
	struct error err;

	if (!candidate->tenant.gateway || !request->admission->gateway_served || candidate->verdict->denied)
		return;
	if (request->admission->gateway_served(&group, &tls_route, request->cancel, request->admission->argument, &err) != 0)
		problem = arena_printf(request->arena, "spec.controlPlane.gateway: cannot find out whether the Gateway API is served: %s",
		                       err.message);
	else if (!group)
		problem = "spec.controlPlane.gateway: the Gateway API (gateway.networking.k8s.io) is not available in this cluster "
			  "(install it)";
	else if (!tls_route)
		problem = "spec.controlPlane.gateway: gateway.networking.k8s.io/v1 has no TLSRoute in this cluster (install Gateway API "
			  "1.5 or later)";
	refuse_or_warn(candidate, problem, candidate->previous && candidate->previous->gateway ? problem : NULL);
}

static bool is_among(const struct field_problem *problems, const struct field_problem *wanted)
{
	for (; problems; problems = problems->next)
		if (string_equal(problems->field, wanted->field) && string_equal(problems->message, wanted->message))
			return true;
	return false;
}

/* What can never work: refused when it is new, told when it was there before. */
static void check_problems(struct candidate *candidate)
{
	const struct admission_request *request = candidate->request;
	const struct field_problem *before = NULL, *problems = tenant_validate(request->arena, request->object, request->old_object);
	const char *text = "";

	if (request->old_object)
		before = tenant_validate(request->arena, request->old_object, request->old_object);
	for (; problems; problems = problems->next) {
		bool kept = is_among(before, problems);

		/* What upstream checks as well was told above in its words, or is the schema's. */
		if (kept && problems->upstream)
			continue;
		if (problems->hint || kept)
			verdict_warn(candidate->verdict, request->arena, "%s: %s (%s)", problems->field, problems->message,
			             problems->remedy);
		else
			text = arena_printf(request->arena, "%s%s%s: %s (%s)", text, *text ? "; " : "", problems->field, problems->message,
			                    problems->remedy);
	}
	if (*text && !candidate->verdict->denied)
		verdict_deny(candidate->verdict, request->arena, 403, "%s", text);
}

static bool extends_pods(const struct candidate *candidate)
{
	static const char *const members[] = { "additionalVolumeMounts", "additionalInitContainers", "additionalContainers",
		                               "additionalVolumes" };
	bool given = false, changed = false;

	for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
		const json_t *wanted = json_object_get(candidate->tenant.deployment, members[i]);
		const json_t *before = json_object_get(candidate->previous->deployment, members[i]);
		bool empty = json_array_size(wanted) == 0 && json_object_size(wanted) == 0;

		given = given || !empty;
		changed = changed ||
		          !((empty && json_array_size(before) == 0 && json_object_size(before) == 0) || json_equal(wanted, before));
	}
	return given && changed;
}

/* What the pods are given is the user's free text: the API server itself is asked. */
static void check_deployment(struct candidate *candidate)
{
	const struct admission_request *request = candidate->request;
	const struct admission *admission = request->admission;
	struct error err;

	if (candidate->verdict->denied || !candidate->previous || !admission->check_deployment || !extends_pods(candidate))
		return;
	if (admission->check_deployment(request->object, request->cancel, admission->argument, &err) == 0)
		return;
	if (err.class == ERROR_INVALID)
		verdict_deny(candidate->verdict, request->arena, 403, "the resulting Deployment would be invalid: %s", err.message);
	else
		verdict_warn(candidate->verdict, request->arena, "whether the resulting Deployment is valid could not be checked: %s",
		             err.message);
}

void admission_validate(const struct admission_request *request, struct admission_verdict *verdict)
{
	struct candidate candidate = { .request = request, .verdict = verdict };
	struct tenant_control_plane previous;
	bool same;
	struct error err;

	if (!string_equal(request->operation, "CREATE") && !string_equal(request->operation, "UPDATE"))
		return;
	if (!request->object || tenant_parse(request->arena, request->object, NULL, &candidate.tenant, &err) != 0) {
		verdict_deny(verdict, request->arena, request->object ? 403 : 500, "%s",
		             request->object ? err.message : "request.object: missing");
		return;
	}
	if (request->old_object && tenant_parse(request->arena, request->old_object, NULL, &previous, &err) == 0)
		candidate.previous = &previous;
	same = candidate.previous && json_equal(json_object_get(request->object, "spec"), json_object_get(request->old_object, "spec"));
	if (candidate.tenant.deleting || same)
		return;
	check_form(&candidate);
	if (request->admission->data_store_driver && !verdict->denied) {
		check_main_store(&candidate);
		check_override_base(&candidate);
		check_override_stores(&candidate);
	}
	check_gateway(&candidate);
	check_problems(&candidate);
	check_deployment(&candidate);
}
