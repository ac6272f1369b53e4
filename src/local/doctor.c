/* SPDX-License-Identifier: Apache-2.0 */
#include "local/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strings.h"
#include "local/environment.h"

void doctor_add(struct doctor_report *report, const char *name, enum doctor_state state, const char *remedy, const char *finding, ...)
{
	if (report->count == DOCTOR_CHECK_MAX)
		return;
	struct doctor_check *check = &report->checks[report->count++];
	*check = (struct doctor_check){ .name = name, .state = state };
	va_list arguments;
	va_start(arguments, finding);
	vsnprintf(check->finding, sizeof(check->finding), finding, arguments);
	va_end(arguments);
	if (state != DOCTOR_OK)
		snprintf(check->remedy, sizeof(check->remedy), "%s", remedy);
}

void doctor_run(struct doctor_report *report, const char *state_root)
{
	*report = (struct doctor_report){ .state_root = state_root };
	doctor_check_machine(report);
	doctor_check_network(report);
	doctor_check_components(report);
	doctor_run_leftovers(report, state_root);
}

static void check_environment(struct doctor_report *report, const char *state_root, const char *name)
{
	STRING_LIST_CLEANUP struct string_list found = { 0 };
	ENVIRONMENT_CLEANUP struct local_environment environment = { .lock = -1 };
	struct error err;
	if (environment_open(state_root, name, false, &environment, &err) < 0) {
		doctor_add(report, "leftovers", DOCTOR_PROBLEM, "run 'kamaji local down' for it", "%s: %s", name, err.message);
		return;
	}
	if (environment.state.phase == LOCAL_UP && node_identity_is_alive(&environment.state.admin))
		return;
	environment_leftovers(&environment, &found);
	FREE_CLEANUP char *text = string_list_join(&found, ", ");
	if (found.count)
		doctor_add(report, "leftovers", DOCTOR_PROBLEM, "'kamaji local down --name NAME' removes them",
		           "environment %s is %s, but there are: %s", name, local_phase_name(environment.state.phase), text);
}

void doctor_run_leftovers(struct doctor_report *report, const char *state_root)
{
	STRING_LIST_CLEANUP struct string_list names = { 0 };
	size_t before = report->count;
	environment_names(state_root, &names);
	/* The default one also when it has no state file: its folder may have been removed by hand. */
	if (!string_list_contains(&names, LOCAL_DEFAULT_NAME))
		string_list_add(&names, LOCAL_DEFAULT_NAME);
	for (size_t i = 0; i < names.count; i++)
		check_environment(report, state_root, names.items[i]);
	if (report->count == before)
		doctor_add(report, "leftovers", DOCTOR_OK, "", "none");
}

enum doctor_state doctor_worst(const struct doctor_report *report)
{
	enum doctor_state worst = DOCTOR_OK;
	for (size_t i = 0; i < report->count; i++)
		if (report->checks[i].state > worst)
			worst = report->checks[i].state;
	return worst;
}

const char *doctor_state_name(enum doctor_state state)
{
	static const char *const names[] = { "ok", "warning", "problem" };
	return names[state];
}

json_t *doctor_to_json(const struct doctor_report *report)
{
	json_t *checks = json_array();
	for (size_t i = 0; i < report->count; i++) {
		const struct doctor_check *check = &report->checks[i];
		json_array_append_new(checks,
		                      json_build("{s:s, s:s, s:s, s:s}", "name", check->name, "state", doctor_state_name(check->state),
		                                 "finding", check->finding, "remedy", check->remedy));
	}
	return json_build("{s:o, s:s}", "checks", checks, "worst", doctor_state_name(doctor_worst(report)));
}
