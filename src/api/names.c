/* SPDX-License-Identifier: Apache-2.0 */
#include "api/names.h"

const char *names_object(struct arena *arena, const char *tenant, const char *suffix)
{
	return arena_printf(arena, "%s%s", tenant, suffix);
}

const char *names_service_host(struct arena *arena, const char *tenant, const char *namespace)
{
	return arena_printf(arena, "%s.%s.svc", tenant, namespace);
}

const char *names_migration_job(struct arena *arena, const char *uid)
{
	return arena_printf(arena, "migrate-%s", uid);
}

const char *names_selector(struct arena *arena, const char *tenant)
{
	return arena_printf(arena, LABEL_NAME "=%s", tenant);
}
