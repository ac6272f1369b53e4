# SPDX-License-Identifier: Apache-2.0
"""`kamaji handback` with a tenant that runs: what upstream's operator would leave inside it for ever is named, and taken away."""
import json
import os
import signal
import subprocess

import pytest
from harness import Harness, crds_of_tree, tenant
from manager_process import Manager, binary, wait_for
from tenant_process import TenantProcesses, private_network

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
SLICE = f"{SLICES}/kamaji-kubernetes"


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    with private_network(), Harness(tmp_path_factory.mktemp("admin")).up(crds=crds_of_tree()) as running:
        yield running


@pytest.fixture(scope="module")
def manager(harness):
    harness.apply(*harness.datastore())
    running = Manager(harness).start()
    wait_for("DataStore ready", lambda: harness.get("datastore", "default").get("status", {}).get("ready"), 30)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def live(harness, manager):
    harness.apply(tenant("live", replicas=1))
    running = TenantProcesses(harness, "live").start()
    wait_for("the slice inside", lambda: running.find(SLICE), 30)
    yield running
    running.stop()


def hand_back(harness, *arguments: str) -> tuple[int, dict | None, str]:
    done = subprocess.run([binary(), "handback", *arguments, "--datastore=default", "-o", "json"], capture_output=True, text=True, check=False,
                          env={**os.environ, "KUBECONFIG": harness.kubeconfig})
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def started_again(manager, live) -> None:
    manager.start()
    wait_for("the slice inside", lambda: live.find(SLICE), 30)


def test_the_check_names_it_with_its_remedy(harness, live) -> None:
    code, answer, _ = hand_back(harness, "--check")
    (found,) = [change for change in answer["changes"] if change["kind"] == "EndpointSlice"]
    assert code == 1 and found["tenant"] == "default/live" and found["name"] == "kamaji-kubernetes"
    assert "kamaji handback --clean" in found["change"] and not found["restarts"]


def test_not_while_the_operator_runs(harness, live) -> None:
    """It would put the slice back."""
    code, answer, error = hand_back(harness, "--clean")
    assert code == 1 and answer is None
    assert "holds Lease kamaji-system/kamaji.clastix.io" in error and "stop it first" in error
    assert live.find(SLICE)


def test_clean_takes_it_away(harness, manager, live) -> None:
    """At once after a graceful stop; what the API server made itself stays; a second time there is nothing to do."""
    assert manager.stop() == 0
    assert hand_back(harness, "--clean") == (0, {"tenants": ["default/live"], "removed": ["default/live"], "left": []}, "")
    assert [item["metadata"]["name"] for item in live.call("GET", SLICES)["items"]] == ["kubernetes"]
    assert hand_back(harness, "--clean") == (0, {"tenants": ["default/live"], "removed": [], "left": []}, "")
    _, answer, _ = hand_back(harness, "--check")
    assert [change for change in answer["changes"] if change["kind"] == "EndpointSlice"] == []
    started_again(manager, live)


def test_what_somebody_else_made_stays(harness, manager, live) -> None:
    assert manager.stop() == 0
    live.call("PATCH", SLICE, {"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": "somebody"}}})
    code, answer, _ = hand_back(harness, "--clean")
    assert code == 0 and answer["removed"] == [] and live.find(SLICE)
    started_again(manager, live)


def test_a_tenant_that_sleeps_is_named(harness, manager, live) -> None:
    harness.apply(tenant("asleep", replicas=0))
    wait_for("its Deployment", lambda: harness.get("deployment", "asleep", "default"), 30)
    assert manager.stop() == 0
    code, answer, _ = hand_back(harness, "--clean")
    assert code == 1 and answer["tenants"] == ["default/asleep", "default/live"] and answer["removed"] == ["default/live"]
    (left,) = answer["left"]
    assert left["tenant"] == "default/asleep" and "awake" in left["why"]
    started_again(manager, live)


def test_an_operator_that_was_killed_keeps_nobody_away(harness, manager, live) -> None:
    """Its name stays in the Lease; that counts as long as the Lease lasts."""
    manager.stop(signal.SIGKILL)
    assert hand_back(harness, "--clean")[0] == 1 and live.find(SLICE), "the Lease is fresh"
    answer = wait_for("the Lease is over", lambda: hand_back(harness, "--clean")[1], 30)
    assert answer["removed"] == ["default/live"] and not live.find(SLICE)


def test_the_flags_exclude_each_other(harness) -> None:
    code, _, error = hand_back(harness, "--check", "--clean")
    assert code == 2 and "not both" in error
