/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/datastore_tls.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/strings.h"
#include "io/file.h"

struct datastore_tls {
	const struct datastore_tls_files *files;
	struct tls_identity *identity;
	uint64_t seen; /* folds times and inodes of the files */
};

static uint64_t stamp(const struct datastore_tls_files *files)
{
	const char *const paths[] = { files->certificate, files->key, files->authority };
	uint64_t folded = 0xcbf29ce484222325u;

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		struct stat status;

		if (string_empty(paths[i]) || stat(paths[i], &status) < 0)
			continue;
		folded = (folded ^ (uint64_t)status.st_ino) * 0x100000001b3u;
		folded = (folded ^ (uint64_t)status.st_mtim.tv_sec) * 0x100000001b3u;
		folded = (folded ^ (uint64_t)status.st_mtim.tv_nsec) * 0x100000001b3u;
	}
	return folded;
}

static int read_pem(const char *flag, const char *path, struct buffer *pem, struct error *err)
{
	if (string_empty(path))
		return error_set(err, ERROR_INVALID, "%s is missing: certificate and key are given together", flag);
	if (file_read(path, TLS_MAXIMUM_PEM_BYTES, pem, err) < 0)
		return error_wrap(err, "%s", flag);
	return 0;
}

static struct tls_identity *read_identity(const struct datastore_tls_files *files, struct error *err)
{
	struct buffer certificate BUFFER_CLEANUP = { 0 };
	struct buffer authority BUFFER_CLEANUP = { 0 };
	struct buffer key BUFFER_SECRET_CLEANUP = { 0 };
	struct tls_server_options options = { .require_client_certificate = files->client_certificates };

	if (read_pem("--cert-file", files->certificate, &certificate, err) < 0 || read_pem("--key-file", files->key, &key, err) < 0)
		return NULL;
	if (!string_empty(files->authority)) {
		if (read_pem("--trusted-ca-file", files->authority, &authority, err) < 0)
			return NULL;
		options.client_ca_pem = authority.data;
		options.client_ca_pem_length = authority.length;
	} else if (files->client_certificates) {
		error_set(err, ERROR_INVALID, "--client-cert-auth needs --trusted-ca-file");
		return NULL;
	}
	options.certificate_pem = certificate.data;
	options.certificate_pem_length = certificate.length;
	options.key_pem = key.data;
	options.key_pem_length = key.length;
	return tls_server_identity_new(&options, err);
}

struct datastore_tls *datastore_tls_new(const struct datastore_tls_files *files, struct error *err)
{
	struct datastore_tls *tls = calloc(1, sizeof(*tls));

	if (tls == NULL)
		abort();
	tls->files = files;
	tls->seen = stamp(files);
	tls->identity = read_identity(files, err);
	if (tls->identity == NULL) {
		free(tls);
		return NULL;
	}
	return tls;
}

void datastore_tls_free(struct datastore_tls *tls)
{
	if (tls == NULL)
		return;
	tls_identity_unref(tls->identity);
	free(tls);
}

struct tls_identity *datastore_tls_identity(struct datastore_tls *tls)
{
	return tls->identity;
}

int datastore_tls_reload(struct datastore_tls *tls, bool always, struct error *err)
{
	uint64_t now = stamp(tls->files);
	struct tls_identity *identity;

	if (now == tls->seen && !always)
		return 0;
	identity = read_identity(tls->files, err);
	if (identity == NULL)
		return -1; /* tried again at every look: the files may be half-written */
	tls->seen = now;
	tls_identity_unref(tls->identity);
	tls->identity = identity;
	return 1;
}
