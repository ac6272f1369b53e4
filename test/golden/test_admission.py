# SPDX-License-Identifier: Apache-2.0
"""Upstream's answers at admission against our validation: what its webhook refuses, ours refuses; what it accepts, ours accepts, but for
what can never work."""
import copy
import json

import pytest

# Accepted by upstream, refused by us at creation, with the field that says so.
NEVER_WORKS = {
    "version 'v1.36.0+k3s1'": "spec.kubernetes.version",
    "schema with odd characters": "spec.dataStoreSchema",
    "port 0": "spec.networkProfile.port",
    "port -1": "spec.networkProfile.port",
    "port 70000": "spec.networkProfile.port",
    "nodeport without address": "spec.networkProfile.address",
    "networkProfile.address abc": "spec.networkProfile.address",
    "networkProfile.serviceCidrs ['10.96.0.0/16', '10.97.0.0/16']": "spec.networkProfile.serviceCidrs",
    "service and pod cidr overlap": "spec.networkProfile.podCidrs",
    "ingress without hostname": "spec.controlPlane.ingress.hostname",
    "gateway without hostname": "spec.controlPlane.gateway.hostname",
    "konnectivity port": "spec.addons.konnectivity.server.port",
    "json patch no slash": "spec.kubernetes.kubelet.configurationJSONPatches",
    "bad strategy": "spec.controlPlane.deployment.strategy.type",
    # Upstream checks the object as it was before, so the new value passes and every later update is refused.
    "dns ip outside": "spec.networkProfile.dnsServiceIPs",
}
# Refused by the schema or its rules (CEL), which the API server checks whatever the webhook says.
SCHEMA = "is invalid:"
# What needs the API server: does the object that is named exist?
OUTSIDE = ("DataStore does not exist", "Gateway API")


def apply(spec: dict, changes: dict) -> dict:
    result = copy.deepcopy(spec)
    for path, value in changes.items():
        node, names = result, path.split(".")
        for name in names[:-1]:
            node = node.setdefault(name, {})
        if value == "__del__":
            node.pop(names[-1], None)
        else:
            node[names[-1]] = value
    return result


def tenant(spec: dict) -> dict:
    return {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane", "metadata": {"name": "adm", "namespace": "golden"},
            "spec": spec}


@pytest.fixture(scope="module")
def answers(render, reference) -> list[dict]:
    """Every captured case with our problems."""
    base = render.parse(reference / "inputs" / "minimal.yaml")[0]["spec"]
    found = []
    for case in render.parse(reference / "admission.yaml")[0]:
        first = apply(base, case.get("first", {}))
        documents = [tenant(apply(first, case.get("spec_changes", case.get("patch"))))]
        if case["operation"] == "UPDATE":
            documents.append(tenant(first))
        problems = render.run("\n---\n".join(json.dumps(document) for document in documents), "--validate")
        found.append(dict(case, problems=problems))
    return found


def test_all_cases_are_there(answers) -> None:
    assert len(answers) == 71
    accepted = {case["case"] for case in answers if case["answer"] == "accepted"}
    assert NEVER_WORKS.keys() <= accepted


def test_what_upstream_refuses_is_refused(answers) -> None:
    missed = []
    for case in answers:
        message = case["message"] or ""
        if case["answer"] != "refused" or SCHEMA in message or any(text in message for text in OUTSIDE):
            continue
        if "doc is missing path" in message:
            continue  # a defect of upstream: the patch of its own webhook cannot be applied
        if not any(problem["upstream"] for problem in case["problems"]):
            missed.append(f"{case['case']}: {message}")
    assert not missed, "\n".join(missed)


def test_what_upstream_accepts_is_accepted_or_can_never_work(answers) -> None:
    wrong = []
    for case in answers:
        blocking = [problem for problem in case["problems"] if not problem["hint"]]
        if case["answer"] != "accepted" or not blocking:
            continue
        if blocking[0]["field"] != NEVER_WORKS.get(case["case"]):
            wrong.append(f"{case['operation']} {case['case']}: {blocking}")
    assert not wrong, "\n".join(wrong)
