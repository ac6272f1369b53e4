# SPDX-License-Identifier: Apache-2.0
"""Renders every captured input with profile `upstream` and compares with what upstream Kamaji made of it on a real cluster.

reference/inputs and reference/objects are data captured from upstream. Only DEFAULTS and what captured.DIFFERENCES names may differ.
`test/e2e/test_golden.py` does the same with the operator and a real API server, where no default has to be known.
"""
import json

import pytest
from captured import CASES, REFERENCE, bare, blank_store_authority, compare, named

# Members that the API server adds to what was sent, and what they look like.
DEFAULTS = {
    "terminationMessagePath": ["/dev/termination-log"], "terminationMessagePolicy": ["File"], "dnsPolicy": ["ClusterFirst"],
    "restartPolicy": ["Always"], "schedulerName": ["default-scheduler"], "serviceAccount": None, "securityContext": [{}],
    "terminationGracePeriodSeconds": [30], "progressDeadlineSeconds": [600], "revisionHistoryLimit": [10],
    "imagePullPolicy": ["IfNotPresent"], "clusterIP": None, "clusterIPs": None, "internalTrafficPolicy": ["Cluster"],
    "ipFamilies": None, "ipFamilyPolicy": None, "sessionAffinity": ["None"], "externalTrafficPolicy": ["Cluster"],
    "nodePort": None, "group": ["", "gateway.networking.k8s.io"], "kind": ["Service", "Gateway"], "weight": [1],
    "resources": [{}], "annotations": [{}],
}
def live_objects(golden: dict, name: str) -> list[dict]:
    """What the API server would answer for the Service and the Deployment, from the captured objects and status."""
    status = golden["TenantControlPlane", name]["status"]["kubernetesResources"]
    service = dict(golden["Service", name], status={"loadBalancer": status["service"].get("loadBalancer", {})})
    return [service]


def adapt(case: str, ours: dict, golden: dict) -> None:
    """Applies captured.DIFFERENCES to both sides, in place."""
    tenant, theirs = ours["TenantControlPlane", case], golden["TenantControlPlane", case]
    tenant["status"].pop("conditions")
    for status in (tenant["status"], theirs["status"]):
        status.pop("observedGeneration", None)
        # The Deployment's own status comes from controllers that do not run here; its skeleton is compared.
        status["kubernetesResources"]["deployment"] = {"name": "", "namespace": "", "selector": ""}
    blank_store_authority(case, ours, golden)
    if ours["TenantControlPlane", case]["status"]["storage"]["driver"] != "etcd":
        ours.pop(("Secret", f"{case}-datastore-certificate"))
    if case == "metadata":
        golden.pop(("Deployment", case), None)
        ours.pop(("Deployment", case))
        for status in (tenant["status"], theirs["status"]):
            status["kubernetesResources"].pop("version")
            status["addons"] = {}
            status["kubernetesResources"].pop("deployment", None)


def check_spec(case: str, ours: dict, golden: dict, problems: list[str]) -> None:
    """Our defaults against the stored spec; {} that upstream wrote itself does not count."""
    compare(bare(ours["spec"]), bare(golden["spec"]), f"{case}: spec", problems, DEFAULTS)


def check(render, case: str, data_stores: list[dict]) -> list[str]:
    source = render.parse(REFERENCE / "inputs" / f"{case}.yaml")[0]
    golden = named(render.parse(REFERENCE / "objects" / f"{case}.yaml"))
    source["metadata"]["uid"] = "<uid>"
    # Refused by our validation when nothing exists yet; an existing tenant is rendered all the same.
    source["status"] = {"controlPlaneEndpoint": ""}
    text = "\n---\n".join(json.dumps(document) for document in [source, *data_stores, *live_objects(golden, case)])
    results = render.run(text, "--profile", "upstream", "--describe", "--key-algorithm", "RSA-2048", "--gateway")
    ours = named([document for document in results if "kind" in document])
    problems: list[str] = []
    blocked = ours["TenantControlPlane", case].pop("blocked", None)
    if blocked and (case, blocked["reason"]) != ("gateway", "RoutePending"):
        problems.append(f"{case}: blocked: {blocked}")
    adapt(case, ours, golden)
    check_spec(case, ours["TenantControlPlane", case], golden["TenantControlPlane", case], problems)
    compare(ours["TenantControlPlane", case]["status"], golden["TenantControlPlane", case]["status"], f"{case}: status", problems, DEFAULTS)
    for key in sorted(ours.keys() | golden.keys()):
        if key[0] == "TenantControlPlane":
            continue
        if key not in golden or key not in ours:
            problems.append(f"{case}: {key[0]} {key[1]} is there only with {'us' if key in ours else 'upstream'}")
        else:
            compare(ours[key], golden[key], f"{case}: {key[0]} {key[1]}", problems, DEFAULTS)
    return problems


@pytest.mark.parametrize("case", CASES)
def test_upstream_profile(render, data_stores: list[dict], case: str) -> None:
    problems = check(render, case, data_stores)
    assert not problems, "\n".join(problems, DEFAULTS)


def test_all_inputs_are_there() -> None:
    assert len(CASES) == 30
    assert CASES == sorted(path.stem for path in (REFERENCE / "objects").glob("*.yaml"))
