/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML in and out, as Kubernetes tools use it: documents become JSON values. Plain scalars follow the JSON schema of YAML 1.2 (null,
 * true/false, numbers), everything else is a string; anchors are allowed within a cap, tags are refused.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

enum { YAML_MAXIMUM_BYTES = 16 * 1024 * 1024, YAML_MAXIMUM_NODES = 1000000 };

/* One document; more than one is an error. New reference or NULL. An empty text gives JSON null. */
json_t *yaml_parse(const char *text, size_t length, struct error *err);
/* All documents as a JSON array; empty documents are left out. */
json_t *yaml_parse_all(const char *text, size_t length, struct error *err);
/* Block-style YAML in insertion order, as sigs.k8s.io/yaml prints it when members are sorted first (sorted = true). free(). */
char *yaml_text(const json_t *value, bool sorted);
