/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "api/owned_fields.h"
#include "base/strings.h"

/* The factor of a quantity's suffix, or 0 when it is none. */
static long double suffix_factor(const char *suffix)
{
	static const struct {
		const char *name;
		long double factor;
	} suffixes[] = {
		{ "", 1.0L },      { "n", 1e-9L },       { "u", 1e-6L },          { "m", 1e-3L },    { "k", 1e3L },
		{ "M", 1e6L },     { "G", 1e9L },        { "T", 1e12L },          { "P", 1e15L },    { "E", 1e18L },
		{ "Ki", 1024.0L }, { "Mi", 1048576.0L }, { "Gi", 1073741824.0L }, { "Ti", 0x1p40L }, { "Pi", 0x1p50L },
		{ "Ei", 0x1p60L },
	};
	int64_t exponent;
	struct error ignored;

	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++)
		if (strcmp(suffix, suffixes[i].name) == 0)
			return suffixes[i].factor;
	if ((suffix[0] == 'e' || suffix[0] == 'E') &&
	    string_to_integer(suffix[1] == '+' ? suffix + 2 : suffix + 1, -30, 30, "exponent", &exponent, &ignored) == 0)
		return powl(10.0L, (long double)exponent);
	return 0.0L;
}

static bool quantity_parse(const char *text, long double *amount)
{
	long double value = 0.0L, place = 1.0L, factor;
	bool negative = *text == '-', digits = false;

	if (*text == '-' || *text == '+')
		text++;
	for (; isdigit((unsigned char)*text); text++, digits = true)
		value = value * 10.0L + (*text - '0');
	if (*text == '.')
		for (text++; isdigit((unsigned char)*text); text++, digits = true)
			value += (*text - '0') * (place /= 10.0L);
	factor = suffix_factor(text);
	if (!digits || factor == 0.0L)
		return false;
	*amount = (negative ? -value : value) * factor;
	return true;
}

bool quantity_equal(const char *a, const char *b)
{
	enum { LONGEST_QUANTITY = 64 };
	long double x, y, scale;

	if (strlen(a) > LONGEST_QUANTITY || strlen(b) > LONGEST_QUANTITY || !quantity_parse(a, &x) || !quantity_parse(b, &y))
		return false;
	scale = fmaxl(fabsl(x), fabsl(y));
	return fabsl(x - y) <= scale * 1e-15L;
}
