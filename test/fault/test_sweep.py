# SPDX-License-Identifier: Apache-2.0
"""A fault at every request of a tenant's creation: whatever happens, the same tenant comes out of it, and then silence.

Tenants have replicas 0: complete without a pod. Each lives in a namespace of its own, which is the scope of its fault, so that
many sweeps run beside each other. The short sweep of `make test` takes every n-th place; `make proof-faults` takes all.
"""
import os
import random
import time

import pytest
from harness import tenant
from manager_process import Manager, wait_for
from proxy import ANSWER_FAULTS, CONNECTION_FAULTS, REQUEST_FAULTS, WATCH_FAULTS, Fault
from tenant_checks import check_complete, describe, settled, users_and_roles

FULL = bool(os.environ.get("KAMAJI_FULL_SWEEP"))
BATCH = 10
CONVERGE_SECONDS = 90
QUIET_SECONDS = 5
WATCH_EVENTS_AT_LEAST = 12
# An unanswered connection is noticed within 45 s, then everything starts anew.
BLACK_HOLE_SECONDS = 120


@pytest.fixture(scope="module")
def manager(harness, proxy):
    harness.apply(*harness.datastore())
    running = Manager(harness, proxy.kubeconfig).start()
    wait_for("DataStore ready", lambda: harness.get("datastore", "default").get("status", {}).get("ready"), 30)
    yield running
    running.assert_alive()
    assert running.stop() == 0, "a graceful stop"


def all_tenants(harness) -> list:
    return harness.get("tenantcontrolplanes")["items"]


def create(harness, namespace: str) -> None:
    harness.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    harness.api.create(tenant("t", namespace))


def converge(harness, namespaces, seconds: float = CONVERGE_SECONDS) -> None:
    waiting = set(namespaces)

    def done() -> bool:
        for item in all_tenants(harness):
            if item["metadata"]["namespace"] in waiting and settled(item):
                waiting.discard(item["metadata"]["namespace"])
        return not waiting

    try:
        wait_for("tenants settled", done, seconds, pause=0.3)
    except Exception as error:
        stuck = {item["metadata"]["namespace"]: describe(item) for item in all_tenants(harness) if item["metadata"]["namespace"] in waiting}
        raise AssertionError(f"{error}; stuck: {stuck}") from None


def check_and_delete(harness, namespaces) -> None:
    for namespace in namespaces:
        check_complete(harness, harness.etcdctl, namespace, "t")
    for namespace in namespaces:
        harness.api.delete("namespace", namespace)
    # The namespaces themselves take the namespace controller some ten seconds more; nothing here depends on that.
    wait_for("tenants gone", lambda: not [item for item in all_tenants(harness) if item["metadata"]["namespace"] in namespaces], 60)
    users, roles = users_and_roles(harness.etcdctl)
    assert users == {"root"} and roles == {"root"}, "deletion leaves neither user nor role"


@pytest.fixture(scope="module")
def baseline(harness, proxy, manager) -> list:
    """The requests of an undisturbed creation."""
    create(harness, "baseline")
    converge(harness, ["baseline"])
    time.sleep(1)
    requests = proxy.seen("baseline")
    check_and_delete(harness, ["baseline"])
    assert 10 <= len(requests) <= 200, [str(request) for request in requests]
    return requests


def test_an_undisturbed_creation_is_short(baseline):
    print(f"\n{len(baseline)} requests:")
    for request in baseline:
        print("   ", request)
    # 15 objects, the finalizer and the status: some room above one write each.
    assert len(baseline) <= 60


@pytest.mark.parametrize("kind", REQUEST_FAULTS + ANSWER_FAULTS)
def test_sweep(harness, proxy, manager, baseline, kind):
    # Events come last and may come in another number; the sweep goes a little beyond what was counted.
    total = len(baseline) + 2
    stride = 1 if FULL else max(1, total // BATCH + 1)
    places = list(range(1, total + 1, stride))
    hit = 0
    for first in range(0, len(places), BATCH):
        batch = {f"{kind}-{place}".lower(): Fault(kind, place, f"{kind}-{place}".lower()) for place in places[first:first + BATCH]}
        proxy.arm(*batch.values())
        for namespace in batch:
            create(harness, namespace)
        converge(harness, batch)
        manager.assert_alive()
        # A creation takes a few requests more or less, as caches follow sooner or later; a place that was reached must have been hit.
        missed = [namespace for namespace, fault in batch.items() if fault.hit is None and len(proxy.seen(namespace)) >= fault.at]
        assert missed == []
        hit += sum(fault.hit is not None for fault in batch.values())
        proxy.disarm()
        check_and_delete(harness, batch)
    assert hit >= len(places) // 2, f"only {hit} of {len(places)} faults were reached"


@pytest.mark.parametrize("kind", CONNECTION_FAULTS)
def test_connection_faults(harness, proxy, manager, baseline, kind):
    # A black hole takes most of a minute to be noticed.
    stride = 1 if FULL and kind != "blackhole" else len(baseline) // 2
    places = range(1, len(baseline) + 1, stride) if FULL or kind != "blackhole" else [random.randrange(1, 12)]
    for place in places:
        namespace = f"{kind}-{place}"
        fault = Fault(kind, place, namespace)
        proxy.arm(fault)
        create(harness, namespace)
        converge(harness, [namespace], BLACK_HOLE_SECONDS if kind == "blackhole" else CONVERGE_SECONDS)
        proxy.disarm()
        check_and_delete(harness, [namespace])
        manager.assert_alive()


@pytest.mark.parametrize("kind", WATCH_FAULTS)
def test_watch_faults(harness, proxy, manager, baseline, kind):
    reached = 0
    for place in range(1, 41 if FULL else 13, 1 if FULL else 4):
        namespace = f"{kind}-{place}"
        fault = Fault(kind, place)
        proxy.arm(fault)
        create(harness, namespace)
        converge(harness, [namespace])
        proxy.disarm()
        check_and_delete(harness, [namespace])
        manager.assert_alive()
        if fault.hit is None:  # settled with fewer events: there is no such place
            break
        reached = place
    assert reached >= (WATCH_EVENTS_AT_LEAST if FULL else 9), f"a creation makes more than {reached} events"


def test_then_silence(harness, proxy, manager):
    create(harness, "silence")
    converge(harness, ["silence"])
    time.sleep(2)
    before = len(proxy.requests)
    time.sleep(QUIET_SECONDS)
    assert [str(request) for request in proxy.seen(since=before)] == []
    check_and_delete(harness, ["silence"])
