/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One registry of counters, gauges and histograms in the Prometheus text format. A family is defined once (static storage) and
 * registered on first use; a series is found by its label values, in the order of the family's label names. Thread-safe.
 */
#pragma once

#include <stddef.h>

#include "base/buffer.h"
#include "base/map.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
	const char *name, *help;
	enum metric_type type;
	const char *const *labels; /* NULL-terminated names, or NULL for none */
	const double *buckets;     /* histogram upper bounds, ascending, +Inf implied */
	size_t bucket_count;
	/* private: */
	struct map series; /* label text -> struct metric_series */
	struct metric_family *next;
	int registered;
};

/* `values` are the label values (as many as the family has labels); NULL for a family without labels. */
void metric_add(struct metric_family *family, const char *const *values, double amount);    /* counter or gauge */
void metric_set(struct metric_family *family, const char *const *values, double value);     /* gauge */
void metric_observe(struct metric_family *family, const char *const *values, double value); /* histogram */
void metric_remove(struct metric_family *family, const char *const *values);                /* one series */
void metric_reset(struct metric_family *family);                                            /* all series */
double metric_value(struct metric_family *family, const char *const *values);               /* 0 when absent; histograms: count */
/* Makes the family appear in the output even before its first series. */
void metric_register(struct metric_family *family);
/* The whole registry in text format, families sorted by name and series by labels; process metrics (CPU, RSS, descriptors) included. */
void metrics_write(struct buffer *out);

#define METRIC_VALUES(...) ((const char *const[]){ __VA_ARGS__, NULL })
