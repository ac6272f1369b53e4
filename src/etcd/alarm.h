/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alarms, kept as records so that they stand until somebody disarms them: NOSPACE stops growth (deletes and writes that do not grow go on),
 * CORRUPT stops everything. Loop's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct etcd_server;

enum alarm_type { ALARM_NONE, ALARM_NOSPACE, ALARM_CORRUPT };

const char *alarm_name(enum alarm_type type); /* "NOSPACE" */
/* True when it did not stand before. */
bool alarm_raise(struct etcd_server *server, uint64_t member, enum alarm_type type, uint64_t *sequence);
bool alarm_disarm(struct etcd_server *server, uint64_t member, enum alarm_type type, uint64_t *sequence); /* true when it stood */
bool alarm_stands(struct etcd_server *server, uint64_t member, enum alarm_type type);
typedef void (*alarm_function)(void *argument, uint64_t member, enum alarm_type type);
void alarm_each(struct etcd_server *server, alarm_function function, void *argument);
