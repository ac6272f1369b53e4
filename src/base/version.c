/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"

const char kamaji_version[] = "0.1.0";

static const char *read_number(const char *place, unsigned *number)
{
	unsigned long value = 0;
	const char *start = place;

	while (isdigit((unsigned char)*place) && value < 100000000)
		value = value * 10 + (unsigned long)(*place++ - '0');
	if (place == start || (place - start > 1 && *start == '0') || isdigit((unsigned char)*place))
		return NULL;
	*number = (unsigned)value;
	return place;
}

static bool valid_identifiers(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '.')
			return false;
		if (text[i] == '.' && (i == 0 || i + 1 == length || text[i + 1] == '.'))
			return false;
	}
	return length > 0;
}

int version_parse(const char *text, const char *what, struct version *version, struct error *err)
{
	const char *place = text ? text : "";

	*version = (struct version){ 0 };
	if (*place == 'v')
		place++;
	place = read_number(place, &version->major);
	if (place != NULL && *place == '.')
		place = read_number(place + 1, &version->minor);
	else
		place = NULL;
	if (place != NULL && *place == '.')
		place = read_number(place + 1, &version->patch);
	else
		place = NULL;
	if (place == NULL)
		goto invalid;
	if (*place == '-') {
		size_t length = strcspn(++place, "+");

		if (!valid_identifiers(place, length) || length >= sizeof(version->prerelease))
			goto invalid;
		memcpy(version->prerelease, place, length);
		place += length;
	}
	if (*place == '+') {
		if (!valid_identifiers(place + 1, strlen(place + 1)))
			goto invalid;
		return 0;
	}
	if (*place == '\0')
		return 0;
invalid:
	return error_set(err, ERROR_INVALID, "%s: \"%s\" is not a version such as v1.36.3", what, text ? text : "");
}

static int compare_identifier(const char *a, size_t a_length, const char *b, size_t b_length)
{
	bool a_number = strspn(a, "0123456789") >= a_length, b_number = strspn(b, "0123456789") >= b_length;
	int order;

	if (a_number != b_number)
		return a_number ? -1 : 1;
	if (a_number && a_length != b_length)
		return a_length < b_length ? -1 : 1;
	order = strncmp(a, b, a_length < b_length ? a_length : b_length);
	if (order != 0)
		return order;
	return a_length == b_length ? 0 : a_length < b_length ? -1 : 1;
}

static int compare_prerelease(const char *a, const char *b)
{
	if (*a == '\0' || *b == '\0')
		return (*a == '\0') - (*b == '\0');
	for (;;) {
		size_t a_length = strcspn(a, "."), b_length = strcspn(b, ".");
		int order = compare_identifier(a, a_length, b, b_length);

		if (order != 0)
			return order;
		a += a_length;
		b += b_length;
		if (*a == '\0' || *b == '\0')
			return (*a != '\0') - (*b != '\0');
		a++;
		b++;
	}
}

int version_compare(const struct version *a, const struct version *b)
{
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	if (a->minor != b->minor)
		return a->minor < b->minor ? -1 : 1;
	if (a->patch != b->patch)
		return a->patch < b->patch ? -1 : 1;
	return compare_prerelease(a->prerelease, b->prerelease);
}
