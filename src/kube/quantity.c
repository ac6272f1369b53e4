/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/strings.h"
#include "kube/apply.h"

enum { MAXIMUM_DIGITS = 18, MAXIMUM_EXPONENT = 30 };

/* sign * odd * 2^twos * 5^fives, with `odd` free of both factors: equal quantities have equal parts, without rounding. */
struct quantity {
	bool negative;
	uint64_t odd;
	int twos, fives;
};

static bool parse_suffix(const char *suffix, int *twos, int *tens)
{
	static const struct {
		const char *text;
		int twos, tens;
	} known[] = {
		{ "", 0, 0 },    { "n", 0, -9 },  { "u", 0, -6 },  { "m", 0, -3 },  { "k", 0, 3 },   { "M", 0, 6 },
		{ "G", 0, 9 },   { "T", 0, 12 },  { "P", 0, 15 },  { "E", 0, 18 },  { "Ki", 10, 0 }, { "Mi", 20, 0 },
		{ "Gi", 30, 0 }, { "Ti", 40, 0 }, { "Pi", 50, 0 }, { "Ei", 60, 0 },
	};
	struct error ignored = { 0 };
	int64_t exponent;

	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		if (string_equal(suffix, known[i].text)) {
			*twos = known[i].twos;
			*tens = known[i].tens;
			return true;
		}
	}
	if (suffix[0] != 'e' && suffix[0] != 'E')
		return false;
	suffix += suffix[1] == '+' ? 2 : 1;
	if (string_to_integer(suffix, -MAXIMUM_EXPONENT, MAXIMUM_EXPONENT, "exponent", &exponent, &ignored) != 0)
		return false;
	*twos = 0;
	*tens = (int)exponent;
	return true;
}

static bool parse_quantity(const char *text, struct quantity *quantity)
{
	uint64_t digits = 0;
	int count = 0, fraction = 0, twos, tens;
	bool point = false, any = false;

	*quantity = (struct quantity){ .negative = *text == '-' };
	if (*text == '-' || *text == '+')
		text++;
	for (; isdigit((unsigned char)*text) || (*text == '.' && !point); text++) {
		if (*text == '.') {
			point = true;
			continue;
		}
		any = true;
		if (++count > MAXIMUM_DIGITS)
			return false;
		digits = digits * 10 + (uint64_t)(*text - '0');
		fraction += point;
	}
	if (!any || !parse_suffix(text, &twos, &tens))
		return false;
	tens -= fraction;
	quantity->odd = digits;
	if (digits == 0) {
		quantity->negative = false;
		return true;
	}
	quantity->twos = twos + tens;
	quantity->fives = tens;
	for (; quantity->odd % 2 == 0; quantity->odd /= 2)
		quantity->twos++;
	for (; quantity->odd % 5 == 0; quantity->odd /= 5)
		quantity->fives++;
	return true;
}

bool kube_quantity_equal(const char *a, const char *b)
{
	struct quantity first, second;

	return parse_quantity(a, &first) && parse_quantity(b, &second) && first.negative == second.negative && first.odd == second.odd &&
	       first.twos == second.twos && first.fives == second.fives;
}
