# SPDX-License-Identifier: Apache-2.0
"""The operator under valgrind through a whole life of tenants: created, damaged, mended, deleted; then a graceful stop."""
import json
import re
import time

import pytest
from harness import tenant
from manager_process import Manager, wait_for
from tenant_checks import check_complete, owned, settled, users_and_roles

pytestmark = pytest.mark.proof


def test_scripted_run(harness):
    report = harness.folder / "valgrind.txt"
    wrapper = ["valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect",
               "--error-exitcode=99", "--child-silent-after-fork=yes", f"--log-file={report}"]
    harness.apply(*harness.datastore())
    # Thirty times slower: the Lease gets thirty times longer, too.
    flags = ["--lease-duration=450s", "--lease-renew-deadline=300s", "--lease-retry-period=5s", "--controller-reconcile-timeout=300s"]
    manager = Manager(harness, name="valgrind", wrapper=wrapper, flags=flags).start(seconds=120)
    try:
        harness.apply(tenant("one"), tenant("two"), tenant("stray", dataStore="missing"))
        for name in ("one", "two"):
            wait_for("tenant", lambda name=name: settled(harness.get("tenantcontrolplane", name, "default")), 180)
        harness.kubectl("delete", "secret", "one-scheduler-kubeconfig")
        harness.kubectl("patch", "secret", "two-ca", "--type=merge", "-p", json.dumps({"metadata": {"labels": {"by": "hand"}}}))
        wait_for("repaired", lambda: "Secret/one-scheduler-kubeconfig" in owned(harness, "default", "one"), 120)
        check_complete(harness, harness.etcdctl, "default", "one")
        harness.stop("kube-apiserver")
        time.sleep(3)
        harness.start_api_server()
        harness.apply(tenant("three"))
        wait_for("tenant", lambda: settled(harness.get("tenantcontrolplane", "three", "default")), 180)
        harness.kubectl("delete", "tenantcontrolplanes", "--all", "-n", "default", "--timeout=180s")
        assert users_and_roles(harness.etcdctl) == ({"root"}, {"root"})
        assert "kamaji" in manager.metrics() or manager.metrics()
    finally:
        code = manager.stop(patience=90)
    text = report.read_text()
    print("\n" + "\n".join(text.splitlines()[-12:]))
    assert code == 0, text[-6000:]
    assert re.search(r"ERROR SUMMARY: 0 errors", text)
