# SPDX-License-Identifier: Apache-2.0
"""Our operator started on what upstream left: nothing restarts, no credential changes, ownership moves, and then it is silent."""
import base64
import datetime
import hashlib
import json
import os
import subprocess
import time

import pytest

from harness import tenant
from installation import ON_ETCD, TENANTS, WRITES, Installation, reference_json, said, written
from manager_process import Manager, binary, wait_for

SILENT_SECONDS = 5
# What is written beside ownership: upstream leaves this Secret without labels and owner, so that it would outlive its tenant.
MENDED = {"Secret/kine-datastore-certificate"}
# The store has no driver here: everything behind the step that needs it is left as it is.
LEFT_ALONE = {"Deployment/kine"}


def own_record(item: dict) -> dict | None:
    return next((record for record in item["metadata"].get("managedFields", [])
                 if record["manager"] == "kamaji" and record["operation"] == "Apply" and "subresource" not in record), None)


def of_tenants(objects: dict[str, dict]) -> dict[str, dict]:
    return {name: item for name, item in objects.items()
            if any(owner["kind"] == "TenantControlPlane" for owner in item["metadata"].get("ownerReferences", []))}


def without(item: dict, *members: str) -> dict:
    copy = json.loads(json.dumps(item))
    for member in ("managedFields", "resourceVersion", *members):
        copy["metadata"].pop(member, None)
    return copy


def settle(installation: Installation, manager: Manager, seconds: float = 40) -> None:
    """Until nothing was written for a while."""
    end = time.monotonic() + seconds
    while True:
        manager.assert_alive()
        mark = installation.audit_end()
        time.sleep(2)
        last = [said(event) for event in installation.audit(mark) if written(event)]
        if not last:
            return
        assert time.monotonic() < end, f"it still writes: {last}"


def review(installation: Installation, *arguments: str) -> tuple[int, dict]:
    """`kamaji takeover` or `kamaji handback`, and that it wrote nothing."""
    mark = installation.audit_end()
    done = subprocess.run([binary(), *arguments, "--datastore=default", "-o", "json"], capture_output=True, text=True, check=False,
                          env={**os.environ, "KUBECONFIG": installation.kubeconfig})
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    events = installation.audit(mark)
    assert events and [said(event) for event in events if written(event)] == []
    return done.returncode, json.loads(done.stdout)


def changed(answer: dict) -> set[tuple[str, str]]:
    return {(change["kind"], change["name"]) for change in answer["changes"]}


def test_dry_run(installation) -> None:
    """Before the switch: the one Secret that is mended, the one tenant whose store has no driver; no restart."""
    code, answer = review(installation, "takeover", "--dry-run")
    assert answer["tenants"] == [f"default/{name}" for name in TENANTS]
    assert code == 1 and answer["tenantsRestarting"] == 0
    assert changed(answer) == {("Secret", "kine-datastore-certificate"), ("TenantControlPlane", "kine")}
    assert {change["tenant"] for change in answer["changes"]} == {"default/kine"}
    assert any("PostgreSQL" in change["change"] for change in answer["changes"])


def test_dry_run_in_words(installation) -> None:
    """A line for each object and field below its tenant, and a sum; without the flag nothing is looked at."""
    environment = {**os.environ, "KUBECONFIG": installation.kubeconfig}
    done = subprocess.run([binary(), "takeover", "--dry-run", "--datastore=default"], capture_output=True, text=True, check=False, env=environment)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and lines[0] == "default/kine"
    assert any(line.startswith("  Secret kine-datastore-certificate metadata.") for line in lines)
    assert lines[-1] == f"{len(TENANTS)} tenants, {len(lines) - 2} changes, pods of 0 tenants would be replaced"
    for command in ("takeover", "handback"):
        refused = subprocess.run([binary(), command], capture_output=True, text=True, check=False, env=environment)
        assert refused.returncode == 2 and "nothing is written" in refused.stderr


def test_dry_run_sees_a_left_over(installation) -> None:
    """Upstream wrote what its spec no longer has: it would go, and pods would be replaced. Its record names it, so kubectl speaks for it."""
    def annotate(value) -> None:
        installation.kubectl("patch", "deployment", "extras", "-n", "default", "--type=merge", "--field-manager=kamaji-go", "-p", json.dumps(
            {"metadata": {"labels": {"left": value}}}))

    annotate("over")
    try:
        code, answer = review(installation, "takeover", "--dry-run")
    finally:
        annotate(None)
    found = [change for change in answer["changes"] if change["name"] == "extras"]
    assert code == 1 and len(found) == 1
    assert found[0]["kind"] == "Deployment" and found[0]["field"] == "metadata.labels.left" and not found[0]["restarts"]


def test_the_lease_keeps_us_away(installation) -> None:
    """Upstream still holds the Lease, which has one name for both: ours is up, and writes nothing at all."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kamaji.clastix.io", "namespace": "kamaji-system"},
             "spec": {"holderIdentity": "kamaji-7c9d_f00d", "leaseDurationSeconds": 15, "leaseTransitions": 1,
                      "renewTime": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
    installation.apply(lease)
    mark = installation.audit_end()
    manager = Manager(installation).start()
    time.sleep(SILENT_SECONDS)
    events = installation.audit(mark)
    assert any(event["verb"] == "watch" for event in events), "it looks"
    assert [said(event) for event in events if event["verb"] in WRITES and event["objectRef"].get("resource") != "events"] == []
    assert "kamaji-7c9d_f00d" in manager.log_text()
    assert manager.stop() == 0
    installation.kubectl("delete", "lease", "kamaji.clastix.io", "-n", "kamaji-system")


@pytest.fixture(scope="module")
def taken_over(installation):
    """(before, the operator, after)"""
    before = installation.objects()
    before_tenants = {item["metadata"]["name"]: item for item in installation.get("tenantcontrolplanes", namespace="default")["items"]}
    manager = Manager(installation).start()
    wait_for("ownership of every Deployment", lambda: all(
        own_record(installation.objects()[f"Deployment/{name}"]) for name in ON_ETCD), 40)
    settle(installation, manager)
    yield before, before_tenants, manager, installation.objects()
    assert manager.stop() == 0


def test_thawed_as_it_was(taken_over) -> None:
    """What is compared below is what was frozen."""
    before = taken_over[0]
    frozen = {f"{item['kind']}/{item['metadata']['name']}": item for item in reference_json("objects.json.xz")
              if item["metadata"].get("namespace") == "default" and item["kind"] in ("Deployment", "ReplicaSet", "Service", "ConfigMap")}
    for name, item in of_tenants(frozen).items():
        assert before[name]["metadata"]["uid"] == item["metadata"]["uid"]
        assert before[name].get("spec") == item.get("spec") and before[name].get("data") == item.get("data")


def test_no_replica_set_more(taken_over) -> None:
    before, _, _, after = taken_over
    for kind in ("ReplicaSet", "Deployment"):
        def generations(objects: dict, kind: str = kind) -> dict:
            return {name: (item["metadata"]["uid"], item["metadata"]["generation"]) for name, item in objects.items() if name.startswith(kind)}
        assert generations(after) == generations(before)
        assert generations(before)


def test_secrets_keep_their_bytes(taken_over) -> None:
    after = taken_over[3]
    frozen = {name.removeprefix("default/"): item for name, item in reference_json("secrets.sha256.json.xz").items()
              if name.startswith("default/")}
    found = {item["metadata"]["name"]: item for item in after.values() if item["kind"] == "Secret"}
    assert set(found) == set(frozen)
    for name, item in frozen.items():
        values = {key: hashlib.sha256(value.encode()).hexdigest() for key, value in found[name].get("data", {}).items()}
        assert values == item.get("sha256", {}), name
        assert found[name]["metadata"].get("annotations", {}) == (item.get("annotations") or {}), name
        if f"Secret/{name}" not in MENDED:
            assert found[name]["metadata"].get("labels", {}) == (item.get("labels") or {}), name


def test_objects_change_their_owner_only(taken_over) -> None:
    before, _, _, after = taken_over
    assert set(after) == set(before)
    for name, item in of_tenants(before).items():
        assert without(after[name]) == without(item), name
    for name in MENDED:
        assert without(after[name], "labels", "ownerReferences") == without(before[name], "labels", "ownerReferences")
        assert after[name]["metadata"]["ownerReferences"][0]["kind"] == "TenantControlPlane"


def test_one_field_manager(taken_over) -> None:
    """What upstream wrote by update is ours by apply; nobody else holds a field outside of status."""
    after = taken_over[3]
    looked_at = 0
    for name, item in of_tenants(after).items():
        if item["kind"] == "ReplicaSet" or name in LEFT_ALONE | MENDED:
            continue
        assert own_record(item), name
        others = {record["manager"] for record in item["metadata"]["managedFields"] if "subresource" not in record and record["manager"] != "kamaji"}
        assert others <= {"kube-controller-manager"}, name
        looked_at += 1
    assert looked_at > 50


def test_tenants_keep_spec_and_status(installation, taken_over) -> None:
    before = taken_over[1]
    after = {item["metadata"]["name"]: item for item in installation.get("tenantcontrolplanes", namespace="default")["items"]}
    assert sorted(after) == TENANTS
    for name, item in after.items():
        assert item["spec"] == before[name]["spec"]
        assert item["metadata"]["generation"] == before[name]["metadata"]["generation"]
        status = {key: value for key, value in item["status"].items() if key != "conditions"}
        assert status == before[name]["status"], name


def test_the_store_without_driver_says_so(installation, taken_over) -> None:
    conditions = {condition["type"]: condition for condition in installation.get("datastore", "pg")["status"]["conditions"]}
    connection = conditions["kamaji.clastix.io/DataStoreConnection"]
    assert connection["status"] == "False" and "PostgreSQL" in connection["message"]
    before, _, _, after = taken_over
    assert without(after["Deployment/kine"]) == without(before["Deployment/kine"])
    events = json.loads(installation.kubectl("get", "events", "-n", "default", "-o", "json"))["items"]
    assert any(event["involvedObject"]["name"] == "kine" and event["involvedObject"]["kind"] == "TenantControlPlane"
               and "PostgreSQL" in event.get("message", event.get("note", "")) for event in events)


def versions(installation) -> dict[str, str]:
    kinds = "deployments,replicasets,services,configmaps,secrets,tenantcontrolplanes"
    return {name: item["metadata"]["resourceVersion"] for name, item in installation.objects(kinds).items()}


def test_then_silence(installation, taken_over) -> None:
    mark = installation.audit_end()
    time.sleep(SILENT_SECONDS)
    assert [said(event) for event in installation.audit(mark) if written(event)] == []


def test_a_restart_changes_nothing(installation, taken_over) -> None:
    """No object moves. That upstream's CRD prunes our conditions is found out anew by writing them, to as many tenants as there are
    workers; the server answers with what it had."""
    manager = taken_over[2]
    before = versions(installation)
    assert manager.stop() == 0
    mark = installation.audit_end()
    manager.start()
    time.sleep(SILENT_SECONDS)
    assert versions(installation) == before
    requests = [said(event) for event in installation.audit(mark) if written(event)]
    assert all(request.startswith("patch tenantcontrolplanes/") and request.endswith("/status") for request in requests), requests
    assert len(requests) <= len(TENANTS)


def test_the_store_is_as_it_was(installation, taken_over) -> None:
    """Users, roles and grants of the tenants on etcd stand; nothing was added."""
    tenants = [name for name, item in taken_over[1].items() if item["status"]["storage"]["driver"] == "etcd"]
    assert len(installation.etcdctl("user", "list").split()) == len(tenants) + 1
    assert len(installation.etcdctl("role", "list").split()) == len(tenants) + 1
    assert base64.b64decode(taken_over[3]["Secret/plain-datastore-config"]["data"]["DB_USER"]).decode() in installation.etcdctl("user", "list")


def on_the_way_back(installation: Installation) -> list[dict]:
    """What `kamaji handback --check` tells of the admin cluster. Here no tenant runs, though the frozen status of some says so: of those it
    says that nobody can be asked what is inside. test/e2e/test_hand_back.py has one that runs."""
    code, answer = review(installation, "handback", "--check")
    inside = [change for change in answer["changes"] if change["kind"] == "EndpointSlice"]
    serving = {f"default/{name}" for name in TENANTS
               if installation.objects()[f"Deployment/{name}"].get("status", {}).get("readyReplicas", 0) > 0}
    assert serving and {change["tenant"] for change in inside} == serving and len(inside) == len(serving)
    assert all("cannot be asked" in change["change"] for change in inside) and code == 1
    return [change for change in answer["changes"] if change not in inside]


def test_the_way_back(installation, taken_over) -> None:
    """What we took over and did not change, upstream would not change either."""
    assert on_the_way_back(installation) == []


def test_a_new_tenant_on_the_way_back(installation, taken_over) -> None:
    """One made by us with profile native and ECDSA keys is told: its template and keys are not upstream's."""
    installation.apply(tenant("fresh"))
    wait_for("the new tenant's Deployment", lambda: "Deployment/fresh" in installation.objects(), 30)
    settle(installation, taken_over[2])
    changes = on_the_way_back(installation)
    assert changes and all(change["tenant"] == "default/fresh" for change in changes)
    assert any(change["kind"] == "Deployment" and change["field"].startswith("spec.template.spec") for change in changes)
    assert ("Secret", "fresh-ca") in changed({"changes": changes})


# --- and back again -----------------------------------------------------------------------------------------------------

UPSTREAM = "kamaji"  # the field manager of upstream's released program: its file's name, and by chance ours


def write_as_upstream(installation: Installation, kind: str, name: str, document: dict) -> None:
    installation.kubectl("patch", kind, name, "-n", "default", "--type=strategic", f"--field-manager={UPSTREAM}", "-p", json.dumps(document))


def replica_sets(installation: Installation) -> dict[str, str]:
    return {name: item["metadata"]["uid"] for name, item in installation.objects().items() if name.startswith("ReplicaSet/")}


def test_taken_over_a_second_time(installation, taken_over) -> None:
    """Handed back for a while: upstream wrote by Update what its spec had then and has no more. It goes, what others added stays, and no pod
    is replaced."""
    manager = taken_over[2]
    assert manager.stop() == 0
    write_as_upstream(installation, "service", "plain", {"metadata": {"labels": {"left": "over"}}})
    write_as_upstream(installation, "deployment", "plain", {"metadata": {"labels": {"left": "over"}}})
    installation.kubectl("label", "service", "plain", "-n", "default", "stranger=stays")
    code, answer = review(installation, "takeover", "--dry-run")
    assert code == 1 and {("Service", "plain"), ("Deployment", "plain")} <= changed(answer)
    before = replica_sets(installation)
    manager.start()

    def labels(kind: str) -> dict:
        return installation.objects()[f"{kind}/plain"]["metadata"]["labels"]

    wait_for("left-overs gone", lambda: "left" not in labels("Service") and "left" not in labels("Deployment"), 40)
    assert labels("Service")["stranger"] == "stays"
    settle(installation, manager)
    assert replica_sets(installation) == before
    assert not [record for record in installation.objects()["Service/plain"]["metadata"]["managedFields"]
                if (record["manager"], record["operation"]) == (UPSTREAM, "Update") and "subresource" not in record]


def pod_text(installation: Installation, name: str) -> str:
    return json.dumps(installation.objects()[f"Deployment/{name}"]["spec"]["template"], sort_keys=True)


def test_a_template_that_upstream_rendered_is_kept(installation, taken_over) -> None:
    """`fresh` was made by us with profile native. Asked, it gets upstream's template. Had upstream rendered that itself, our mark would still
    say native: the template counts, and nothing is rolled out."""
    manager = taken_over[2]
    native = pod_text(installation, "fresh")
    mark = "kamaji.clastix.io/template-profile"
    installation.kubectl("annotate", "tcp", "fresh", "-n", "default", f"{mark}=upstream")
    wait_for("the template that was asked for", lambda: pod_text(installation, "fresh") != native, 30)
    settle(installation, manager)
    upstream = pod_text(installation, "fresh")
    assert "controller-manager-pki" in native and "controller-manager-pki" not in upstream and mark not in upstream
    assert manager.stop() == 0
    installation.kubectl("annotate", "tcp", "fresh", "-n", "default", f"{mark}-")
    installation.kubectl("annotate", "deployment", "fresh", "-n", "default", f"{mark}=native", "--overwrite", f"--field-manager={UPSTREAM}")
    before = replica_sets(installation)
    manager.start()
    settle(installation, manager)
    assert pod_text(installation, "fresh") == upstream
    assert replica_sets(installation) == before
