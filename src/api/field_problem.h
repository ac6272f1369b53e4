/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting field problems in order: shared by the validators of this room. */
#pragma once

#include "api/tenant_control_plane.h"

struct problem_list {
	struct arena *arena;
	struct field_problem *first, **end;
};

enum problem_class { PROBLEM_OURS, PROBLEM_UPSTREAM, PROBLEM_HINT };

void problem_list_init(struct problem_list *list, struct arena *arena);
/* Field and remedy must live as long as the arena. */
void problem_add(struct problem_list *list, enum problem_class class, const char *field, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
