# SPDX-License-Identifier: Apache-2.0
"""The operator against a real API server and a real DataStore, with tenants that sleep: complete but for their pods."""
import base64
import json
import os
import random
import re
import signal
import time

import pytest
from harness import HarnessError, free_ports, tenant
from manager_process import Manager, binary, wait_for
from tenant_checks import check_complete, describe, keys_below, leaks, owned, settled, users_and_roles


def settle(harness, name, namespace="default", seconds=30):
    try:
        return wait_for(f"tenant {name} settled",
                        lambda: (found := harness.get("tenantcontrolplane", name, namespace)) if settled(
                            harness.get("tenantcontrolplane", name, namespace)) else None, seconds)
    except HarnessError as error:
        raise AssertionError(f"{error}; {describe(harness.get('tenantcontrolplane', name, namespace))}") from None


def ready_condition(item):
    return next((c for c in item.get("status", {}).get("conditions", []) if c["type"] == "Ready"), {})


def remove(harness, name, namespace="default"):
    harness.kubectl("delete", "tenantcontrolplane", name, "-n", namespace, "--timeout=60s")


def test_probes_and_metrics(harness, manager):
    assert manager.probe("/healthz") == 200 and manager.probe("/readyz") == 200
    assert manager.probe("/nothing-here") == 404
    assert re.search(r"^# TYPE \w+ ", manager.metrics(), re.MULTILINE)


def test_a_tenant_is_complete(harness, manager):
    start = time.monotonic()
    harness.apply(tenant("complete"))
    found = settle(harness, "complete")
    print(f"\ncomplete after {time.monotonic() - start:.1f} s")
    assert found["status"]["storage"]["dataStoreName"] == "default"
    check_complete(harness, harness.etcdctl, "default", "complete")


def test_log_is_json_and_holds_no_secret(harness, manager):
    harness.apply(tenant("quiet"))
    settle(harness, "quiet")
    unparsed = [event["unparsed"] for event in manager.events() if "unparsed" in event]
    assert not unparsed, unparsed[:3]
    secrets = harness.get("secrets", "", "default")["items"] + harness.get("secrets", "", "kamaji-system")["items"]
    assert len(secrets) > 10
    assert leaks(manager.log_text(), secrets) == []


def test_converged_is_silent(harness, manager):
    """A short look here; a minute of it in the end-to-end run."""
    harness.apply(tenant("silent"))
    settle(harness, "silent")
    time.sleep(3)
    path = harness.folder / "audit.log"
    offset = path.stat().st_size
    time.sleep(10)
    with open(path) as stream:
        stream.seek(offset)
        events = [json.loads(line) for line in stream if line.endswith("}\n")]
    noise = [f"{e['verb']} {e['requestURI']}" for e in events
             if e["user"]["username"] == "admin" and e["verb"] != "watch" and "/leases/" not in e["requestURI"]]
    assert noise == []


def test_secret_edited_by_hand(harness, manager):
    harness.apply(tenant("edited"))
    settle(harness, "edited")
    before = owned(harness, "default", "edited")
    broken = base64.b64encode(b"broken").decode()
    harness.kubectl("patch", "secret", "edited-api-server-certificate", "--type=merge", "-p", json.dumps({"data": {"apiserver.crt": broken}}))
    wait_for("certificate repaired", lambda: owned(harness, "default", "edited")["Secret/edited-api-server-certificate"]["data"]["apiserver.crt"] != broken, 20)
    settle(harness, "edited")
    after = check_complete(harness, harness.etcdctl, "default", "edited")
    assert after["Secret/edited-ca"]["data"] == before["Secret/edited-ca"]["data"], "the authority is kept"


def test_secret_deleted_by_hand(harness, manager):
    harness.apply(tenant("deleted"))
    settle(harness, "deleted")
    before = owned(harness, "default", "deleted")
    harness.kubectl("delete", "secret", "deleted-admin-kubeconfig", "deleted-scheduler-kubeconfig", "deleted-datastore-certificate")
    wait_for("Secrets made again", lambda: not {"Secret/deleted-admin-kubeconfig", "Secret/deleted-scheduler-kubeconfig",
                                               "Secret/deleted-datastore-certificate"} - set(owned(harness, "default", "deleted")), 20)
    settle(harness, "deleted")
    after = check_complete(harness, harness.etcdctl, "default", "deleted")
    assert after["Secret/deleted-ca"]["data"] == before["Secret/deleted-ca"]["data"]


def test_foreign_labels_stay(harness, manager):
    harness.apply(tenant("labels"))
    settle(harness, "labels")
    harness.kubectl("label", "service", "labels", "team=blue")
    harness.kubectl("patch", "service", "labels", "--type=merge", "-p", json.dumps({"metadata": {"labels": {"kamaji.clastix.io/name": "wrong"}}}))
    wait_for("our label put back", lambda: harness.get("service", "labels", "default")["metadata"]["labels"]["kamaji.clastix.io/name"] == "labels", 20)
    assert harness.get("service", "labels", "default")["metadata"]["labels"]["team"] == "blue"


def test_delete_and_create_again(harness, manager):
    harness.apply(tenant("again"))
    first = settle(harness, "again")
    user = first["status"]["storage"]["setup"]["user"]
    harness.etcdctl("put", f"/{first['status']['storage']['setup']['schema']}/leftover", "x")
    remove(harness, "again")
    users, roles = users_and_roles(harness.etcdctl)
    assert user not in users and user not in roles
    assert keys_below(harness.etcdctl, f"/{first['status']['storage']['setup']['schema']}/") == 0
    wait_for("objects collected", lambda: not [
        item for item in harness.get("secrets,configmaps,services,deployments", "", "default")["items"]
        if item["metadata"]["name"] == "again" or item["metadata"]["name"].startswith("again-")], 60)
    harness.apply(tenant("again"))
    second = settle(harness, "again")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    check_complete(harness, harness.etcdctl, "default", "again")


@pytest.mark.parametrize("changes, words", [
    ({"networkProfile": {"port": 70000}}, ["networkProfile.port", "70000"]),
    ({"networkProfile": {"port": 6443, "address": "not-an-address"}}, ["networkProfile.address", "not-an-address"]),
    ({"kubernetes": {"version": "banana", "kubelet": {}}}, ["kubernetes.version", "banana"]),
    ({"dataStore": "no-such-store"}, ["no-such-store"]),
])
def test_bad_input_is_answered_in_words(harness, manager, changes, words):
    """Without the admission webhook in the way the answer stands in the Ready condition."""
    name = f"bad-{abs(hash(str(changes))) % 10000}"
    try:
        harness.apply(tenant(name, **changes))
    except HarnessError as error:  # refused at the door is an answer too
        assert all(word in str(error) for word in words), str(error)
        return
    try:
        condition = wait_for("an answer", lambda: (c := ready_condition(harness.get("tenantcontrolplane", name, "default"))) and c["status"] == "False" and c, 15)
        assert all(word in condition["message"] for word in words), condition
        assert manager.probe("/readyz") == 200
    finally:
        remove(harness, name)


def test_malformed_spec_is_refused(harness, manager):
    broken = tenant("malformed")
    broken["spec"]["controlPlane"]["service"]["serviceType"] = "Carrier Pigeon"
    with pytest.raises(HarnessError, match="serviceType"):
        harness.apply(broken)


def test_store_that_cannot_be_reached(harness, manager):
    closed = free_ports(1)[0]
    store = harness.datastore("closed", f"127.0.0.1:{closed}")[-1]
    store["spec"]["tlsConfig"] = harness.datastore("default")[-1]["spec"]["tlsConfig"]
    harness.apply(store, tenant("unreachable", dataStore="closed"))
    condition = wait_for("an answer", lambda: (c := ready_condition(harness.get("tenantcontrolplane", "unreachable", "default"))) and
                         c["status"] == "False" and str(closed) in c["message"] and c, 40)
    assert "closed" in condition["message"] or str(closed) in condition["message"], condition
    # It heals by itself once the store answers.
    harness.kubectl("patch", "datastore", "closed", "--type=merge", "-p", json.dumps({"spec": {"endpoints": [f"127.0.0.1:{harness.ports['store']}"]}}))
    settle(harness, "unreachable", seconds=60)
    remove(harness, "unreachable")
    harness.kubectl("delete", "datastore", "closed", "--timeout=30s")


@pytest.mark.parametrize("labels", [{}, {"kamaji.clastix.io/project": "kamaji"}], ids=["foreign", "labelled"])
def test_store_with_the_wrong_authority(harness, manager, labels):
    """A Secret that a DataStore names is followed, also one that bears the label of our own."""
    harness.pki.authority("other-ca")
    wrong = harness.datastore("wrong")
    wrong[1]["metadata"]["labels"] = labels
    wrong[1]["data"] = {"ca.crt": harness.pki.base64("other-ca.crt"), "ca.key": harness.pki.base64("other-ca.key")}
    harness.apply(*wrong, tenant("distrust", dataStore="wrong"))
    condition = wait_for("an answer", lambda: (c := ready_condition(harness.get("tenantcontrolplane", "distrust", "default"))) and
                         c["status"] == "False" and "certificate" in c["message"] and c, 40)
    print("\n" + condition["message"])
    wrong[1]["data"] = {"ca.crt": harness.pki.base64("store-ca.crt"), "ca.key": harness.pki.base64("store-ca.key")}
    harness.apply(wrong[1])
    settle(harness, "distrust", seconds=60)
    remove(harness, "distrust")
    harness.kubectl("delete", "datastore", "wrong", "--timeout=30s")


def test_missing_store_appears_later(harness, manager):
    harness.apply(tenant("early", dataStore="late"))
    wait_for("an answer", lambda: "late" in ready_condition(harness.get("tenantcontrolplane", "early", "default")).get("message", ""), 15)
    harness.apply(*harness.datastore("late"))
    settle(harness, "early", seconds=40)
    remove(harness, "early")
    harness.kubectl("delete", "datastore", "late", "--timeout=30s")


def test_port_taken(harness, manager):
    second = Manager(harness, name="port-taken", flags=["--leader-elect=false"])
    second.metrics_port = manager.metrics_port
    second.start(ready=False)
    try:
        assert second.process.wait(20) != 0
        assert str(manager.metrics_port) in second.log_text()
    finally:
        second.kill()


def test_killed_at_random_moments(harness, manager):
    """Another instance takes over at once here: no election, so that the kill and not the Lease decides the timing."""
    seed = int(os.environ.get("KAMAJI_TEST_SEED", random.randrange(1 << 30)))
    print(f"\nseed {seed}")
    moments = random.Random(seed)
    manager.stop()
    try:
        for number in range(5):
            name = f"killed-{number}"
            victim = Manager(harness, name=f"victim-{number}", flags=["--leader-elect=false"]).start()
            harness.apply(tenant(name))
            time.sleep(moments.uniform(0, 0.8))
            victim.stop(signal.SIGKILL)
        heir = Manager(harness, name="heir", flags=["--leader-elect=false"]).start()
        for number in range(5):
            settle(harness, f"killed-{number}")
            check_complete(harness, harness.etcdctl, "default", f"killed-{number}")
        for number in range(5):
            remove(harness, f"killed-{number}")
        assert heir.stop() == 0
    finally:
        manager.start()


def test_a_rollout_has_no_pause(harness, manager):
    """The next one is ready beside the one that works. It works soon after that one's end, not when the Lease's 15 s are over."""
    following = Manager(harness, name="following").start()
    try:
        assert "controllers started" not in following.log_text()
        assert manager.stop() == 0
        stopped = time.monotonic()
        wait_for("the next one leads", lambda: "controllers started" in following.log_text(), 20)
        print(f"\nled {time.monotonic() - stopped:.1f} s after the other's end")
        assert time.monotonic() - stopped < 6, "a try every 2.4 s at most"
    finally:
        following.stop()
        manager.start()


def test_api_server_restarted(harness, manager):
    harness.apply(tenant("through"))
    settle(harness, "through")
    harness.stop("kube-apiserver", signal.SIGKILL)
    time.sleep(2)
    harness.start_api_server()
    harness.apply(tenant("after"))
    settle(harness, "after", seconds=60)
    manager.assert_alive()
    check_complete(harness, harness.etcdctl, "default", "after")


def test_store_restarted(harness, manager):
    harness.stop("store", signal.SIGKILL)
    harness.apply(tenant("waits"))
    time.sleep(3)
    harness.start_store()
    settle(harness, "waits", seconds=60)
    check_complete(harness, harness.etcdctl, "default", "waits")


def test_all_gone_in_the_end(harness, manager):
    harness.kubectl("delete", "tenantcontrolplanes", "--all", "-n", "default", "--timeout=90s")
    assert users_and_roles(harness.etcdctl) == ({"root"}, {"root"})
    assert keys_below(harness.etcdctl, "/") == 0
    # The status follows the deletions; nothing makes kubectl wait for it.
    wait_for("the store to have no users", lambda: not harness.get("datastore", "default").get("status", {}).get("usedBy"), seconds=20)
    assert binary()
