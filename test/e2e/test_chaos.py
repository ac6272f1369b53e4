# SPDX-License-Identifier: Apache-2.0
"""Operator, admin API server, the admin cluster's store, the tenants' store and kubelet killed at random while clients of several tenants
write and read and other tenants come and go: afterwards everything is well, and nothing acknowledged is lost.

KAMAJI_CHAOS_SECONDS says how long, KAMAJI_TEST_SEED repeats a sequence of kills (the seed is printed).
"""
from __future__ import annotations

import os
import random
import time

import pytest
from chaos_clients import Clients
from chaos_faults import FLEETING, VICTIMS, Faults, Fleeting
from harness import HarnessError, component, store_kind, tenant
from local_cluster import NAMESPACE, LocalCluster, whole_life
from ready_pods import is_ready
from tenant_checks import check_complete, describe, keys_below, settled, users_and_roles
from worker_tools import Tenant

pytestmark = pytest.mark.proof
SECONDS = float(os.environ.get("KAMAJI_CHAOS_SECONDS", 1200))
TENANTS = {"blue": 1, "green": 1, "red": 2}   # name -> replicas
CLIENTS = 2                                   # of each
# The kubelet starts a container that died again and again after 5 min at most: the operator may be away for so long.
CONVERGE_SECONDS = 360
SILENCE_SECONDS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with whole_life("chaos", tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.fixture(scope="module")
def tenants(cluster):
    cluster.apply(*[tenant(name, replicas=count, controlPlane={"deployment": {"replicas": count}, "service": {"serviceType": "ClusterIP"}})
                    for name, count in TENANTS.items()])
    found = []
    for name in TENANTS:
        cluster.wait_phase(name, seconds=180)
        found.append(Tenant(cluster, name))
        found[-1].wait_rights()
    return found


def unsettled(cluster: LocalCluster, clients: list[Clients], since: float) -> list[str]:
    """What is not well yet."""
    found = [f"no write at {each.tally.name} since the last kill" for each in clients if each.tally.last_write <= since]
    node = cluster.status()["nodes"][0]
    found += [f"{one['name']} is {one['state']}" for one in node.get("processes", []) if one["state"] != "ready"]
    if not is_ready(cluster.operator_pod()):
        found.append("operator is not ready")
    for name, count in TENANTS.items():
        item = cluster.get("tenantcontrolplane", name, "default")
        ready = cluster.get("deployment", name, "default")["status"].get("readyReplicas", 0)
        if not settled(item, "Ready") or ready != count:
            found.append(f"{name}: {describe(item)}; {ready} of {count} replicas ready")
    left = cluster.get("tenantcontrolplanes,secrets,configmaps,services,deployments,pods", "", "default")["items"]
    return found + [f"{item['kind']} {item['metadata']['name']} is there" for item in left if item["metadata"]["name"].startswith(FLEETING)]


def wait_converged(cluster: LocalCluster, clients: list[Clients], since: float) -> float:
    """Seconds from the last kill until everything is well."""
    while True:
        try:
            found = unsettled(cluster, clients, since)
        except (HarnessError, OSError, KeyError) as error:
            found = [str(error)]
        now = time.monotonic()
        if not found:
            return now - since
        if now - since > CONVERGE_SECONDS:
            raise AssertionError(f"not well after {CONVERGE_SECONDS} s:\n" + "\n".join(found) + f"\n{cluster.why('blue')}")
        print(f"  {now - since:5.1f} s after the last kill: {'; '.join(found)[:200]}", flush=True)
        time.sleep(1)


def restarts(pods: list[dict]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            found[status["name"]] = found.get(status["name"], 0) + status["restartCount"]
    return found


def report(faults: Faults, fleeting: Fleeting, clients: list[Clients], converged: float) -> None:
    print(f"\nkills: {sum(faults.kills.values())}: " + ", ".join(f"{kind} {faults.kills[kind]}" for kind in VICTIMS)
          + "; not running when its turn came: " + (", ".join(f"{kind} {count}" for kind, count in faults.away.items()) or "none"))
    for tally in (each.tally for each in clients):
        failures = ", ".join(f"{reason}: {count}" for reason, count in tally.failures.most_common()) or "none"
        print(f"{tally.name}: {tally.writes} writes acknowledged, {tally.reads} reads, {sum(tally.failures.values())} requests failed ({failures}), "
              f"longest gap without an acknowledged write {tally.longest_gap:.1f} s, in which were killed: "
              f"{faults.between(tally.gap_end - tally.longest_gap, tally.gap_end)}")
    print(f"tenants made and deleted meanwhile: {fleeting.made} ({fleeting.failures} requests failed)")
    print(f"converged {converged:.1f} s after the last kill")


def check_stores(cluster: LocalCluster) -> None:
    """Users, roles and keys in the tenants' store: those of the tenants that are there, nothing of the others."""
    setups = [cluster.get("tenantcontrolplane", name, "default")["status"]["storage"]["setup"] for name in TENANTS]
    users, roles = users_and_roles(cluster.etcdctl)
    assert users == {"root"} | {setup["user"] for setup in setups} and roles == {"root"} | {setup["schema"] for setup in setups}
    # The tenants write on while they are counted: what lies outside of their prefixes is asked for.
    edges = [" ", *[edge for schema in sorted(setup["schema"] for setup in setups) for edge in (f"/{schema}/", f"/{schema}0")]]
    for first, last in zip(edges[::2], edges[1::2] + ["--from-key"]):
        found = cluster.etcdctl("get", first, last, "--keys-only", "--limit=5")
        assert not found.strip(), f"keys between {first!r} and {last!r}: {found}"
    assert all(keys_below(cluster.etcdctl, f"/{setup['schema']}/") > 0 for setup in setups)


def check_ends(cluster: LocalCluster, faults: Faults, before: dict[str, int]) -> None:
    """Nothing ended but what was killed: the stores and the operator ran on through the loss of all others."""
    for kind in VICTIMS:
        if kind != "operator":
            print(f"{kind} as its supervisor saw it: {dict(faults.ends(kind))}")
    if store_kind() == "kamaji":
        for kind in ("etcd", "datastore"):
            assert dict(faults.ends(kind)) == {"killed by signal 9": faults.kills[kind]}
    operator = restarts([cluster.operator_pod()])
    print(f"operator: {sum(operator.values()) - sum(before.values())} restarts of {faults.kills['operator']} kills")
    assert sum(operator.values()) - sum(before.values()) == faults.kills["operator"], "the operator ended by itself"
    print(f"tenants' containers restarted: {restarts(cluster.get('pods', '', 'default')['items'])}")


def test_chaos(cluster, tenants):
    seed = int(os.environ.get("KAMAJI_TEST_SEED", random.randrange(1 << 30)))
    print(f"\nseed {seed}, {SECONDS:.0f} s")
    kubectl = component("kubectl")
    clients = [Clients(f"tenant {one.name}", kubectl, one.config, CLIENTS, seed + 100 * number) for number, one in enumerate(tenants)]
    clients.append(Clients("admin cluster", kubectl, str(cluster.folder / "kubeconfig"), 1, seed + 1000))
    before = restarts([cluster.operator_pod()])
    faults, fleeting = Faults(cluster, random.Random(seed)), Fleeting(cluster, seed)
    for each in clients:
        each.start()
    fleeting.start()
    faults.rage(SECONDS)
    fleeting.end()
    converged = wait_converged(cluster, clients, faults.last)
    for each in clients:
        each.end()
    compared = [each.verify() for each in clients]
    report(faults, fleeting, clients, converged)
    wrong = [text for each in clients for text in each.tally.wrong] + fleeting.wrong
    assert not wrong, f"{len(wrong)} are wrong:\n" + "\n".join(wrong[:40])
    print(f"{sum(compared)} ConfigMaps are what they may be, deleted ones included")
    assert all(faults.kills[kind] for kind in VICTIMS), faults.kills
    check_stores(cluster)
    for name in TENANTS:
        check_complete(cluster, cluster.etcdctl, "default", name)
    check_ends(cluster, faults, before)
    time.sleep(10)
    assert cluster.operator_noise(SILENCE_SECONDS) == []
    assert is_ready(cluster.operator_pod())
    print(f"operator silent for {SILENCE_SECONDS} s, ready in {NAMESPACE}")
