/* SPDX-License-Identifier: Apache-2.0 */
/* A tenant with an etcd data store, driven through its stages as the tenant controller does it, without a cluster. */
#pragma once

#include "controlplane/steps.h"

struct fixture {
	struct arena *arena;
	struct tenant_control_plane tenant;
	struct data_store store;
	struct step_options options;
	struct step_input input;
	struct pass *pass;
	const json_t *secrets[32];
	int generated;      /* keys asked for */
	int fail_key_after; /* the n-th key fails when not 0 */
};

/* `spec` is YAML of the spec's members. */
void fixture_open(struct fixture *fixture, const char *spec);
void fixture_close(struct fixture *fixture);
/* Runs all stages; the Service gets the cluster IP 10.96.7.7 when none is live. 0 or -1. */
int fixture_run(struct fixture *fixture, struct error *err);
/* Makes what the last pass wanted the live state of the next one, and the status the tenant's. */
void fixture_settle(struct fixture *fixture);
/* A wanted object of the last pass, or NULL. */
json_t *fixture_object(const struct fixture *fixture, enum object_kind kind, const char *name);
/* Number of wanted objects that differ from what is live. */
size_t fixture_changes(const struct fixture *fixture);
/* The live Secret, to be changed by the test. */
json_t *fixture_secret(struct fixture *fixture, const char *name);
