/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Durations and deadlines use the monotonic clock in milliseconds; wall time is only for what people and certificates see.
 * Tests inject both with clock_set_for_test(); nothing else in the tree may read a clock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);
uint64_t clock_thread_cpu_ns(void); /* CPU time that the calling thread has used */
int64_t clock_wall_seconds(void);   /* since the epoch */
int64_t clock_wall_micros(void);

/* Milliseconds from now until a monotonic deadline; 0 when it has passed; UINT64_MAX deadline means never. */
uint64_t clock_until(uint64_t deadline_ms);

/* RFC 3339 in UTC: "2006-01-02T15:04:05Z" (metav1.Time) and "2006-01-02T15:04:05.000000Z" (metav1.MicroTime). 32 bytes do. */
void clock_format_rfc3339(int64_t seconds, char *text, size_t size);
void clock_format_rfc3339_micro(int64_t micros, char *text, size_t size);
/* Parses both forms and an offset; returns -1 for anything else. */
int clock_parse_rfc3339(const char *text, int64_t *seconds);

/* Test only: both return values come from the callbacks until called again with NULL. */
void clock_set_for_test(uint64_t (*monotonic_ns)(void), int64_t (*wall_micros)(void));
