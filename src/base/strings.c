/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool string_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool string_empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

bool string_has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool string_has_suffix(const char *text, const char *suffix)
{
	size_t length = strlen(text), tail = strlen(suffix);

	return length >= tail && memcmp(text + length - tail, suffix, tail) == 0;
}

char *string_ndup(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	if (copy == NULL)
		abort();
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *string_dup(const char *text)
{
	return text == NULL ? NULL : string_ndup(text, strlen(text));
}

static char *format_new(const char *format, va_list arguments)
{
	char *text = NULL;

	if (vasprintf(&text, format, arguments) < 0)
		abort();
	return text;
}

char *string_printf(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_new(format, arguments);
	va_end(arguments);
	return text;
}

int string_to_integer(const char *text, int64_t minimum, int64_t maximum, const char *what, int64_t *result, struct error *err)
{
	char *end = NULL;
	long long value;

	if (string_empty(text) || isspace((unsigned char)text[0]) || text[0] == '+')
		return error_set(err, ERROR_INVALID, "%s: \"%s\" is not a whole number", what, text ? text : "");
	errno = 0;
	value = strtoll(text, &end, 10);
	if (*end != '\0')
		return error_set(err, ERROR_INVALID, "%s: \"%s\" is not a whole number", what, text);
	if (errno == ERANGE || value < minimum || value > maximum)
		return error_set(err, ERROR_INVALID, "%s: %s is outside %" PRId64 " to %" PRId64, what, text, minimum, maximum);
	*result = value;
	return 0;
}

static uint64_t duration_unit(const char **text)
{
	static const struct {
		const char *name;
		uint64_t nanoseconds;
	} units[] = {
		{ "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		size_t length = strlen(units[i].name);

		if (strncmp(*text, units[i].name, length) == 0 && !isalpha((unsigned char)(*text)[length])) {
			*text += length;
			return units[i].nanoseconds;
		}
	}
	return 0;
}

int string_to_duration(const char *text, const char *what, uint64_t *nanoseconds, struct error *err)
{
	const char *place = text;
	double total = 0;

	if (string_equal(text, "0")) {
		*nanoseconds = 0;
		return 0;
	}
	if (string_empty(text))
		goto invalid;
	while (*place != '\0') {
		char *end = NULL;
		double value;
		uint64_t unit;

		if (!isdigit((unsigned char)*place) && *place != '.')
			goto invalid;
		value = strtod(place, &end);
		if (end == place || strpbrk(place, "xXpP") == place + 1)
			goto invalid;
		place = end;
		unit = duration_unit(&place);
		if (unit == 0)
			goto invalid;
		total += value * (double)unit;
	}
	if (total > 9.2e18)
		goto invalid;
	*nanoseconds = (uint64_t)(total + 0.5);
	return 0;
invalid:
	return error_set(err, ERROR_INVALID, "%s: \"%s\" is not a duration such as 30s, 5m or 24h", what, text ? text : "");
}

void duration_to_string(uint64_t seconds, char *text, size_t size)
{
	uint64_t hours = seconds / 3600, minutes = seconds / 60 % 60, rest = seconds % 60;

	if (hours > 0)
		(void)snprintf(text, size, "%" PRIu64 "h%" PRIu64 "m%" PRIu64 "s", hours, minutes, rest);
	else if (minutes > 0)
		(void)snprintf(text, size, "%" PRIu64 "m%" PRIu64 "s", minutes, rest);
	else
		(void)snprintf(text, size, "%" PRIu64 "s", rest);
}

int string_split_host_port(const char *text, const char *what, char **host, uint16_t *port, struct error *err)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	const char *start = text, *end = colon;
	int64_t number;

	if (colon == NULL || colon == text)
		return error_set(err, ERROR_INVALID, "%s: \"%s\" is not host:port", what, text ? text : "");
	if (text[0] == '[') {
		if (colon[-1] != ']')
			return error_set(err, ERROR_INVALID, "%s: \"%s\" is not [address]:port", what, text);
		start++;
		end--;
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
		return error_set(err, ERROR_INVALID, "%s: \"%s\": an IPv6 address needs brackets, [address]:port", what, text);
	}
	if (end == start)
		return error_set(err, ERROR_INVALID, "%s: \"%s\" has no host", what, text);
	if (string_to_integer(colon + 1, 1, 65535, what, &number, err) < 0)
		return -1;
	*host = string_ndup(start, (size_t)(end - start));
	*port = (uint16_t)number;
	return 0;
}

static bool label_body(const char *name, size_t length, bool letter_first)
{
	if (length == 0 || length > 63)
		return false;
	for (size_t i = 0; i < length; i++) {
		bool letter = name[i] >= 'a' && name[i] <= 'z', digit = name[i] >= '0' && name[i] <= '9';

		if (!letter && !digit && !(name[i] == '-' && i > 0 && i + 1 < length))
			return false;
		if (i == 0 && letter_first && !letter)
			return false;
	}
	return true;
}

bool name_is_dns1123_label(const char *name)
{
	return name != NULL && label_body(name, strlen(name), false);
}

bool name_is_dns1035_label(const char *name)
{
	return name != NULL && label_body(name, strlen(name), true);
}

bool name_is_dns1123_subdomain(const char *name)
{
	if (string_empty(name) || strlen(name) > 253)
		return false;
	for (const char *part = name;; part = strchr(part, '.') + 1) {
		size_t length = strcspn(part, ".");

		if (length == 0 || !label_body(part, length > 63 ? 63 : length, false))
			return false;
		if (length > 63)
			return false;
		if (part[length] == '\0')
			return true;
	}
}

void string_list_take(struct string_list *list, char *text)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? list->capacity * 2 : 8;
		list->items = reallocarray(list->items, list->capacity, sizeof(*list->items));
		if (list->items == NULL)
			abort();
	}
	list->items[list->count++] = text;
}

void string_list_add(struct string_list *list, const char *text)
{
	string_list_take(list, string_dup(text));
}

void string_list_printf(struct string_list *list, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	string_list_take(list, format_new(format, arguments));
	va_end(arguments);
}

bool string_list_contains(const struct string_list *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i], text) == 0)
			return true;
	return false;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void string_list_sort(struct string_list *list)
{
	if (list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), compare_strings);
}

void string_list_unique(struct string_list *list)
{
	size_t kept = 0;

	string_list_sort(list);
	for (size_t i = 0; i < list->count; i++) {
		if (kept > 0 && strcmp(list->items[kept - 1], list->items[i]) == 0)
			free(list->items[i]);
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
}

char *string_list_join(const struct string_list *list, const char *separator)
{
	size_t length = 1, gap = strlen(separator);
	char *text, *place;

	for (size_t i = 0; i < list->count; i++)
		length += strlen(list->items[i]) + gap;
	text = place = malloc(length);
	if (text == NULL)
		abort();
	for (size_t i = 0; i < list->count; i++) {
		size_t part = strlen(list->items[i]);

		if (i > 0) {
			memcpy(place, separator, gap);
			place += gap;
		}
		memcpy(place, list->items[i], part);
		place += part;
	}
	*place = '\0';
	return text;
}

void string_list_split(struct string_list *list, const char *text, char separator)
{
	if (string_empty(text))
		return;
	for (;;) {
		const char *end = strchrnul(text, separator);

		string_list_take(list, string_ndup(text, (size_t)(end - text)));
		if (*end == '\0')
			return;
		text = end + 1;
	}
}

void string_list_free(struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct string_list){ 0 };
}
