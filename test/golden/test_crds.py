# SPDX-License-Identifier: Apache-2.0
"""Our CRDs have upstream's structure: the same fields, types, defaults, rules and messages. Only ADDITIONS may be there besides."""
import json
import pathlib

import pytest

REFERENCE = pathlib.Path(__file__).resolve().parent / "reference"
MANIFESTS = pathlib.Path(__file__).resolve().parent.parent.parent / "manifests" / "crds"
KINDS = ["datastores", "kubeconfiggenerators", "tenantcontrolplanes"]

# Optional status fields of ours, by CRD: path of the member below openAPIV3Schema.
ADDITIONS = {"tenantcontrolplanes": [("status", "conditions")]}
# Upstream names the program that made its files; ours were not made by it.
FOREIGN_ANNOTATIONS = {"controller-gen.kubebuilder.io/version"}


def bare(node):
    """Without descriptions. A field may be called description: only texts directly in a schema go."""
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {name: ({field: bare(schema) for field, schema in member.items()} if name == "properties" else bare(member))
            for name, member in node.items() if not (name == "description" and isinstance(member, str))}


def schema(document: dict) -> dict:
    return document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("kind", KINDS)
def test_structure(render, kind: str) -> None:
    name = f"kamaji.clastix.io_{kind}"
    ours = bare(render.parse(MANIFESTS / f"{name}.yaml")[0])
    theirs = json.loads((REFERENCE / "crds" / f"{name}.json").read_text())
    for annotation in FOREIGN_ANNOTATIONS:
        theirs["metadata"]["annotations"].pop(annotation)
    for path in ADDITIONS.get(kind, []):
        node = schema(ours)
        for member in path[:-1]:
            node = node["properties"][member]
        added = node["properties"].pop(path[-1])
        assert path[-1] not in node.get("required", []), f"{'.'.join(path)} must be optional"
        assert added["x-kubernetes-list-map-keys"] == ["type"]
    assert ours == bare(theirs)


def test_structure_is_looked_at(render) -> None:
    """A removed default, a changed rule or a new field would be seen."""
    ours = bare(render.parse(MANIFESTS / "kamaji.clastix.io_tenantcontrolplanes.yaml")[0])
    theirs = bare(json.loads((REFERENCE / "crds" / "kamaji.clastix.io_tenantcontrolplanes.json").read_text()))
    assert schema(ours) != schema(theirs)
    profile = schema(ours)["properties"]["spec"]["properties"]["networkProfile"]
    assert profile == schema(theirs)["properties"]["spec"]["properties"]["networkProfile"]
    del profile["properties"]["port"]["default"]
    assert profile != schema(theirs)["properties"]["spec"]["properties"]["networkProfile"]


@pytest.mark.parametrize("kind", KINDS)
def test_main_fields_are_described(render, kind: str) -> None:
    document = render.parse(MANIFESTS / f"kamaji.clastix.io_{kind}.yaml")[0]
    fields = schema(document)["properties"]
    assert schema(document)["description"]
    for part in ("spec", "status"):
        missing = [name for name, field in fields[part]["properties"].items() if "description" not in field]
        assert not missing, f"{part}: {missing}"
