# SPDX-License-Identifier: Apache-2.0
"""JSON schemas for kubeconform, from what a real API server says of itself: /openapi/v2, which has every group and installed CRDs.

Strict: an object may have no field that its schema does not name (kubeconform's -strict only chooses such schemas).
"""
from __future__ import annotations

import json
import pathlib

GROUP_KINDS = "x-kubernetes-group-version-kind"
PREFIX = "#/definitions/"


def strict(schema: dict) -> dict:
    """One schema; what is below `properties` are names of fields, whatever they look like."""
    name = schema.get("$ref", "").removeprefix(PREFIX)
    # Numbers and quantities are written both ways; the definition says "string".
    if schema.get("format") == "int-or-string" or name.endswith((".Quantity", ".IntOrString")):
        return {"type": ["string", "number"]}
    if name:
        return {"$ref": f"definitions.json{PREFIX}{name}"}
    result = {key: schema[key] for key in ("type", "required", "enum", "minimum", "maximum", "pattern", "minLength", "maxLength") if key in schema}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = strict(schema[key])
    if "properties" in schema:
        result["properties"] = {field: strict(value) for field, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    return result


def write(openapi: dict, folder: pathlib.Path) -> int:
    """One file a kind, named as kubeconform asks for it, and one with all definitions. Returns the number of kinds."""
    definitions = {name: strict(schema) for name, schema in openapi["definitions"].items()}
    (folder / "definitions.json").write_text(json.dumps({"definitions": definitions}))
    count = 0
    for name, schema in openapi["definitions"].items():
        for kind in schema.get(GROUP_KINDS, []):
            version = kind["version"]
            group = kind["group"].split(".")[0] + "-" if kind["group"] else ""
            target = dict(definitions[name])
            target["properties"] = {**target.get("properties", {}), "apiVersion": {"const": f"{kind['group']}/{version}" if kind["group"] else version},
                                    "kind": {"const": kind["kind"]}}
            target["required"] = sorted({*target.get("required", []), "apiVersion", "kind"})
            (folder / f"{kind['kind'].lower()}-{group}{version}.json").write_text(json.dumps(target))
            count += 1
    return count
