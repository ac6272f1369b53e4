/* SPDX-License-Identifier: Apache-2.0 */
/* A kubeconfig from a Secret that others can write: never a crash, never a file read, never half a configuration. */
#include <stdint.h>
#include <stdlib.h>

#include "kube/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { 0 };
	struct kube_config *config = kube_config_from_bytes((const char *)data, size, "fuzz", NULL, &err);

	if (config == NULL) {
		if (err.class == ERROR_NONE || err.message[0] == '\0')
			abort();
		return 0;
	}
	if (config->host == NULL || config->host[0] == '\0' || config->port == 0 || config->server == NULL || config->namespace == NULL ||
	    config->token_file != NULL || (config->certificate_pem == NULL) != (config->key_pem == NULL))
		abort();
	kube_config_free(config);
	return 0;
}
