# SPDX-License-Identifier: Apache-2.0
"""Upstream's own CRDs installed instead of ours: everything works, and what the server prunes is not written again and again.

Ours are upstream's plus optional status members (proved by the structure test), so upstream's are ours without them.
"""
import json
import time

import pytest
from harness import ROOT, Harness, crds_of_tree, tenant
from manager_process import Manager, wait_for
from tenant_checks import check_complete, settled

OURS = ["conditions"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    with Harness(tmp_path_factory.mktemp("upstream")).up() as running:
        assert crds_of_tree(), f"no CRDs in {ROOT}"
        crds = objects_of(running.kubectl("create", "--dry-run=client", "-o", "json", "-k", crds_of_tree()))
        removed = 0
        for crd in crds:
            if crd["spec"]["names"]["kind"] != "TenantControlPlane":
                continue
            for version in crd["spec"]["versions"]:
                status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
                removed += sum(status.pop(name, None) is not None for name in OURS)
        assert removed == len(OURS), "the CRD holds what it is said to add"
        path = running.folder / "upstream-crds.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": crds}))
        running.install_crds(str(path))
        yield running


def objects_of(text: str) -> list:
    """kubectl prints a List, or one JSON object after the other when it reads a folder."""
    decoder, place, found = json.JSONDecoder(), 0, []
    while place < len(text):
        while place < len(text) and text[place].isspace():
            place += 1
        if place < len(text):
            item, place = decoder.raw_decode(text, place)
            found += item["items"] if item["kind"] == "List" else [item]
    return found


def test_works_and_stays_silent(harness):
    harness.apply(*harness.datastore())
    manager = Manager(harness).start()
    try:
        harness.apply(tenant("pruned"), tenant("stuck", dataStore="missing"))
        wait_for("tenant settled", lambda: settled(harness.get("tenantcontrolplane", "pruned", "default")), 40)
        check_complete(harness, harness.etcdctl, "default", "pruned")
        assert "conditions" not in harness.get("tenantcontrolplane", "pruned", "default")["status"]
        time.sleep(5)
        path = harness.folder / "audit.log"
        offset = path.stat().st_size
        time.sleep(15)
        with open(path) as stream:
            stream.seek(offset)
            events = [json.loads(line) for line in stream if line.endswith("}\n")]
        noise = [f"{e['verb']} {e['requestURI']}" for e in events if e["user"]["username"] == "admin"
                 and e["verb"] != "watch" and "/leases/" not in e["requestURI"] and "/tenantcontrolplanes/stuck" not in e["requestURI"]]
        assert noise == []
        assert [n for n in (f"{e['verb']} {e['requestURI']}" for e in events if "tenantcontrolplanes/stuck" in e["requestURI"]) if n.startswith(("patch", "update"))] == []
        harness.kubectl("delete", "tenantcontrolplanes", "--all", "-n", "default", "--timeout=60s")
        manager.assert_alive()
    finally:
        assert manager.stop() == 0
