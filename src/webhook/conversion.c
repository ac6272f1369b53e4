/* SPDX-License-Identifier: Apache-2.0 */
#include "api/names.h"
#include "webhook/admission_internal.h"

static json_t *failure(const json_t *request, const char *message)
{
	return json_build("{s:s,s:[],s:{s:s,s:s}}", "uid", json_string_or(request, "uid", ""), "convertedObjects", "result", "status",
	                  "Failure", "message", message);
}

json_t *conversion_response(const json_t *request)
{
	const char *wanted = json_string_or(request, "desiredAPIVersion", "");
	const json_t *objects = json_object_get(request, "objects");
	FREE_CLEANUP char *unknown = NULL;
	json_t *object;
	size_t i;

	if (!string_equal(wanted, KAMAJI_API_VERSION)) {
		unknown = string_printf("desiredAPIVersion: \"%.100s\" is not known; there is " KAMAJI_API_VERSION " only", wanted);
		return failure(request, unknown);
	}
	json_array_foreach(objects, i, object) {
		if (!string_equal(json_string_at(object, "apiVersion"), KAMAJI_API_VERSION)) {
			unknown = string_printf("objects[%zu].apiVersion: \"%.100s\" is not known; there is " KAMAJI_API_VERSION " only", i,
			                        json_string_or(object, "apiVersion", ""));
			return failure(request, unknown);
		}
	}
	return json_build("{s:s,s:o,s:{s:s}}", "uid", json_string_or(request, "uid", ""), "convertedObjects",
	                  json_is_array(objects) ? json_deep_copy(objects) : json_array(), "result", "status", "Success");
}
