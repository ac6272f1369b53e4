/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines as upstream composes them. A flag with an empty value stands bare. What is sorted are the finished "flag=value" strings, so
 * --etcd-servers-overrides=... comes before --etcd-servers=... .
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"
#include "base/strings.h"

struct arguments {
	struct string_list flags, values; /* same index */
};
#define ARGUMENTS_CLEANUP __attribute__((cleanup(arguments_free)))
void arguments_free(struct arguments *arguments);

/* Sets or replaces one flag ("--port"). */
void arguments_set(struct arguments *arguments, const char *flag, const char *value);
void arguments_set_owned(struct arguments *arguments, const char *flag, char *value); /* frees value */
void arguments_remove(struct arguments *arguments, const char *flag);
bool arguments_has(const struct arguments *arguments, const char *flag);
/* Every "flag=value" of a list of texts, later ones replacing earlier ones; others in the list are ignored. */
void arguments_set_list(struct arguments *arguments, const json_t *list);
/* True when the list has an item of that flag, with or without value. */
bool argument_list_names(const json_t *list, const char *flag);
/* "--flag" of "--flag=value": free(). */
char *argument_flag(const char *text);
/* A JSON list, sorted. */
json_t *arguments_sorted(const struct arguments *arguments);
