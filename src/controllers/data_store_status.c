/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/data_store_status.h"

#include "api/names.h"
#include "api/status.h"

static json_t *list_of(const struct string_list *strings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < strings->count; i++)
		(void)json_array_append_new(list, json_string_new(strings->items[i]));
	return list;
}

json_t *data_store_status(const json_t *stored, const struct data_store_findings *findings, int64_t generation, int64_t now)
{
	json_t *status = stored ? json_deep_copy(stored) : json_object();
	bool valid = findings->invalid_reason == NULL;

	if (findings->used_by->count > 0)
		json_put(status, "usedBy", list_of(findings->used_by));
	else
		(void)json_object_del(status, "usedBy");
	status_set_condition(status, CONDITION_DATA_STORE_VALIDATION, valid ? "True" : "False",
	                     valid ? "DataStoreIsValid" : findings->invalid_reason,
	                     valid ? "all referenced credentials exist" : findings->invalid_message, generation, now);
	if (findings->connection_known)
		status_set_condition(status, CONDITION_DATA_STORE_CONNECTION, findings->connected ? "True" : "False",
		                     findings->connection_reason, findings->connection_message, generation, now);
	if (findings->deletion_refused)
		status_set_condition(status, CONDITION_DATA_STORE_DELETION, "False", "DataStoreStillUsed",
		                     "tenants listed in status.usedBy still store data here; delete or move them first", generation, now);
	json_put(status, "ready", json_boolean(valid));
	json_put(status, "observedGeneration", json_integer(generation));
	return status;
}
