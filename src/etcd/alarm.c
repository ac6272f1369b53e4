/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/alarm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/strings.h"
#include "etcd/etcd_int.h"
#include "grpc/protobuf.h"

#define ALARM_RECORD "alarm/"
enum { ALARM_RECORD_VERSION = 1 };

struct walk {
	alarm_function function;
	void *argument;
};

const char *alarm_name(enum alarm_type type)
{
	static const char *const names[] = { "NONE", "NOSPACE", "CORRUPT" };

	return names[type];
}

/* The message of etcd (AlarmMember), after a version byte. */
static bool decode(struct bytes value, uint64_t *member, enum alarm_type *type)
{
	struct protobuf_reader reader;
	struct protobuf_field field;

	*member = 0;
	*type = ALARM_NONE;
	if (value.length == 0 || value.data[0] != ALARM_RECORD_VERSION)
		return false;
	reader = protobuf_reader_of(value.data + 1, value.length - 1);
	while (protobuf_next(&reader, &field)) {
		if (field.number == 1)
			*member = field.value;
		else if (field.number == 2 && field.value <= ALARM_CORRUPT)
			*type = (enum alarm_type)field.value;
	}
	return !reader.corrupt && *type != ALARM_NONE;
}

static void visit_record(void *argument, struct bytes key, struct bytes value)
{
	const struct walk *walk = argument;
	enum alarm_type type;
	uint64_t member;

	if (key.length > strlen(ALARM_RECORD) && memcmp(key.data, ALARM_RECORD, strlen(ALARM_RECORD)) == 0 && decode(value, &member, &type))
		walk->function(walk->argument, member, type);
}

void alarm_each(struct etcd_server *server, alarm_function function, void *argument)
{
	if (server->no_space_alarm || server->corrupt_alarm)
		store_each_record(server->store, space_id(server->space), visit_record, &(struct walk){ function, argument });
}

static void note(void *argument, uint64_t member, enum alarm_type type)
{
	struct etcd_server *server = argument;

	*(type == ALARM_NOSPACE ? &server->no_space_alarm : &server->corrupt_alarm) = true;
}

/*
 * While NOSPACE stands nothing may grow, however much room there is again: a quota of one byte says that to the space, which lets writes
 * through that do not grow.
 */
static void refresh(struct etcd_server *server)
{
	server->no_space_alarm = server->corrupt_alarm = false;
	store_each_record(server->store, space_id(server->space), visit_record, &(struct walk){ note, server });
	space_set_quota(server->space, server->no_space_alarm ? 1 : server->options.quota_bytes);
}

void alarms_load(struct etcd_server *server)
{
	refresh(server);
}

struct wanted {
	uint64_t member;
	enum alarm_type type;
	bool found;
};

static void match(void *argument, uint64_t member, enum alarm_type type)
{
	struct wanted *wanted = argument;

	if (member == wanted->member && type == wanted->type)
		wanted->found = true;
}

bool alarm_stands(struct etcd_server *server, uint64_t member, enum alarm_type type)
{
	struct wanted wanted = { .member = member, .type = type };

	alarm_each(server, match, &wanted);
	return wanted.found;
}

bool alarm_raise(struct etcd_server *server, uint64_t member, enum alarm_type type, uint64_t *sequence)
{
	char *key FREE_CLEANUP = string_printf("%s%016" PRIx64 "/%d", ALARM_RECORD, member, (int)type);
	struct buffer value BUFFER_CLEANUP = { 0 };

	if (alarm_stands(server, member, type))
		return false;
	(void)buffer_append_char(&value, ALARM_RECORD_VERSION);
	protobuf_put_unsigned(&value, 1, member);
	protobuf_put_unsigned(&value, 2, type);
	*sequence = store_put_record(server->store, space_id(server->space), BYTES(key), &(struct bytes){ value.data, value.length });
	refresh(server);
	log_warning("datastore.alarm", "an alarm is raised", LOG_STRING("alarm", alarm_name(type)),
	            LOG_INTEGER("bytes", (int64_t)space_data_bytes(server->space)),
	            LOG_INTEGER("quota", (int64_t)server->options.quota_bytes));
	return true;
}

bool alarm_disarm(struct etcd_server *server, uint64_t member, enum alarm_type type, uint64_t *sequence)
{
	char *key FREE_CLEANUP = string_printf("%s%016" PRIx64 "/%d", ALARM_RECORD, member, (int)type);

	if (!alarm_stands(server, member, type))
		return false;
	*sequence = store_put_record(server->store, space_id(server->space), BYTES(key), NULL);
	refresh(server);
	log_info("datastore.alarm", "an alarm is disarmed", LOG_STRING("alarm", alarm_name(type)));
	return true;
}

const struct etcd_error *etcd_check_growth(struct etcd_server *server)
{
	uint64_t sequence;

	if (server->corrupt_alarm)
		return &etcd_error_CORRUPT;
	if (!server->no_space_alarm && space_over_quota(server->space))
		(void)alarm_raise(server, server->member_id, ALARM_NOSPACE, &sequence);
	return NULL; /* the space itself refuses what grows */
}
