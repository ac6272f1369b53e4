/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/options.h"

#include <string.h>

enum { OPTION_NAME_MAXIMUM = 64 };

static unsigned minimum_of(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein distance; names longer than OPTION_NAME_MAXIMUM are as far as can be. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[OPTION_NAME_MAXIMUM + 1];
	size_t length_a = strlen(a), length_b = strlen(b);

	if (length_a > OPTION_NAME_MAXIMUM || length_b > OPTION_NAME_MAXIMUM)
		return OPTION_NAME_MAXIMUM;
	for (size_t j = 0; j <= length_b; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= length_a; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= length_b; j++) {
			unsigned above = row[j];

			row[j] = minimum_of(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[length_b];
}

static const struct option_definition *find(const struct option_definition *definitions, const char *name, size_t length)
{
	for (; definitions->name; definitions++) {
		if (strlen(definitions->name) == length && memcmp(definitions->name, name, length) == 0)
			return definitions;
	}
	return NULL;
}

/* As people write it: -o, --output. */
static const char *dashes(const char *name)
{
	return name[0] && !name[1] ? "-" : "--";
}

static int unknown_option(const struct option_definition *definitions, const char *name, struct error *err)
{
	const char *nearest = NULL;
	unsigned least = 4; /* farther away is no help */

	for (; definitions->name; definitions++) {
		unsigned distance = edit_distance(definitions->name, name);

		if (definitions->hidden)
			continue;
		if (distance < least || (definitions->name[0] && string_has_prefix(definitions->name, name) && !nearest)) {
			least = distance < least ? distance : least;
			nearest = definitions->name;
		}
	}
	if (nearest)
		return error_set(err, ERROR_INVALID, "unknown option %s%s; did you mean --%s?", dashes(name), name, nearest);
	return error_set(err, ERROR_INVALID, "unknown option %s%s; --help lists the known ones", dashes(name), name);
}

static int set_boolean(const struct option_definition *definition, const char *value, struct error *err)
{
	static const char *const yes[] = { "true", "True", "TRUE", "t", "T", "1" };
	static const char *const no[] = { "false", "False", "FALSE", "f", "F", "0" };

	for (size_t i = 0; i < ARRAY_LENGTH(yes); i++) {
		if (string_equal(value, yes[i]) || string_equal(value, no[i])) {
			*(bool *)definition->target = string_equal(value, yes[i]);
			return 0;
		}
	}
	return error_set(err, ERROR_INVALID, "%s%s: \"%s\" is neither true nor false", dashes(definition->name), definition->name, value);
}

static int set_number(const struct option_definition *definition, const char *value, struct error *err)
{
	bool limited = definition->minimum != 0 || definition->maximum != 0;
	int64_t minimum = limited ? definition->minimum : 0;
	int64_t maximum = limited && definition->maximum ? definition->maximum : INT64_MAX;
	char what[OPTION_NAME_MAXIMUM + 8];

	(void)snprintf(what, sizeof(what), "%s%s", dashes(definition->name), definition->name);
	if (definition->type == OPTION_INTEGER)
		return string_to_integer(value, minimum, maximum, what, definition->target, err);

	uint64_t nanoseconds;

	if (string_to_duration(value, what, &nanoseconds, err) < 0)
		return -1;
	uint64_t milliseconds = nanoseconds / 1000000;

	if (milliseconds < (uint64_t)minimum || milliseconds > (uint64_t)maximum) {
		char bound[32];
		bool small = milliseconds < (uint64_t)minimum;

		duration_to_string((uint64_t)(small ? minimum : maximum) / 1000, bound, sizeof(bound));
		return error_set(err, ERROR_INVALID, "%s: %s is outside the allowed range (at %s %s)", what, value,
		                 small ? "least" : "most", bound);
	}
	*(uint64_t *)definition->target = milliseconds;
	return 0;
}

static int set_choice(const struct option_definition *definition, const char *value, struct error *err)
{
	STRING_LIST_CLEANUP struct string_list words = { 0 };

	string_list_split(&words, definition->choices, '|');
	if (!string_list_contains(&words, value))
		return error_set(err, ERROR_INVALID, "%s%s: \"%s\" is none of %s", dashes(definition->name), definition->name, value,
		                 definition->choices);
	*(const char **)definition->target = value;
	return 0;
}

static int set_value(const struct option_definition *definition, const char *value, struct error *err)
{
	switch (definition->type) {
	case OPTION_BOOLEAN:
		return set_boolean(definition, value, err);
	case OPTION_STRING:
		*(const char **)definition->target = value;
		return 0;
	case OPTION_LIST:
		string_list_add(definition->target, value);
		return 0;
	case OPTION_CHOICE:
		return set_choice(definition, value, err);
	case OPTION_INTEGER:
	case OPTION_DURATION:
		return set_number(definition, value, err);
	}
	return error_set(err, ERROR_BUG, "--%s: unknown option type", definition->name);
}

/* One option at argv[*index]; may take the next argument as its value. */
static int parse_option(const struct option_definition *definitions, int argc, char **argv, int *index, bool *help, struct error *err)
{
	const char *name = argv[*index] + (argv[*index][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_definition *definition = find(definitions, name, length);

	if (!definition) {
		FREE_CLEANUP char *copy = string_ndup(name, length);

		if (!equals && (string_equal(copy, "help") || string_equal(copy, "h"))) {
			*help = true;
			return 0;
		}
		return unknown_option(definitions, copy, err);
	}
	if (equals)
		return set_value(definition, equals + 1, err);
	if (definition->type == OPTION_BOOLEAN) {
		*(bool *)definition->target = true;
		return 0;
	}
	if (*index + 1 >= argc)
		return error_set(err, ERROR_INVALID, "%s%s needs a value", dashes(definition->name), definition->name);
	return set_value(definition, argv[++*index], err);
}

int options_parse(const struct option_definition *definitions, int argc, char **argv, struct string_list *positional, bool *help,
                  struct error *err)
{
	bool only_positional = false;

	*help = false;
	for (int i = 1; i < argc && !*help; i++) {
		if (!only_positional && string_equal(argv[i], "--")) {
			only_positional = true;
		} else if (!only_positional && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (parse_option(definitions, argc, argv, &i, help, err) < 0)
				return -1;
		} else if (positional) {
			string_list_add(positional, argv[i]);
		} else {
			return error_set(err, ERROR_INVALID, "unexpected argument \"%s\"", argv[i]);
		}
	}
	return 0;
}

static void print_default(const struct option_definition *definition, FILE *out)
{
	char text[32];

	switch (definition->type) {
	case OPTION_BOOLEAN:
		if (*(bool *)definition->target)
			fprintf(out, " (default true)");
		break;
	case OPTION_STRING:
	case OPTION_CHOICE:
		if (!string_empty(*(const char **)definition->target))
			fprintf(out, " (default %s)", *(const char **)definition->target);
		break;
	case OPTION_INTEGER:
		fprintf(out, " (default %lld)", (long long)*(int64_t *)definition->target);
		break;
	case OPTION_DURATION:
		duration_to_string(*(uint64_t *)definition->target / 1000, text, sizeof(text));
		fprintf(out, " (default %s)", text);
		break;
	case OPTION_LIST:
		fprintf(out, " (may be repeated)");
		break;
	}
}

void options_print(const struct option_definition *definitions, FILE *out)
{
	static const char *const kinds[] = { "", " TEXT", " N", " DURATION", " CHOICE", " TEXT" };

	for (; definitions->name; definitions++) {
		if (definitions->hidden)
			continue;
		FREE_CLEANUP char *left =
			string_printf("--%s%s", definitions->name, definitions->type == OPTION_CHOICE ? "" : kinds[definitions->type]);

		if (definitions->type == OPTION_CHOICE)
			fprintf(out, "  %s %s\n  %-38s", left, definitions->choices, "");
		else if (strlen(left) > 37)
			fprintf(out, "  %s\n  %-38s", left, "");
		else
			fprintf(out, "  %-38s", left);
		fprintf(out, "%s", definitions->help);
		print_default(definitions, out);
		fputc('\n', out);
	}
}
