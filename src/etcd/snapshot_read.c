/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "etcd/auth_int.h"
#include "etcd/bolt_read.h"
#include "etcd/etcd_import.h"
#include "etcd/snapshot_write.h"
#include "grpc/protobuf.h"
#include "io/file.h"
#include "pki/digest.h"
#include "store/store_writer.h"

enum { SHA256_BYTES = 32, SECTOR_BYTES = 512 };

struct reading {
	struct store_writer *writer; /* NULL: only checked */
	struct etcd_import_report *report;
	int64_t last_revision;
	int64_t last_sub;
	int64_t compacted, scheduled;
	uint64_t auth_revision;
	bool auth_enabled;
};

static uint64_t get_big_endian(const char *bytes)
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | (unsigned char)bytes[i];
	return number;
}

/* A main revision with its sub revision, as keys of versions and values of compaction marks have it. */
static bool decode_revision(struct bytes key, int64_t *revision, uint64_t *sub, bool *deleted)
{
	*deleted = key.length == SNAPSHOT_TOMBSTONE_BYTES;
	if ((key.length != SNAPSHOT_KEY_BYTES && !*deleted) || key.data[8] != '_' || (*deleted && key.data[SNAPSHOT_KEY_BYTES] != 't'))
		return false;
	*revision = (int64_t)get_big_endian(key.data);
	*sub = get_big_endian(key.data + 9);
	return *revision >= 0 && *sub <= UINT32_MAX;
}

static bool decode_key_value(struct bytes value, struct commit_operation *operation, int64_t *mod_revision)
{
	struct protobuf_reader reader = protobuf_reader_of(value.data, value.length);
	struct protobuf_field field;

	*mod_revision = 0;
	while (protobuf_next(&reader, &field)) {
		bool bytes = field.number == 1 || field.number == 5;

		if (field.number <= 6 && field.wire != (bytes ? PROTOBUF_BYTES : PROTOBUF_VARINT))
			return false;
		switch (field.number) {
		case 1:
			operation->key = (struct bytes){ (const char *)field.bytes, field.length };
			break;
		case 2:
			operation->create_revision = (int64_t)field.value;
			break;
		case 3:
			*mod_revision = (int64_t)field.value;
			break;
		case 4:
			operation->version = (int64_t)field.value;
			break;
		case 5:
			operation->value = (struct bytes){ (const char *)field.bytes, field.length };
			break;
		case 6:
			operation->lease = (int64_t)field.value;
			break;
		default:
			break;
		}
	}
	return !reader.corrupt;
}

static int bad_version(struct error *err, int64_t revision, uint64_t sub, const char *what)
{
	return error_set(err, ERROR_CORRUPT, "version %" PRId64 ".%" PRIu64 " of the snapshot %s", revision, sub, what);
}

static int take_version(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct reading *reading = argument;
	struct commit_operation operation = { .key = { "", 0 }, .value = { "", 0 } };
	int64_t revision, mod_revision;
	uint64_t sub;

	if (!decode_revision(key, &revision, &sub, &operation.deleted))
		return error_set(err, ERROR_CORRUPT, "a key of bucket key is no revision (%zu bytes)", key.length);
	if (!decode_key_value(value, &operation, &mod_revision))
		return bad_version(err, revision, sub, "cannot be decoded");
	if (revision == reading->last_revision && (int64_t)sub <= reading->last_sub)
		return bad_version(err, revision, sub, "stands there twice");
	reading->last_revision = revision;
	reading->last_sub = (int64_t)sub;
	/* What `etcdutl snapshot restore --bump-revision` leaves: a revision without a change. */
	if (value.length == 0 && !operation.deleted)
		return 0;
	if (operation.key.length == 0)
		return bad_version(err, revision, sub, "has no key");
	if (!operation.deleted &&
	    (mod_revision != revision || operation.version <= 0 || operation.create_revision <= 0 || operation.create_revision > revision))
		return bad_version(err, revision, sub, "contradicts itself");
	if (operation.deleted)
		operation.version = operation.create_revision = operation.lease = 0;
	reading->report->versions++;
	return reading->writer == NULL ? 0 : store_writer_version(reading->writer, revision, (uint32_t)sub, &operation, err);
}

static int take_meta(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct reading *reading = argument;
	bool finished = bytes_equal(key, BYTES("finishedCompactRev")), scheduled = bytes_equal(key, BYTES("scheduledCompactRev")), deleted;
	int64_t revision;
	uint64_t sub;

	if (!finished && !scheduled)
		return 0;
	if (!decode_revision(value, &revision, &sub, &deleted))
		return error_set(err, ERROR_CORRUPT, "the snapshot's %.*s is no revision", (int)key.length, key.data);
	*(finished ? &reading->compacted : &reading->scheduled) = revision;
	return 0;
}

static int take_lease(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct reading *reading = argument;
	struct protobuf_reader reader = protobuf_reader_of(value.data, value.length);
	struct protobuf_field field;
	int64_t id = 0, ttl = 0;

	while (protobuf_next(&reader, &field)) {
		if (field.number == 1 && field.wire == PROTOBUF_VARINT)
			id = (int64_t)field.value;
		else if (field.number == 2 && field.wire == PROTOBUF_VARINT)
			ttl = (int64_t)field.value;
	}
	if (reader.corrupt || key.length != 8 || id == 0 || (uint64_t)id != get_big_endian(key.data) || ttl > LEASE_TTL_MAXIMUM)
		return error_set(err, ERROR_CORRUPT, "a lease of the snapshot (%016" PRIx64 ") cannot be decoded",
		                 key.length == 8 ? get_big_endian(key.data) : 0);
	reading->report->leases++;
	return reading->writer == NULL ? 0
	                               : store_writer_lease(reading->writer, id, ttl < LEASE_TTL_MINIMUM ? LEASE_TTL_MINIMUM : ttl, err);
}

static int put_record(struct reading *reading, const char *prefix, const char *name, struct bytes message, struct error *err)
{
	struct buffer value BUFFER_CLEANUP = { 0 };
	char *key FREE_CLEANUP = string_printf("%s%s", prefix, name);

	if (reading->writer == NULL)
		return 0;
	(void)buffer_append_char(&value, AUTH_RECORD_VERSION);
	(void)buffer_append(&value, message.data, message.length);
	return store_writer_record(reading->writer, BYTES(key), (struct bytes){ value.data, value.length }, err);
}

static int take_user(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct reading *reading = argument;
	struct auth_user *user = auth_user_decode(value.data, value.length);
	int result;

	if (user == NULL || !bytes_equal(key, BYTES(user->name))) {
		auth_user_free(user);
		return error_set(err, ERROR_CORRUPT, "a user of the snapshot cannot be decoded");
	}
	reading->report->users++;
	result = put_record(reading, AUTH_USER_RECORD, user->name, value, err);
	auth_user_free(user);
	return result;
}

static int take_role(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct reading *reading = argument;
	struct auth_role *role = auth_role_decode(value.data, value.length);
	int result;

	if (role == NULL || !bytes_equal(key, BYTES(role->name))) {
		auth_role_free(role);
		return error_set(err, ERROR_CORRUPT, "a role of the snapshot cannot be decoded");
	}
	reading->report->roles++;
	result = put_record(reading, AUTH_ROLE_RECORD, role->name, value, err);
	auth_role_free(role);
	return result;
}

static int take_auth(void *argument, struct bytes key, struct bytes value, struct error *err)
{
	struct reading *reading = argument;

	if (bytes_equal(key, BYTES("authEnabled")) && value.length == 1)
		reading->auth_enabled = value.data[0] == 1;
	else if (bytes_equal(key, BYTES("authRevision")) && value.length == 8)
		reading->auth_revision = get_big_endian(value.data);
	return 0;
}

static int finish(struct reading *reading, struct error *err)
{
	struct buffer state BUFFER_CLEANUP = { 0 };
	int64_t compacted = reading->compacted > reading->scheduled ? reading->compacted : reading->scheduled;

	reading->report->revision = reading->last_revision > compacted ? reading->last_revision : compacted;
	if (reading->report->revision < 1)
		reading->report->revision = 1;
	reading->report->compacted = compacted > 0 ? compacted : -1;
	reading->report->auth_enabled = reading->auth_enabled;
	auth_state_encode(reading->auth_enabled, reading->auth_revision, &state);
	if (put_record(reading, AUTH_STATE_RECORD, "", (struct bytes){ state.data, state.length }, err) < 0)
		return -1;
	return reading->writer == NULL ? 0 : store_writer_finish(reading->writer, reading->report->revision, compacted, err);
}

static int read_buckets(struct bolt_file *file, struct reading *reading, struct error *err)
{
	bool found;

	if (bolt_each(file, "key", take_version, reading, &found, err) < 0)
		return -1;
	if (!found)
		return error_set(err, ERROR_CORRUPT, "the database has no bucket key: it is not an etcd's");
	if (bolt_each(file, "meta", take_meta, reading, NULL, err) < 0 || bolt_each(file, "lease", take_lease, reading, NULL, err) < 0 ||
	    bolt_each(file, "auth", take_auth, reading, NULL, err) < 0 || bolt_each(file, "authUsers", take_user, reading, NULL, err) < 0 ||
	    bolt_each(file, "authRoles", take_role, reading, NULL, err) < 0)
		return -1;
	return finish(reading, err);
}

/* The trailing SHA-256 is known by the length: pages are whole sectors, it is not one. */
static int check_digest(const unsigned char *bytes, uint64_t *length, bool *checked, struct error *err)
{
	unsigned char digest[DIGEST_MAXIMUM_SIZE];

	*checked = *length % SECTOR_BYTES == SHA256_BYTES;
	if (!*checked && *length % SECTOR_BYTES != 0)
		return error_set(err, ERROR_CORRUPT,
		                 "its %" PRIu64 " bytes are neither whole pages nor pages and a SHA-256: it was cut off", *length);
	if (!*checked)
		return 0;
	*length -= SHA256_BYTES;
	(void)digest_bytes(DIGEST_SHA256, bytes, (size_t)*length, digest);
	if (memcmp(digest, bytes + *length, SHA256_BYTES) != 0)
		return error_set(err, ERROR_CORRUPT, "its SHA-256 is wrong: the file was damaged since the snapshot was taken");
	return 0;
}

static int read_bytes(const void *bytes, uint64_t length, struct reading *reading, struct error *err)
{
	struct bolt_file file;
	int result;

	*reading->report = (struct etcd_import_report){ 0 };
	reading->auth_revision = 1;
	if (check_digest(bytes, &length, &reading->report->checksum, err) < 0 || bolt_open(&file, bytes, length, err) < 0)
		return -1;
	result = read_buckets(&file, reading, err);
	bolt_close(&file);
	return result;
}

int etcd_import_check(const void *bytes, uint64_t length, struct etcd_import_report *report, struct error *err)
{
	struct reading reading = { .report = report };

	return read_bytes(bytes, length, &reading, err);
}

int etcd_import(const char *path, const char *directory, struct etcd_import_report *report, struct error *err)
{
	int descriptor DESCRIPTOR_CLEANUP = open(path, O_RDONLY | O_CLOEXEC);
	struct reading reading = { .report = report };
	struct stat status;
	void *bytes;
	int result = -1;

	if (descriptor < 0 || fstat(descriptor, &status) < 0)
		return error_set_errno(err, errno, "read snapshot %s", path);
	if (!S_ISREG(status.st_mode) || status.st_size == 0)
		return error_set(err, ERROR_INVALID, "read snapshot %s: it is empty or no file", path);
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
	if (bytes == MAP_FAILED)
		return error_set_errno(err, errno, "read snapshot %s", path);
	/* All of it is looked at before anything is written. */
	if (etcd_import_check(bytes, (uint64_t)status.st_size, report, err) < 0) {
		error_wrap(err, "read snapshot %s", path);
	} else {
		reading.writer = store_writer_open(directory, err);
		result = reading.writer == NULL ? -1 : read_bytes(bytes, (uint64_t)status.st_size, &reading, err);
		store_writer_close(reading.writer);
		if (result < 0)
			error_wrap(err, "import into %s", directory);
	}
	(void)munmap(bytes, (size_t)status.st_size);
	return result;
}
