/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine lacks for `kamaji local`, and how to mend it. Each check looks at one thing and changes nothing (namespaces made for a
 * trial end with the trial).
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_WARNING, /* works, or works less well; the finding tells */
	DOCTOR_PROBLEM  /* `up` would fail */
};

enum { DOCTOR_CHECK_MAX = 40 };

struct doctor_check {
	const char *name; /* static */
	enum doctor_state state;
	char finding[240];
	char remedy[240]; /* "" when OK */
};

struct doctor_report {
	struct doctor_check checks[DOCTOR_CHECK_MAX];
	size_t count;
	const char *state_root;
};

/* state_root: folder of environments; its disk is looked at. */
void doctor_run(struct doctor_report *report, const char *state_root);
/* Only what environments of the folder that are not up have left behind in the kernel. */
void doctor_run_leftovers(struct doctor_report *report, const char *state_root);
enum doctor_state doctor_worst(const struct doctor_report *report);
const char *doctor_state_name(enum doctor_state state); /* "ok", "warning", "problem" */
/* {"checks":[{"name","state","finding","remedy"}],"worst"}; new reference. */
json_t *doctor_to_json(const struct doctor_report *report);

/* For the files of the doctor: adds a check. */
void doctor_add(struct doctor_report *report, const char *name, enum doctor_state state, const char *remedy, const char *finding, ...)
	__attribute__((format(printf, 5, 6)));
/* doctor_machine.c: kernel, cgroups, capabilities, memory, disk, clock. doctor_network.c: tools, links, firewall, addresses. */
void doctor_check_machine(struct doctor_report *report);
void doctor_check_network(struct doctor_report *report);
/* doctor_components.c: what the components can be taken from. */
void doctor_check_components(struct doctor_report *report);
