/* SPDX-License-Identifier: Apache-2.0 */
/* The small readers of base/: numbers, durations, addresses, networks, versions, base64, host:port, DNS names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/ip.h"
#include "base/strings.h"
#include "base/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const char *text)
{
	struct ip_address address, again;
	char printed[IP_TEXT_SIZE];
	if (ip_parse(text, &address) != 0)
		return;
	ip_format(&address, printed);
	if (ip_parse(printed, &again) != 0 || !ip_equal(&address, &again))
		abort();
}

static void check_network(const char *text)
{
	struct ip_network network;
	struct ip_address address;
	if (ip_network_parse(text, &network) != 0)
		return;
	ip_network_base(&network, &address);
	if (!ip_network_contains(&network, &address) || !ip_network_overlaps(&network, &network))
		abort();
	(void)ip_network_host(&network, 10, &address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	int64_t integer;
	uint64_t nanoseconds;
	char *text = string_ndup((const char *)data, size);
	(void)string_to_integer(text, -100, 1000000, "number", &integer, &err);
	(void)string_to_duration(text, "duration", &nanoseconds, &err);
	check_address(text);
	check_network(text);

	struct version version;
	if (version_parse(text, "version", &version, &err) == 0 && version_compare(&version, &version) != 0)
		abort();
	char *host = NULL;
	uint16_t port;
	if (string_split_host_port(text, "endpoint", &host, &port, &err) == 0)
		free(host);
	(void)name_is_dns1123_label(text);
	(void)name_is_dns1123_subdomain(text);
	(void)name_is_dns1035_label(text);

	struct buffer bytes = { 0 }, encoded = { 0 }, again = { 0 };
	if (base64_decode(text, strlen(text), &bytes, &err) == 0) {
		base64_encode(bytes.data, bytes.length, &encoded);
		if (base64_decode((const char *)encoded.data, encoded.length, &again, &err) != 0 || again.length != bytes.length)
			abort();
	}
	buffer_free(&bytes);
	buffer_free(&encoded);
	buffer_free(&again);
	free(text);
	return 0;
}
