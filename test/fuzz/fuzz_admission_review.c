/* SPDX-License-Identifier: Apache-2.0 */
/* Reviews of any content on every path: an answer is a review with the uid of the request, or a refusal in words. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strings.h"
#include "webhook/admission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *driver(const char *name, struct arena *arena, void *argument)
{
	return strlen(name) % 3 == 0 ? NULL : strlen(name) % 3 == 1 ? "etcd" : "PostgreSQL";
}

static int gateway(bool *group, bool *tls_route, struct cancel *cancel, void *argument, struct error *err)
{
	*group = *tls_route = true;
	return 0;
}

static int deployment(const json_t *tenant, struct cancel *cancel, void *argument, struct error *err)
{
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = { ADMISSION_PATH_VALIDATE, ADMISSION_PATH_MUTATE, ADMISSION_PATH_CONVERT, ADMISSION_PATH_FREEZE,
		                             "/" };
	const struct admission admission = {
		.default_data_store = "default", .data_store_driver = driver, .gateway_served = gateway, .check_deployment = deployment
	};

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		BUFFER_CLEANUP struct buffer body = { 0 };
		struct error err;
		int status = admission_answer(&admission, paths[i], (const char *)data, size, NULL, &body);

		if (body.length == 0 || (status != 200 && status != 400 && status != 404))
			abort();
		if (status != 200)
			continue;
		JSON_CLEANUP json_t *asked = json_parse((const char *)data, size, &err), *answer = json_parse(body.data, body.length, &err);

		if (!asked || !answer || !string_equal(json_string_or(asked, "request.uid", ""), json_string_at(answer, "response.uid")))
			abort();
	}
	return 0;
}
