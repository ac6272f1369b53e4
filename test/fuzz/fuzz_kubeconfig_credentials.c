/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfig texts of Secrets: what is accepted can be written again and says the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pki/check.h"
#include "pki/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct kubeconfig_credentials *found)
{
	struct kubeconfig_content content = { .server = found->server,
		                              .cluster = found->cluster,
		                              .user = found->user,
		                              .authority = pem_text(&found->authority),
		                              .certificate = pem_text(&found->certificate),
		                              .key = pem_text(&found->key) };
	struct kubeconfig_credentials again KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct buffer text BUFFER_SECRET_CLEANUP = { 0 };
	struct error err = { 0 };

	kubeconfig_write(&content, &text);
	if (kubeconfig_read(pem_text(&text), &again, &err))
		abort();
	if (strcmp(again.server, found->server) != 0 || strcmp(again.cluster, found->cluster) != 0 ||
	    strcmp(again.user, found->user) != 0 || again.key.length != found->key.length)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kubeconfig_credentials found KUBECONFIG_CREDENTIALS_CLEANUP = { 0 };
	struct check_kubeconfig check = { .text = pem_text_bytes(data, size) };
	struct check_reason reason;
	struct error err = { 0 };

	if (!check_kubeconfig(NULL, &check, &reason) && reason.text[0] == '\0')
		abort();
	if (kubeconfig_read(pem_text_bytes(data, size), &found, &err) == 0)
		write_again(&found);
	return 0;
}
