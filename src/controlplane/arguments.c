/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/arguments.h"

#include <string.h>

void arguments_free(struct arguments *arguments)
{
	string_list_free(&arguments->flags);
	string_list_free(&arguments->values);
}

static size_t find(const struct arguments *arguments, const char *flag)
{
	size_t i = 0;

	while (i < arguments->flags.count && strcmp(arguments->flags.items[i], flag) != 0)
		i++;
	return i;
}

bool arguments_has(const struct arguments *arguments, const char *flag)
{
	return find(arguments, flag) < arguments->flags.count;
}

void arguments_set(struct arguments *arguments, const char *flag, const char *value)
{
	arguments_set_owned(arguments, flag, string_dup(value));
}

void arguments_set_owned(struct arguments *arguments, const char *flag, char *value)
{
	size_t i = find(arguments, flag);

	if (i < arguments->flags.count) {
		free(arguments->values.items[i]);
		arguments->values.items[i] = value;
		return;
	}
	string_list_add(&arguments->flags, flag);
	string_list_take(&arguments->values, value);
}

void arguments_remove(struct arguments *arguments, const char *flag)
{
	size_t i = find(arguments, flag), last = arguments->flags.count - 1;

	if (i > last || arguments->flags.count == 0)
		return;
	free(arguments->flags.items[i]);
	free(arguments->values.items[i]);
	arguments->flags.items[i] = arguments->flags.items[last];
	arguments->values.items[i] = arguments->values.items[last];
	arguments->flags.count = arguments->values.count = last;
}

char *argument_flag(const char *text)
{
	return string_ndup(text, strcspn(text, "="));
}

void arguments_set_list(struct arguments *arguments, const json_t *list)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item), *equals;
		char *flag FREE_CLEANUP = text ? argument_flag(text) : NULL;

		if (string_empty(flag))
			continue;
		equals = strchr(text, '=');
		arguments_set(arguments, flag, equals ? equals + 1 : "");
	}
}

bool argument_list_names(const json_t *list, const char *flag)
{
	size_t length = strlen(flag), i;
	json_t *item;

	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item);

		if (text && strncmp(text, flag, length) == 0 && (text[length] == '=' || text[length] == '\0'))
			return true;
	}
	return false;
}

json_t *arguments_sorted(const struct arguments *arguments)
{
	struct string_list texts STRING_LIST_CLEANUP = { 0 };
	json_t *result = json_array();

	for (size_t i = 0; i < arguments->flags.count; i++) {
		if (string_empty(arguments->values.items[i]))
			string_list_add(&texts, arguments->flags.items[i]);
		else
			string_list_printf(&texts, "%s=%s", arguments->flags.items[i], arguments->values.items[i]);
	}
	string_list_sort(&texts);
	for (size_t i = 0; i < texts.count; i++)
		json_array_append_new(result, json_string_new(texts.items[i]));
	return result;
}
