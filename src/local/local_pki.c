/* SPDX-License-Identifier: Apache-2.0 */
#include "local/local_pki.h"

#include <stdio.h>
#include <string.h>

#include "base/strings.h"
#include "io/file.h"
#include "pki/certificate.h"
#include "pki/check.h"
#include "pki/key.h"
#include "pki/kubeconfig.h"

enum { RENEW_SECONDS = 30 * 24 * 3600, SAN_MAX = 12 };

static char *file_path(const struct local_pki_options *options, const char *name, const char *suffix)
{
	return string_printf("%s/%s.%s", options->directory, name, suffix);
}

/* An absent file leaves the buffer empty. */
static int read_optional(const struct local_pki_options *options, const char *name, const char *suffix, struct buffer *out,
                         struct error *err)
{
	FREE_CLEANUP char *path = file_path(options, name, suffix);
	if (!file_exists(path))
		return 0;
	return file_read(path, PEM_MAXIMUM_BYTES, out, err);
}

static int write_file(const struct local_pki_options *options, const char *name, const char *suffix, const struct buffer *text, mode_t mode,
                      struct error *err)
{
	FREE_CLEANUP char *path = file_path(options, name, suffix);
	return file_write_atomic(path, text->data, text->length, mode, err);
}

static int read_pair(const struct local_pki_options *options, const char *name, struct certificate_pair *pair, struct error *err)
{
	if (read_optional(options, name, "crt", &pair->certificate, err) < 0)
		return -1;
	return read_optional(options, name, "key", &pair->key, err);
}

/* Key first: a certificate on disk always has its key beside it. */
static int write_pair(const struct local_pki_options *options, const char *name, const struct certificate_pair *pair, struct error *err)
{
	if (write_file(options, name, "key", &pair->key, 0600, err) < 0)
		return -1;
	return write_file(options, name, "crt", &pair->certificate, 0644, err);
}

static int ensure_authority(const struct local_pki_options *options, const char *name, const char *common_name,
                            struct certificate_pair *pair, struct error *err)
{
	struct check_reason reason;
	if (read_pair(options, name, pair, err) < 0)
		return -1;
	if (pair->certificate.length > 0 &&
	    check_authority(NULL, pem_text(&pair->certificate), pem_text(&pair->key), RENEW_SECONDS, &reason))
		return 0;
	KEY_CLEANUP struct key *key = NULL;
	buffer_clear(&pair->certificate);
	buffer_clear(&pair->key);
	if (key_generate(KEY_ECDSA_P256, &key, err) < 0 || key_write_private(key, &pair->key, err) < 0 ||
	    certificate_create_authority(common_name, key, &pair->certificate, err) < 0)
		return -1;
	return write_pair(options, name, pair, err);
}

struct leaf {
	const char *name;
	const char *common_name;
	const char *organization; /* or NULL */
	unsigned usages;
	const char *sans[SAN_MAX]; /* NULL-terminated */
};

static int ensure_leaf(const struct local_pki_options *options, const struct certificate_pair *authority, const struct leaf *leaf,
                       struct certificate_pair *pair, struct error *err)
{
	const char *const organizations[] = { leaf->organization, NULL };
	const struct certificate_request request = {
		.common_name = leaf->common_name,
		.organizations = leaf->organization ? organizations : NULL,
		.usages = leaf->usages,
		.sans = leaf->sans[0] ? leaf->sans : NULL,
	};
	struct check_reason reason;
	if (read_pair(options, leaf->name, pair, err) < 0)
		return -1;
	const struct check_certificate check = {
		.certificate = pem_text(&pair->certificate),
		.key = pem_text(&pair->key),
		.authority = pem_text(&authority->certificate),
		.usage = leaf->usages,
		.sans = request.sans,
		.common_name = leaf->common_name,
		.threshold_seconds = RENEW_SECONDS,
	};
	if (pair->certificate.length > 0 && check_certificate(NULL, &check, &reason))
		return 0;
	KEY_CLEANUP struct key *key = NULL;
	CERTIFICATE_AUTHORITY_CLEANUP struct certificate_authority *signer = NULL;
	buffer_clear(&pair->certificate);
	buffer_clear(&pair->key);
	if (certificate_authority_open(pem_text(&authority->certificate), pem_text(&authority->key), &signer, err) < 0 ||
	    key_generate(KEY_ECDSA_P256, &key, err) < 0 || key_write_private(key, &pair->key, err) < 0 ||
	    certificate_issue(signer, &request, key, &pair->certificate, err) < 0)
		return error_wrap(err, "certificate %s", leaf->name);
	return write_pair(options, leaf->name, pair, err);
}

static int ensure_service_account(const struct local_pki_options *options, struct error *err)
{
	BUFFER_CLEANUP struct buffer public_key = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer private_key = { 0 };
	struct check_reason reason;
	if (read_optional(options, "service-account", "pub", &public_key, err) < 0 ||
	    read_optional(options, "service-account", "key", &private_key, err) < 0)
		return -1;
	if (public_key.length > 0 && check_service_account(NULL, pem_text(&public_key), pem_text(&private_key), &reason))
		return 0;
	KEY_CLEANUP struct key *key = NULL;
	buffer_clear(&public_key);
	buffer_clear(&private_key);
	if (key_generate(KEY_RSA_2048, &key, err) < 0 || key_write_private(key, &private_key, err) < 0 ||
	    key_write_public(key, &public_key, err) < 0)
		return -1;
	if (write_file(options, "service-account", "key", &private_key, 0600, err) < 0)
		return -1;
	return write_file(options, "service-account", "pub", &public_key, 0644, err);
}

static int ensure_kubeconfig(const struct local_pki_options *options, const struct certificate_pair *authority, const char *file,
                             const char *common_name, const char *organization, struct error *err)
{
	CERTIFICATE_PAIR_CLEANUP struct certificate_pair pair = { 0 };
	BUFFER_SECRET_CLEANUP struct buffer old = { 0 }, text = { 0 };
	char node[LOCAL_ADDRESS_TEXT_MAX];
	FREE_CLEANUP char *name = string_printf("%s-client", file);
	const struct leaf leaf = { name, common_name, organization, CERTIFICATE_CLIENT_AUTH, { NULL } };
	if (ensure_leaf(options, authority, &leaf, &pair, err) < 0)
		return -1;
	local_address_format(options->plan.admin_node, node);
	FREE_CLEANUP char *server = string_printf("https://%s:%d", node, LOCAL_API_PORT);
	kubeconfig_write(&(struct kubeconfig_content){ .server = server,
	                                               .cluster = options->environment,
	                                               .user = common_name,
	                                               .authority = pem_text(&authority->certificate),
	                                               .certificate = pem_text(&pair.certificate),
	                                               .key = pem_text(&pair.key) },
	                 &text);
	/* Left alone when equal: its time tells users when it last changed. */
	if (read_optional(options, file, "kubeconfig", &old, err) < 0)
		return -1;
	if (old.length == text.length && memcmp(old.data, text.data, text.length) == 0)
		return 0;
	return write_file(options, file, "kubeconfig", &text, 0600, err);
}

/* What a kubelet serves with and asks with. */
static int ensure_kubelet(const struct local_pki_options *options, const struct certificate_pair *ca, const char *hostname,
                          uint32_t address, struct error *err)
{
	CERTIFICATE_PAIR_CLEANUP struct certificate_pair pair = { 0 };
	char node[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(address, node);
	FREE_CLEANUP char *user = string_printf("system:node:%s", hostname);
	const struct leaf leaf = { "kubelet-server", user, "system:nodes", CERTIFICATE_SERVER_AUTH, { node, hostname } };
	if (ensure_leaf(options, ca, &leaf, &pair, err) < 0 || ensure_kubeconfig(options, ca, "kubelet", user, "system:nodes", err) < 0)
		return error_wrap(err, "kubelet of %s", hostname);
	return 0;
}

static int ensure_cluster_leaves(const struct local_pki_options *options, const struct certificate_pair *ca, struct error *err)
{
	char node[LOCAL_ADDRESS_TEXT_MAX], service[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(options->plan.admin_node, node);
	local_address_format(options->plan.kubernetes_service, service);
	const struct leaf leaves[] = {
		{ "apiserver",
		  "kube-apiserver",
		  NULL,
		  CERTIFICATE_SERVER_AUTH,
		  { node, service, "127.0.0.1", "localhost", options->hostname, "kubernetes", "kubernetes.default",
		    "kubernetes.default.svc", "kubernetes.default.svc.cluster.local" } },
		{ "apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters", CERTIFICATE_CLIENT_AUTH, { NULL } },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(leaves); i++) {
		CERTIFICATE_PAIR_CLEANUP struct certificate_pair pair = { 0 };
		if (ensure_leaf(options, ca, &leaves[i], &pair, err) < 0)
			return -1;
	}
	const struct {
		const char *file, *common_name, *organization;
	} users[] = {
		{ "admin", "kubernetes-admin", "system:masters" }, { "controller-manager", "system:kube-controller-manager", NULL },
		{ "scheduler", "system:kube-scheduler", NULL },    { "proxy", "system:kube-proxy", NULL },
		{ "balancer", "kamaji:local-balancer", NULL },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(users); i++)
		if (ensure_kubeconfig(options, ca, users[i].file, users[i].common_name, users[i].organization, err) < 0)
			return error_wrap(err, "kubeconfig %s", users[i].file);
	return ensure_kubelet(options, ca, options->hostname, options->plan.admin_node, err);
}

static int ensure_datastore_leaves(const struct local_pki_options *options, const struct certificate_pair *authority, struct error *err)
{
	char node[LOCAL_ADDRESS_TEXT_MAX];
	local_address_format(options->plan.admin_node, node);
	const struct leaf leaves[] = {
		{ "datastore-server",
		  "datastore",
		  NULL,
		  CERTIFICATE_SERVER_AUTH | CERTIFICATE_CLIENT_AUTH,
		  { node, "127.0.0.1", "localhost" } },
		/* etcd takes the common name as its user. */
		{ "datastore-root", "root", NULL, CERTIFICATE_CLIENT_AUTH, { NULL } },
	};
	for (size_t i = 0; i < ARRAY_LENGTH(leaves); i++) {
		CERTIFICATE_PAIR_CLEANUP struct certificate_pair pair = { 0 };
		if (ensure_leaf(options, authority, &leaves[i], &pair, err) < 0)
			return -1;
	}
	return 0;
}

int local_pki_ensure(const struct local_pki_options *options, struct error *err)
{
	CERTIFICATE_PAIR_CLEANUP struct certificate_pair ca = { 0 }, front_proxy = { 0 }, datastore = { 0 }, pair = { 0 };
	const struct leaf proxy_client = { "front-proxy-client", "front-proxy-client", NULL, CERTIFICATE_CLIENT_AUTH, { NULL } };
	if (file_make_directories(options->directory, 0700, err) < 0 || ensure_authority(options, "ca", "kubernetes", &ca, err) < 0 ||
	    ensure_authority(options, "front-proxy-ca", "front-proxy-ca", &front_proxy, err) < 0 ||
	    ensure_authority(options, "datastore-ca", "kamaji-datastore", &datastore, err) < 0 || ensure_service_account(options, err) < 0)
		return error_wrap(err, "certificates in %s", options->directory);
	if (ensure_leaf(options, &front_proxy, &proxy_client, &pair, err) < 0 || ensure_cluster_leaves(options, &ca, err) < 0 ||
	    ensure_datastore_leaves(options, &datastore, err) < 0)
		return error_wrap(err, "certificates in %s", options->directory);
	return 0;
}

int local_pki_ensure_node(const struct local_pki_options *options, const char *directory, const char *hostname, uint32_t address,
                          struct error *err)
{
	CERTIFICATE_PAIR_CLEANUP struct certificate_pair ca = { 0 };
	struct local_pki_options own = *options;
	own.directory = directory;
	if (read_pair(options, "ca", &ca, err) < 0 || file_make_directories(directory, 0700, err) < 0 ||
	    write_file(&own, "ca", "crt", &ca.certificate, 0644, err) < 0 || ensure_kubelet(&own, &ca, hostname, address, err) < 0 ||
	    ensure_kubeconfig(&own, &ca, "proxy", "system:kube-proxy", NULL, err) < 0)
		return error_wrap(err, "certificates in %s", directory);
	return 0;
}
