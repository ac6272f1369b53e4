/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strings.h"

struct metric_series {
	struct metric_series *next;
	char *labels; /* {a="b",...} or "" */
	double value; /* histogram: sum */
	unsigned long long count;
	unsigned long long buckets[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric_family *families;

static void append_label_value(struct buffer *out, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			buffer_append_string(out, "\\n");
			continue;
		}
		if (*value == '"' || *value == '\\')
			buffer_append_char(out, '\\');
		buffer_append_char(out, *value);
	}
}

static char *label_text(const struct metric_family *family, const char *const *values)
{
	struct buffer out = { 0 };

	for (size_t i = 0; family->labels != NULL && family->labels[i] != NULL; i++) {
		buffer_printf(&out, "%s%s=\"", i == 0 ? "{" : ",", family->labels[i]);
		append_label_value(&out, values != NULL && values[i] != NULL ? values[i] : "");
		buffer_append_char(&out, '"');
	}
	if (out.length > 0)
		buffer_append_char(&out, '}');
	return buffer_take(&out);
}

static void register_locked(struct metric_family *family)
{
	struct metric_family **place = &families;

	if (family->registered)
		return;
	family->registered = 1;
	while (*place != NULL && strcmp((*place)->name, family->name) < 0)
		place = &(*place)->next;
	family->next = *place;
	*place = family;
}

static struct metric_series **find(struct metric_family *family, const char *labels)
{
	struct metric_series **place = &family->series;

	while (*place != NULL && strcmp((*place)->labels, labels) < 0)
		place = &(*place)->next;
	return place;
}

/* The series, made when missing; the lock is held. */
static struct metric_series *series_of(struct metric_family *family, const char *const *values)
{
	char *labels = label_text(family, values);
	struct metric_series **place, *series;

	register_locked(family);
	place = find(family, labels);
	if (*place != NULL && strcmp((*place)->labels, labels) == 0) {
		free(labels);
		return *place;
	}
	series = calloc(1, sizeof(*series) + family->bucket_count * sizeof(series->buckets[0]));
	if (series == NULL)
		abort();
	series->labels = labels;
	series->next = *place;
	*place = series;
	return series;
}

void metric_add(struct metric_family *family, const char *const *values, double amount)
{
	pthread_mutex_lock(&lock);
	series_of(family, values)->value += amount;
	pthread_mutex_unlock(&lock);
}

void metric_set(struct metric_family *family, const char *const *values, double value)
{
	pthread_mutex_lock(&lock);
	series_of(family, values)->value = value;
	pthread_mutex_unlock(&lock);
}

void metric_observe(struct metric_family *family, const char *const *values, double value)
{
	struct metric_series *series;

	pthread_mutex_lock(&lock);
	series = series_of(family, values);
	series->value += value;
	series->count++;
	for (size_t i = 0; i < family->bucket_count; i++)
		if (value <= family->buckets[i])
			series->buckets[i]++;
	pthread_mutex_unlock(&lock);
}

static void free_series(struct metric_series *series)
{
	free(series->labels);
	free(series);
}

void metric_remove(struct metric_family *family, const char *const *values)
{
	char *labels = label_text(family, values);
	struct metric_series **place;

	pthread_mutex_lock(&lock);
	place = find(family, labels);
	if (*place != NULL && strcmp((*place)->labels, labels) == 0) {
		struct metric_series *series = *place;

		*place = series->next;
		free_series(series);
	}
	pthread_mutex_unlock(&lock);
	free(labels);
}

void metric_reset(struct metric_family *family)
{
	pthread_mutex_lock(&lock);
	while (family->series != NULL) {
		struct metric_series *series = family->series;

		family->series = series->next;
		free_series(series);
	}
	pthread_mutex_unlock(&lock);
}

double metric_value(struct metric_family *family, const char *const *values)
{
	char *labels = label_text(family, values);
	struct metric_series *series;
	double value = 0;

	pthread_mutex_lock(&lock);
	series = *find(family, labels);
	if (series != NULL && strcmp(series->labels, labels) == 0)
		value = family->type == METRIC_HISTOGRAM ? (double)series->count : series->value;
	pthread_mutex_unlock(&lock);
	free(labels);
	return value;
}

void metric_register(struct metric_family *family)
{
	pthread_mutex_lock(&lock);
	register_locked(family);
	pthread_mutex_unlock(&lock);
}

static void write_number(struct buffer *out, double value)
{
	if (value == floor(value) && fabs(value) < 1e15)
		buffer_printf(out, "%.0f\n", value);
	else
		buffer_printf(out, "%.9g\n", value);
}

static void write_histogram(struct buffer *out, const struct metric_family *family, const struct metric_series *series)
{
	size_t length = strlen(series->labels);
	const char *inner = length > 0 ? series->labels + 1 : "";
	int inner_length = length > 0 ? (int)length - 2 : 0;
	const char *comma = inner_length > 0 ? "," : "";

	for (size_t i = 0; i < family->bucket_count; i++)
		buffer_printf(out, "%s_bucket{%.*s%sle=\"%g\"} %llu\n", family->name, inner_length, inner, comma, family->buckets[i],
		              series->buckets[i]);
	buffer_printf(out, "%s_bucket{%.*s%sle=\"+Inf\"} %llu\n", family->name, inner_length, inner, comma, series->count);
	buffer_printf(out, "%s_sum%s ", family->name, series->labels);
	write_number(out, series->value);
	buffer_printf(out, "%s_count%s %llu\n", family->name, series->labels, series->count);
}

static void write_process(struct buffer *out)
{
	struct rusage usage;
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	DIR *directory = opendir("/proc/self/fd");
	unsigned descriptors = 0;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		buffer_printf(out,
		              "# HELP process_cpu_seconds_total CPU time used by this process.\n# TYPE process_cpu_seconds_total counter\n"
		              "process_cpu_seconds_total %.6f\n",
		              (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		                      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	if (file != NULL) {
		char line[128], *place = line;

		/* The second number of the line: resident pages. */
		if (fgets(line, sizeof(line), file) != NULL && strtoul(line, &place, 10) > 0 && (pages = strtoul(place, &place, 10)) > 0)
			buffer_printf(out,
			              "# HELP process_resident_memory_bytes Resident memory.\n# TYPE process_resident_memory_bytes gauge\n"
			              "process_resident_memory_bytes %lu\n",
			              pages * (unsigned long)sysconf(_SC_PAGESIZE));
		(void)fclose(file);
	}
	if (directory != NULL) {
		while (readdir(directory) != NULL)
			descriptors++;
		(void)closedir(directory);
		buffer_printf(out, "# HELP process_open_fds Open file descriptors.\n# TYPE process_open_fds gauge\nprocess_open_fds %u\n",
		              descriptors > 3 ? descriptors - 3 : 0);
	}
}

void metrics_write(struct buffer *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	pthread_mutex_lock(&lock);
	for (const struct metric_family *family = families; family != NULL; family = family->next) {
		buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name, types[family->type]);
		for (const struct metric_series *series = family->series; series != NULL; series = series->next) {
			if (family->type == METRIC_HISTOGRAM) {
				write_histogram(out, family, series);
			} else {
				buffer_printf(out, "%s%s ", family->name, series->labels);
				write_number(out, series->value);
			}
		}
	}
	pthread_mutex_unlock(&lock);
	write_process(out);
}
