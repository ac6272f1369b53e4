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

/* The series, made when missing; the lock is held. */
static struct metric_series *series_of(struct metric_family *family, const char *const *values)
{
	FREE_CLEANUP char *labels = label_text(family, values); /* {a="b",...} or "" */
	struct metric_series *series = map_get(&family->series, labels);

	register_locked(family);
	if (series != NULL)
		return series;
	series = calloc(1, sizeof(*series) + family->bucket_count * sizeof(series->buckets[0]));
	if (series == NULL)
		abort();
	(void)map_put(&family->series, labels, series);
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

void metric_remove(struct metric_family *family, const char *const *values)
{
	FREE_CLEANUP char *labels = label_text(family, values);

	pthread_mutex_lock(&lock);
	free(map_remove(&family->series, labels));
	pthread_mutex_unlock(&lock);
}

void metric_reset(struct metric_family *family)
{
	pthread_mutex_lock(&lock);
	map_free(&family->series, free);
	pthread_mutex_unlock(&lock);
}

double metric_value(struct metric_family *family, const char *const *values)
{
	FREE_CLEANUP char *labels = label_text(family, values);
	const struct metric_series *series;
	double value = 0;

	pthread_mutex_lock(&lock);
	series = map_get(&family->series, labels);
	if (series != NULL)
		value = family->type == METRIC_HISTOGRAM ? (double)series->count : series->value;
	pthread_mutex_unlock(&lock);
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

static void write_histogram(struct buffer *out, const struct metric_family *family, const char *labels, const struct metric_series *series)
{
	size_t length = strlen(labels);
	const char *inner = length > 0 ? labels + 1 : "";
	int inner_length = length > 0 ? (int)length - 2 : 0;
	const char *comma = inner_length > 0 ? "," : "";

	for (size_t i = 0; i < family->bucket_count; i++)
		buffer_printf(out, "%s_bucket{%.*s%sle=\"%g\"} %llu\n", family->name, inner_length, inner, comma, family->buckets[i],
		              series->buckets[i]);
	buffer_printf(out, "%s_bucket{%.*s%sle=\"+Inf\"} %llu\n", family->name, inner_length, inner, comma, series->count);
	buffer_printf(out, "%s_sum%s ", family->name, labels);
	write_number(out, series->value);
	buffer_printf(out, "%s_count%s %llu\n", family->name, labels, series->count);
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

static int by_labels(const void *a, const void *b)
{
	return strcmp((*(const struct map_entry *const *)a)->key, (*(const struct map_entry *const *)b)->key);
}

static void write_family(struct buffer *out, const struct metric_family *family)
{
	size_t count = family->series.count, used = 0;
	FREE_CLEANUP struct map_entry **sorted = calloc(count + 1, sizeof(struct map_entry *));

	if (sorted == NULL)
		abort();
	for (struct map_entry *entry = map_first(&family->series); entry != NULL; entry = map_next(&family->series, entry))
		sorted[used++] = entry;
	qsort(sorted, used, sizeof(struct map_entry *), by_labels);
	for (size_t i = 0; i < used; i++) {
		const struct metric_series *series = sorted[i]->value;

		if (family->type == METRIC_HISTOGRAM) {
			write_histogram(out, family, sorted[i]->key, series);
		} else {
			buffer_printf(out, "%s%s ", family->name, sorted[i]->key);
			write_number(out, series->value);
		}
	}
}

void metrics_write(struct buffer *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	pthread_mutex_lock(&lock);
	for (const struct metric_family *family = families; family != NULL; family = family->next) {
		buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name, types[family->type]);
		write_family(out, family);
	}
	pthread_mutex_unlock(&lock);
	write_process(out);
}
