# SPDX-License-Identifier: Apache-2.0
"""The captured inputs given to the operator (profile `upstream`, webhooks on) on a real API server: every object, after the
server's defaults, against what upstream's operator made on its own. Only what captured.DIFFERENCES names may differ.

PostgreSQL has no driver yet, so those two tenants stop before their Deployment: it is rendered from what is there and given to the server by
the test.
"""
import json
import re

import pytest
from captured import CASES, REFERENCE, Render, bare, blank_store_authority, compare, named, stream
from harness import HERE, component, run
from manager_process import wait_for
from webhook_manager import install_webhooks, start_manager

NAMESPACE = "golden"
SETTLED_SECONDS = 240
LOAD_BALANCER_ADDRESS = "192.0.2.100"  # given by hand, there as here
KINDS = "services,configmaps,secrets,deployments,ingresses,tlsroutes"
WITHOUT_DRIVER = {"postgres", "postgres-kine"}
REFUSED = {"metadata": "podAdditionalMetadata.labels"}
BLOCKED = {"gateway": "RoutePending", "postgres": "InvalidSpec", "postgres-kine": "InvalidSpec"}
OURS_OF_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "deletionTimestamp")


@pytest.fixture(scope="module")
def render() -> Render:
    return Render()


@pytest.fixture(scope="module")
def made(harness, render) -> dict:
    """Case -> its objects as the server holds them, described; the refusal's text where it was refused."""
    harness.kubectl("apply", "-f", str(HERE.parent / "golden" / "gateway-api.yaml"))
    wait_for("Gateway API served", lambda: harness.kubectl("get", "tlsroutes,gateways", "-A") is not None, 20)
    running = start_manager(harness, "manager", "--template-profile=upstream")
    credential = {"content": "a2FtYWpp"}
    stores = [*harness.datastore(), *harness.datastore("default2")[1:],
              {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": "pg"},
               "spec": {"driver": "PostgreSQL", "endpoints": ["127.0.0.1:5432"], "basicAuth": {"username": credential, "password": credential}}}]
    harness.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *stores)
    install_webhooks(harness, running)
    wait_for("DataStores ready", lambda: all(item.get("status", {}).get("ready") for item in harness.get("datastores")["items"]), 30)
    found = {}
    for case in CASES:
        try:
            harness.kubectl("apply", "-f", str(REFERENCE / "inputs" / f"{case}.yaml"))
        except Exception as error:  # noqa: BLE001  the refusal is what is looked at
            found[case] = str(error)
    for case in CASES:
        if case not in found:
            found[case] = settled_objects(harness, render, case, stores)
    yield found
    running.assert_alive()
    assert running.stop() == 0


def tenant_of(harness, case: str) -> dict:
    return harness.get("tenantcontrolplane", case, NAMESPACE)


def ready(item: dict) -> dict:
    return next((condition for condition in item.get("status", {}).get("conditions", []) if condition["type"] == "Ready"), {})


def is_settled(harness, case: str) -> bool:
    item = tenant_of(harness, case)
    if case in BLOCKED and ready(item).get("status") != "False":
        return False
    if case in WITHOUT_DRIVER:
        return "kubernetesResources" in item["status"]
    return ((case in BLOCKED or item["status"].get("observedGeneration") == item["metadata"]["generation"])
            and item["status"].get("kubernetesResources", {}).get("deployment", {}).get("observedGeneration") is not None)


def settled_objects(harness, render, case: str, stores: list[dict]) -> dict:
    if case.startswith("loadbalancer"):
        wait_for("Service", lambda: harness.get("service", case, NAMESPACE), 20)
        harness.kubectl("patch", "service", case, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", json.dumps(
            {"status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_ADDRESS}]}}}))
    wait_for(f"{case} settled", lambda: is_settled(harness, case), SETTLED_SECONDS)
    if case in WITHOUT_DRIVER:
        wait_for(f"{case}: Secrets", lambda: len(of_tenant(harness, case)) >= 13, 20)
        apply_rendered_deployment(harness, render, case, stores)
    return {"tenant": tenant_of(harness, case), "objects": of_tenant(harness, case)}


def of_tenant(harness, case: str) -> list[dict]:
    items = json.loads(harness.kubectl("get", KINDS, "-n", NAMESPACE, "-o", "json"))["items"]
    uid = tenant_of(harness, case)["metadata"]["uid"]
    return [item for item in items if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))]


def apply_rendered_deployment(harness, render, case: str, stores: list[dict]) -> None:
    live = [tenant_of(harness, case), *of_tenant(harness, case), *stores]
    wanted = next(item for item in render.run(stream(live), "--profile", "upstream")
                  if item.get("kind") == "Deployment")
    path = harness.folder / f"{case}-deployment.json"
    path.write_text(json.dumps(wanted))
    run([component("kubectl"), "--kubeconfig", harness.kubeconfig, "apply", "--server-side", "--field-manager=kamaji", "-f", str(path)])


# --- comparison ---------------------------------------------------------------------------------------------------------

def text_of_this_machine(items: list[dict], golden: dict, case: str, endpoint: str) -> list[dict]:
    """Our cluster IP, store and template hash replaced by the captured ones."""
    service = next(item for item in items if item["kind"] == "Service")
    text = json.dumps(items)
    for ours, theirs in ((service["spec"]["clusterIP"], golden["Service", case]["spec"]["clusterIP"]), (endpoint, "10.244.0.1:2379")):
        text = re.sub(rf"(?<![0-9.]){re.escape(ours)}(?![0-9])", theirs, text)
    return json.loads(text)


def normalise(item: dict) -> dict:
    """What a capture does not hold or what is masked there."""
    for member in OURS_OF_SERVER:
        item["metadata"].pop(member, None)
    annotations = {name: value for name, value in item["metadata"].get("annotations", {}).items()
                   if name not in ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration")}
    item["metadata"]["annotations"] = annotations
    for owner in item["metadata"].get("ownerReferences", []):
        owner["uid"] = "<uid>"
    if item["kind"] not in ("TenantControlPlane",):
        item.pop("status", None)
    sort_sans(item)
    return item


def mask_key_algorithm(value):
    """Ours are ECDSA, but for the key that signs service-account tokens; test_golden.py of test/golden compares with RSA."""
    if isinstance(value, str):
        return re.sub(r"<private key .*>", "<private key>", value)
    if isinstance(value, list):
        return [mask_key_algorithm(item) for item in value]
    if not isinstance(value, dict):
        return value
    masked = {name: mask_key_algorithm(member) for name, member in value.items()}
    if "subject" in masked and "key" in masked:
        assert masked["key"] in ("RSA 2048", "ECDSA P-256"), masked["key"]
        masked["key"] = "<key>"
        masked["keyUsage"] = [usage for usage in masked.get("keyUsage", []) if usage != "key_encipherment"]
    return masked


def mask_node_ports(item: dict) -> None:
    """Of load balancers: the server's choice, unless the tenant wants none."""
    if item["kind"] == "Service" and item["spec"]["type"] == "LoadBalancer":
        for port in item["spec"]["ports"]:
            if "nodePort" in port:
                port["nodePort"] = "<node port>"


def sort_sans(value) -> None:
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "san":
                member.sort()
            else:
                sort_sans(member)
    elif isinstance(value, list):
        for member in value:
            sort_sans(member)


def without_hashes(value):
    if isinstance(value, str):
        return re.sub(r'ReplicaSet "[^"]+"', 'ReplicaSet "<name>"', value)
    if isinstance(value, dict):
        return {name: without_hashes(member) for name, member in value.items()}
    return [without_hashes(member) for member in value] if isinstance(value, list) else value


def check_tenant(case: str, ours: dict, theirs: dict, problems: list[str]) -> None:
    compare(bare(ours["spec"]), bare(theirs["spec"]), f"{case}: spec", problems, {})
    for name in ("labels", "finalizers"):
        compare(ours["metadata"].get(name), theirs["metadata"].get(name), f"{case}: {name}", problems, {})
    ours, theirs = without_hashes(ours["status"]), without_hashes(theirs["status"])
    if case in WITHOUT_DRIVER:
        assert ours["controlPlaneEndpoint"] == theirs["controlPlaneEndpoint"]
        return
    ours.pop("conditions")
    if case not in BLOCKED:
        assert (ours.pop("observedGeneration"), theirs.pop("observedGeneration")) == (1, 2)
    ours["kubernetesResources"]["deployment"].pop("observedGeneration", None)
    theirs["kubernetesResources"]["deployment"].pop("observedGeneration", None)
    compare(ours, theirs, f"{case}: status", problems, {})


@pytest.mark.parametrize("case", [case for case in CASES if case not in REFUSED])
def test_objects_as_upstream_makes_them(harness, render, made, case: str) -> None:
    golden = named(render.parse(REFERENCE / "objects" / f"{case}.yaml"))
    assert isinstance(made[case], dict), made[case]
    items = [made[case]["tenant"], *made[case]["objects"]]
    described = render.describe(items)
    found = named([normalise(item) for item in text_of_this_machine(described, golden, case, f"127.0.0.1:{harness.ports['store']}")])
    for item in golden.values():
        sort_sans(item)
    for side in (found, golden):
        for key, item in side.items():
            mask_node_ports(item)
            if not key[1].endswith("-sa-certificate"):
                side[key] = mask_key_algorithm(item)
    blank_store_authority(case, found, golden)
    problems: list[str] = []
    if case in BLOCKED:
        assert ready(made[case]["tenant"])["reason"] == BLOCKED[case], ready(made[case]["tenant"])
    if case in WITHOUT_DRIVER:
        found.pop(("Secret", f"{case}-datastore-certificate"))
    check_tenant(case, found.pop(("TenantControlPlane", case)), golden.pop(("TenantControlPlane", case)), problems)
    for key in sorted(found.keys() | golden.keys()):
        if key not in golden or key not in found:
            problems.append(f"{case}: {key[0]} {key[1]} is there only with {'us' if key in found else 'upstream'}")
        else:
            compare(found[key], golden[key], f"{case}: {key[0]} {key[1]}", problems, {})
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_work_is_refused(made, case: str) -> None:
    """Upstream takes it and never makes the Deployment."""
    assert isinstance(made[case], str) and REFUSED[case] in made[case]


def test_all_inputs_are_there(made) -> None:
    assert len(made) == 30
