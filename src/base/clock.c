/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Set while other threads read the time. */
static uint64_t (*_Atomic test_monotonic)(void);
static int64_t (*_Atomic test_wall)(void);

uint64_t clock_monotonic_ns(void)
{
	uint64_t (*test)(void) = atomic_load_explicit(&test_monotonic, memory_order_acquire);
	struct timespec now;

	if (test != NULL)
		return test();
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ms(void)
{
	return clock_monotonic_ns() / 1000000u;
}

uint64_t clock_thread_cpu_ns(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

int64_t clock_wall_micros(void)
{
	int64_t (*test)(void) = atomic_load_explicit(&test_wall, memory_order_acquire);
	struct timespec now;

	if (test != NULL)
		return test();
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_seconds(void)
{
	return clock_wall_micros() / 1000000;
}

uint64_t clock_until(uint64_t deadline_ms)
{
	uint64_t now = clock_monotonic_ms();

	if (deadline_ms == UINT64_MAX)
		return UINT64_MAX;
	return deadline_ms > now ? deadline_ms - now : 0;
}

void clock_format_rfc3339(int64_t seconds, char *text, size_t size)
{
	time_t when = (time_t)seconds;
	struct tm parts;

	if (gmtime_r(&when, &parts) == NULL || strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		text[0] = '\0';
}

void clock_format_rfc3339_micro(int64_t micros, char *text, size_t size)
{
	time_t when = (time_t)(micros / 1000000);
	struct tm parts;
	char day[24];

	if (gmtime_r(&when, &parts) == NULL || strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
		text[0] = '\0';
		return;
	}
	(void)snprintf(text, size, "%s.%06dZ", day, (int)(micros % 1000000));
}

static int two_digits(const char *text)
{
	if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
		return -1;
	return (text[0] - '0') * 10 + (text[1] - '0');
}

int clock_parse_rfc3339(const char *text, int64_t *seconds)
{
	struct tm parts = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	int64_t offset = 0;

	if (rest == NULL)
		return -1;
	if (*rest == '.') {
		rest++;
		if (!isdigit((unsigned char)*rest))
			return -1;
		while (isdigit((unsigned char)*rest))
			rest++;
	}
	if (*rest == '+' || *rest == '-') {
		int hours, minutes;

		if (strlen(rest) != 6 || rest[3] != ':')
			return -1;
		hours = two_digits(rest + 1);
		minutes = two_digits(rest + 4);
		if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
			return -1;
		offset = (hours * 3600 + minutes * 60) * (*rest == '+' ? 1 : -1);
	} else if (strcmp(rest, "Z") != 0) {
		return -1;
	}
	*seconds = (int64_t)timegm(&parts) - offset;
	return 0;
}

void clock_set_for_test(uint64_t (*monotonic_ns)(void), int64_t (*wall_micros)(void))
{
	test_monotonic = monotonic_ns;
	test_wall = wall_micros;
}
