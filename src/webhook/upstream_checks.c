/* SPDX-License-Identifier: Apache-2.0 */
#include "api/names.h"
#include "base/ip.h"
#include "base/version.h"
#include "pki/certificate.h"
#include "webhook/admission_internal.h"

/* kubeadm's words. */
#define SUBDOMAIN_RULE \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an " \
	"alphanumeric character (e.g. 'example.com', regex used for validation is " \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define WILDCARD_RULE \
	"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case " \
	"alphanumeric " \
	"characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is " \
	"'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

const char *upstream_check_names(struct arena *arena, const struct tenant_control_plane *tenant)
{
	struct error err;

	for (size_t i = 0; i < tenant->certificate_names.count; i++) {
		const char *name = tenant->certificate_names.items[i];

		if (certificate_san_validate(name, &err) != 0)
			return arena_printf(
				arena,
				"spec.networkProfile.certSANs: Invalid value: \"%s\": altname is not a valid IP address, DNS label or a "
				"DNS label with subdomain wildcards: " SUBDOMAIN_RULE "; " WILDCARD_RULE,
				name);
	}
	return NULL;
}

static const char *check_dns_address(struct arena *arena, const struct tenant_control_plane *tenant, const char *text)
{
	struct ip_address address;

	if (ip_parse(text, &address) != 0)
		return arena_printf(arena, "DNS service IP \"%s\" is not a valid IP address", text);
	for (size_t i = 0; i < tenant->service_cidrs.count; i++) {
		struct ip_network network;

		if (ip_network_parse(tenant->service_cidrs.items[i], &network) != 0)
			return arena_printf(arena, "invalid service CIDR \"%s\"", tenant->service_cidrs.items[i]);
		if (ip_network_contains(&network, &address))
			return NULL;
	}
	return arena_printf(arena, "DNS service IP \"%s\" is not contained in any configured service CIDR", text);
}

const char *upstream_check_dns(struct arena *arena, const struct tenant_control_plane *tenant)
{
	if (tenant->dns_service_ips.count > 0 && tenant->service_cidrs.count == 0)
		return "DNS service IPs are given, but no service CIDR is configured";
	for (size_t i = 0; i < tenant->dns_service_ips.count; i++) {
		const char *problem = check_dns_address(arena, tenant, tenant->dns_service_ips.items[i]);

		if (problem)
			return problem;
	}
	return NULL;
}

const char *upstream_check_name(struct arena *arena, const struct tenant_control_plane *tenant)
{
	if (name_is_dns1035_label(tenant->name))
		return NULL;
	return arena_printf(
		arena, "the provided name \"%s\" is invalid: use at most 63 lower-case letters, digits and hyphens, starting with a letter",
		tenant->name);
}

/* With the patch number zeroed, as upstream compares; the pre-release stays. NULL or why it cannot be read. */
static const char *read_version(struct arena *arena, const char *text, const char *which, struct version *version)
{
	struct error err;
	const char *at = *text == 'v' ? text + 1 : text;
	unsigned dots = 0;

	if (version_parse(text, "version", version, &err) == 0) {
		version->patch = 0;
		return NULL;
	}
	for (; *at && *at != '-' && *at != '+'; at++)
		dots += *at == '.';
	if (dots < 2)
		return arena_printf(arena, "unable to parse the %s Kubernetes version: No Major.Minor.Patch elements found", which);
	return arena_printf(arena, "unable to parse the %s Kubernetes version: \"%s\" is not MAJOR.MINOR.PATCH", which, text);
}

static struct version supported_version(void)
{
	struct version version;
	struct error err;

	(void)version_parse(KAMAJI_SUPPORTED_KUBERNETES_VERSION, "supported version", &version, &err);
	version.patch = 0;
	return version;
}

const char *upstream_check_version(struct arena *arena, const char *text)
{
	struct version wanted, supported = supported_version();
	const char *problem = read_version(arena, text, "desired", &wanted);

	if (problem)
		return problem;
	if (version_compare(&wanted, &supported) > 0)
		return arena_printf(
			arena,
			"unable to create a TenantControlPlane with a Kubernetes version greater than the supported one, actually v%u.%u",
			supported.major, supported.minor);
	return NULL;
}

static const char *version_text(struct arena *arena, const struct version *version)
{
	return arena_printf(arena, "%u.%u.%u%s%s", version->major, version->minor, version->patch, *version->prerelease ? "-" : "",
	                    version->prerelease);
}

const char *upstream_check_upgrade(struct arena *arena, const char *previous_text, const char *text)
{
	struct version previous, wanted, supported = supported_version();
	const char *problem = read_version(arena, previous_text, "current", &previous);

	if (!problem)
		problem = read_version(arena, text, "desired", &wanted);
	if (problem)
		return problem;
	if (version_compare(&wanted, &supported) > 0)
		return arena_printf(arena, "unable to upgrade to a version greater than the supported one (v%u.%u)", supported.major,
		                    supported.minor);
	if (version_compare(&wanted, &previous) < 0)
		return arena_printf(arena, "unable to downgrade a TenantControlPlane from %s to %s", version_text(arena, &previous),
		                    version_text(arena, &wanted));
	if (wanted.major != previous.major || wanted.minor > previous.minor + 1)
		return "unable to upgrade to a minor version in a non-sequential mode";
	return NULL;
}
