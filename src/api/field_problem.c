/* SPDX-License-Identifier: Apache-2.0 */
#include "api/field_problem.h"

#include <stdarg.h>

#include "base/buffer.h"

void problem_list_init(struct problem_list *list, struct arena *arena)
{
	list->arena = arena;
	list->first = NULL;
	list->end = &list->first;
}

void problem_add(struct problem_list *list, enum problem_class class, const char *field, const char *remedy, const char *format, ...)
{
	struct field_problem *problem = arena_alloc(list->arena, sizeof(*problem));
	va_list arguments;

	va_start(arguments, format);
	problem->message = arena_vprintf(list->arena, format, arguments);
	va_end(arguments);
	problem->field = field;
	problem->remedy = remedy;
	problem->upstream = class == PROBLEM_UPSTREAM;
	problem->hint = class == PROBLEM_HINT;
	*list->end = problem;
	list->end = &problem->next;
}

const struct field_problem *field_problems_blocking(const struct field_problem *problems)
{
	while (problems && problems->hint)
		problems = problems->next;
	return problems;
}

const char *field_problems_text(struct arena *arena, const struct field_problem *problems)
{
	struct buffer text BUFFER_CLEANUP = { 0 };

	for (int hints = 0; hints <= 1; hints++)
		for (const struct field_problem *problem = problems; problem; problem = problem->next)
			if (problem->hint == (hints == 1))
				buffer_printf(&text, "%s%s: %s (%s)", text.length ? "; " : "", problem->field, problem->message,
				              problem->remedy);
	return arena_strdup(arena, text.data ? text.data : "");
}
